//! Plain arrays, quads widened to 16 bits.

use crate::element::{Rule, map, round_byte};
use crate::kernel::portable::{F32Arithmetic, PIXELS};
use crate::kernel::{Arithmetic, Requantize, as_floats, kernels};

struct Widened<const REAL: bool>;

impl<const REAL: bool> Arithmetic for Widened<REAL> {
    as_floats!(F32Arithmetic, 1);
    const WHOLE: bool = !REAL;
    type Sum = [i32; 16];
    /// Numbers 0 and 2, then 1 and 3 of each quad.
    type Operand = [[i16; 32]; 2];

    #[inline(always)]
    unsafe fn zero() -> Self::Sum {
        [0; 16]
    }

    #[inline(always)]
    unsafe fn start(at: *const i32) -> Self::Sum {
        // SAFETY: the caller's pointer reaches over 16 numbers.
        unsafe { at.cast::<[i32; 16]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> Self::Operand {
        // SAFETY: the caller's pointer reaches over 16 quads.
        let pairs = map(
            unsafe { at.cast::<[i16; 32]>().read_unaligned() },
            i16::from_le,
        );
        [
            map(pairs, |pair| pair << 8 >> 8),
            map(pairs, |pair| pair >> 8),
        ]
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> Self::Operand {
        // SAFETY: the caller's pointer reaches over a quad.
        let quad = map(unsafe { at.cast::<[u8; 4]>().read_unaligned() }, i16::from);
        let mut operand = [[0; 32]; 2];
        for place in 0..32 {
            operand[0][place] = quad[place % 2 * 2];
            operand[1][place] = quad[place % 2 * 2 + 1];
        }
        operand
    }

    #[inline(always)]
    unsafe fn multiply_add(
        mut sum: Self::Sum,
        input: Self::Operand,
        weights: Self::Operand,
    ) -> Self::Sum {
        for half in 0..2 {
            let product =
                |place: usize| i32::from(input[half][place]) * i32::from(weights[half][place]);
            for (lane, sum) in sum.iter_mut().enumerate() {
                *sum += product(2 * lane) + product(2 * lane + 1);
            }
        }
        sum
    }

    #[inline(always)]
    unsafe fn real(sum: Self::Sum, scale: *const f32, bias: *const f32) -> Self::Real {
        // SAFETY: the caller's pointers reach over 16 floats.
        let (scale, bias) = unsafe {
            let scale = scale.cast::<[f32; 16]>().read_unaligned();
            (scale, bias.cast::<[f32; 16]>().read_unaligned())
        };
        let mut value = bias;
        for (lane, value) in value.iter_mut().enumerate() {
            *value = (sum[lane] as f32).mul_add(scale[lane], *value);
        }
        value
    }

    #[inline(always)]
    unsafe fn add_residual(mut value: Self::Real, at: *const u8, scale: f32) -> Self::Real {
        // SAFETY: the caller's pointer reaches over 16 bytes.
        let residual = unsafe { at.cast::<[u8; 16]>().read_unaligned() };
        for (lane, value) in value.iter_mut().enumerate() {
            *value = f32::from(residual[lane]).mul_add(scale, *value);
        }
        value
    }

    #[inline(always)]
    unsafe fn silu(value: Self::Real, rule: &Rule) -> Self::Real {
        // SAFETY: the caller's promise.
        let value = unsafe { F32Arithmetic::silu(value, rule) };
        map(value, |number| {
            number * rule.after_silu[0] + rule.after_silu[1]
        })
    }

    #[inline(always)]
    unsafe fn write(value: Self::Real, at: *mut u8) {
        // SAFETY: the caller's pointer reaches over 16 elements.
        unsafe {
            if REAL {
                F32Arithmetic::write(value, at);
            } else {
                at.cast::<[u8; 16]>()
                    .write_unaligned(map(value, round_byte));
            }
        }
    }

    #[inline(always)]
    unsafe fn requantize<const VECTORS: usize, const RESIDUAL: bool>(
        sums: [[Self::Sum; VECTORS]; 2],
        residual: [*const u8; 2],
        output: [*mut u8; 2],
        by: &Requantize,
    ) {
        // SAFETY: the caller's pointers reach over 16 channels, as those of `by` do.
        let (shift, factor) = unsafe {
            let factor = by.factor.cast::<[i16; 16]>().read_unaligned();
            (by.shift.cast::<[i32; 16]>().read_unaligned(), factor)
        };
        for pixel in 0..2 {
            let residual = if RESIDUAL {
                // SAFETY: as above.
                unsafe { residual[pixel].cast::<[u8; 16]>().read_unaligned() }
            } else {
                [0; 16]
            };
            let mut bytes = [0; 16];
            for (lane, byte) in bytes.iter_mut().enumerate() {
                let x = sums[pixel][0][lane] >> shift[lane];
                let x = x.clamp(i16::MIN.into(), i16::MAX.into());
                let other = i32::from(residual[lane]) << 7;
                let y = multiply(x, factor[lane]) + multiply(other, by.residual_factor);
                let y = y.min(i16::MAX.into()) >> 5;
                *byte = (y.clamp(0, 255) as u8).max(by.low).min(by.high);
            }
            // SAFETY: as above.
            unsafe { output[pixel].cast::<[u8; 16]>().write_unaligned(bytes) };
        }
    }
}

/// The upper half of the product of numbers of 16 bits, rounded.
#[inline(always)]
fn multiply(a: i32, b: i16) -> i32 {
    (a * i32::from(b) + (1 << 14)) >> 15
}

kernels!(INT8: u8 => u8, Widened<false>, []
    panel 16, most (1, PIXELS),
    strips [1], pixels [1 2 3 4], vectors [1]);
kernels!(INT8_REAL: u8 => f32, Widened<true>, []
    panel 16, most (1, PIXELS),
    strips [1], pixels [1 2 3 4], vectors [1]);
