//! How many operations a second a thread does at most, with each kind of numbers.
//!
//! Must not know: layers, engines.

use std::time::Instant;

use crate::kernel::{self, Kernels};
use crate::level::Level;
use crate::options::Precision;

/// Rounds of one burst: some tens of microseconds.
const ROUNDS: usize = 10_000;
/// Bursts of each kind; the best counts, for others may use the processor meanwhile.
const BURSTS: usize = 20;

/// Operations a second of one thread on numbers that are at hand, at a level: a multiplication and an
/// addition are two. Each precision is measured in turns with the others, for a few milliseconds in all.
/// Nothing if the processor has not the level.
#[must_use]
pub fn peaks<const COUNT: usize>(
    precisions: [Precision; COUNT],
    level: Level,
) -> Option<[f64; COUNT]> {
    if !level.is_available() {
        return None;
    }
    let kernels = precisions.map(|precision| {
        let format = precision.format();
        let halves = precision != Precision::F32;
        kernel::of(level, (true, halves), format, format)
    });
    let mut best = [0.0_f64; COUNT];
    for _ in 0..BURSTS {
        for (best, kernels) in best.iter_mut().zip(kernels) {
            // SAFETY: the processor has the level's instructions.
            *best = best.max(unsafe { burst(kernels) });
        }
    }
    Some(best)
}

/// Operations a second of one burst.
///
/// # Safety
/// The processor has the instructions of the kernels' level.
unsafe fn burst(kernels: &Kernels) -> f64 {
    let start = Instant::now();
    // SAFETY: the caller's promise.
    let operations = unsafe { (kernels.peak)(ROUNDS) };
    operations as f64 / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

    #[test]
    fn every_level_that_is_there_has_peaks() {
        for level in Level::ALL {
            let found = peaks(ALL, level);
            assert_eq!(found.is_some(), level.is_available());
            for peak in found.into_iter().flatten() {
                // Even one number a nanosecond would be slow, and no thread does ten thousand.
                assert!(peak > 1e6 && peak < 1e13, "{level}: {peak}");
            }
        }
    }
}
