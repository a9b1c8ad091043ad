//! How a request ended, and when.
//!
//! Pure. Must not know: how it was sent.

use std::time::Duration;

/// How a request ended. Everything but [`Ended::Answered`] has a code for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// With what was asked for.
    Answered,
    /// The server said that it has too much to do: 429 or 503.
    Refused(u16),
    /// Another status than success.
    Status(u16),
    /// A success whose body says that it is none.
    NotSuccess,
    /// No connection could be made.
    NoConnection,
    /// The connection broke before the whole answer was there.
    Broken,
    /// What came is not HTTP, or larger than any answer is.
    Garbled,
    /// No answer in time.
    TimedOut,
    /// Its time was over before it could be sent: whoever sends stood still.
    NeverSent,
}

impl Ended {
    /// How an answer of that status ended; whether its body is a success is another question.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Answered,
            429 | 503 => Self::Refused(status),
            _ => Self::Status(status),
        }
    }

    /// For programs: the status, or what happened instead.
    #[must_use]
    pub fn code(self) -> String {
        let code = match self {
            Self::Answered => "answered",
            Self::Refused(status) | Self::Status(status) => return status.to_string(),
            Self::NotSuccess => "not_success",
            Self::NoConnection => "no_connection",
            Self::Broken => "broken",
            Self::Garbled => "garbled",
            Self::TimedOut => "timed_out",
            Self::NeverSent => "never_sent",
        };
        code.to_owned()
    }

    /// Whether it was given up: it would have taken longer than what was waited.
    #[must_use]
    pub const fn is_given_up(self) -> bool {
        matches!(self, Self::TimedOut | Self::NeverSent)
    }
}

/// One request. Times count from the start of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was due; in a closed loop, when it was sent.
    pub due: Duration,
    /// When it was sent, if ever.
    pub sent: Option<Duration>,
    /// When its answer was there, or when it failed or was given up.
    pub done: Duration,
    /// Whether it was due while as many requests as may be were on their way.
    pub late: bool,
    /// How it ended.
    pub ended: Ended,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_answers_refusals_or_failures() {
        assert_eq!(Ended::of_status(200), Ended::Answered);
        assert_eq!(Ended::of_status(204), Ended::Answered);
        for full in [429, 503] {
            assert_eq!(Ended::of_status(full), Ended::Refused(full));
            assert_eq!(Ended::of_status(full).code(), full.to_string());
        }
        for other in [100, 302, 404, 500, 504] {
            assert_eq!(Ended::of_status(other), Ended::Status(other));
        }
    }
}
