//! AVX2 and FMA: pairs widened to vectors of 8 floats, tiles of 4 pixels by 16 output channels.

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm256_add_ps, _mm256_and_si256, _mm256_castsi256_ps,
    _mm256_cvtepu16_epi32, _mm256_fmadd_ps, _mm256_loadu_si256, _mm256_set1_epi32,
    _mm256_slli_epi32,
};

use super::sums_as_floats;
use crate::element::{Element, Quantum, Rule, map};
use crate::kernel::avx2::F32Arithmetic;
use crate::kernel::{Arithmetic, kernels};

struct Widened<const REAL: bool>;

/// The first and the second number of each pair.
///
/// # Safety
/// The processor has AVX2.
#[inline(always)]
unsafe fn widen(pairs: __m256i) -> [__m256; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let upper = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
        [
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(pairs)),
            _mm256_castsi256_ps(_mm256_and_si256(pairs, upper)),
        ]
    }
}

impl<const REAL: bool> Arithmetic for Widened<REAL> {
    sums_as_floats!(F32Arithmetic);
    type Operand = [__m256; 2];

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> Self::Operand {
        // SAFETY: the caller has the instructions; its pointer reaches over 8 pairs.
        unsafe { widen(_mm256_loadu_si256(at.cast())) }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> Self::Operand {
        // SAFETY: the caller has the instructions; its pointer reaches over a pair.
        unsafe { widen(_mm256_set1_epi32(at.cast::<i32>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m256, input: Self::Operand, weights: Self::Operand) -> __m256 {
        // SAFETY: the caller has the instruction.
        unsafe {
            let sum = _mm256_fmadd_ps(input[0], weights[0], sum);
            _mm256_fmadd_ps(input[1], weights[1], sum)
        }
    }

    #[inline(always)]
    unsafe fn add_residual(value: __m256, at: *const u8, _: f32) -> __m256 {
        // SAFETY: the caller has the instructions; its pointer reaches over 8 numbers.
        unsafe {
            let residual = _mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()));
            let residual = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(residual));
            _mm256_add_ps(value, residual)
        }
    }

    #[inline(always)]
    unsafe fn write(value: __m256, at: *mut u8) {
        // SAFETY: the caller has the instructions; its pointer reaches over 8 elements; both types
        // are 8 floats.
        unsafe {
            if REAL {
                F32Arithmetic::write(value, at);
            } else {
                let numbers = std::mem::transmute::<__m256, [f32; 8]>(value);
                let elements = map(numbers, |number| {
                    <u16 as Element>::encode(number, &Quantum::ONE)
                });
                at.cast::<[u16; 8]>().write_unaligned(elements);
            }
        }
    }
}

kernels!(BF16: u16 => u16, Widened<false>, [target_feature(enable = "avx2,fma")]
    panel 16, most (1, 4),
    strips [1], pixels [1 2 3 4], vectors [2]);
kernels!(BF16_REAL: u16 => f32, Widened<true>, [target_feature(enable = "avx2,fma")]
    panel 16, most (1, 4),
    strips [1], pixels [1 2 3 4], vectors [2]);
