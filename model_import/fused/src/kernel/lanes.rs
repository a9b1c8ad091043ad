//! A few floats at once, for code that is not a reduction.
//!
//! Must not know: layers, what the numbers mean.

use crate::element::{Element, Quantum, map, round_byte};

/// A vector of floats of one level.
///
/// # Safety
/// The caller of any method has the level's instructions, and its pointers reach over `COUNT`
/// floats.
pub(super) trait Lanes: Copy {
    const COUNT: usize;

    unsafe fn splat(number: f32) -> Self;
    unsafe fn load(at: *const u8) -> Self;
    unsafe fn store(self, at: *mut u8);
    /// `COUNT` numbers of bf16.
    unsafe fn load_bf16(at: *const u8) -> Self;
    /// Writes `COUNT` numbers of bf16, rounded as [`u16::encode`](crate::element::Element) does.
    unsafe fn store_bf16(self, at: *mut u8);
    /// `COUNT` bytes.
    unsafe fn load_u8(at: *const u8) -> Self;
    /// Writes the nearest bytes to `COUNT` numbers below 2^22 in size, ties to even.
    unsafe fn store_u8(self, at: *mut u8);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn subtract(self, other: Self) -> Self;
    /// `self * factor + other`.
    unsafe fn multiply_add(self, factor: f32, other: Self) -> Self;
    /// The larger; `other` where either is not a number.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller; `other` where either is not a number.
    unsafe fn min(self, other: Self) -> Self;
}

/// What every processor has: the compiler makes a register of four.
impl Lanes for [f32; 4] {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        [number; 4]
    }

    #[inline(always)]
    unsafe fn load(at: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<Self>().write_unaligned(self) };
    }

    #[inline(always)]
    unsafe fn load_bf16(at: *const u8) -> Self {
        // SAFETY: the caller's promise.
        let halves = unsafe { at.cast::<[u16; 4]>().read_unaligned() };
        map(halves, Element::number)
    }

    #[inline(always)]
    unsafe fn store_bf16(self, at: *mut u8) {
        let halves = map(self, |number| {
            <u16 as Element>::encode(number, &Quantum::ONE)
        });
        // SAFETY: the caller's promise.
        unsafe { at.cast::<[u16; 4]>().write_unaligned(halves) };
    }

    #[inline(always)]
    unsafe fn load_u8(at: *const u8) -> Self {
        // SAFETY: the caller's promise.
        map(unsafe { at.cast::<[u8; 4]>().read_unaligned() }, f32::from)
    }

    #[inline(always)]
    unsafe fn store_u8(self, at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<[u8; 4]>().write_unaligned(map(self, round_byte)) };
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + other[lane])
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] - other[lane])
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: f32, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] * factor + other[lane])
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        std::array::from_fn(|lane| larger(self[lane], other[lane]))
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        let smaller = |a: f32, b: f32| if a < b { a } else { b };
        std::array::from_fn(|lane| smaller(self[lane], other[lane]))
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! lanes {
    ($vector:ident, $count:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $subtract:ident,
     $multiply_add:ident, $max:ident, $min:ident, $load_bf16:expr, $store_bf16:expr,
     $load_u8:expr, $store_u8:expr) => {
        impl Lanes for std::arch::x86_64::$vector {
            const COUNT: usize = $count;

            #[inline(always)]
            unsafe fn splat(number: f32) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { std::arch::x86_64::$splat(number) }
            }

            #[inline(always)]
            unsafe fn load(at: *const u8) -> Self {
                // SAFETY: the caller has the instruction, its pointer reaches far enough.
                unsafe { std::arch::x86_64::$load(at.cast()) }
            }

            #[inline(always)]
            unsafe fn store(self, at: *mut u8) {
                // SAFETY: the caller has the instruction, its pointer reaches far enough.
                unsafe { std::arch::x86_64::$store(at.cast(), self) };
            }

            #[inline(always)]
            unsafe fn load_bf16(at: *const u8) -> Self {
                // SAFETY: the caller has the instructions, its pointer reaches far enough.
                unsafe { $load_bf16(at) }
            }

            #[inline(always)]
            unsafe fn store_bf16(self, at: *mut u8) {
                // SAFETY: the caller has the instructions, its pointer reaches far enough.
                unsafe { $store_bf16(self, at) };
            }

            #[inline(always)]
            unsafe fn load_u8(at: *const u8) -> Self {
                // SAFETY: the caller has the instructions, its pointer reaches far enough.
                unsafe { $load_u8(at) }
            }

            #[inline(always)]
            unsafe fn store_u8(self, at: *mut u8) {
                // SAFETY: the caller has the instructions, its pointer reaches far enough.
                unsafe { $store_u8(self, at) };
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { std::arch::x86_64::$add(self, other) }
            }

            #[inline(always)]
            unsafe fn subtract(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { std::arch::x86_64::$subtract(self, other) }
            }

            #[inline(always)]
            unsafe fn multiply_add(self, factor: f32, other: Self) -> Self {
                // SAFETY: the caller has the instructions.
                unsafe { std::arch::x86_64::$multiply_add(self, Self::splat(factor), other) }
            }

            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction, which returns its second operand where
                // either is not a number.
                unsafe { std::arch::x86_64::$max(self, other) }
            }

            #[inline(always)]
            unsafe fn min(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction, which returns its second operand where
                // either is not a number.
                unsafe { std::arch::x86_64::$min(self, other) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
lanes!(
    __m256,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_fmadd_ps,
    _mm256_max_ps,
    _mm256_min_ps,
    halves::load_256,
    halves::store_256,
    super::bytes::load_256,
    super::bytes::store_256
);
#[cfg(target_arch = "x86_64")]
lanes!(
    __m512,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_fmadd_ps,
    _mm512_max_ps,
    _mm512_min_ps,
    halves::load_512,
    halves::store_512,
    super::bytes::load_512,
    super::bytes::store_512
);

/// Numbers of bf16 to floats and back.
///
/// # Safety
/// The caller of any function has the level's instructions, and its pointer reaches over as many
/// numbers as the vector has; all are to be inlined.
#[cfg(target_arch = "x86_64")]
mod halves {
    use std::arch::x86_64::{
        __m256, __m512, _CMP_UNORD_Q, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi32,
        _mm256_and_si256, _mm256_blendv_epi8, _mm256_castps_si256, _mm256_castsi256_ps,
        _mm256_castsi256_si128, _mm256_cmp_ps, _mm256_cvtepu16_epi32, _mm256_loadu_si256,
        _mm256_or_si256, _mm256_packus_epi32, _mm256_permute4x64_epi64, _mm256_set1_epi32,
        _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256, _mm512_add_epi32,
        _mm512_and_si512, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
        _mm512_cvtepi32_epi16, _mm512_cvtepu16_epi32, _mm512_mask_or_epi32, _mm512_set1_epi32,
        _mm512_slli_epi32, _mm512_srli_epi32,
    };

    #[inline(always)]
    pub(super) unsafe fn load_256(at: *const u8) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe {
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(at.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    pub(super) unsafe fn store_256(value: __m256, at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            let bits = _mm256_castps_si256(value);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let rounding = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
            let rounded = _mm256_add_epi32(bits, rounding);
            let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x40_0000));
            let is_nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(value, value));
            let rounded = _mm256_srli_epi32::<16>(_mm256_blendv_epi8(rounded, quiet, is_nan));
            let halves = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(rounded, rounded));
            _mm_storeu_si128(at.cast(), _mm256_castsi256_si128(halves));
        }
    }

    #[inline(always)]
    pub(super) unsafe fn load_512(at: *const u8) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(at.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    pub(super) unsafe fn store_512(value: __m512, at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            let bits = _mm512_castps_si512(value);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounding = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
            let rounded = _mm512_add_epi32(bits, rounding);
            let is_nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
            let quiet = _mm512_set1_epi32(0x40_0000);
            let rounded = _mm512_mask_or_epi32(rounded, is_nan, bits, quiet);
            let halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded));
            _mm256_storeu_si256(at.cast(), halves);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;

    /// Numbers of every kind, many between two of bf16, some half way.
    fn numbers() -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(3);
        let special = [
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::MAX,
        ];
        let bits = [
            0x7fff_ffff,
            0xffff_ffff,
            0x7f80_0001,
            0x3f80_8000,
            0x3f81_8000,
            1,
        ];
        let special = special.into_iter().chain(bits.map(f32::from_bits));
        let halves = (0..500).map(|n: u32| f32::from_bits((n * 77_777) << 16 | 0x8000));
        let any = (0..1500).map(|_| f32::from_bits(random.u32(..)));
        let mut all: Vec<f32> = special.chain(halves).chain(any).collect();
        all.truncate(all.len() / 16 * 16);
        all
    }

    fn halves<V: Lanes>(all: &[f32]) -> (Vec<u16>, Vec<u32>) {
        let mut written = vec![0_u16; all.len()];
        let mut read = vec![0_f32; all.len()];
        for start in (0..all.len()).step_by(V::COUNT) {
            // SAFETY: the caller found that the processor has the instructions; `COUNT` numbers
            // are left.
            unsafe {
                V::load(all[start..].as_ptr().cast())
                    .store_bf16(written[start..].as_mut_ptr().cast());
                V::load_bf16(written[start..].as_ptr().cast())
                    .store(read[start..].as_mut_ptr().cast());
            }
        }
        (written, read.into_iter().map(f32::to_bits).collect())
    }

    #[test]
    fn every_level_rounds_to_the_same_bf16_and_reads_it_back() {
        let all = numbers();
        let expected: Vec<u16> = all
            .iter()
            .map(|&number| <u16 as Element>::encode(number, &Quantum::ONE))
            .collect();
        let back: Vec<u32> = expected.iter().map(|&half| u32::from(half) << 16).collect();
        assert_eq!(halves::<[f32; 4]>(&all), (expected.clone(), back.clone()));
        #[cfg(target_arch = "x86_64")]
        {
            if Level::Avx2.is_available() {
                let found = halves::<std::arch::x86_64::__m256>(&all);
                assert_eq!(found, (expected.clone(), back.clone()));
            }
            if Level::Avx512.is_available() {
                assert_eq!(halves::<std::arch::x86_64::__m512>(&all), (expected, back));
            }
        }
    }
}
