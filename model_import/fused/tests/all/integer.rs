//! A slow, plain way to run the layers of an int8 engine, to the bit.
//!
//! Written from what the engine's documentation says, not from its code: which values are bytes and
//! what they mean, how weights become whole numbers, and how sums become bytes: in whole numbers, or
//! where those do not reach far enough in floats, in which order these are added.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::naive::formats::is_real;
use crate::naive::{Named, PLAIN, tap};
use fused::{
    Activation, Convolution, Layer, Operation, Plan, Pool, Range, Ranges, Shape, WeightLayout,
};

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
    fn pair(&self) -> (f32, f32) {
        self.bytes.unwrap_or((1.0, 0.0))
    }

    /// The stored number that stands for `number`, which is one that is stored.
    fn stored(&self, number: f32) -> f32 {
        let (scale, zero) = self.pair();
        match self.bytes {
            Some(_) => (f64::from(number) / f64::from(scale)).round() as f32 + zero,
            None => number,
        }
    }

    /// What the number becomes that is stored for `number`.
    fn through(&self, number: f32) -> f32 {
        let (scale, zero) = self.pair();
        let inverse = (1.0 / f64::from(scale)) as f32;
        match self.bytes {
            Some(_) => self.decode(number * inverse + zero),
            None => number,
        }
    }

    /// What the byte nearest to `stored` stands for.
    fn decode(&self, stored: f32) -> f32 {
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

fn bounds(activation: Activation) -> (f32, f32) {
    match activation {
        Activation::None | Activation::Silu => (f32::NEG_INFINITY, f32::INFINITY),
        Activation::Relu => (0.0, f32::INFINITY),
        Activation::Clip { low, high } => (low, high),
    }
}

fn silu(number: f32) -> f32 {
    number / (1.0 + (-number).exp())
}

fn activate(activation: Activation, number: f32) -> f32 {
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

/// How an output channel is computed: the whole weights, and in units of the output what is added and
/// what a unit of the sum and of the residual is.
struct Channel {
    weights: Vec<i64>,
    bias: f64,
    factor: f64,
    residual: f64,
}

/// A convolution; the input as stored, in an order of rows, columns and channels.
struct Call<'a> {
    convolution: &'a Convolution,
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    input: &'a [f32],
    shapes: [Shape; 2],
    meanings: [Meaning; 2],
    /// What its numbers stand for, and their meaning.
    residual: Option<(&'a [f32], Meaning)>,
}

impl Call<'_> {
    /// Input channels of a group, and taps.
    fn sizes(&self) -> (usize, usize) {
        let [height, width] = self.convolution.kernel;
        (
            self.shapes[0].channels / self.convolution.groups,
            height * width,
        )
    }

    fn weight(&self, output: usize, input: usize, tap: usize) -> f32 {
        let (inputs, taps) = self.sizes();
        self.weights[match self.convolution.weight_layout {
            WeightLayout::Oihw => (output * inputs + input) * taps + tap,
            WeightLayout::Io => (input * taps + tap) * self.shapes[1].channels + output,
        }]
    }

    /// The stored inputs under the kernel of each pixel, tap by tap, channel by channel. The border
    /// holds the zero.
    fn windows(&self, group: usize) -> Vec<Vec<f32>> {
        let Convolution {
            kernel,
            stride,
            dilation,
            padding,
            ..
        } = self.convolution;
        let [from, to] = self.shapes;
        let (inputs, taps) = self.sizes();
        let zero = self.meanings[0].pair().1;
        let mut windows = Vec::new();
        for pixel in 0..to.height * to.width {
            let (y, x) = (pixel / to.width, pixel % to.width);
            let mut window = Vec::new();
            for t in 0..taps {
                let [down, right] = [t / kernel[1] * dilation[0], t % kernel[1] * dilation[1]];
                let row = tap(y, stride[0], down, padding[0], from.height);
                let column = tap(x, stride[1], right, padding[1], from.width);
                for i in 0..inputs {
                    window.push(match (row, column) {
                        (Some(row), Some(column)) => {
                            let pixel = row * from.width + column;
                            self.input[pixel * from.channels + group * inputs + i]
                        }
                        _ => zero,
                    });
                }
            }
            windows.push(window);
        }
        windows
    }

    fn bias(&self, channel: usize) -> f64 {
        self.bias.map_or(0.0, |bias| bias[channel].into())
    }

    /// How output channel `channel` is computed by whole numbers.
    fn channel(&self, channel: usize) -> Channel {
        let (inputs, taps) = self.sizes();
        let weights = (0..taps).flat_map(|t| (0..inputs).map(move |i| (i, t)));
        let weights: Vec<f32> = weights.map(|(i, t)| self.weight(channel, i, t)).collect();
        let largest = weights.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
        let [(scale, zero), of_output] = [self.meanings[0].pair(), self.meanings[1].pair()];
        let (unit, shift) = if self.has_silu() {
            (1.0, 0.0)
        } else {
            of_output
        };
        let (scale, unit, shift) = (f64::from(scale), f64::from(unit), f64::from(shift));
        let step = if largest == 0.0 { 1.0 } else { largest / 127.0 };
        // Sums of less than 2^-22 of a unit of the output would not fit.
        let least = unit / scale / f64::from(1 << 22);
        let step = if self.to_bytes() {
            step.max(least as f32)
        } else {
            step
        };
        let weights: Vec<i64> = weights
            .iter()
            .map(|w| (w / step).round_ties_even() as i64)
            .collect();
        let step = f64::from(step) * scale;
        let residual = self
            .residual
            .map_or((0.0, 0.0), |(_, meaning)| meaning.pair());
        let of_zero = step * f64::from(zero) * weights.iter().sum::<i64>() as f64;
        let of_residual = f64::from(residual.0) * f64::from(residual.1);
        Channel {
            weights,
            bias: (self.bias(channel) - of_zero - of_residual) / unit + shift,
            factor: step / unit,
            residual: f64::from(residual.0) / unit,
        }
    }

    fn has_silu(&self) -> bool {
        self.convolution.activation == Activation::Silu
    }

    fn to_bytes(&self) -> bool {
        self.meanings[1].bytes.is_some() && !self.has_silu()
    }

    /// The pixels of every output channel.
    fn dense(&self) -> Vec<Vec<f32>> {
        let channels: Vec<Channel> = (0..self.shapes[1].channels)
            .map(|channel| self.channel(channel))
            .collect();
        // Factors of 16 bits for 64ths of a unit.
        let fits = |number: f64| number.round_ties_even() <= 32_767.0;
        let whole = self.to_bytes()
            && channels.iter().all(|channel| {
                fits(channel.factor * 64.0 * 32_768.0) && fits(channel.residual * 16_384.0)
            });
        let windows = self.windows(0);
        let pixels = |(number, channel): (usize, &Channel)| {
            let pixel = |(pixel, window): (usize, &Vec<f32>)| {
                let products = window.iter().zip(&channel.weights);
                let sum: i64 = products.map(|(&input, weight)| input as i64 * weight).sum();
                let residual = self.residual.map(|(numbers, meaning)| {
                    meaning.stored(numbers[pixel * self.shapes[1].channels + number])
                });
                if whole {
                    return self.requantized(sum, residual, channel);
                }
                let mut value = (sum as f32).mul_add(channel.factor as f32, channel.bias as f32);
                if let Some(residual) = residual {
                    value = residual.mul_add(channel.residual as f32, value);
                }
                self.store(value)
            };
            windows.iter().enumerate().map(pixel).collect()
        };
        channels.iter().enumerate().map(pixels).collect()
    }

    /// What is stored for a sum, in whole numbers: 16 bits are kept of it and of its factor, and the
    /// result is counted in 64ths.
    fn requantized(&self, sum: i64, residual: Option<f32>, channel: &Channel) -> f32 {
        let mut shift = 31;
        let factor = |shift: i32| (channel.factor * 2_f64.powi(21 + shift)).round_ties_even();
        while factor(shift) > 32_767.0 {
            shift -= 1;
        }
        let half = (1_i64 << shift >> 1) as f64;
        let start = (channel.bias + 0.5) / channel.factor + half;
        let start = start
            .round_ties_even()
            .clamp(-1_073_741_824.0, 1_073_741_824.0) as i64;
        let multiply = |a: i64, b: i64| (a * b + 16_384) >> 15;
        let kept = ((sum + start) >> shift).clamp(-32_768, 32_767);
        let of_residual = (channel.residual * 16_384.0).round_ties_even() as i64;
        let parts = multiply(kept, factor(shift) as i64)
            + multiply(
                residual.map_or(0, |stored| (stored as i64) << 7),
                of_residual,
            );
        self.bounded((parts.min(32_767) >> 6) as f32)
    }

    /// What is stored for a sum in units of the output or, before SiLU, of one.
    fn store(&self, value: f32) -> f32 {
        let activation = self.convolution.activation;
        if self.meanings[1].bytes.is_none() {
            return activate(activation, value);
        }
        if activation == Activation::Silu {
            return self.meanings[1].through(silu(value));
        }
        let [low, high] = self.bounds();
        self.meanings[1].decode(value.clamp(low, high))
    }

    /// The bounds of the activation as stored numbers.
    fn bounds(&self) -> [f32; 2] {
        let (scale, zero) = self.meanings[1].pair();
        let (low, high) = bounds(self.convolution.activation);
        let stored = |bound: f32| f64::from(bound) / f64::from(scale) + f64::from(zero);
        [low, high].map(|bound| stored(bound).clamp(0.0, 255.0) as f32)
    }

    /// What a stored number stands for that is held within the bytes nearest to the bounds.
    fn bounded(&self, stored: f32) -> f32 {
        let [low, high] = self.bounds().map(f32::round_ties_even);
        self.meanings[1].decode(stored.clamp(low, high))
    }

    /// The pixels of output channel `channel`, by floats one after the other: stored inputs times
    /// scaled weights.
    fn grouped(&self, channel: usize) -> Vec<f32> {
        let (inputs, taps) = self.sizes();
        let (scale, zero) = self.meanings[0].pair();
        let (scale, zero) = (f64::from(scale), f64::from(zero));
        let weights = (0..taps).flat_map(|t| (0..inputs).map(move |i| (i, t)));
        let weights: Vec<f64> = weights
            .map(|(i, t)| self.weight(channel, i, t).into())
            .collect();
        let sum: f64 = weights.iter().sum();
        let bias = (self.bias(channel) - scale * zero * sum) as f32;
        let group = channel / (self.shapes[1].channels / self.convolution.groups);
        let finish = |(pixel, window): (usize, Vec<f32>)| {
            let mut value = bias;
            for (number, weight) in window.iter().zip(&weights) {
                value += number * (weight * scale) as f32;
            }
            if let Some((numbers, _)) = self.residual {
                value += numbers[pixel * self.shapes[1].channels + channel];
            }
            self.meanings[1].through(activate(self.convolution.activation, value))
        };
        self.windows(group)
            .into_iter()
            .enumerate()
            .map(finish)
            .collect()
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
