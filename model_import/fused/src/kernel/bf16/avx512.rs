//! AVX-512, with the instruction for pairs of bf16 (`PAIRS`) or without it: then pairs are widened to
//! floats, and tiles are a pixel narrower to leave registers for them.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, _mm256_loadu_si256, _mm256_storeu_si256,
    _mm512_add_ps, _mm512_and_si512, _mm512_castsi512_ps, _mm512_cvtepu16_epi32,
    _mm512_cvtneps_pbh, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_slli_epi32,
};

use super::sums_as_floats;
use crate::element::{Element, Quantum, Rule, map};
use crate::kernel::avx512::F32Arithmetic;
use crate::kernel::{Arithmetic, kernels};

struct Bf16<const PAIRS: bool, const REAL: bool>;

/// The pairs as they are, or the first and the second number of each.
///
/// # Safety
/// The processor has AVX-512.
#[inline(always)]
unsafe fn operand<const PAIRS: bool>(pairs: __m512i) -> [__m512i; 2] {
    if PAIRS {
        return [pairs; 2];
    }
    // SAFETY: the caller's promise.
    unsafe {
        let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
        [
            _mm512_slli_epi32::<16>(pairs),
            _mm512_and_si512(pairs, upper),
        ]
    }
}

impl<const PAIRS: bool, const REAL: bool> Arithmetic for Bf16<PAIRS, REAL> {
    sums_as_floats!(F32Arithmetic);
    type Operand = [__m512i; 2];

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> Self::Operand {
        // SAFETY: the caller has the instructions; its pointer reaches over 16 pairs.
        unsafe { operand::<PAIRS>(_mm512_loadu_si512(at.cast())) }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> Self::Operand {
        // SAFETY: the caller has the instructions; its pointer reaches over a pair.
        unsafe { operand::<PAIRS>(_mm512_set1_epi32(at.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m512, input: Self::Operand, weights: Self::Operand) -> __m512 {
        // SAFETY: the caller has the instructions; vectors of pairs are 64 bytes by any name.
        unsafe {
            if PAIRS {
                let pairs = |pairs| std::mem::transmute::<__m512i, __m512bh>(pairs);
                return _mm512_dpbf16_ps(sum, pairs(input[0]), pairs(weights[0]));
            }
            let [input, weights] = map([input, weights], |halves| {
                map(halves, |half| _mm512_castsi512_ps(half))
            });
            let sum = _mm512_fmadd_ps(input[0], weights[0], sum);
            _mm512_fmadd_ps(input[1], weights[1], sum)
        }
    }

    #[inline(always)]
    unsafe fn add_residual(value: __m512, at: *const u8, _: f32) -> __m512 {
        // SAFETY: the caller has the instructions; its pointer reaches over 16 numbers.
        unsafe {
            let residual = _mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()));
            let residual = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(residual));
            _mm512_add_ps(value, residual)
        }
    }

    #[inline(always)]
    unsafe fn write(value: __m512, at: *mut u8) {
        // SAFETY: the caller has the instructions; its pointer reaches over 16 elements; types are
        // changed between such of the same size.
        unsafe {
            if REAL {
                F32Arithmetic::write(value, at);
            } else if PAIRS {
                let elements = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(value));
                _mm256_storeu_si256(at.cast(), elements);
            } else {
                let numbers = std::mem::transmute::<__m512, [f32; 16]>(value);
                let elements = map(numbers, |number| {
                    <u16 as Element>::encode(number, &Quantum::ONE)
                });
                at.cast::<[u16; 16]>().write_unaligned(elements);
            }
        }
    }
}

kernels!(PAIRS: u16 => u16, Bf16<true, false>,
    [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    panel 32, most (2, 7),
    strips [1 2], pixels [1 2 3 4 5 6 7], vectors [1 2]);
kernels!(PAIRS_REAL: u16 => f32, Bf16<true, true>,
    [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]
    panel 32, most (1, 7),
    strips [1], pixels [1 2 3 4 5 6 7], vectors [1 2]);
kernels!(WIDENED: u16 => u16, Bf16<false, false>,
    [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    panel 32, most (2, 6),
    strips [1 2], pixels [1 2 3 4 5 6], vectors [1 2]);
kernels!(WIDENED_REAL: u16 => f32, Bf16<false, true>,
    [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    panel 32, most (1, 6),
    strips [1], pixels [1 2 3 4 5 6], vectors [1 2]);
