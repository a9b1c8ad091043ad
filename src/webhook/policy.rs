//! What an answer to a call means, and when to call again.
//!
//! Pure. Must not know: connections, the store, clocks.

use std::time::Duration;

use super::caller::{Answer, Failure};
use crate::store::Outcome;

/// A receiver may ask for no longer wait than this.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// How long to wait between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// After the first try; it doubles with each.
    pub first: Duration,
    /// No wait is longer, unless the receiver asks for more.
    pub longest: Duration,
}

impl Default for Waits {
    /// 5 s, 10 s, 20 s, .. and an hour in the end: about 32 tries in a day.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(5),
            longest: Duration::from_secs(3600),
        }
    }
}

/// What comes of the `tries`-th try; `dice` is a number from 0 to 1 that spreads the waits by a
/// quarter either way, so that what failed together does not come again together.
#[must_use]
pub fn outcome(called: &Result<Answer, Failure>, tries: u32, waits: Waits, dice: f64) -> Outcome {
    let (reason, asked) = match called {
        Ok(answer) => match answer.status {
            200..=299 => return Outcome::Delivered,
            410 => {
                let reason = "it answered 410: it wants no more".to_owned();
                return Outcome::GivenUp { reason };
            }
            status @ 300..=399 => {
                let reason = format!("it answered {status}: redirects are not followed");
                (reason, None)
            }
            status => (format!("it answered {status}"), answer.retry_after),
        },
        Err(failure) => (failure.to_string(), None),
    };
    let own = spread(doubled(tries, waits), dice);
    let after = own.max(asked.unwrap_or_default().min(LONGEST_ASKED));
    Outcome::Again { after, reason }
}

fn doubled(tries: u32, waits: Waits) -> Duration {
    let times = 1_u32
        .checked_shl(tries.saturating_sub(1))
        .unwrap_or(u32::MAX);
    waits.first.saturating_mul(times).min(waits.longest)
}

fn spread(wait: Duration, dice: f64) -> Duration {
    wait.mul_f64(0.75 + dice.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Result<Answer, Failure> {
        Ok(Answer {
            status,
            retry_after: None,
        })
    }

    fn after(called: &Result<Answer, Failure>, tries: u32, dice: f64) -> Duration {
        match outcome(called, tries, Waits::default(), dice) {
            Outcome::Again { after, .. } => after,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_hundreds_are_heard_and_gone_is_the_end() {
        for status in [200, 202, 204, 299] {
            let heard = outcome(&answered(status), 1, Waits::default(), 0.5);
            assert_eq!(heard, Outcome::Delivered);
        }
        let gone = outcome(&answered(410), 1, Waits::default(), 0.5);
        assert!(matches!(gone, Outcome::GivenUp { .. }));
    }

    #[test]
    fn everything_else_is_tried_again() {
        for status in [
            100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 429, 500, 503,
        ] {
            let again = outcome(&answered(status), 1, Waits::default(), 0.5);
            let Outcome::Again { reason, .. } = again else {
                panic!("{again:?}");
            };
            assert!(reason.contains(&status.to_string()));
        }
        let failed = outcome(&Err(Failure::Timeout), 1, Waits::default(), 0.5);
        assert!(matches!(failed, Outcome::Again { .. }));
    }

    #[test]
    fn waits_double_up_to_an_hour_and_are_spread() {
        let seconds = |tries| after(&answered(500), tries, 0.5).as_secs();
        let first: Vec<u64> = (1..=12).map(seconds).collect();
        assert_eq!(
            first,
            [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
        );
        assert_eq!(seconds(u32::MAX), 3600);
        assert_eq!(after(&answered(500), 2, 0.0), Duration::from_millis(7500));
        assert_eq!(after(&answered(500), 2, 1.0), Duration::from_millis(12_500));
        let day = Duration::from_secs(24 * 3600);
        let (mut at, mut tries) = (Duration::ZERO, 0);
        while at < day {
            tries += 1;
            at += after(&answered(500), tries, 0.5);
        }
        assert_eq!(tries, 33, "the last of them is too late");
    }

    #[test]
    fn a_receiver_that_asks_for_time_gets_it_and_no_more_than_a_day() {
        let asks = |seconds| {
            let retry_after = Some(Duration::from_secs(seconds));
            let status = 503;
            after(
                &Ok(Answer {
                    status,
                    retry_after,
                }),
                1,
                0.5,
            )
            .as_secs()
        };
        assert_eq!(asks(120), 120);
        assert_eq!(asks(1), 5);
        assert_eq!(asks(u64::MAX), 24 * 3600);
    }
}
