//! How long to wait before a store that failed is asked again.
//!
//! Pure but for its jitter. Must not know: what is asked.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(50);
/// No wait is longer, so that a store that returns is noticed within a second.
const LONGEST: Duration = Duration::from_millis(800);

/// Waits that double with each failure, up to a bound, each spread by up to a quarter so that
/// processes do not ask all at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait, after one more failure.
    pub fn failed(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait + wait.mul_f64(fastrand::f64() / 4.0)
    }

    /// Begins anew.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        for base in [50, 100, 200, 400, 800, 800, 800] {
            let wait = backoff.failed().as_millis();
            assert!(
                (base..=base + base / 4).contains(&wait),
                "{wait} for {base}"
            );
        }
        backoff.succeeded();
        assert!(backoff.failed() <= Duration::from_millis(63));
    }
}
