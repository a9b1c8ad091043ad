//! The values that a graph fixes: initializers, `Constant` operators, and copies of either.
//!
//! Must not know: layers, records.

use std::collections::HashMap;

use onnx_ir::{GraphProto, TensorProto};

use crate::onnx;

/// Constant tensors by the names under which operators read them.
pub(super) struct Constants<'a>(HashMap<&'a str, &'a TensorProto>);

impl<'a> Constants<'a> {
    pub(super) fn of(graph: &'a GraphProto) -> Self {
        let initializers = graph.initializer.iter();
        let mut tensors: HashMap<&str, &TensorProto> = initializers
            .map(|tensor| (tensor.name.as_str(), tensor))
            .collect();
        // Operators come after what they read, so that copies of copies are found too.
        for node in &graph.node {
            let [output] = node.output.as_slice() else {
                continue;
            };
            let tensor = match (node.op_type.as_str(), node.input.first()) {
                ("Constant", _) => onnx::tensor_of(node, "value"),
                ("Identity", Some(input)) => tensors.get(input.as_str()).copied(),
                _ => None,
            };
            if let Some(tensor) = tensor {
                tensors.insert(output, tensor);
            }
        }
        Self(tensors)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a TensorProto> {
        self.0.get(name).copied()
    }

    /// The one element of a float32 constant.
    pub(super) fn scalar(&self, name: &str) -> Option<f32> {
        match onnx::floats(self.get(name)?).ok()?.as_slice() {
            [value] => Some(*value),
            _ => None,
        }
    }

    /// The elements of an int64 constant.
    pub(super) fn integers(&self, name: &str) -> Option<Vec<i64>> {
        onnx::integers(self.get(name)?)
    }
}
