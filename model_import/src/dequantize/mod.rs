//! ONNX to ONNX: a network that was quantized in QDQ form to the float network that it stands for, and
//! the range of each value that it keeps in bytes.
//!
//! QDQ is what `onnxruntime.quantization.quantize_static` and most exporters write: every value and
//! weight passes through `QuantizeLinear` and `DequantizeLinear`. Weights become floats here, `integers`
//! reads them; the pairs around values go, and leave their ranges. A pair whose bytes begin at zero
//! often is all that is left of a ReLU or ReLU6, which the quantizer took away: it becomes a `Clip`,
//! unless the value cannot be negative anyway. Must not know: plans, how a network computes in bytes.

mod integers;
mod sign;

use std::collections::{HashMap, HashSet};

use fused::Range;
use onnx_ir::{GraphProto, ModelProto, NodeProto, TensorProto};
use thiserror::Error;

use crate::onnx;
use integers::{Integers, Steps};
use sign::Signs;

/// A pair of operators that cannot be taken away.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{operator} '{node}' {reason}: quantize the model again in QDQ form, with static ranges and one scale a value (onnxruntime.quantization.quantize_static does)"
)]
pub struct DequantizeError {
    /// The operator's kind.
    pub operator: String,
    /// Its name.
    pub node: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The ranges of values by their names in the graph; empty where the model was not quantized.
pub type ValueRanges = HashMap<String, Range>;

/// Takes every `QuantizeLinear` and `DequantizeLinear` away.
///
/// # Errors
/// [`DequantizeError`] naming the first operator that is used in another way.
pub fn dequantize(model: &mut ModelProto) -> Result<ValueRanges, DequantizeError> {
    let graph = model.graph.mut_or_insert_default();
    if !graph
        .node
        .iter()
        .any(|node| is(node, QUANTIZE) || is(node, DEQUANTIZE))
    {
        return Ok(ValueRanges::new());
    }
    let nodes = std::mem::take(&mut graph.node);
    let mut pass = Pass::new(graph, &nodes);
    for node in nodes {
        let done = match &node {
            node if is(node, QUANTIZE) => pass.quantize(node),
            node if is(node, DEQUANTIZE) => pass.dequantize(node),
            _ => pass.keep(node.clone()),
        };
        done.map_err(|reason| DequantizeError {
            operator: node.op_type.clone(),
            node: node.name.clone(),
            reason,
        })?;
    }
    let Pass {
        kept,
        made,
        renamed,
        mut ranges,
        ..
    } = pass;
    graph.node = kept;
    graph.initializer.extend(made);
    // Types of values that are gone or are floats now.
    graph.value_info.clear();
    for output in graph.output.clone() {
        if let Some(name) = renamed.get(&output.name) {
            give_back(graph, &mut ranges, name, &output.name);
        }
    }
    let uses = onnx::uses(graph);
    let read = |name: &String| uses.contains_key(name);
    graph
        .node
        .retain(|node| node.op_type != "Constant" || node.output.iter().any(read));
    Ok(ranges)
}

const QUANTIZE: &str = "QuantizeLinear";
const DEQUANTIZE: &str = "DequantizeLinear";

/// Whether a node is this operator, ONNX's own or of ONNX Runtime's older quantizers.
fn is(node: &NodeProto, operator: &str) -> bool {
    node.op_type == operator && matches!(node.domain.as_str(), "" | "ai.onnx" | "com.microsoft")
}

/// What a quantized value is.
#[derive(Clone)]
enum Quantized {
    /// A constant.
    Constant(Integers),
    /// A value that the network computes, by its name among the floats.
    Value { float: String, steps: Steps },
}

/// The graph as far as it has been read.
struct Pass {
    /// Constants by name.
    constants: HashMap<String, TensorProto>,
    quantized: HashMap<String, Quantized>,
    /// What stands for the output of a pair that is gone.
    renamed: HashMap<String, String>,
    ranges: ValueRanges,
    signs: Signs,
    kept: Vec<NodeProto>,
    made: Vec<TensorProto>,
}

impl Pass {
    fn new(graph: &GraphProto, nodes: &[NodeProto]) -> Self {
        let initializers = graph.initializer.iter();
        let mut constants: HashMap<String, TensorProto> = initializers
            .map(|tensor| (tensor.name.clone(), tensor.clone()))
            .collect();
        for node in nodes.iter().filter(|node| node.op_type == "Constant") {
            if let ([output], Some(tensor)) =
                (node.output.as_slice(), onnx::tensor_of(node, "value"))
            {
                constants.insert(output.clone(), tensor.clone());
            }
        }
        let inputs = onnx::free_inputs(graph).map(|input| input.name.clone());
        Self {
            signs: Signs::of_inputs(inputs.collect::<HashSet<_>>()),
            constants,
            quantized: HashMap::new(),
            renamed: HashMap::new(),
            ranges: ValueRanges::new(),
            kept: Vec::new(),
            made: Vec::new(),
        }
    }

    /// The name of an input among the floats.
    fn input(&self, node: &NodeProto, at: usize) -> String {
        let name = node.input.get(at).cloned().unwrap_or_default();
        self.renamed.get(&name).cloned().unwrap_or(name)
    }

    /// The scale and zero point of a pair's half.
    fn steps(&self, node: &NodeProto, of_zero: i32) -> Result<Steps, String> {
        let constant = |at: usize| node.input.get(at).and_then(|name| self.constants.get(name));
        let scales = constant(1).and_then(|scale| onnx::floats(scale).ok());
        let scales = scales.ok_or("has no constant float32 scale")?;
        let zeros = match node.input.get(2).filter(|name| !name.is_empty()) {
            None => None,
            Some(_) => {
                let zero = constant(2).and_then(Integers::of);
                Some(zero.ok_or("has no constant zero point of 8, 16 or 32 bits")?)
            }
        };
        if onnx::int(node, "block_size").unwrap_or(0) != 0 {
            return Err("has a scale for each block".to_owned());
        }
        let axis = onnx::int(node, "axis").unwrap_or(1);
        Steps::new(scales, zeros, axis, of_zero)
            .ok_or_else(|| "has a scale that is none".to_owned())
    }

    fn quantize(&mut self, node: &NodeProto) -> Result<(), String> {
        let from = self.input(node, 0);
        let steps = self.steps(node, integers::UINT8)?;
        let quantized = match self.constants.get(&from) {
            Some(constant) => {
                let integers = onnx::floats(constant).ok();
                let integers =
                    integers.and_then(|floats| steps.quantize(&onnx::dims(constant), &floats));
                Quantized::Constant(integers.ok_or("does not fit the constant that it reads")?)
            }
            None => {
                let Range { low, high } = steps
                    .range()
                    .ok_or("has a scale for each channel of a value")?;
                let float = if low == 0.0 && !self.signs.is_never_negative(&from) {
                    self.clip(node, &from, high)
                } else {
                    from
                };
                self.ranges.insert(float.clone(), Range { low, high });
                Quantized::Value { float, steps }
            }
        };
        self.quantized.insert(node.output[0].clone(), quantized);
        Ok(())
    }

    /// The activation that the bytes of a quantized value stand for.
    fn clip(&mut self, node: &NodeProto, from: &str, high: f32) -> String {
        let name = node.output[0].clone();
        let [least, most] = ["least", "most"].map(|bound| format!("{name}/{bound}"));
        for (bound, number) in [(&least, 0.0), (&most, high)] {
            self.made.push(onnx::tensor(bound, &[], &[number]));
        }
        self.kept
            .push(onnx::node("Clip", &name, &[from, &least, &most], &name));
        self.signs.never_negative(&name);
        name
    }

    fn dequantize(&mut self, node: &NodeProto) -> Result<(), String> {
        let from = node.input.first().cloned().unwrap_or_default();
        let output = node.output[0].clone();
        let constant = self.constants.get(&from).and_then(Integers::of);
        let quantized = constant.map(Quantized::Constant);
        let quantized = quantized.or_else(|| self.quantized.get(&from).cloned());
        match quantized {
            Some(Quantized::Constant(integers)) => {
                let steps = self.steps(node, integers.kind)?;
                let floats = steps.dequantize(&integers);
                let floats = floats.ok_or("does not fit the constant that it reads")?;
                let tensor = onnx::tensor(&output, &integers.dims, &floats);
                self.constants.insert(output, tensor.clone());
                self.made.push(tensor);
                Ok(())
            }
            Some(Quantized::Value { float, steps }) => {
                if self.steps(node, integers::UINT8)? != steps {
                    return Err("has another scale or zero point than what it reads".to_owned());
                }
                self.renamed.insert(output, float);
                Ok(())
            }
            None => Err(format!("reads '{from}', which no QuantizeLinear gives")),
        }
    }

    fn keep(&mut self, mut node: NodeProto) -> Result<(), String> {
        if let Some(name) = node
            .input
            .iter()
            .find(|name| self.quantized.contains_key(*name))
        {
            return Err(format!("reads '{name}', which is in bytes"));
        }
        for input in &mut node.input {
            if let Some(name) = self.renamed.get(input) {
                input.clone_from(name);
            }
        }
        self.signs.learn(&node, &self.constants);
        self.kept.push(node);
        Ok(())
    }
}

/// Gives a value the name of the graph's output that it is.
fn give_back(graph: &mut GraphProto, ranges: &mut ValueRanges, name: &str, output: &str) {
    for node in &mut graph.node {
        for value in node.output.iter_mut().chain(&mut node.input) {
            if value == name {
                output.clone_into(value);
            }
        }
    }
    if let Some(range) = ranges.remove(name) {
        ranges.insert(output.to_owned(), range);
    }
}

#[cfg(test)]
mod tests;
