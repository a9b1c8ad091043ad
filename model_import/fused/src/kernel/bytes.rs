//! Vectors of bytes to floats and back.
//!
//! The caller of any function has the level's instructions, and its pointer reaches over as many bytes as
//! the vector has numbers; all are to be inlined. Must not know: what the numbers mean.

use std::arch::x86_64::{
    __m256, __m512, _mm_loadl_epi64, _mm_loadu_si128, _mm_packs_epi32, _mm_packus_epi16,
    _mm_storel_epi64, _mm_storeu_si128, _mm256_castsi256_si128, _mm256_cvtepi32_ps,
    _mm256_cvtepu8_epi32, _mm256_cvtps_epi32, _mm256_extracti128_si256, _mm512_cvtepi32_ps,
    _mm512_cvtepu8_epi32, _mm512_cvtps_epi32, _mm512_cvtusepi32_epi8, _mm512_max_epi32,
    _mm512_setzero_si512,
};

#[inline(always)]
pub(super) unsafe fn load_256(at: *const u8) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(at.cast()))) }
}

#[inline(always)]
pub(super) unsafe fn store_256(value: __m256, at: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let whole = _mm256_cvtps_epi32(value);
        let (low, high) = (
            _mm256_castsi256_si128(whole),
            _mm256_extracti128_si256::<1>(whole),
        );
        let pairs = _mm_packs_epi32(low, high);
        _mm_storel_epi64(at.cast(), _mm_packus_epi16(pairs, pairs));
    }
}

#[inline(always)]
pub(super) unsafe fn load_512(at: *const u8) -> __m512 {
    // SAFETY: the caller's promise.
    unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(at.cast()))) }
}

#[inline(always)]
pub(super) unsafe fn store_512(value: __m512, at: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        let whole = _mm512_max_epi32(_mm512_cvtps_epi32(value), _mm512_setzero_si512());
        _mm_storeu_si128(at.cast(), _mm512_cvtusepi32_epi8(whole));
    }
}
