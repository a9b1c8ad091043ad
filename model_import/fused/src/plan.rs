//! What a network does, layer by layer: plain data that reads well as TOML.
//!
//! Values are numbered: value 0 is the input image, layer `i` (from 0) writes value `i + 1`, and
//! the last value is the output. What a field leaves out is its usual value: stride and dilation 1,
//! no padding, one group, no activation. Must not know: weights' numbers, memory, kernels.

use std::iter;

use serde::{Deserialize, Serialize};

/// A network: its input and its layers in the order in which they run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The shape of value 0.
    pub input: Shape,
    /// Layer `i` writes value `i + 1`.
    pub layers: Vec<Layer>,
}

/// The shape of one value of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Numbers a pixel.
    pub channels: usize,
}

impl Shape {
    /// Numbers in the value.
    #[must_use]
    pub const fn elements(&self) -> usize {
        self.height * self.width * self.channels
    }
}

/// One layer: what it reads and what it does with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The value that it reads.
    pub input: usize,
    /// What it does.
    #[serde(flatten)]
    pub operation: Operation,
}

/// What a layer does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum Operation {
    /// A convolution, or a linear layer: there the kernel is the whole input.
    Convolution(Convolution),
    /// The largest number of each window.
    MaxPool(Pool),
    /// The mean of each window; global pooling has the whole input as its kernel.
    AveragePool(Pool),
    /// The sum of two values of the same shape.
    Add {
        /// The second value.
        other: usize,
        /// Applied to the sum.
        #[serde(default, skip_serializing_if = "Activation::is_none")]
        activation: Activation,
    },
    /// An activation alone.
    Activate {
        /// The activation.
        activation: Activation,
    },
    /// Probabilities from scores, over the channels of a value of one pixel.
    Softmax,
}

impl Layer {
    /// The values that it reads: its input and what it adds to it.
    pub fn reads(&self) -> impl Iterator<Item = usize> + use<> {
        let added = match &self.operation {
            Operation::Convolution(convolution) => convolution.residual,
            Operation::Add { other, .. } => Some(*other),
            _ => None,
        };
        iter::once(self.input).chain(added)
    }
}

impl Operation {
    /// The operation as it is written in TOML.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Convolution(_) => "convolution",
            Self::MaxPool(_) => "max-pool",
            Self::AveragePool(_) => "average-pool",
            Self::Add { .. } => "add",
            Self::Activate { .. } => "activate",
            Self::Softmax => "softmax",
        }
    }
}

/// `activation(convolution(input) + bias + residual)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// The name of the weights.
    pub weights: String,
    /// How the weights lie in memory.
    #[serde(default, skip_serializing_if = "WeightLayout::is_usual")]
    pub weight_layout: WeightLayout,
    /// The name of the bias: one number an output channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<String>,
    /// Output channels.
    pub outputs: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub stride: [usize; 2],
    /// Distance between the kernel's rows and columns.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub dilation: [usize; 2],
    /// Rows and columns of zeros: top, left, bottom, right.
    #[serde(default, skip_serializing_if = "is_zeros")]
    pub padding: [usize; 4],
    /// Input and output channels fall into this many groups that do not mix.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// The value that is added before the activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual: Option<usize>,
    /// Applied last.
    #[serde(default, skip_serializing_if = "Activation::is_none")]
    pub activation: Activation,
}

/// How a convolution's weights lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightLayout {
    /// `[outputs, inputs / groups, kernel height, kernel width]`.
    #[default]
    Oihw,
    /// `[inputs x kernel height x kernel width, outputs]`, as linear layers have it. One group.
    Io,
}

impl WeightLayout {
    fn is_usual(&self) -> bool {
        *self == Self::Oihw
    }
}

/// The windows of a pooling layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub stride: [usize; 2],
    /// Rows and columns outside the value that windows may cover: top, left, bottom, right.
    #[serde(default, skip_serializing_if = "is_zeros")]
    pub padding: [usize; 4],
    /// Whether a mean divides by the padded pixels too. Nothing to a largest number.
    #[serde(default, skip_serializing_if = "is_false")]
    pub count_padding: bool,
}

/// A function of each number alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// The number itself.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`.
    Clip {
        /// The least result.
        low: f32,
        /// The largest result.
        high: f32,
    },
    /// `x / (1 + exp(-x))`.
    Silu,
}

impl Activation {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

const fn one() -> usize {
    1
}

const fn ones() -> [usize; 2] {
    [1, 1]
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_one(value: &usize) -> bool {
    *value == 1
}

fn is_ones(value: &[usize; 2]) -> bool {
    *value == [1, 1]
}

fn is_zeros(value: &[usize; 4]) -> bool {
    *value == [0; 4]
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"[input]
height = 8
width = 8
channels = 3

[[layers]]
input = 0
operation = "convolution"
weights = "first.weight"
bias = "first.bias"
outputs = 16
kernel = [3, 3]
stride = [2, 2]
padding = [1, 1, 1, 1]
activation = "relu"

[[layers]]
input = 1
operation = "convolution"
weights = "second.weight"
outputs = 16
kernel = [1, 1]
residual = 1

[layers.activation.clip]
low = 0.0
high = 6.0

[[layers]]
input = 2
operation = "average-pool"
kernel = [4, 4]

[[layers]]
input = 3
operation = "add"
other = 3

[[layers]]
input = 4
operation = "softmax"
"#;

    #[test]
    fn a_plan_reads_well_and_survives_the_round_trip() {
        let plan: Plan = toml::from_str(TEXT).unwrap();
        let Operation::Convolution(second) = &plan.layers[1].operation else {
            panic!("{:?}", plan.layers[1]);
        };
        assert_eq!(second.residual, Some(1));
        let clip = Activation::Clip {
            low: 0.0,
            high: 6.0,
        };
        assert_eq!(second.activation, clip);
        assert_eq!(second.stride, [1, 1]);
        let text = toml::to_string(&plan).unwrap();
        assert_eq!(text, TEXT);
        assert_eq!(toml::from_str::<Plan>(&text).unwrap(), plan);
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        let text = TEXT.replace("stride", "strides");
        assert!(toml::from_str::<Plan>(&text).is_err());
    }
}
