//! The operators of a graph one by one, each as a layer or as a view of a value that is there.
//!
//! `sliding` are those with a window, `linear` the fully connected ones and sums, `view` those
//! that only say how a value is to be read. Must not know: which layers can be joined, records.

mod linear;
mod sliding;
mod view;

use std::collections::HashMap;

use fused::{Activation, Layer, Operation, Plan, PlanError, Shape};
use onnx_ir::{ModelProto, NodeProto, TensorProto};

use super::NoPlan;
use super::constants::Constants;
use super::window::Padding;
use crate::onnx;

/// Operator set in which `Softmax` began to work along one axis.
const ONE_AXIS_SOFTMAX: i64 = 13;

/// A graph that was read.
pub(super) struct Read {
    /// A layer for each operator that computes something. Weights have the names that ONNX has for
    /// them, and lie as they lie there.
    pub(super) plan: Plan,
    /// The value that is the output.
    pub(super) output: usize,
    /// The value that each ONNX value is, by its name.
    pub(super) values: HashMap<String, usize>,
}

/// The graph as layers.
///
/// # Errors
/// [`NoPlan`] naming the first operator without a layer.
pub(super) fn read(model: &ModelProto, constants: &Constants) -> Result<Read, NoPlan> {
    let graph = &model.graph;
    let mut reader = Reader::new(model, constants)?;
    for node in &graph.node {
        let wanted = node
            .output
            .iter()
            .any(|name| reader.uses.contains_key(name));
        let constant = node.output.iter().all(|name| constants.get(name).is_some());
        if wanted && !constant {
            let flow = reader.layer(node);
            let flow = flow.map_err(|reason| NoPlan::new(format!("{} {reason}", place(node))))?;
            reader.flows.insert(node.output[0].clone(), flow);
        }
    }
    let output = graph.output.first().map_or("", |output| &output.name);
    match reader.flows.get(output) {
        Some(flow) if flow.axes == Axes::Rows && flow.is_plain() => Ok(Read {
            output: flow.value,
            plan: reader.plan,
            values: plain(&reader.flows),
        }),
        _ => Err(NoPlan::new("the network does not give rows of scores")),
    }
}

/// The values that are looked at as they are, padding aside, which changes no range that holds zero.
fn plain(flows: &HashMap<String, Flow>) -> HashMap<String, usize> {
    let whole = flows.iter().filter(|(_, flow)| !flow.sigmoid);
    whole
        .map(|(name, flow)| (name.clone(), flow.value))
        .collect()
}

/// Which axes an ONNX value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Axes {
    /// Images x channels x height x width.
    Nchw,
    /// Images x height x width x channels.
    Nhwc,
    /// Images x numbers: channel after channel, each row by row.
    Rows,
}

/// What an ONNX value is: a value of the plan, and how it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flow {
    value: usize,
    axes: Axes,
    /// Zeros around it that the operator which reads it must take over.
    padding: Padding,
    /// It is the sigmoid of the value, and so half of a `SiLU`.
    sigmoid: bool,
}

impl Flow {
    const fn new(value: usize, axes: Axes) -> Self {
        Self {
            value,
            axes,
            padding: [0; 4],
            sigmoid: false,
        }
    }

    fn is_plain(&self) -> bool {
        self.padding == [0; 4] && !self.sigmoid
    }
}

/// What is known of the graph so far. Reasons are what follows an operator's name in a sentence.
struct Reader<'a> {
    constants: &'a Constants<'a>,
    uses: HashMap<String, usize>,
    opset: i64,
    flows: HashMap<String, Flow>,
    plan: Plan,
    /// The shape of each value of the plan.
    shapes: Vec<Shape>,
}

impl<'a> Reader<'a> {
    fn new(model: &ModelProto, constants: &'a Constants<'a>) -> Result<Self, NoPlan> {
        let inputs: Vec<_> = onnx::free_inputs(&model.graph).collect();
        let [input] = inputs.as_slice() else {
            return Err(NoPlan::new("the network reads other than one input"));
        };
        let dims: Vec<Option<usize>> = onnx::value_dims(input)
            .into_iter()
            .map(|dim| dim.and_then(|dim| usize::try_from(dim).ok()))
            .collect();
        let (axes, [channels, height, width]) = match *dims.as_slice() {
            [_, Some(3), Some(height), Some(width)] => (Axes::Nchw, [3, height, width]),
            [_, Some(height), Some(width), Some(3)] => (Axes::Nhwc, [3, height, width]),
            _ => return Err(NoPlan::new("the network does not read images of one size")),
        };
        let shape = Shape {
            height,
            width,
            channels,
        };
        Ok(Self {
            constants,
            uses: onnx::uses(&model.graph),
            opset: onnx::opset(model),
            flows: HashMap::from([(input.name.clone(), Flow::new(0, axes))]),
            plan: Plan {
                input: shape,
                layers: Vec::new(),
            },
            shapes: vec![shape],
        })
    }

    fn layer(&mut self, node: &NodeProto) -> Result<Flow, String> {
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return Err(format!("of {} has no fused form", node.domain));
        }
        match node.op_type.as_str() {
            "Conv" => self.convolution(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalMaxPool" | "GlobalAveragePool" => self.global_pool(node),
            "ReduceMean" => self.mean(node),
            "Pad" => self.pad(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matrix_product(node),
            "Add" | "Sum" => self.sum(node),
            "Mul" => self.silu(node),
            "Relu" => self.activate(node, Activation::Relu),
            "Clip" => self.activate(node, self.clip(node)?),
            "Sigmoid" => self.sigmoid(node),
            "Softmax" => self.softmax(node),
            "Identity" | "Dropout" => self.flow(node, 0),
            "Transpose" => self.transpose(node),
            "Flatten" => self.flatten(node),
            "Reshape" => self.reshape(node),
            "Squeeze" => self.squeeze(node),
            "BatchNormalization" => {
                Err("does not follow a convolution that it could be folded into".to_owned())
            }
            _ => Err("has no fused form".to_owned()),
        }
    }

    // === activations ===

    fn activate(&mut self, node: &NodeProto, activation: Activation) -> Result<Flow, String> {
        let from = self.plain(node, 0)?;
        self.push(from.value, Operation::Activate { activation }, from.axes)
    }

    fn clip(&self, node: &NodeProto) -> Result<Activation, String> {
        let bound = |input: usize, attribute: &str, open: f32| match node.input.get(input) {
            Some(name) if !name.is_empty() => self
                .constants
                .scalar(name)
                .ok_or_else(|| format!("has a bound '{name}' that is not a constant number")),
            _ => Ok(onnx::float(node, attribute).unwrap_or(open)),
        };
        let low = bound(1, "min", f32::NEG_INFINITY)?;
        let high = bound(2, "max", f32::INFINITY)?;
        if low == 0.0 && high == f32::INFINITY {
            Ok(Activation::Relu)
        } else if low <= high {
            Ok(Activation::Clip { low, high })
        } else {
            Err(format!("has bounds {low} and {high}"))
        }
    }

    /// Nothing yet: the product with the value itself is a layer.
    fn sigmoid(&self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.plain(node, 0)?;
        Ok(Flow {
            sigmoid: true,
            ..from
        })
    }

    fn silu(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let other = "multiplies other than a value by its own sigmoid";
        let [Ok(left), Ok(right)] = [self.flow(node, 0), self.flow(node, 1)] else {
            return Err(other.to_owned());
        };
        let plain = if left.sigmoid { right } else { left };
        let both = Flow {
            sigmoid: false,
            ..left
        };
        if left.sigmoid == right.sigmoid || plain != both || !plain.is_plain() {
            return Err(other.to_owned());
        }
        let activation = Activation::Silu;
        self.push(plain.value, Operation::Activate { activation }, plain.axes)
    }

    fn softmax(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.plain(node, 0)?;
        let last = if self.opset >= ONE_AXIS_SOFTMAX {
            -1
        } else {
            1
        };
        let axis = onnx::int(node, "axis").unwrap_or(last);
        match (from.axes, axis) {
            (Axes::Rows, 1 | -1) | (Axes::Nchw, 1 | -3) | (Axes::Nhwc, 3 | -1) => {
                self.push(from.value, Operation::Softmax, from.axes)
            }
            _ => Err(format!("works along axis {axis}, not over the classes")),
        }
    }

    // === reading and writing ===

    /// What an operator reads.
    fn flow(&self, node: &NodeProto, input: usize) -> Result<Flow, String> {
        let name = node.input.get(input).map_or("", String::as_str);
        let flow = self.flows.get(name).copied();
        flow.ok_or_else(|| format!("reads '{name}', which is not computed from the image"))
    }

    /// What an operator reads that can take nothing over.
    fn plain(&self, node: &NodeProto, input: usize) -> Result<Flow, String> {
        let flow = self.flow(node, input)?;
        if flow.padding != [0; 4] {
            return Err("reads a padded value; only convolutions and pools may".to_owned());
        }
        if flow.sigmoid {
            return Err("reads a sigmoid; only a product with the same value may".to_owned());
        }
        Ok(flow)
    }

    /// What an operator with a window reads: images, maybe padded.
    fn images(&self, node: &NodeProto) -> Result<Flow, String> {
        let flow = self.flow(node, 0)?;
        if flow.axes != Axes::Nchw || flow.sigmoid {
            return Err("reads other than images x channels x height x width".to_owned());
        }
        Ok(flow)
    }

    /// The constant that an operator reads, by name.
    fn constant(&self, node: &NodeProto, input: usize) -> Result<&'a TensorProto, String> {
        let name = node.input.get(input).map_or("", String::as_str);
        let tensor = self.constants.get(name);
        tensor.ok_or_else(|| format!("reads '{name}', which is not a constant"))
    }

    fn shape(&self, flow: Flow) -> Shape {
        self.shapes[flow.value]
    }

    /// Adds a layer.
    fn push(&mut self, input: usize, operation: Operation, axes: Axes) -> Result<Flow, String> {
        self.plan.layers.push(Layer { input, operation });
        let shapes = self.plan.shapes().map_err(|error| match error {
            PlanError::Layer { what, .. } => format!("cannot be a layer: {what}"),
            other => other.to_string(),
        })?;
        self.shapes = shapes;
        Ok(Flow::new(self.plan.layers.len(), axes))
    }
}

/// The operator and its name; of a nameless one, what it gives.
fn place(node: &NodeProto) -> String {
    let name = match node.name.as_str() {
        "" => node.output.first().map_or("", String::as_str),
        name => name,
    };
    format!("{} '{name}'", node.op_type)
}
