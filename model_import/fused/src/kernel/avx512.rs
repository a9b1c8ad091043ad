//! AVX-512: vectors of 16 floats, tiles of two strips of 7 pixels by 32 output channels.

use std::arch::asm;
use std::arch::x86_64::{
    __m512, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm512_add_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_storeu_ps,
};

use super::{Arithmetic, halves::HalfWeights, kernels};
use crate::element::{Rule, map, silu};

pub(super) struct F32Arithmetic;

impl Arithmetic for F32Arithmetic {
    type Sum = __m512;
    type Operand = __m512;
    type Real = __m512;
    const LANES: usize = 16;
    const SIZE: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        // SAFETY: the caller has the instruction.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> __m512 {
        // SAFETY: the caller has the instruction; its pointer reaches over 16 floats.
        unsafe { _mm512_loadu_ps(at.cast()) }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> __m512 {
        // SAFETY: the caller has the instruction; its pointer reaches over a float.
        unsafe { _mm512_set1_ps(at.cast::<f32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m512, input: __m512, weights: __m512) -> __m512 {
        // SAFETY: the caller has the instruction.
        unsafe { _mm512_fmadd_ps(input, weights, sum) }
    }

    #[inline(always)]
    unsafe fn real(sum: __m512, _: *const f32, bias: *const f32) -> __m512 {
        // SAFETY: the caller has the instruction; its pointer reaches over 16 floats.
        unsafe { _mm512_add_ps(sum, _mm512_loadu_ps(bias)) }
    }

    #[inline(always)]
    unsafe fn add_residual(value: __m512, at: *const u8, _: f32) -> __m512 {
        // SAFETY: the caller has the instruction; its pointer reaches over 16 floats.
        unsafe { _mm512_add_ps(value, _mm512_loadu_ps(at.cast())) }
    }

    #[inline(always)]
    unsafe fn silu(value: __m512, _: &Rule) -> __m512 {
        // SAFETY: the caller has the instructions.
        unsafe { silu_vector(value) }
    }

    #[inline(always)]
    unsafe fn clamp(value: __m512, rule: &Rule) -> __m512 {
        // SAFETY: the caller has the instructions. The value comes second: were it not a number,
        // it stays.
        unsafe {
            let value = _mm512_max_ps(_mm512_set1_ps(rule.low), value);
            _mm512_min_ps(_mm512_set1_ps(rule.high), value)
        }
    }

    #[inline(always)]
    unsafe fn write(value: __m512, at: *mut u8) {
        // SAFETY: the caller has the instruction; its pointer reaches over 16 floats.
        unsafe { _mm512_storeu_ps(at.cast(), value) };
    }

    #[inline(always)]
    fn write_soon(at: *const u8) {
        // SAFETY: a hint changes nothing; every processor with AVX-512 has it.
        unsafe {
            asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
        }
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn silu_vector(value: __m512) -> __m512 {
    // SAFETY: both are 16 floats.
    let numbers: [f32; 16] = unsafe { std::mem::transmute(value) };
    // SAFETY: both are 16 floats.
    unsafe { std::mem::transmute::<[f32; 16], __m512>(map(numbers, silu)) }
}

kernels!(F32: f32 => f32, F32Arithmetic, [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    panel 32, most (2, 7),
    strips [1 2], pixels [1 2 3 4 5 6 7], vectors [1 2]);
kernels!(F32_HALF_WEIGHTS: f32 => f32, HalfWeights<F32Arithmetic>, [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    panel 32, most (1, 7),
    strips [1], pixels [1 2 3 4 5 6 7], vectors [1 2]);
