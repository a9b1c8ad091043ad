//! AVX-512, with the instruction for quads (`QUADS`) or without it: then quads are widened to 16 bits,
//! and tiles are a pixel narrower to leave registers for them.

use std::arch::x86_64::{
    __m512, __m512i, _mm_loadu_si128, _mm_max_epu8, _mm_min_epu8, _mm_packus_epi16, _mm_set1_epi8,
    _mm_storeu_si128, _mm256_adds_epi16, _mm256_castsi256_si128, _mm256_cvtepu8_epi16,
    _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_mulhrs_epi16, _mm256_set1_epi16,
    _mm256_slli_epi16, _mm256_srai_epi16, _mm256_storeu_si256, _mm512_add_epi32, _mm512_add_ps,
    _mm512_adds_epi16, _mm512_and_si512, _mm512_castsi512_si256, _mm512_cvtepi32_epi8,
    _mm512_cvtepi32_ps, _mm512_cvtepu8_epi16, _mm512_cvtepu8_epi32, _mm512_cvtps_epi32,
    _mm512_cvtsepi32_epi16, _mm512_dpbusd_epi32, _mm512_extracti64x4_epi64, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_loadu_si512, _mm512_madd_epi16, _mm512_max_epu8, _mm512_min_epu8,
    _mm512_mul_ps, _mm512_mulhrs_epi16, _mm512_packs_epi32, _mm512_packus_epi16,
    _mm512_permutexvar_epi64, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setr_epi64, _mm512_setzero_si512, _mm512_slli_epi16, _mm512_srai_epi16,
    _mm512_srav_epi32, _mm512_srli_epi16,
};

use crate::element::{Rule, map};
use crate::kernel::avx512::F32Arithmetic;
use crate::kernel::{Arithmetic, Requantize, as_floats, kernels};

struct Bytes<const QUADS: bool, const REAL: bool>;

impl<const QUADS: bool, const REAL: bool> Arithmetic for Bytes<QUADS, REAL> {
    as_floats!(F32Arithmetic, 1);
    const WHOLE: bool = !REAL;
    type Sum = __m512i;
    /// The quads as they are; or numbers 0 and 2, then 1 and 3 of each.
    type Operand = [__m512i; 2];

    #[inline(always)]
    unsafe fn zero() -> __m512i {
        // SAFETY: the caller has the instruction.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn start(at: *const i32) -> __m512i {
        // SAFETY: the caller has the instruction; its pointer reaches over 16 numbers.
        unsafe { _mm512_loadu_si512(at.cast()) }
    }

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> Self::Operand {
        // SAFETY: the caller has the instructions; its pointer reaches over 16 quads.
        unsafe {
            let quads = _mm512_loadu_si512(at.cast());
            if QUADS {
                return [quads; 2];
            }
            let even = _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(quads));
            [even, _mm512_srai_epi16::<8>(quads)]
        }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> Self::Operand {
        // SAFETY: the caller has the instructions; its pointer reaches over a quad.
        unsafe {
            let quads = _mm512_set1_epi32(at.cast::<i32>().read_unaligned());
            if QUADS {
                return [quads; 2];
            }
            let even = _mm512_and_si512(quads, _mm512_set1_epi16(0xff));
            [even, _mm512_srli_epi16::<8>(quads)]
        }
    }

    #[inline(always)]
    unsafe fn multiply_add(sum: __m512i, input: Self::Operand, weights: Self::Operand) -> __m512i {
        // SAFETY: the caller has the instructions.
        unsafe {
            if QUADS {
                return _mm512_dpbusd_epi32(sum, input[0], weights[0]);
            }
            // Pairs of products of 16 bits fit 32.
            let sum = _mm512_add_epi32(sum, _mm512_madd_epi16(input[0], weights[0]));
            _mm512_add_epi32(sum, _mm512_madd_epi16(input[1], weights[1]))
        }
    }

    #[inline(always)]
    unsafe fn real(sum: __m512i, scale: *const f32, bias: *const f32) -> __m512 {
        // SAFETY: the caller has the instructions; its pointers reach over 16 floats.
        unsafe {
            _mm512_fmadd_ps(
                _mm512_cvtepi32_ps(sum),
                _mm512_loadu_ps(scale),
                _mm512_loadu_ps(bias),
            )
        }
    }

    #[inline(always)]
    unsafe fn add_residual(value: __m512, at: *const u8, scale: f32) -> __m512 {
        // SAFETY: the caller has the instructions; its pointer reaches over 16 bytes.
        unsafe {
            let residual = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(at.cast())));
            _mm512_fmadd_ps(residual, _mm512_set1_ps(scale), value)
        }
    }

    #[inline(always)]
    unsafe fn silu(value: __m512, rule: &Rule) -> __m512 {
        // SAFETY: the caller has the instructions.
        unsafe {
            let [factor, shift] = map(rule.after_silu, |number| _mm512_set1_ps(number));
            let value = F32Arithmetic::silu(value, rule);
            _mm512_add_ps(_mm512_mul_ps(value, factor), shift)
        }
    }

    #[inline(always)]
    unsafe fn write(value: __m512, at: *mut u8) {
        // SAFETY: the caller has the instructions; its pointer reaches over 16 elements. Bytes were
        // held within 0 and 255 by the rule.
        unsafe {
            if REAL {
                F32Arithmetic::write(value, at);
            } else {
                let bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(value));
                _mm_storeu_si128(at.cast(), bytes);
            }
        }
    }

    #[inline(always)]
    unsafe fn requantize<const VECTORS: usize, const RESIDUAL: bool>(
        sums: [[__m512i; VECTORS]; 2],
        residual: [*const u8; 2],
        output: [*mut u8; 2],
        by: &Requantize,
    ) {
        // SAFETY: the caller has the instructions; its pointers reach over the panel's channels, as
        // those of `by` do.
        unsafe {
            let shift = _mm512_loadu_si512(by.shift.cast());
            if VECTORS == 1 {
                for pixel in 0..2 {
                    // A panel of one vector is in the order of its channels.
                    let x = _mm512_cvtsepi32_epi16(_mm512_srav_epi32(sums[pixel][0], shift));
                    let mut y = _mm256_mulhrs_epi16(x, _mm256_loadu_si256(by.factor.cast()));
                    if RESIDUAL {
                        let bytes = _mm_loadu_si128(residual[pixel].cast());
                        let other = _mm256_slli_epi16::<7>(_mm256_cvtepu8_epi16(bytes));
                        let factor = _mm256_set1_epi16(by.residual_factor);
                        y = _mm256_adds_epi16(y, _mm256_mulhrs_epi16(other, factor));
                    }
                    let y = _mm256_srai_epi16::<5>(y);
                    let bytes = _mm_packus_epi16(
                        _mm256_castsi256_si128(y),
                        _mm256_extracti128_si256::<1>(y),
                    );
                    let bytes = _mm_max_epu8(bytes, _mm_set1_epi8(by.low.cast_signed()));
                    let bytes = _mm_min_epu8(bytes, _mm_set1_epi8(by.high.cast_signed()));
                    _mm_storeu_si128(output[pixel].cast(), bytes);
                }
                return;
            }
            let upper = _mm512_loadu_si512(by.shift.wrapping_add(16).cast());
            let factor = _mm512_loadu_si512(by.factor.cast());
            let mut halves = [factor; 2];
            for pixel in 0..2 {
                // A quarter of a register takes four numbers of each: the panel's order is such that
                // these are eight channels in a row.
                let x = _mm512_packs_epi32(
                    _mm512_srav_epi32(sums[pixel][0], shift),
                    _mm512_srav_epi32(sums[pixel][VECTORS - 1], upper),
                );
                let mut y = _mm512_mulhrs_epi16(x, factor);
                if RESIDUAL {
                    let bytes = _mm256_loadu_si256(residual[pixel].cast());
                    let other = _mm512_slli_epi16::<7>(_mm512_cvtepu8_epi16(bytes));
                    let factor = _mm512_set1_epi16(by.residual_factor);
                    y = _mm512_adds_epi16(y, _mm512_mulhrs_epi16(other, factor));
                }
                halves[pixel] = _mm512_srai_epi16::<5>(y);
            }
            let bytes = _mm512_packus_epi16(halves[0], halves[1]);
            let bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8(by.low.cast_signed()));
            let bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8(by.high.cast_signed()));
            // Of each quarter the first half is the first pixel's.
            let places = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
            let bytes = _mm512_permutexvar_epi64(places, bytes);
            _mm256_storeu_si256(output[0].cast(), _mm512_castsi512_si256(bytes));
            _mm256_storeu_si256(output[1].cast(), _mm512_extracti64x4_epi64::<1>(bytes));
        }
    }
}

kernels!(QUADS: u8 => u8, Bytes<true, false>,
    [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    panel 32, most (2, 7),
    strips [1 2], pixels [1 2 3 4 5 6 7], vectors [1 2]);
kernels!(QUADS_REAL: u8 => f32, Bytes<true, true>,
    [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    panel 32, most (2, 7),
    strips [1 2], pixels [1 2 3 4 5 6 7], vectors [1 2]);
kernels!(WIDENED: u8 => u8, Bytes<false, false>,
    [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    panel 32, most (2, 6),
    strips [1 2], pixels [1 2 3 4 5 6], vectors [1 2]);
kernels!(WIDENED_REAL: u8 => f32, Bytes<false, true>,
    [target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    panel 32, most (2, 6),
    strips [1 2], pixels [1 2 3 4 5 6], vectors [1 2]);
