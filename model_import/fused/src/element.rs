//! What is stored in a value: the element types, and what a stored number means.
//!
//! Plain code over elements, which the compiler makes vectors of. Must not know: layers, memory.

use crate::memory::Plain;
use crate::plan::Activation;

/// As what the numbers of a value are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    Bf16,
    U8,
}

impl Format {
    /// Bytes a number.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::U8 => 1,
        }
    }
}

/// What the stored numbers of a value mean: `(stored - zero) * scale`. Floats mean themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantum {
    pub(crate) scale: f32,
    /// One over the scale.
    pub(crate) inverse: f32,
    /// What stands for zero: a whole number.
    pub(crate) zero: f32,
}

impl Quantum {
    /// Of values that mean themselves.
    pub(crate) const ONE: Self = Self {
        scale: 1.0,
        inverse: 1.0,
        zero: 0.0,
    };

    /// Of bytes that reach over `low` to `high`, widened to hold zero, which has a byte of its own.
    pub(crate) fn of_range(low: f32, high: f32) -> Self {
        let (low, high) = (f64::from(low).min(0.0), f64::from(high).max(0.0));
        let scale = ((high - low) / 255.0) as f32;
        if !scale.is_normal() {
            return Self::ONE;
        }
        Self {
            scale,
            inverse: (1.0 / f64::from(scale)) as f32,
            zero: (-low / f64::from(scale)).round_ties_even() as f32,
        }
    }
}

/// A stored number.
pub(crate) trait Element: Plain + Send + Sync {
    /// The stored number as a float, whatever it stands for.
    fn number(self) -> f32;
    /// The number that it stands for.
    fn decode(self, quantum: &Quantum) -> f32;
    /// What stands for `value`.
    fn encode(value: f32, quantum: &Quantum) -> Self;
    /// Whether it stands for a larger number, both being of one value.
    fn is_above(self, other: Self) -> bool;
    /// The element of some bits.
    fn from_bits(bits: u32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn number(self) -> f32 {
        self
    }

    #[inline(always)]
    fn decode(self, _: &Quantum) -> f32 {
        self
    }

    #[inline(always)]
    fn encode(value: f32, _: &Quantum) -> Self {
        value
    }

    #[inline(always)]
    fn is_above(self, other: Self) -> bool {
        self > other
    }

    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        Self::from_bits(bits)
    }
}

/// A bf16 number: the upper half of a float, rounded to nearest, ties to even.
impl Element for u16 {
    #[inline(always)]
    fn number(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }

    #[inline(always)]
    fn decode(self, _: &Quantum) -> f32 {
        self.number()
    }

    #[inline(always)]
    fn encode(value: f32, _: &Quantum) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        // Rounding could carry what is not a number into the sign; a quiet one stays one.
        let quiet = bits >> 16 | 0x40;
        (if value.is_nan() { quiet } else { rounded }) as Self
    }

    #[inline(always)]
    fn is_above(self, other: Self) -> bool {
        self.number() > other.number()
    }

    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        bits as Self
    }
}

/// A byte with a scale and a zero.
impl Element for u8 {
    #[inline(always)]
    fn number(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn decode(self, quantum: &Quantum) -> f32 {
        (self.number() - quantum.zero) * quantum.scale
    }

    #[inline(always)]
    fn encode(value: f32, quantum: &Quantum) -> Self {
        round_byte(value * quantum.inverse + quantum.zero)
    }

    #[inline(always)]
    fn is_above(self, other: Self) -> bool {
        self > other
    }

    #[inline(always)]
    fn from_bits(bits: u32) -> Self {
        bits as Self
    }
}

/// The whole number of 0 to 255 nearest to `value`, ties to even; 0 of what is not a number.
#[inline(always)]
pub(crate) fn round_byte(value: f32) -> u8 {
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value > 255.0 { 255.0 } else { value };
    // The sum's unit in the last place is 1: its low bits are the rounded number.
    (value + ROUND).to_bits() as u8
}

/// The whole number nearest to `value`, ties to even, if it is below 2^22 in size. The standard
/// library's is a call where the processor may lack an instruction for it.
#[inline(always)]
pub(crate) fn nearest(value: f32) -> f32 {
    (value + ROUND) - ROUND
}

/// `f` of each. The standard library's `map` is sometimes not inlined, and then it has none of the
/// instructions of the kernel that calls it.
#[inline(always)]
pub(crate) fn map<T: Copy, U: Copy, const N: usize>(from: [T; N], f: impl Fn(T) -> U) -> [U; N] {
    let mut to = [f(from[0]); N];
    for index in 1..N {
        to[index] = f(from[index]);
    }
    to
}

/// Adding and taking away 1.5 * 2^23 rounds a float below 2^22 to a whole number, ties to even.
const ROUND: f32 = 12_582_912.0;

/// An activation as a kernel applies it: SiLU or not, then kept within bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) silu: bool,
    /// What a tile kernel that stores bytes makes of SiLU's result: its product with the first
    /// plus the second. Its bounds are those of the stored number.
    pub(crate) after_silu: [f32; 2],
}

impl Rule {
    pub(crate) const fn new(activation: Activation) -> Self {
        let (low, high) = match activation {
            Activation::None | Activation::Silu => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu => (0.0, f32::INFINITY),
            Activation::Clip { low, high } => (low, high),
        };
        Self {
            low,
            high,
            silu: matches!(activation, Activation::Silu),
            after_silu: [1.0, 0.0],
        }
    }

    /// The activation of one number. What is not a number stays so.
    #[inline(always)]
    pub(crate) fn apply(&self, value: f32) -> f32 {
        self.clamp(if self.silu { silu(value) } else { value })
    }

    /// One number within the bounds. What is not a number stays so.
    #[inline(always)]
    pub(crate) fn clamp(&self, value: f32) -> f32 {
        let value = if value < self.low { self.low } else { value };
        if value > self.high { self.high } else { value }
    }
}

/// `x / (1 + exp(-x))`.
#[inline(always)]
pub(crate) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// The exponential without a branch, so that it becomes vectors; within 2 units in the last place
/// in [-87, 88], held at the ends of that range outside it.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // exp(x) = 2^n exp(r) with n whole and |r| <= ln 2 / 2. ln 2 is split in two so that n ln 2 is
    // exact in its first part.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let series = 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r + 1.0;
    let series = series * r + 1.0;
    // The low bits of the shifted sum are n; 127 more is the exponent of 2^n.
    let power = shifted.to_bits().wrapping_add(127) << 23;
    series * f32::from_bits(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_close() {
        for step in -8_700..8_800 {
            let x = step as f32 / 100.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (found / expected - 1.0).abs() < 4e-7,
                "{x}: {found} {expected}"
            );
        }
        assert!(exp(-1e9) < 1e-37 && exp(1e9) > 1e38);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn bf16_rounds_to_nearest_even() {
        let stored = |value: f32| <u16 as Element>::encode(value, &Quantum::ONE);
        assert_eq!(stored(1.0), 0x3f80);
        assert_eq!(stored(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(stored(f32::from_bits(0x3f81_8000)), 0x3f82);
        assert_eq!(stored(f32::from_bits(0x3f80_8001)), 0x3f81);
        assert_eq!(stored(f32::NEG_INFINITY).number(), f32::NEG_INFINITY);
        assert!(stored(f32::from_bits(0xffff_ffff)).number().is_nan());
    }

    #[test]
    fn bytes_round_to_nearest_even_and_saturate() {
        let cases = [(0.5, 0), (1.5, 2), (2.5, 2), (254.5, 254), (254.6, 255)];
        for (value, expected) in cases {
            assert_eq!(round_byte(value), expected, "{value}");
        }
        for value in [
            -126.6,
            -1.5,
            -0.5,
            -0.4,
            0.0,
            0.5,
            2.5,
            126.5,
            127.0,
            1e6 + 0.5,
        ] {
            assert_eq!(nearest(value), value.round_ties_even(), "{value}");
        }
        let outside = [-1e9, f32::NEG_INFINITY, f32::NAN, 1e9, f32::INFINITY];
        assert_eq!(outside.map(round_byte), [0, 0, 0, 255, 255]);
    }

    #[test]
    fn a_range_holds_zero_and_every_byte_survives() {
        for (low, high) in [
            (0.0, 6.0),
            (-1.0, 3.0),
            (2.0, 5.0),
            (-7.0, -3.0),
            (0.0, 0.0),
        ] {
            let quantum = Quantum::of_range(low, high);
            let zero = <u8 as Element>::encode(0.0, &quantum);
            assert_eq!(zero.decode(&quantum), 0.0);
            for byte in 0..=255_u8 {
                assert_eq!(
                    <u8 as Element>::encode(byte.decode(&quantum), &quantum),
                    byte
                );
            }
        }
        assert_eq!(Quantum::of_range(0.0, 6.0).zero, 0.0);
    }

    #[test]
    fn rules_keep_within_bounds() {
        let clip = Activation::Clip {
            low: -1.0,
            high: 6.0,
        };
        let apply = |activation, value| Rule::new(activation).apply(value);
        assert_eq!(apply(clip, -2.0), -1.0);
        assert_eq!(apply(clip, 9.0), 6.0);
        assert_eq!(apply(Activation::Relu, -2.0), 0.0);
        assert_eq!(apply(Activation::None, -2.0), -2.0);
        assert!((apply(Activation::Silu, 1.0) - 0.731_058_6).abs() < 1e-6);
        assert!(apply(Activation::Relu, f32::NAN).is_nan());
    }
}
