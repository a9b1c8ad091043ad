//! AVX2, with AVX-VNNI's instruction for quads (`QUADS`) or without it: then quads are widened to 16
//! bits, and tiles have 4 pixels instead of 6 to leave registers for them.

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadl_epi64, _mm_loadu_si128, _mm_packus_epi16, _mm_packus_epi32,
    _mm_storel_epi64, _mm_storeu_si128, _mm256_add_epi32, _mm256_add_ps, _mm256_adds_epi16,
    _mm256_and_si256, _mm256_castsi256_si128, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi16,
    _mm256_cvtepu8_epi32, _mm256_cvtps_epi32, _mm256_dpbusd_avx_epi32, _mm256_extracti128_si256,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_max_epu8,
    _mm256_min_epu8, _mm256_mul_ps, _mm256_mulhrs_epi16, _mm256_packs_epi32, _mm256_packus_epi16,
    _mm256_permute4x64_epi64, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32,
    _mm256_set1_ps, _mm256_setzero_si256, _mm256_slli_epi16, _mm256_srai_epi16, _mm256_srav_epi32,
    _mm256_srli_epi16,
};

use crate::element::{Rule, map};
use crate::kernel::avx2::F32Arithmetic;
use crate::kernel::{Arithmetic, Requantize, as_floats, kernels};

struct Bytes<const QUADS: bool, const REAL: bool>;

impl<const QUADS: bool, const REAL: bool> Arithmetic for Bytes<QUADS, REAL> {
    as_floats!(F32Arithmetic, 1);
    const WHOLE: bool = !REAL;
    type Sum = __m256i;
    /// The quads as they are; or numbers 0 and 2, then 1 and 3 of each.
    type Operand = [__m256i; 2];

    #[inline(always)]
    unsafe fn zero() -> __m256i {
        // SAFETY: the caller has the instruction.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn start(at: *const i32) -> __m256i {
        // SAFETY: the caller has the instruction; its pointer reaches over 8 numbers.
        unsafe { _mm256_loadu_si256(at.cast()) }
    }

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> Self::Operand {
        // SAFETY: the caller has the instructions; its pointer reaches over 8 quads.
        unsafe {
            let quads = _mm256_loadu_si256(at.cast());
            if QUADS {
                return [quads; 2];
            }
            let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(quads));
            [even, _mm256_srai_epi16::<8>(quads)]
        }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> Self::Operand {
        // SAFETY: the caller has the instructions; its pointer reaches over a quad.
        unsafe {
            let quads = _mm256_set1_epi32(at.cast::<i32>().read_unaligned());
            if QUADS {
                return [quads; 2];
            }
            let even = _mm256_and_si256(quads, _mm256_set1_epi16(0xff));
            [even, _mm256_srli_epi16::<8>(quads)]
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m256i, input: Self::Operand, weights: Self::Operand) -> __m256i {
        // SAFETY: the caller has the instructions.
        unsafe {
            if QUADS {
                return _mm256_dpbusd_avx_epi32(sum, input[0], weights[0]);
            }
            // Pairs of products of 16 bits fit 32.
            let sum = _mm256_add_epi32(sum, _mm256_madd_epi16(input[0], weights[0]));
            _mm256_add_epi32(sum, _mm256_madd_epi16(input[1], weights[1]))
        }
    }

    #[inline(always)]
    unsafe fn real(sum: __m256i, scale: *const f32, bias: *const f32) -> __m256 {
        // SAFETY: the caller has the instructions; its pointers reach over 8 floats.
        unsafe {
            _mm256_fmadd_ps(
                _mm256_cvtepi32_ps(sum),
                _mm256_loadu_ps(scale),
                _mm256_loadu_ps(bias),
            )
        }
    }

    #[inline(always)]
    unsafe fn add_residual(value: __m256, at: *const u8, scale: f32) -> __m256 {
        // SAFETY: the caller has the instructions; its pointer reaches over 8 bytes.
        unsafe {
            let residual = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(at.cast())));
            _mm256_fmadd_ps(residual, _mm256_set1_ps(scale), value)
        }
    }

    #[inline(always)]
    unsafe fn silu(value: __m256, rule: &Rule) -> __m256 {
        // SAFETY: the caller has the instructions.
        unsafe {
            let [factor, shift] = map(rule.after_silu, |number| _mm256_set1_ps(number));
            let value = F32Arithmetic::silu(value, rule);
            _mm256_add_ps(_mm256_mul_ps(value, factor), shift)
        }
    }

    #[inline(always)]
    unsafe fn write(value: __m256, at: *mut u8) {
        // SAFETY: the caller has the instructions; its pointer reaches over 8 elements. Bytes were
        // held within 0 and 255 by the rule.
        unsafe {
            if REAL {
                F32Arithmetic::write(value, at);
            } else {
                let numbers = _mm256_cvtps_epi32(value);
                let upper = _mm256_extracti128_si256::<1>(numbers);
                let halves = _mm_packus_epi32(_mm256_castsi256_si128(numbers), upper);
                _mm_storel_epi64(at.cast(), _mm_packus_epi16(halves, halves));
            }
        }
    }

    #[inline(always)]
    unsafe fn requantize<const VECTORS: usize, const RESIDUAL: bool>(
        sums: [[__m256i; VECTORS]; 2],
        residual: [*const u8; 2],
        output: [*mut u8; 2],
        by: &Requantize,
    ) {
        // SAFETY: the caller has the instructions; its pointers reach over the 16 channels of a panel, as
        // those of `by` do.
        unsafe {
            let shift = _mm256_loadu_si256(by.shift.cast());
            let upper = _mm256_loadu_si256(by.shift.wrapping_add(8).cast());
            let factor = _mm256_loadu_si256(by.factor.cast());
            let mut halves = [factor; 2];
            for pixel in 0..2 {
                // Half a register takes four numbers of each: the panel's order is such that these
                // are eight channels in a row.
                let x = _mm256_packs_epi32(
                    _mm256_srav_epi32(sums[pixel][0], shift),
                    _mm256_srav_epi32(sums[pixel][VECTORS - 1], upper),
                );
                let mut y = _mm256_mulhrs_epi16(x, factor);
                if RESIDUAL {
                    let bytes = _mm_loadu_si128(residual[pixel].cast());
                    let other = _mm256_slli_epi16::<7>(_mm256_cvtepu8_epi16(bytes));
                    let factor = _mm256_set1_epi16(by.residual_factor);
                    y = _mm256_adds_epi16(y, _mm256_mulhrs_epi16(other, factor));
                }
                halves[pixel] = _mm256_srai_epi16::<5>(y);
            }
            let bytes = _mm256_packus_epi16(halves[0], halves[1]);
            let bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8(by.low.cast_signed()));
            let bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8(by.high.cast_signed()));
            // Of each half the first half is the first pixel's.
            let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(bytes);
            _mm_storeu_si128(output[0].cast(), _mm256_castsi256_si128(bytes));
            _mm_storeu_si128(output[1].cast(), _mm256_extracti128_si256::<1>(bytes));
        }
    }
}

kernels!(QUADS: u8 => u8, Bytes<true, false>,
    [target_feature(enable = "avx2,fma,avxvnni")]
    panel 16, most (1, 6),
    strips [1], pixels [1 2 3 4 5 6], vectors [2]);
kernels!(QUADS_REAL: u8 => f32, Bytes<true, true>,
    [target_feature(enable = "avx2,fma,avxvnni")]
    panel 16, most (1, 6),
    strips [1], pixels [1 2 3 4 5 6], vectors [2]);
kernels!(WIDENED: u8 => u8, Bytes<false, false>,
    [target_feature(enable = "avx2,fma")]
    panel 16, most (1, 4),
    strips [1], pixels [1 2 3 4], vectors [2]);
kernels!(WIDENED_REAL: u8 => f32, Bytes<false, true>,
    [target_feature(enable = "avx2,fma")]
    panel 16, most (1, 4),
    strips [1], pixels [1 2 3 4], vectors [2]);
