//! Kernels over bytes: products of quads of unsigned inputs and signed weights, summed exactly.
//!
//! Every level gives the same bytes, to the bit: the sums are exact, and what follows is the same fused
//! multiplications and additions in the same order. The numbers behind the sum are those of
//! the stored output (or, where f32 is written, `REAL`, of what it stands for).
//! Must not know: plans, layers, threads.

mod portable;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use super::Kernels;
use crate::level::Level;

/// The kernels of `level`, with the instruction for quads or not.
pub(super) fn of(level: Level, quads: bool, real: bool) -> &'static Kernels {
    match (level, quads, real) {
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, true, false) => &avx512::QUADS,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, true, true) => &avx512::QUADS_REAL,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, false, false) => &avx512::WIDENED,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, false, true) => &avx512::WIDENED_REAL,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, true, false) => &avx2::QUADS,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, true, true) => &avx2::QUADS_REAL,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, false, false) => &avx2::WIDENED,
        #[cfg(target_arch = "x86_64")]
        (Level::Avx2, false, true) => &avx2::WIDENED_REAL,
        (_, _, false) => &portable::INT8,
        (_, _, true) => &portable::INT8_REAL,
    }
}
