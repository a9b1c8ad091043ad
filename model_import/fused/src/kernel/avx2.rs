//! AVX2 and FMA: vectors of 8 floats, tiles of 6 pixels by 16 output channels.

use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_add_ps, _mm256_broadcast_ss,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps, _mm256_set1_ps,
    _mm256_setzero_ps, _mm256_storeu_ps,
};

use super::{Arithmetic, halves::HalfWeights, kernels};
use crate::element::{Rule, map, silu};

pub(super) struct F32Arithmetic;

impl Arithmetic for F32Arithmetic {
    type Sum = __m256;
    type Operand = __m256;
    type Real = __m256;
    const LANES: usize = 8;
    const SIZE: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        // SAFETY: the caller has the instruction.
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> __m256 {
        // SAFETY: the caller has the instruction; its pointer reaches over 8 floats.
        unsafe { _mm256_loadu_ps(at.cast()) }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> __m256 {
        // SAFETY: the caller has the instruction; its pointer reaches over a float, and floats of
        // an activation lie at multiples of 4 bytes.
        unsafe { _mm256_broadcast_ss(&*at.cast()) }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m256, input: __m256, weights: __m256) -> __m256 {
        // SAFETY: the caller has the instruction.
        unsafe { _mm256_fmadd_ps(input, weights, sum) }
    }

    #[inline(always)]
    unsafe fn real(sum: __m256, _: *const f32, bias: *const f32) -> __m256 {
        // SAFETY: the caller has the instruction; its pointer reaches over 8 floats.
        unsafe { _mm256_add_ps(sum, _mm256_loadu_ps(bias)) }
    }

    #[inline(always)]
    unsafe fn add_residual(value: __m256, at: *const u8, _: f32) -> __m256 {
        // SAFETY: the caller has the instruction; its pointer reaches over 8 floats.
        unsafe { _mm256_add_ps(value, _mm256_loadu_ps(at.cast())) }
    }

    #[inline(always)]
    unsafe fn silu(value: __m256, _: &Rule) -> __m256 {
        // SAFETY: the caller has the instructions.
        unsafe { silu_vector(value) }
    }

    #[inline(always)]
    unsafe fn clamp(value: __m256, rule: &Rule) -> __m256 {
        // SAFETY: the caller has the instructions. The value comes second: were it not a number,
        // it stays.
        unsafe {
            let value = _mm256_max_ps(_mm256_set1_ps(rule.low), value);
            _mm256_min_ps(_mm256_set1_ps(rule.high), value)
        }
    }

    #[inline(always)]
    unsafe fn write(value: __m256, at: *mut u8) {
        // SAFETY: the caller has the instruction; its pointer reaches over 8 floats.
        unsafe { _mm256_storeu_ps(at.cast(), value) };
    }

    #[inline(always)]
    fn write_soon(at: *const u8) {
        Self::read_soon(at);
    }

    #[inline(always)]
    fn read_soon(at: *const u8) {
        // SAFETY: a hint reads nothing, and every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }

    #[inline(always)]
    fn read_later(at: *const u8) {
        // SAFETY: a hint reads nothing, and every x86-64 processor has it.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
    }
}

/// Kept out of the kernels, each of which would hold it many times.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
fn silu_vector(value: __m256) -> __m256 {
    // SAFETY: both are 8 floats.
    let numbers: [f32; 8] = unsafe { std::mem::transmute(value) };
    // SAFETY: both are 8 floats.
    unsafe { std::mem::transmute::<[f32; 8], __m256>(map(numbers, silu)) }
}

kernels!(F32: f32 => f32, F32Arithmetic, [target_feature(enable = "avx2,fma")]
    panel 16, most (1, 6),
    strips [1], pixels [1 2 3 4 5 6], vectors [2]);
kernels!(F32_HALF_WEIGHTS: f32 => f32, HalfWeights<F32Arithmetic>, [target_feature(enable = "avx2,fma")]
    panel 16, most (1, 6),
    strips [1], pixels [1 2 3 4 5 6], vectors [2]);
