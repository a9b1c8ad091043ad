//! A slow, plain way to run the layers of an int8 engine, to the bit.
//!
//! Written from what the engine's documentation says, not from its code: which values are bytes and
//! what they mean, and what each layer makes of them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::integer_convolution::Call;
use crate::naive::formats::is_real;
use crate::naive::{Named, PLAIN, tap};
use fused::{Activation, Layer, Operation, Plan, Pool, Range, Ranges, Shape};

/// What the numbers of a value are: bytes with a scale and a zero, or floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning {
    pub(crate) bytes: Option<(f32, f32)>,
}

impl Meaning {
    fn of_range(low: f32, high: f32) -> Self {
        let (low, high) = (f64::from(low.min(0.0)), f64::from(high.max(0.0)));
        let scale = ((high - low) / 255.0) as f32;
        let bytes = if scale == 0.0 {
            (1.0, 0.0)
        } else {
            (scale, (-low / f64::from(scale)).round_ties_even() as f32)
        };
        Self { bytes: Some(bytes) }
    }

    /// Scale and zero.
    pub(crate) fn pair(&self) -> (f32, f32) {
        self.bytes.unwrap_or((1.0, 0.0))
    }

    /// The stored number that stands for `number`, which is one that is stored.
    pub(crate) fn stored(&self, number: f32) -> f32 {
        let (scale, zero) = self.pair();
        match self.bytes {
            Some(_) => (f64::from(number) / f64::from(scale)).round() as f32 + zero,
            None => number,
        }
    }

    /// What the number becomes that is stored for `number`.
    pub(crate) fn through(&self, number: f32) -> f32 {
        let (scale, zero) = self.pair();
        let inverse = (1.0 / f64::from(scale)) as f32;
        match self.bytes {
            Some(_) => self.decode(number * inverse + zero),
            None => number,
        }
    }

    /// What the byte nearest to `stored` stands for.
    pub(crate) fn decode(&self, stored: f32) -> f32 {
        let (scale, zero) = self.pair();
        (stored.clamp(0.0, 255.0).round_ties_even() - zero) * scale
    }
}

/// What the numbers of every value are.
pub(crate) fn meanings(plan: &Plan, ranges: &Ranges) -> Vec<Meaning> {
    let levels = |channel: usize| {
        [0.0, 255.0].map(|level: f32| level * PLAIN.factor[channel] - PLAIN.offset[channel])
    };
    let ends = [0, 1, 2].map(levels);
    let fold = |first, join: fn(f32, f32) -> f32| ends.iter().flatten().copied().fold(first, join);
    let mut meanings = vec![Meaning::of_range(fold(0.0, f32::min), fold(0.0, f32::max))];
    for (index, layer) in plan.layers.iter().enumerate() {
        meanings.push(match layer.operation {
            _ if is_real(plan, index + 1) => Meaning { bytes: None },
            Operation::MaxPool(_) => meanings[layer.input],
            _ => {
                let Range { low, high } = ranges.values[index + 1];
                let (least, most) = bounds(activation(layer));
                let within = |bound: f32| bound.max(least).min(most);
                Meaning::of_range(within(low), within(high))
            }
        });
    }
    meanings
}

fn activation(layer: &Layer) -> Activation {
    match &layer.operation {
        Operation::Convolution(convolution) => convolution.activation,
        Operation::Add { activation, .. } | Operation::Activate { activation } => *activation,
        _ => Activation::None,
    }
}

pub(crate) fn bounds(activation: Activation) -> (f32, f32) {
    match activation {
        Activation::None | Activation::Silu => (f32::NEG_INFINITY, f32::INFINITY),
        Activation::Relu => (0.0, f32::INFINITY),
        Activation::Clip { low, high } => (low, high),
    }
}

pub(crate) fn silu(number: f32) -> f32 {
    number / (1.0 + (-number).exp())
}

pub(crate) fn activate(activation: Activation, number: f32) -> f32 {
    let (low, high) = bounds(activation);
    let number = if activation == Activation::Silu {
        silu(number)
    } else {
        number
    };
    number.clamp(low, high)
}

/// What layer `index` makes of the values before it.
pub(crate) fn layer(
    plan: &Plan,
    weights: &Named,
    index: usize,
    meanings: &[Meaning],
    values: &[Vec<f32>],
) -> Vec<f32> {
    let shapes = plan.shapes().unwrap();
    let layer = &plan.layers[index];
    let (from, to) = (shapes[layer.input], shapes[index + 1]);
    let (input, of_output) = (&values[layer.input], meanings[index + 1]);
    let of_input = meanings[layer.input];
    match &layer.operation {
        Operation::Convolution(convolution) => {
            let stored: Vec<f32> = input.iter().map(|&n| of_input.stored(n)).collect();
            let call = Call {
                convolution,
                weights: &weights[&convolution.weights].1,
                bias: convolution.bias.as_ref().map(|name| &weights[name].1[..]),
                input: &stored,
                shapes: [from, to],
                meanings: [of_input, of_output],
                residual: convolution
                    .residual
                    .map(|value| (&values[value][..], meanings[value])),
            };
            let channels = 0..to.channels;
            let sums: Vec<Vec<f32>> = match convolution.groups {
                1 => call.dense(),
                _ => channels.map(|channel| call.grouped(channel)).collect(),
            };
            (0..to.elements())
                .map(|at| sums[at % to.channels][at / to.channels])
                .collect()
        }
        Operation::MaxPool(window) => pool(window, input, [from, to], [of_input, of_output], true),
        Operation::AveragePool(window) => {
            pool(window, input, [from, to], [of_input, of_output], false)
        }
        Operation::Add { other, activation } => {
            let sums = input.iter().zip(&values[*other]).map(|(a, b)| a + b);
            sums.map(|sum| of_output.through(activate(*activation, sum)))
                .collect()
        }
        Operation::Activate { activation } => {
            let numbers = input.iter().map(|&number| activate(*activation, number));
            numbers.map(|number| of_output.through(number)).collect()
        }
        Operation::Softmax => {
            let most = input.iter().copied().fold(f32::MIN, f32::max);
            let sum: f32 = input.iter().map(|number| (number - most).exp()).sum();
            let numbers = input.iter().map(|number| (number - most).exp() / sum);
            numbers.map(|number| of_output.through(number)).collect()
        }
    }
}

fn pool(
    pool: &Pool,
    input: &[f32],
    [from, to]: [Shape; 2],
    [of_input, of_output]: [Meaning; 2],
    largest: bool,
) -> Vec<f32> {
    let Pool {
        kernel,
        stride,
        padding,
        count_padding,
    } = pool;
    let (scale, zero) = of_input.pair();
    (0..to.elements())
        .map(|at| {
            let (pixel, channel) = (at / to.channels, at % to.channels);
            let (y, x) = (pixel / to.width, pixel % to.width);
            let mut found = Vec::new();
            for t in 0..kernel[0] * kernel[1] {
                let row = tap(y, stride[0], t / kernel[1], padding[0], from.height);
                let column = tap(x, stride[1], t % kernel[1], padding[1], from.width);
                if let (Some(row), Some(column)) = (row, column) {
                    found.push(input[(row * from.width + column) * from.channels + channel]);
                }
            }
            if largest {
                return of_output.through(found.into_iter().fold(f32::MIN, f32::max));
            }
            let count = found.len() as f32;
            let sum: f32 = found.iter().map(|&number| of_input.stored(number)).sum();
            let divisor = if *count_padding {
                (kernel[0] * kernel[1]) as f32
            } else {
                count
            };
            of_output.through((sum - zero * count) * scale / divisor)
        })
        .collect()
}
