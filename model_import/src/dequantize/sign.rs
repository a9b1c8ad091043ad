//! Which values of a graph cannot be negative, as far as operators show.
//!
//! The image counts as such: what its bytes leave out of it is no activation. Must not know:
//! quantization.

use std::collections::{HashMap, HashSet};

use onnx_ir::{NodeProto, TensorProto};

use crate::onnx;

/// Names of values that are never negative.
pub(super) struct Signs(HashSet<String>);

impl Signs {
    pub(super) const fn of_inputs(inputs: HashSet<String>) -> Self {
        Self(inputs)
    }

    pub(super) fn is_never_negative(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    pub(super) fn never_negative(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// Looks at an operator whose inputs have been looked at.
    pub(super) fn learn(&mut self, node: &NodeProto, constants: &HashMap<String, TensorProto>) {
        let is = |name: &String| self.0.contains(name);
        let first = || node.input.first().is_some_and(is);
        let never = match node.op_type.as_str() {
            "Relu" | "Sigmoid" | "HardSigmoid" | "Softmax" => true,
            "Clip" => {
                let bound = node.input.get(1).and_then(|name| constants.get(name));
                let bound = bound.and_then(|bound| onnx::floats(bound).ok());
                let bound = bound.and_then(|bound| bound.first().copied());
                let bound = bound.or_else(|| onnx::float(node, "min"));
                bound.is_some_and(|bound| bound >= 0.0) || first()
            }
            "MaxPool" | "AveragePool" | "GlobalMaxPool" | "GlobalAveragePool" | "ReduceMean"
            | "Flatten" | "Reshape" | "Transpose" | "Squeeze" | "Unsqueeze" | "Identity"
            | "Dropout" => first(),
            "Add" | "Sum" | "Concat" | "Mul" => node.input.iter().all(is),
            _ => false,
        };
        if never {
            self.0.extend(node.output.iter().cloned());
        }
    }
}
