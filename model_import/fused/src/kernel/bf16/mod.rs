//! Kernels over bf16: products of pairs, summed as f32.
//!
//! Processors that multiply pairs in one instruction do; others widen them to floats. Every table
//! comes twice: what it writes is bf16, or f32 (`REAL`) at the end of a network.
//! Must not know: plans, layers, threads.

mod portable;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use super::Kernels;
use crate::level::Level;

/// The kernels of `level`, with the instruction for pairs or not.
pub(super) fn of(level: Level, pairs: bool, real: bool) -> &'static Kernels {
    match (level, pairs, real) {
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, true, false) => &avx512::PAIRS,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, true, true) => &avx512::PAIRS_REAL,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, false, false) => &avx512::WIDENED,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, false, true) => &avx512::WIDENED_REAL,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, _, false) => &avx2::BF16,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, _, true) => &avx2::BF16_REAL,
        (_, _, false) => &portable::BF16,
        (_, _, true) => &portable::BF16_REAL,
    }
}

/// What bf16 does as f32 does, for its sums are floats.
macro_rules! sums_as_floats {
    ($floats:ty) => {
        crate::kernel::as_floats!($floats, 2);
        type Sum = <$floats as Arithmetic>::Sum;

        #[inline(always)]
        unsafe fn zero() -> Self::Sum {
            // SAFETY: the caller's promise.
            unsafe { <$floats>::zero() }
        }

        #[inline(always)]
        unsafe fn real(sum: Self::Sum, scale: *const f32, bias: *const f32) -> Self::Real {
            // SAFETY: the caller's promise.
            unsafe { <$floats>::real(sum, scale, bias) }
        }

        #[inline(always)]
        unsafe fn silu(value: Self::Real, rule: &Rule) -> Self::Real {
            // SAFETY: the caller's promise.
            unsafe { <$floats>::silu(value, rule) }
        }
    };
}
use sums_as_floats;
