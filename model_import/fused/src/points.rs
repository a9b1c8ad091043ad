//! What a 3x3 convolution with fewer multiplications multiplies by at each point, for each format.
//!
//! Bytes: the numbers at a point become bytes of their own ([`Byte`]), and so do the weights, with a step
//! for each point and output channel. With sums of the one times the other, the product is
//! `sum * scale + bias` in units of the output; the zeros of input and point are in that bias, the
//! output's own in the bias that follows the products. Must not know: tiles, threads.

use std::sync::Arc;

use crate::ahead::Ahead;
use crate::calibrate::{SUM, zero_of};
use crate::element::{Format, Rule, nearest};
use crate::kernel::Byte;
use crate::layout::CHANNELS;
use crate::memory::Block;
use crate::numbers::{MOST, step, stored_rule};
use crate::pack::{Kernel, Panel, Panels};
use crate::steps::Value;
use crate::winograd::{Square, pack};

/// See the module.
pub(crate) struct Points {
    pub(crate) panels: Arc<Panels>,
    /// Bytes of one weight.
    pub(crate) weight: usize,
    /// One a point, where the numbers there are bytes.
    pub(crate) bytes: Vec<Byte>,
    /// `[points][output channels]` for bytes, else one row for all points.
    scale: Vec<f32>,
    bias: Vec<f32>,
    /// Numbers from a point's scales to the next's.
    row: usize,
    /// Channels that are read and written.
    depth: usize,
    outputs: usize,
    /// Whether the weights of all panels at a point come before those at the next: the inputs there are read once
    /// from the first-level cache, while products are as large as the inputs. Those of bytes are four times as
    /// large, so all points of a panel come before the next panel.
    pub(crate) by_point: bool,
    /// One number an output channel, padded: what outputs have added.
    pub(crate) output: Vec<f32>,
    pub(crate) rule: Rule,
}

impl Points {
    /// Of panels of `widest` channels; bytes need the factor of each point.
    pub(crate) fn new(
        square: Square,
        kernel: &Kernel<'_>,
        mut bias: Vec<f32>,
        [input, output]: [&Value; 2],
        rule: Rule,
        (widest, factors): (usize, Option<&[f32]>),
    ) -> Self {
        let padded = kernel.outputs.next_multiple_of(CHANNELS);
        bias.resize(padded, 0.0);
        if let (Format::U8, Some(factors)) = (input.format, factors) {
            return bytes(
                (square, factors),
                kernel,
                &bias,
                [input, output],
                rule,
                widest,
            );
        }
        Self {
            panels: Arc::new(pack(square, kernel, &input.layout, widest)),
            weight: size_of::<f32>(),
            bytes: Vec::new(),
            scale: vec![1.0; padded],
            bias: vec![0.0; padded],
            row: 0,
            depth: input.layout.depth,
            outputs: padded,
            by_point: true,
            output: bias,
            rule,
        }
    }

    /// The weights of a panel at a point.
    pub(crate) fn weights(&self, point: usize, panel: &Panel) -> Ahead {
        // Bytes panel by panel, floats point by point, as they are read.
        let channels = if self.by_point {
            self.outputs
        } else {
            panel.channels
        };
        let start = panel.start + point * channels * self.depth * self.weight;
        Ahead {
            start: self.panels.weights.start().wrapping_add(start).cast_const(),
            bytes: panel.channels * self.depth * self.weight,
        }
    }

    /// Of how many of a chunk's panels the products are kept: all, where a point's inputs are
    /// multiplied by all of them before the next point's are.
    pub(crate) const fn kept(&self, panels: usize) -> usize {
        if self.by_point { panels } else { 1 }
    }

    /// Scale and bias of the products of a panel at a point.
    pub(crate) fn of(&self, point: usize, panel: &Panel) -> [*const f32; 2] {
        let start = point * self.row + panel.channel;
        [&self.scale, &self.bias].map(|numbers| numbers[start..].as_ptr())
    }
}

/// How the numbers at each point become bytes, and how often the input's zero is in them.
fn byte((point, &factor): (usize, &f32)) -> (Byte, f64) {
    let zero = f32::from(zero_of(point));
    let sum = if point == SUM { 4.0 } else { 0.0 };
    (Byte { factor, zero }, sum)
}

fn bytes(
    (square, factors): (Square, &[f32]),
    kernel: &Kernel<'_>,
    bias: &[f32],
    [input, output]: [&Value; 2],
    rule: Rule,
    widest: usize,
) -> Points {
    let (points, depth) = (square.points(), input.layout.depth);
    let padded = bias.len();
    let (levels, sums): (Vec<Byte>, Vec<f64>) = factors.iter().enumerate().map(byte).unzip();
    let (unit, zero) = (
        f64::from(output.quantum.scale),
        f64::from(output.quantum.zero),
    );
    let mut weights = Block::new(padded * depth * points);
    let stored = weights.elements_mut::<i8>();
    let (mut scale, mut shift) = (vec![0.0; points * padded], vec![0.0; points * padded]);
    let mut panels = Vec::new();
    for channel in (0..padded).step_by(widest) {
        let channels = widest.min(padded - channel);
        let start = channel * depth * points;
        panels.push(Panel {
            start,
            channel,
            channels,
        });
        for lane in 0..channels.min(kernel.outputs - channel) {
            let numbers: Vec<[f64; 36]> = (0..kernel.inputs)
                .map(|i| {
                    let row = |y| [0, 1, 2].map(|x| kernel.at(channel + lane, i, [y, x]).into());
                    square.transform([0, 1, 2].map(row))
                })
                .collect();
            for point in 0..points {
                let step = step(|| numbers.iter().map(|numbers| numbers[point] as f32));
                let mut sum = 0;
                for (i, numbers) in numbers.iter().enumerate() {
                    let weight = nearest((numbers[point] as f32 / step).clamp(-MOST, MOST)) as i8;
                    let group = (point * depth + i / 4 * 4) * channels;
                    stored[start + group + lane * 4 + i % 4] = weight;
                    sum += i64::from(weight);
                }
                let Byte {
                    factor,
                    zero: of_point,
                } = levels[point];
                let factor = f64::from(factor);
                let unit = f64::from(step) * f64::from(input.quantum.scale) / factor / unit;
                let of_zero =
                    f64::from(of_point) + factor * sums[point] * f64::from(input.quantum.zero);
                let place = point * padded + channel + lane;
                scale[place] = unit as f32;
                shift[place] = (-of_zero * sum as f64 * unit) as f32;
            }
        }
    }
    let output_bias = bias
        .iter()
        .map(|&bias| (f64::from(bias) / unit + zero) as f32);
    Points {
        panels: Arc::new(Panels {
            weights,
            panels,
            bytes: widest * depth * points,
        }),
        weight: 1,
        bytes: levels,
        scale,
        bias: shift,
        row: padded,
        depth,
        outputs: padded,
        by_point: false,
        output: output_bias.collect(),
        rule: stored_rule(rule, &output.quantum),
    }
}
