//! A convolution's weights, bias and scales as its tile kernels want them, for each format.
//!
//! Bytes: weight `w` of output channel `o` becomes the whole number nearest to `w / step[o]`, within
//! 127 of 0. With sums of stored inputs times stored weights, the output before the activation is
//! `sum * scale[o] + bias[o] + stored residual * residual_scale`: the zeros of input and residual are
//! in the bias, and so is, without SiLU, the output's; then everything is in units of the output.
//! Where both are bytes and there is no SiLU, the same happens in whole numbers, see `requantize.rs`.
//! Must not know: tiles, threads.

use std::sync::Arc;

use crate::element::{Element, Format, Quantum, Rule, nearest, round_byte};
use crate::kernel::Requantize;
use crate::layout::CHANNELS;
use crate::pack::{Kernel, Order, Panel, Panels, pack};
use crate::requantize::{LEAST_UNIT, WholeNumbers};
use crate::steps::Value;

/// The largest stored weight.
pub(crate) const MOST: f32 = 127.0;
/// What the stored weights of an output channel may add up to, signs left out: with inputs of 255 the
/// sums stay within 30 bits and a sign, and with what they start at within 32.
const MOST_SUM: f32 = 4_000_000.0;

/// See the module.
pub(crate) struct Numbers {
    pub(crate) panels: Arc<Panels>,
    /// One number an output channel, padded.
    pub(crate) bias: Vec<f32>,
    pub(crate) scale: Vec<f32>,
    pub(crate) residual_scale: f32,
    pub(crate) rule: Rule,
    /// Nothing where floats are made of the sums.
    whole: Option<WholeNumbers>,
}

impl Numbers {
    /// Of panels in `order`, of floats maybe the upper halves, for runs over `pixels` pixels of the input.
    pub(crate) fn new(
        kernel: &Kernel<'_>,
        mut bias: Vec<f32>,
        ([input, output], pixels): ([&Value; 2], usize),
        residual: Option<&Value>,
        rule: Rule,
        (order, halves): (Order, bool),
    ) -> Self {
        let layout = (&input.layout, pixels);
        let padded = kernel.outputs.next_multiple_of(CHANNELS);
        bias.resize(padded, 0.0);
        let panels = match input.format {
            Format::F32 if !halves => pack(kernel, layout, order, |_, weight| weight),
            Format::F32 | Format::Bf16 => pack(kernel, layout, order, |_, weight| {
                <u16 as Element>::encode(weight, &Quantum::ONE)
            }),
            Format::U8 => {
                let values = ([input, output], pixels);
                return bytes(kernel, &bias, values, residual, rule, order);
            }
        };
        Self {
            panels: Arc::new(panels),
            bias,
            scale: vec![1.0; padded],
            residual_scale: 1.0,
            rule,
            whole: None,
        }
    }

    /// How the sums of a panel become bytes.
    pub(crate) fn requantize(&self, panel: &Panel) -> Requantize {
        let Some(whole) = &self.whole else {
            return Requantize::NONE;
        };
        Requantize {
            start: whole.start[panel.channel..].as_ptr(),
            shift: whole.shift[panel.channel..].as_ptr(),
            factor: whole.factor[panel.channel..].as_ptr(),
            residual_factor: whole.residual_factor,
            low: round_byte(self.rule.low),
            high: round_byte(self.rule.high),
        }
    }
}

fn bytes(
    kernel: &Kernel<'_>,
    bias: &[f32],
    ([input, output], pixels): ([&Value; 2], usize),
    residual: Option<&Value>,
    rule: Rule,
    order: Order,
) -> Numbers {
    // SiLU wants what the sum stands for.
    let after = if rule.silu {
        Quantum::ONE
    } else {
        output.quantum
    };
    let (unit, zero) = (f64::from(after.scale), f64::from(after.zero));
    let residual = residual.map_or(
        Quantum {
            scale: 0.0,
            ..Quantum::ONE
        },
        |value| value.quantum,
    );
    let residual_zero = f64::from(residual.scale) * f64::from(residual.zero);
    let to_bytes = output.format == Format::U8 && !rule.silu;
    let least = if to_bytes {
        (LEAST_UNIT * unit / f64::from(input.quantum.scale)) as f32
    } else {
        0.0
    };
    let steps: Vec<f32> = (0..kernel.outputs)
        .map(|output| step(|| kernel.of(output)).max(least))
        .collect();
    let stored =
        |output: usize, weight: f32| nearest((weight / steps[output]).clamp(-MOST, MOST)) as i8;
    let of_channel = |output: usize| {
        let Some(step) = steps.get(output) else {
            return (0.0, 0.0);
        };
        let sum: i64 = kernel
            .of(output)
            .map(|weight| i64::from(stored(output, weight)))
            .sum();
        let scale = f64::from(*step) * f64::from(input.quantum.scale);
        (scale, scale * f64::from(input.quantum.zero) * sum as f64)
    };
    let numbers = bias.iter().enumerate().map(|(output, &bias)| {
        let (scale, of_zero) = of_channel(output);
        let bias = (f64::from(bias) - of_zero - residual_zero) / unit + zero;
        (scale / unit, bias)
    });
    let (scale, bias): (Vec<f64>, Vec<f64>) = numbers.unzip();
    let residual_scale = f64::from(residual.scale) / unit;
    let whole = to_bytes.then(|| WholeNumbers::new(&scale, &bias, residual_scale, order));
    let whole = whole.flatten();
    let interleaved = order.interleaved.filter(|_| whole.is_some());
    let order = Order {
        interleaved,
        ..order
    };
    let floats = |numbers: &[f64]| numbers.iter().map(|&number| number as f32).collect();
    Numbers {
        panels: Arc::new(pack(kernel, (&input.layout, pixels), order, stored)),
        bias: floats(&bias),
        scale: floats(&scale),
        residual_scale: residual_scale as f32,
        whole,
        rule: match output.format {
            Format::U8 => stored_rule(rule, &output.quantum),
            Format::F32 | Format::Bf16 => rule,
        },
    }
}

/// The rule in units of the output, within what a byte holds.
pub(crate) fn stored_rule(rule: Rule, quantum: &Quantum) -> Rule {
    let bound = |bound: f32| {
        let stored = f64::from(bound) / f64::from(quantum.scale) + f64::from(quantum.zero);
        stored.clamp(0.0, 255.0) as f32
    };
    Rule {
        low: bound(rule.low),
        high: bound(rule.high),
        after_silu: [quantum.inverse, quantum.zero],
        ..rule
    }
}

/// What one unit of an output channel's stored weights means. The largest weight decides; a choice
/// by the least error would stand here.
pub(crate) fn step<W: Iterator<Item = f32>>(weights: impl Fn() -> W) -> f32 {
    let largest = weights().fold(0.0, |largest: f32, weight| largest.max(weight.abs()));
    let sum: f32 = weights().map(f32::abs).sum();
    let step = (largest / MOST).max(sum / MOST_SUM);
    if step.is_normal() { step } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_keeps_weights_and_their_sum_within_bounds() {
        let few = [0.5_f32, -2.0, 1.0];
        assert_eq!(step(|| few.into_iter()), 2.0 / 127.0);
        let many = || (0..200_000).map(|n| if n % 2 == 0 { 1.0 } else { -1.0 });
        let step_of_many = step(many);
        let sum: f64 = many()
            .map(|w: f32| f64::from((w / step_of_many).round().abs()))
            .sum();
        assert!(sum * 255.0 < f64::from(i32::MAX), "{sum}");
        assert_eq!(step(|| [0.0; 3].into_iter()), 1.0);
    }

    #[test]
    fn bounds_become_bytes() {
        let quantum = Quantum::of_range(-1.0, 3.0);
        let rule = |low, high| {
            let mut rule = Rule::new(crate::plan::Activation::None);
            (rule.low, rule.high) = (low, high);
            stored_rule(rule, &quantum)
        };
        let all = rule(f32::NEG_INFINITY, f32::INFINITY);
        assert_eq!((all.low, all.high), (0.0, 255.0));
        let some = rule(0.0, 2.0);
        assert_eq!(some.low, quantum.zero);
        assert!((some.high - quantum.zero - 2.0 / quantum.scale).abs() < 1e-4);
    }
}
