//! From sums to bytes in whole numbers alone: the numbers of each output channel.
//!
//! A kernel computes what [`Requantize`](crate::kernel::Requantize) says. Floats took two conversions,
//! two multiplications and two comparisons for each number; this takes half as many instructions, for
//! from 16 bits on there are twice as many numbers in each.
//!
//! With `f` units of the output a unit of the sum, `y` counts 64ths: `64 f = factor 2^-15 2^-shift`, with the
//! largest `shift` that leaves `factor` within 16 bits. So `factor` has its 15 bits, and `x` holds all sums up
//! to 256 units from zero at least: what is beyond would be cut off anyway, but for a sum below that to
//! which a residual adds more than 256 units. Both roundings are within a 64th of a unit.
//! Must not know: kernels, weights, layers.

use crate::pack::Order;

/// Parts of a unit that `y` counts, as a power of two.
const PARTS: i32 = 6;
/// The least unit of a sum in units of the output. Below it the start would not fit: with it, what
/// the sums of a channel can reach is still a multiple of what a byte can hold.
pub(crate) const LEAST_UNIT: f64 = 1.0 / (1 << 22) as f64;
/// The start is held within this; sums are, too, see `numbers.rs`.
const MOST_START: f64 = (1 << 30) as f64;

/// See the module; one number an output channel, padded.
#[derive(Debug, PartialEq)]
pub(crate) struct WholeNumbers {
    pub(crate) start: Vec<i32>,
    pub(crate) shift: Vec<i32>,
    pub(crate) factor: Vec<i16>,
    pub(crate) residual_factor: i16,
}

impl WholeNumbers {
    /// Of `units` of the output that a unit of each sum and of the residual is, and what is added,
    /// in units of the output. Nothing if a unit of a sum is a 64th or more, or one of the residual
    /// two or more: then there are not bits enough.
    pub(crate) fn new(units: &[f64], bias: &[f64], residual: f64, order: Order) -> Option<Self> {
        let residual_factor = whole(residual * f64::from(1 << (15 + PARTS - 7)))?;
        let numbers = units.iter().zip(bias).map(|(&unit, &bias)| {
            let parts = unit * f64::from(1 << PARTS);
            let (shift, factor) = (0..32)
                .rev()
                .find_map(|shift| Some((shift, whole(parts * 2_f64.powi(15 + shift))?)))?;
            // Half a unit, for the bytes are cut off, and half of what the shift cuts off.
            let half = if shift == 0 {
                0.0
            } else {
                2_f64.powi(shift - 1)
            };
            let start = if unit > 0.0 {
                (bias + 0.5) / unit + half
            } else {
                0.0
            };
            let start = start.round_ties_even().clamp(-MOST_START, MOST_START);
            Some((start as i32, shift, factor))
        });
        let numbers: Vec<(i32, i32, i16)> = numbers.collect::<Option<_>>()?;
        let mut places = vec![0; numbers.len()];
        for (channel, _) in numbers.iter().enumerate() {
            places[order.place(channel, numbers.len())] = channel;
        }
        Some(Self {
            start: places.iter().map(|&channel| numbers[channel].0).collect(),
            shift: places.iter().map(|&channel| numbers[channel].1).collect(),
            factor: numbers.iter().map(|number| number.2).collect(),
            residual_factor,
        })
    }
}

/// The nearest whole number if it fits.
fn whole(number: f64) -> Option<i16> {
    let number = number.round_ties_even();
    (number.abs() <= f64::from(i16::MAX)).then_some(number as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Order = Order {
        widest: 16,
        interleaved: None,
    };

    /// What a kernel does, for one channel.
    fn byte(numbers: &WholeNumbers, sum: i32, residual: u8) -> u8 {
        let multiply = |a: i32, b: i16| (a * i32::from(b) + (1 << 14)) >> 15;
        let x = (sum + numbers.start[0]) >> numbers.shift[0];
        let x = x.clamp(i16::MIN.into(), i16::MAX.into());
        let y = multiply(x, numbers.factor[0])
            + multiply(i32::from(residual) << 7, numbers.residual_factor);
        (y.min(i16::MAX.into()) >> 6).clamp(0, 255) as u8
    }

    #[test]
    fn bytes_are_those_of_exact_numbers() {
        let random = &mut fastrand::Rng::with_seed(5);
        let mut apart = 0;
        for _ in 0..20_000 {
            let unit = 2_f64.powf(-6.01 - 15.0 * random.f64());
            let bias = 300.0 * random.f64() - 100.0;
            let ratio = random.f64();
            let numbers = WholeNumbers::new(&[unit], &[bias], ratio, PLAIN).unwrap();
            let sum = ((400.0 * random.f64() - 200.0) / unit) as i32;
            let residual = random.u8(..);
            let exact = f64::from(sum) * unit + bias + f64::from(residual) * ratio;
            let found = f64::from(byte(&numbers, sum, residual));
            let error = (found - exact.clamp(0.0, 255.0)).abs();
            assert!(error < 0.5 + 1.0 / 32.0, "{exact} became {found}");
            apart += u32::from(found != exact.clamp(0.0, 255.0).round());
        }
        assert!(apart < 400, "{apart} of 20,000 differ");
    }

    #[test]
    fn what_does_not_fit_is_left_to_floats() {
        let new = |unit, ratio| WholeNumbers::new(&[unit], &[0.0], ratio, PLAIN);
        assert!(new(1.0 / 64.0, 0.0).is_none());
        assert!(new(1.0 / 65.0, 2.0).is_none());
        assert!(new(1.0 / 65.0, 1.99).is_some());
        let dead = new(0.0, 0.0).unwrap();
        assert_eq!((dead.start[0], dead.factor[0]), (0, 0));
        let far = WholeNumbers::new(&[LEAST_UNIT], &[1e6], 0.0, PLAIN).unwrap();
        assert_eq!(byte(&far, -1_000_000, 0), 255);
    }
}
