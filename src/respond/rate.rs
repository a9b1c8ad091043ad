//! How fast jobs end, and from it when a caller who was refused may come again.
//!
//! Pure: time is an argument. Must not know: HTTP, actors.

use std::time::{Duration, Instant};

/// Weight of the past falls to 1/e in this time.
const MEMORY: Duration = Duration::from_secs(10);
/// No caller is asked to wait less, nor longer.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Fewer jobs a second than this tell nothing of how fast they could end.
const TELLING: f64 = 0.1;

/// Jobs a second, as an exponential average.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    per_second: f64,
    measured: Instant,
}

impl Rate {
    /// No job has ended yet.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            per_second: 0.0,
            measured: now,
        }
    }

    /// Counts jobs that ended at the time `now`.
    pub fn count(&mut self, jobs: usize, now: Instant) {
        let seconds = now.saturating_duration_since(self.measured).as_secs_f64();
        let memory = MEMORY.as_secs_f64();
        self.per_second = self.per_second * (-seconds / memory).exp() + jobs as f64 / memory;
        self.measured = now;
    }

    /// Jobs a second at the time `now`.
    #[must_use]
    pub fn per_second(&self, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(self.measured).as_secs_f64();
        self.per_second * (-seconds / MEMORY.as_secs_f64()).exp()
    }
}

/// When `jobs` that stand before a caller will have ended, at `per_second`: whole seconds, from 1
/// to 60.
#[must_use]
pub fn retry_after(jobs: u64, per_second: f64) -> Duration {
    let seconds = (jobs as f64 / per_second.max(f64::MIN_POSITIVE)).ceil();
    let bounded = seconds.clamp(SHORTEST.as_secs_f64(), LONGEST.as_secs_f64());
    Duration::from_secs_f64(bounded)
}

/// How long until the job at this place in the queue, the first being 1, has ended, at
/// `per_second`; `None` if so few jobs end that nothing can be said. A server with little to do
/// looks slower than it is, so this is rather too long than too short.
#[must_use]
pub fn expected_wait(position: u64, per_second: f64) -> Option<Duration> {
    let seconds = position as f64 / per_second;
    (per_second >= TELLING)
        .then(|| Duration::try_from_secs_f64(seconds).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured_and_forgotten() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for tenth in 0..600 {
            rate.count(5, start + Duration::from_millis(100 * tenth));
        }
        let end = start + Duration::from_secs(60);
        assert!((rate.per_second(end) - 50.0).abs() < 1.0, "{rate:?}");
        assert!(rate.per_second(end + 5 * MEMORY) < 0.5, "{rate:?}");
    }

    #[test]
    fn a_job_waits_for_those_before_it_at_the_rate_that_is_known() {
        assert_eq!(expected_wait(100, 20.0), Some(Duration::from_secs(5)));
        assert_eq!(expected_wait(1, 4.0), Some(Duration::from_millis(250)));
        assert_eq!(expected_wait(3, TELLING), Some(Duration::from_secs(30)));
        for too_slow in [0.0, TELLING / 2.0, f64::NAN] {
            assert_eq!(expected_wait(1, too_slow), None);
        }
    }

    #[test]
    fn a_caller_comes_again_when_the_queue_has_drained() {
        assert_eq!(retry_after(100, 20.0), Duration::from_secs(5));
        assert_eq!(retry_after(101, 20.0), Duration::from_secs(6));
        assert_eq!(retry_after(0, 20.0), SHORTEST);
        assert_eq!(retry_after(1_000_000, 20.0), LONGEST);
        assert_eq!(retry_after(1, 0.0), LONGEST);
    }
}
