//! Operators with a window: convolutions and pools, and the padding that they take over.

use fused::{Activation, Convolution, Operation, Pool, WeightLayout};
use onnx_ir::NodeProto;

use super::{Axes, Flow, Reader};
use crate::onnx;
use crate::plan::window::{self, Padding, Window};

impl Reader<'_> {
    pub(super) fn convolution(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.images(node)?;
        let weights = onnx::dims(self.constant(node, 1)?);
        let [outputs, inputs, height, width] = *weights.as_slice() else {
            return Err(format!(
                "has weights {weights:?}, not a kernel over two axes"
            ));
        };
        let kernel = [height, width];
        if window::positive(node, "kernel_shape")?.is_some_and(|given| given != kernel) {
            return Err(format!("has weights {weights:?}, but says another kernel"));
        }
        let groups = usize::try_from(onnx::int(node, "group").unwrap_or(1)).unwrap_or(0);
        let mut shape = self.shape(from);
        if inputs.checked_mul(groups) != Some(shape.channels) {
            return Err(format!(
                "has weights {weights:?} in {groups} groups for {} channels",
                shape.channels
            ));
        }
        let bias = match node.input.get(2) {
            Some(name) if !name.is_empty() => {
                let dims = onnx::dims(self.constant(node, 2)?);
                if dims != [outputs] {
                    return Err(format!("has a bias {dims:?} for {outputs} channels"));
                }
                Some(name.clone())
            }
            _ => None,
        };
        let [top, left, bottom, right] = from.padding;
        shape.height += top + bottom;
        shape.width += left + right;
        let window = Window::of(node, kernel, shape)?;
        let convolution = Convolution {
            weights: node.input[1].clone(),
            weight_layout: WeightLayout::Oihw,
            bias,
            outputs,
            kernel,
            stride: window.stride,
            dilation: window.dilation,
            padding: total(window.padding, from.padding),
            groups,
            residual: None,
            activation: Activation::None,
        };
        self.push(from.value, Operation::Convolution(convolution), Axes::Nchw)
    }

    pub(super) fn pool(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.images(node)?;
        let wanted = |name: &String| self.uses.contains_key(name);
        if node.output[1..].iter().any(wanted) {
            return Err("gives the places of its maxima".to_owned());
        }
        let kernel = window::positive(node, "kernel_shape")?;
        let kernel = kernel.ok_or("says no kernel")?;
        let mut shape = self.shape(from);
        let [top, left, bottom, right] = from.padding;
        shape.height += top + bottom;
        shape.width += left + right;
        let mut window = Window::of(node, kernel, shape)?;
        if window.dilation != [1, 1] {
            return Err("has a dilated window".to_owned());
        }
        let average = node.op_type == "AveragePool";
        let mut counts = average && onnx::int(node, "count_include_pad").unwrap_or(0) != 0;
        if from.padding != [0; 4] {
            if !average && !self.is_never_negative(from.value) {
                return Err("pools a value padded with zeros that may be negative".to_owned());
            }
            if average && !counts && window.padding != [0; 4] {
                return Err("counts some of its padding and some not".to_owned());
            }
            counts = average;
        }
        let ceil = onnx::int(node, "ceil_mode").unwrap_or(0) != 0;
        if ceil && window.round_up(shape) && counts {
            return Err("counts padding in windows that reach beyond it".to_owned());
        }
        let pool = Pool {
            kernel,
            stride: window.stride,
            padding: total(window.padding, from.padding),
            count_padding: counts && total(window.padding, from.padding) != [0; 4],
        };
        let operation = if average {
            Operation::AveragePool(pool)
        } else {
            Operation::MaxPool(pool)
        };
        self.push(from.value, operation, Axes::Nchw)
    }

    pub(super) fn global_pool(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.plain(node, 0)?;
        if from.axes != Axes::Nchw {
            return Err("reads other than images x channels x height x width".to_owned());
        }
        let pool = self.whole(from);
        let operation = if node.op_type == "GlobalMaxPool" {
            Operation::MaxPool(pool)
        } else {
            Operation::AveragePool(pool)
        };
        self.push(from.value, operation, from.axes)
    }

    /// The mean over height and width.
    pub(super) fn mean(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.plain(node, 0)?;
        let axes = self.list(node, "axes", 1).unwrap_or_default();
        let mut places: Vec<i64> = axes.iter().map(|axis| axis.rem_euclid(4)).collect();
        places.sort_unstable();
        if spatial(from.axes).is_none_or(|wanted| places != wanted) {
            return Err(format!("is over axes {axes:?}, not height and width"));
        }
        let kept = onnx::int(node, "keepdims").unwrap_or(1) != 0;
        let axes = if kept { from.axes } else { Axes::Rows };
        let pool = self.whole(from);
        self.push(from.value, Operation::AveragePool(pool), axes)
    }

    fn whole(&self, from: Flow) -> Pool {
        let shape = self.shape(from);
        Pool {
            kernel: [shape.height, shape.width],
            stride: [1, 1],
            padding: [0; 4],
            count_padding: false,
        }
    }

    /// No layer: the padding is handed to the operator that reads it.
    pub(super) fn pad(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let from = self.flow(node, 0)?;
        let mode = onnx::string(node, "mode").unwrap_or_default();
        let value = match node.input.get(2) {
            Some(name) if !name.is_empty() => self.constants.scalar(name),
            _ => Some(onnx::float(node, "value").unwrap_or(0.0)),
        };
        if from.sigmoid || !matches!(mode.as_str(), "" | "constant") || value != Some(0.0) {
            return Err("pads with other than zeros".to_owned());
        }
        let pads = self.list(node, "pads", 1).ok_or("has no constant pads")?;
        let axes = match node.input.get(3) {
            Some(name) if !name.is_empty() => self.constants.integers(name),
            _ => Some(vec![0, 1, 2, 3]),
        };
        let axes = axes.ok_or("has no constant axes")?;
        let [height, width] = spatial(from.axes).ok_or("pads rows")?;
        let mut sides = [0; 4];
        for (at, pad) in pads.iter().enumerate() {
            let axis = axes
                .get(at % axes.len().max(1))
                .map(|axis| axis.rem_euclid(4));
            let end = if at < axes.len() { 0 } else { 2 };
            match axis {
                Some(axis) if axis == height => sides[end] += pad,
                Some(axis) if axis == width => sides[end + 1] += pad,
                _ if *pad == 0 => {}
                _ => return Err("pads other than height and width".to_owned()),
            }
        }
        Ok(Flow {
            padding: total(from.padding, window::padding(&sides)?),
            ..from
        })
    }

    /// Integers that are an attribute in old operator sets and an input in new ones.
    pub(super) fn list(&self, node: &NodeProto, name: &str, input: usize) -> Option<Vec<i64>> {
        let attribute = onnx::ints(node, name).map(<[i64]>::to_vec);
        attribute.or_else(|| self.constants.integers(node.input.get(input)?))
    }

    /// Whether zeros can never be more than all elements of a window of this value.
    fn is_never_negative(&self, value: usize) -> bool {
        let Some(layer) = value.checked_sub(1).map(|at| &self.plan.layers[at]) else {
            return false;
        };
        match &layer.operation {
            Operation::Activate { activation } => match activation {
                Activation::Relu => true,
                Activation::Clip { low, .. } => *low >= 0.0,
                Activation::None | Activation::Silu => false,
            },
            Operation::MaxPool(_) | Operation::AveragePool(_) => {
                self.is_never_negative(layer.input)
            }
            Operation::Add { other, .. } => {
                self.is_never_negative(layer.input) && self.is_never_negative(*other)
            }
            Operation::Softmax => true,
            Operation::Convolution(_) => false,
        }
    }
}

/// The places of height and width among four axes.
const fn spatial(axes: Axes) -> Option<[i64; 2]> {
    match axes {
        Axes::Nchw => Some([2, 3]),
        Axes::Nhwc => Some([1, 2]),
        Axes::Rows => None,
    }
}

fn total(left: Padding, right: Padding) -> Padding {
    std::array::from_fn(|side| left[side] + right[side])
}
