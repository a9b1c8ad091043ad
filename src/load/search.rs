//! The highest rate that a server keeps up with: which rate to try next, and whether one passed.
//!
//! Pure. A rate that passed is never tried again below, one that failed never above: what a step
//! decides stays decided. Must not know: the clock, how a step is run.

use std::time::Duration;

use serde::Serialize;

use super::step::Step;

/// Most steps of a search: twenty bracket a rate a million times the first one, or a millionth of it,
/// and as many more halve the bracket.
const MOST_STEPS: usize = 40;

/// A search for a rate.
#[derive(Clone, Debug)]
pub struct Search {
    first: f64,
    within: f64,
    least: f64,
    passed: Option<f64>,
    failed: Option<f64>,
    steps: usize,
}

impl Search {
    /// Begins at a rate and ends when the lowest that failed is no more than a share `within` above
    /// the highest that passed, or when all that is left is below `least`, but for the first.
    #[must_use]
    pub const fn new(first: f64, within: f64, least: f64) -> Self {
        Self {
            first,
            within,
            least,
            passed: None,
            failed: None,
            steps: 0,
        }
    }

    /// The rate to try, if the search is not over: twice what passed or half of what failed until
    /// both are known, then their geometric mean.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        let rate = match (self.passed, self.failed) {
            (None, None) => self.first,
            (Some(passed), None) => passed * 2.0,
            (None, Some(failed)) => failed / 2.0,
            (Some(passed), Some(failed)) if failed > passed * (1.0 + self.within) => {
                (passed * failed).sqrt()
            }
            (Some(_), Some(_)) => return None,
        };
        let worth = self.steps == 0 || rate >= self.least;
        (self.steps < MOST_STEPS && worth).then_some(rate)
    }

    /// Takes what came of the rate that [`Search::next`] gave.
    pub fn tell(&mut self, rate: f64, passed: bool) {
        self.steps += 1;
        if passed {
            self.passed = Some(self.passed.map_or(rate, |known| known.max(rate)));
        } else {
            self.failed = Some(self.failed.map_or(rate, |known| known.min(rate)));
        }
    }

    /// The highest rate that passed and the lowest that failed.
    #[must_use]
    pub const fn found(&self) -> (Option<f64>, Option<f64>) {
        (self.passed, self.failed)
    }
}

/// Whether a step passed, and how sure that is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// None of the reasons is there.
    pub passed: bool,
    /// Why it did not.
    pub reasons: Vec<Reason>,
    /// Share of the requests that took longer than the bound.
    pub share_over: f64,
    /// With 95 % confidence no larger share takes longer (Wilson's interval; requests are taken to be
    /// independent, which they are not where they queue).
    pub share_over_at_most: f64,
}

/// Why a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing was answered.
    NoAnswers,
    /// The 99th percentile is above the bound.
    TooSlow,
    /// Some were refused or failed.
    NotAllAnswered,
    /// More came than were done.
    QueueGrew,
}

impl Reason {
    /// For people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoAnswers => "nothing answered",
            Self::TooSlow => "p99 above the bound",
            Self::NotAllAnswered => "not all answered",
            Self::QueueGrew => "the queue grew",
        }
    }
}

/// Judges a step by its bound; `over` of its latencies are longer.
#[must_use]
pub fn judge(step: &Step, bound: Duration, over: u64) -> Judgement {
    let mut reasons = Vec::new();
    let bound_ms = bound.as_secs_f64() * 1e3;
    let count = step.latency.as_ref().map_or(0, |latency| latency.count);
    if step.answered == 0 {
        reasons.push(Reason::NoAnswers);
    }
    if step
        .latency
        .as_ref()
        .is_some_and(|latency| latency.p99_ms > bound_ms)
    {
        reasons.push(Reason::TooSlow);
    }
    if step.refused + step.failed > 0 {
        reasons.push(Reason::NotAllAnswered);
    }
    if step.queue_grew() {
        reasons.push(Reason::QueueGrew);
    }
    Judgement {
        passed: reasons.is_empty(),
        reasons,
        share_over: if count == 0 {
            1.0
        } else {
            over as f64 / count as f64
        },
        share_over_at_most: at_most(over, count),
    }
}

/// The upper end of Wilson's interval with 95 % on one side.
fn at_most(over: u64, count: u64) -> f64 {
    const Z: f64 = 1.644_853_6;
    if count == 0 {
        return 1.0;
    }
    let count = count as f64;
    let share = over as f64 / count;
    let middle = share + Z * Z / (2.0 * count);
    let width = Z * (share * (1.0 - share) / count + (Z / (2.0 * count)).powi(2)).sqrt();
    ((middle + width) / (1.0 + Z * Z / count)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tries of a search against a server that passes up to `knee`.
    fn tries(first: f64, within: f64, knee: f64) -> (Search, Vec<f64>) {
        let mut search = Search::new(first, within, 0.01);
        let mut rates = Vec::new();
        while let Some(rate) = search.next() {
            rates.push(rate);
            search.tell(rate, rate <= knee);
        }
        (search, rates)
    }

    #[test]
    fn the_knee_is_found_within_the_share_that_was_asked_for() {
        for first in [0.1, 1.0, 10.0, 1000.0] {
            for knee in [0.3, 1.0, 37.9, 1234.5, 9000.0] {
                for within in [0.01, 0.05, 0.2] {
                    let (search, rates) = tries(first, within, knee);
                    let (Some(passed), Some(failed)) = search.found() else {
                        panic!("{first} {knee}: {rates:?}");
                    };
                    assert!(passed <= knee && knee < failed, "{passed} {knee} {failed}");
                    assert!(failed <= passed * (1.0 + within), "{passed} {failed}");
                    assert!(rates.len() <= MOST_STEPS);
                }
            }
        }
    }

    /// Whatever the answers are, no rate is tried that an earlier answer has decided.
    #[test]
    fn what_is_decided_stays_decided() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..1000 {
            let mut search = Search::new(10.0, 0.05, 0.01);
            while let Some(rate) = search.next() {
                let (passed, failed) = search.found();
                assert!(
                    passed.is_none_or(|passed| rate > passed),
                    "{rate} {passed:?}"
                );
                assert!(
                    failed.is_none_or(|failed| rate < failed),
                    "{rate} {failed:?}"
                );
                search.tell(rate, random.bool());
            }
        }
    }

    #[test]
    fn a_server_that_never_passes_ends_the_search_and_so_does_one_that_always_does() {
        let (search, rates) = tries(10.0, 0.05, 0.0);
        assert_eq!(search.found().0, None);
        assert!(rates.iter().all(|rate| *rate >= 0.01));
        let (search, rates) = tries(10.0, 0.05, f64::INFINITY);
        assert_eq!((search.found().1, rates.len()), (None, MOST_STEPS));
    }

    /// Wilson's upper bound worked by hand: z = 1.645, z * z = 2.7055.
    #[test]
    fn confidence_grows_with_the_number_of_requests() {
        assert_eq!(at_most(0, 0), 1.0);
        assert!((at_most(0, 100) - 2.7055 / 102.7055).abs() < 1e-4);
        assert!((at_most(0, 1000) - 2.7055 / 1002.7055).abs() < 1e-5);
        assert!(
            (at_most(10, 1000) - 0.016_67).abs() < 2e-4,
            "{}",
            at_most(10, 1000)
        );
        assert!(at_most(100, 100) > 0.999);
    }
}
