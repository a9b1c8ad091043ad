//! Fully connected operators, and sums: of two values, or of a value and a bias.

use fused::{Activation, Convolution, Operation, WeightLayout};
use onnx_ir::{NodeProto, TensorProto};

use super::{Axes, Flow, Reader};
use crate::onnx;

impl Reader<'_> {
    pub(super) fn gemm(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let factor = |name: &str| onnx::float(node, name).unwrap_or(1.0);
        let flag = |name: &str| onnx::int(node, name).unwrap_or(0) != 0;
        if factor("alpha") != 1.0 || factor("beta") != 1.0 || flag("transA") {
            return Err("scales or transposes what it reads".to_owned());
        }
        let layout = if flag("transB") {
            WeightLayout::Oihw
        } else {
            WeightLayout::Io
        };
        let mut linear = self.linear(node, layout)?;
        if let Some(name) = node.input.get(2).filter(|name| !name.is_empty()) {
            let dims = onnx::dims(self.constant(node, 2)?);
            if !matches!(*dims.as_slice(), [count] | [1, count] if count == linear.outputs) {
                return Err(format!(
                    "has a bias {dims:?} for {} outputs",
                    linear.outputs
                ));
            }
            linear.bias = Some(name.clone());
        }
        self.push_linear(node, linear)
    }

    pub(super) fn matrix_product(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let linear = self.linear(node, WeightLayout::Io)?;
        self.push_linear(node, linear)
    }

    /// A layer that reads all of a value; for ONNX that value is a row.
    fn linear(&self, node: &NodeProto, layout: WeightLayout) -> Result<Convolution, String> {
        let from = self.plain(node, 0)?;
        let dims = onnx::dims(self.constant(node, 1)?);
        let shape = self.shape(from);
        let (inputs, outputs) = match (layout, dims.as_slice()) {
            (WeightLayout::Oihw, &[outputs, inputs]) | (WeightLayout::Io, &[inputs, outputs]) => {
                (inputs, outputs)
            }
            _ => return Err(format!("has weights {dims:?}, not a matrix")),
        };
        if from.axes != Axes::Rows || inputs != shape.elements() {
            return Err(format!(
                "has weights {dims:?} for other than rows of {inputs}"
            ));
        }
        Ok(Convolution {
            weights: node.input[1].clone(),
            weight_layout: layout,
            bias: None,
            outputs,
            kernel: [shape.height, shape.width],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0; 4],
            groups: 1,
            residual: None,
            activation: Activation::None,
        })
    }

    fn push_linear(&mut self, node: &NodeProto, linear: Convolution) -> Result<Flow, String> {
        let from = self.plain(node, 0)?;
        self.push(from.value, Operation::Convolution(linear), Axes::Rows)
    }

    pub(super) fn sum(&mut self, node: &NodeProto) -> Result<Flow, String> {
        let [left, right] = node.input.as_slice() else {
            return Err("adds other than two values".to_owned());
        };
        match [self.constants.get(left), self.constants.get(right)] {
            [None, None] => {}
            [None, Some(bias)] => return self.biased(node, 0, bias, right),
            [Some(bias), None] => return self.biased(node, 1, bias, left),
            [Some(_), Some(_)] => return Err("adds two constants".to_owned()),
        }
        let (left, right) = (self.plain(node, 0)?, self.plain(node, 1)?);
        if left.axes != right.axes || self.shape(left) != self.shape(right) {
            return Err("adds values of different shapes".to_owned());
        }
        let operation = Operation::Add {
            other: right.value,
            activation: Activation::None,
        };
        self.push(left.value, operation, left.axes)
    }

    /// No layer: the constant becomes the bias of the convolution that alone is read here.
    fn biased(
        &mut self,
        node: &NodeProto,
        input: usize,
        bias: &TensorProto,
        name: &str,
    ) -> Result<Flow, String> {
        let from = self.plain(node, input)?;
        let alone = self.uses.get(&node.input[input]) == Some(&1);
        let layer = from.value.checked_sub(1);
        let layer = layer.map(|at| &mut self.plan.layers[at].operation);
        match layer {
            Some(Operation::Convolution(convolution))
                if alone
                    && convolution.bias.is_none()
                    && is_one_a_channel(&onnx::dims(bias), convolution.outputs, from.axes) =>
            {
                convolution.bias = Some(name.to_owned());
                Ok(from)
            }
            _ => Err(format!(
                "adds '{name}', which is not the bias of a convolution"
            )),
        }
    }
}

/// Whether a constant of these dimensions has one element a channel when it is broadcast.
fn is_one_a_channel(dims: &[usize], channels: usize, axes: Axes) -> bool {
    let from_end = match axes {
        Axes::Nchw => 3,
        Axes::Nhwc | Axes::Rows => 1,
    };
    let Some(place) = dims.len().checked_sub(from_end) else {
        return false;
    };
    let wanted = |at: usize| if at == place { channels } else { 1 };
    dims.iter().enumerate().all(|(at, &dim)| dim == wanted(at))
}
