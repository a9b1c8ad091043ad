//! The figures of one load at one rate, or on one number of connections.
//!
//! Pure. Must not know: how they were counted.

use std::collections::BTreeMap;

use serde::Serialize;

use super::search::Judgement;

/// Share of the arrivals that a queue may be longer at the end than at the begin.
const GROWTH: f64 = 0.05;
/// Requests that a queue may be longer in any case.
const FEW: u64 = 4;

/// One load. The names are those of the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Requests a second that were due; `null` in a closed loop.
    pub rate: Option<f64>,
    /// Connections of a closed loop; `null` in an open one.
    pub connections: Option<usize>,
    /// Length of what counts.
    pub seconds: f64,
    /// Requests that count: answered, refused and failed.
    pub requests: u64,
    /// With success.
    pub answered: u64,
    /// With 429 or 503.
    pub refused: u64,
    /// In any other way.
    pub failed: u64,
    /// Those that were refused or failed, by status or by what happened.
    pub not_answered: BTreeMap<String, u64>,
    /// Answers a second.
    pub throughput: f64,
    /// From when they were due to the whole answer; those that were given up count with the time they
    /// had, those that were refused or failed do not count.
    pub latency: Option<Spread>,
    /// From when they were sent to the whole answer, of those that were answered.
    pub service: Option<Spread>,
    /// From when they were due to when they were sent.
    pub lag: Option<Spread>,
    /// Requests that were due while as many as may be were on their way.
    pub late: u64,
    /// Arrivals and completions; `null` in a closed loop.
    pub queue: Option<Queue>,
    /// Tenths of the load, in order.
    pub slices: Vec<Slice>,
    /// In a search, whether it passed.
    pub judgement: Option<Judgement>,
}

/// A distribution, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "they say what they are")]
pub struct Spread {
    pub count: u64,
    pub mean_ms: f64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

/// Requests due and not done, before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Due in the window.
    pub arrivals: u64,
    /// Done in the window, whenever they were due.
    pub completions: u64,
    /// Due and not done at its begin.
    pub at_begin: u64,
    /// Due and not done at its end.
    pub at_end: u64,
}

impl Queue {
    /// Whether fewer were done than came, by more than chance explains: by more than a twentieth of
    /// the arrivals and more than four.
    #[must_use]
    pub fn grew(&self) -> bool {
        let more = self.at_end.saturating_sub(self.at_begin);
        more > FEW && more as f64 > GROWTH * self.arrivals as f64
    }
}

/// A part of the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slice {
    /// Where it begins, in seconds from the begin of the window.
    pub from_s: f64,
    /// Requests of it.
    pub requests: u64,
    /// Half of them took no longer.
    pub p50_ms: Option<f64>,
    /// 99 % of them took no longer.
    pub p99_ms: Option<f64>,
}

impl Step {
    /// Whether requests came faster than they were done.
    #[must_use]
    pub fn queue_grew(&self) -> bool {
        self.queue.is_some_and(|queue| queue.grew())
    }

    /// Where it stands on the axis of rates: what was offered, or what was done in a closed loop.
    #[must_use]
    pub fn place(&self) -> f64 {
        self.rate.unwrap_or(self.throughput)
    }
}
