//! When requests are due: a schedule that is made before anything is sent.
//!
//! Pure: a kind, a rate and a seed give the same times on every machine. Must not know: the clock,
//! what a request is, whether the last one was answered.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// How arrivals lie in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// As strangers come: each gap is drawn from the exponential distribution.
    Poisson,
    /// Every gap is the same.
    Constant,
}

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poisson => "poisson",
            Self::Constant => "constant",
        })
    }
}

/// The times at which requests are due, from the start of the load on; it has no end.
#[derive(Clone, Debug)]
pub struct Arrivals {
    spacing: Spacing,
    rate: f64,
    random: fastrand::Rng,
    count: u64,
    seconds: f64,
}

impl Arrivals {
    /// So many a second on average; `rate` is above 0.
    #[must_use]
    pub fn new(spacing: Spacing, rate: f64, seed: u64) -> Self {
        Self {
            spacing,
            rate,
            random: fastrand::Rng::with_seed(seed),
            count: 0,
            seconds: 0.0,
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.count += 1;
        self.seconds = match self.spacing {
            // From 1 - u, which is never 0.
            Spacing::Poisson => self.seconds - (1.0 - self.random.f64()).ln() / self.rate,
            // Not a sum of gaps, whose errors would add up.
            Spacing::Constant => self.count as f64 / self.rate,
        };
        Duration::try_from_secs_f64(self.seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(spacing: Spacing, rate: f64, seed: u64, count: usize) -> Vec<f64> {
        let due: Vec<f64> = Arrivals::new(spacing, rate, seed)
            .take(count + 1)
            .map(|due| due.as_secs_f64())
            .collect();
        due.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn mean_and_variance(values: &[f64]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        (mean, squares.sum::<f64>() / (count - 1.0))
    }

    /// Bounds are five standard errors: of 40,000 exponential gaps the mean has 1/200 of itself and
    /// the variance sqrt(8)/200.
    #[test]
    fn poisson_gaps_have_the_mean_and_the_variance_of_the_rate() {
        for (rate, seed) in [(0.5, 1), (37.0, 1), (37.0, 2), (5000.0, 99)] {
            let (mean, variance) = mean_and_variance(&gaps(Spacing::Poisson, rate, seed, 40_000));
            assert!((mean * rate - 1.0).abs() < 5.0 / 200.0, "{mean} at {rate}");
            let spread = variance * rate * rate;
            assert!(
                (spread - 1.0).abs() < 5.0 * 8f64.sqrt() / 200.0,
                "{spread} at {rate}"
            );
        }
    }

    /// What makes it Poisson and not merely random: arrivals of a second have a variance equal to
    /// their mean, and neighbouring gaps do not follow each other.
    #[test]
    fn poisson_counts_vary_as_much_as_they_are_many_and_gaps_are_independent() {
        let rate = 20.0;
        let mut counts = vec![0.0; 4000];
        for due in Arrivals::new(Spacing::Poisson, rate, 7) {
            match counts.get_mut(due.as_secs() as usize) {
                Some(count) => *count += 1.0,
                None => break,
            }
        }
        let (mean, variance) = mean_and_variance(&counts);
        assert!(
            (variance / mean - 1.0).abs() < 5.0 * (2.0 / 4000f64).sqrt(),
            "{variance} {mean}"
        );

        let gaps = gaps(Spacing::Poisson, rate, 7, 40_000);
        let (mean, variance) = mean_and_variance(&gaps);
        let products = gaps
            .windows(2)
            .map(|pair| (pair[0] - mean) * (pair[1] - mean));
        let correlation = products.sum::<f64>() / (gaps.len() - 1) as f64 / variance;
        assert!(correlation.abs() < 5.0 / 200.0, "{correlation}");
    }

    #[test]
    fn a_seed_is_a_schedule() {
        let first = |seed| -> Vec<Duration> {
            Arrivals::new(Spacing::Poisson, 10.0, seed)
                .take(100)
                .collect()
        };
        assert_eq!(first(3), first(3));
        assert_ne!(first(3), first(4));
        assert!(first(3).is_sorted());
    }

    #[test]
    fn constant_arrivals_keep_to_their_grid_for_ever() {
        let due = Arrivals::new(Spacing::Constant, 3.0, 1);
        let last = due.take(3_000_000).last().unwrap();
        assert_eq!(last, Duration::from_secs(1_000_000));
    }
}
