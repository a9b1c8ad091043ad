//! The convolutions of `integer.rs`: how weights become whole numbers, and how sums become bytes: in whole
//! numbers, or where those do not reach far enough in floats, in which order these are added.

use crate::integer::{Meaning, activate, bounds, silu};
use crate::naive::tap;
use fused::{Activation, Convolution, Shape, WeightLayout};

/// How an output channel is computed: the whole weights, and in units of the output what is added and
/// what a unit of the sum and of the residual is.
struct Channel {
    weights: Vec<i64>,
    bias: f64,
    factor: f64,
    residual: f64,
}

/// A convolution; the input as stored, in an order of rows, columns and channels.
pub(crate) struct Call<'a> {
    pub(crate) convolution: &'a Convolution,
    pub(crate) weights: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) input: &'a [f32],
    pub(crate) shapes: [Shape; 2],
    pub(crate) meanings: [Meaning; 2],
    /// What its numbers stand for, and their meaning.
    pub(crate) residual: Option<(&'a [f32], Meaning)>,
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
    pub(crate) fn dense(&self) -> Vec<Vec<f32>> {
        let channels: Vec<Channel> = (0..self.shapes[1].channels)
            .map(|channel| self.channel(channel))
            .collect();
        // Factors of 16 bits for 32nds of a unit, and a residual that reaches no further than sums.
        let fits = |number: f64| number.round_ties_even() <= 32_767.0;
        let whole = self.to_bytes()
            && channels
                .iter()
                .all(|channel| fits(channel.factor * 32.0 * 32_768.0) && channel.residual <= 2.0);
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
    /// result is counted in 32nds.
    fn requantized(&self, sum: i64, residual: Option<f32>, channel: &Channel) -> f32 {
        let mut shift = 31;
        let factor = |shift: i32| (channel.factor * 2_f64.powi(20 + shift)).round_ties_even();
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
        let of_residual = (channel.residual * 8_192.0).round_ties_even() as i64;
        let parts = multiply(kept, factor(shift) as i64)
            + multiply(
                residual.map_or(0, |stored| (stored as i64) << 7),
                of_residual,
            );
        self.bounded((parts.min(32_767) >> 5) as f32)
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
    pub(crate) fn grouped(&self, channel: usize) -> Vec<f32> {
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
