//! Plain arrays that the compiler makes whatever vectors the processor has; also the way on ARM.

use super::{Arithmetic, halves::HalfWeights, kernels};
use crate::element::{Rule, map, silu};

/// The compiler holds this many pixels of 16 sums in the registers that every processor of the
/// kind has.
pub(super) const PIXELS: usize = if cfg!(target_arch = "x86_64") { 2 } else { 4 };

pub(super) struct F32Arithmetic;

impl Arithmetic for F32Arithmetic {
    type Sum = [f32; 16];
    type Operand = [f32; 16];
    type Real = [f32; 16];
    const LANES: usize = 16;
    const SIZE: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self::Sum {
        [0.0; 16]
    }

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> Self::Operand {
        // SAFETY: the caller's pointer reaches over 16 floats.
        unsafe { at.cast::<[f32; 16]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> Self::Operand {
        // SAFETY: the caller's pointer reaches over one float.
        [unsafe { at.cast::<f32>().read_unaligned() }; 16]
    }

    #[inline(always)]
    unsafe fn multiply_add(
        mut sum: Self::Sum,
        input: Self::Operand,
        weights: Self::Operand,
    ) -> Self::Sum {
        for lane in 0..16 {
            sum[lane] += input[lane] * weights[lane];
        }
        sum
    }

    #[inline(always)]
    unsafe fn real(mut sum: Self::Sum, _: *const f32, bias: *const f32) -> Self::Real {
        // SAFETY: the caller's pointer reaches over 16 floats.
        let bias = unsafe { bias.cast::<[f32; 16]>().read_unaligned() };
        for lane in 0..16 {
            sum[lane] += bias[lane];
        }
        sum
    }

    #[inline(always)]
    unsafe fn add_residual(mut value: Self::Real, at: *const u8, _: f32) -> Self::Real {
        // SAFETY: the caller's pointer reaches over 16 floats.
        let residual = unsafe { at.cast::<[f32; 16]>().read_unaligned() };
        for lane in 0..16 {
            value[lane] += residual[lane];
        }
        value
    }

    #[inline(always)]
    unsafe fn silu(value: Self::Real, _: &Rule) -> Self::Real {
        map(value, silu)
    }

    #[inline(always)]
    unsafe fn clamp(value: Self::Real, rule: &Rule) -> Self::Real {
        map(value, |number| rule.clamp(number))
    }

    #[inline(always)]
    unsafe fn write(value: Self::Real, at: *mut u8) {
        // SAFETY: the caller's pointer reaches over 16 floats.
        unsafe { at.cast::<[f32; 16]>().write_unaligned(value) };
    }

    #[inline(always)]
    fn write_soon(_: *const u8) {}

    #[inline(always)]
    fn read_soon(_: *const u8) {}

    #[inline(always)]
    fn read_later(_: *const u8) {}
}

kernels!(F32: f32 => f32, F32Arithmetic, []
    panel 16, most (1, PIXELS),
    strips [1], pixels [1 2 3 4], vectors [1]);
kernels!(F32_HALF_WEIGHTS: f32 => f32, HalfWeights<F32Arithmetic>, []
    panel 16, most (1, PIXELS),
    strips [1], pixels [1 2 3 4], vectors [1]);
