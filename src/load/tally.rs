//! What is counted while a load runs, in memory that does not grow with it.
//!
//! Pure. Must not know: the clock, how requests are sent, what is made of the figures.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::ended::{Ended, Event};
use super::step::{Queue, Slice, Spread, Step};

/// Parts of a window that are told one by one.
pub const SLICES: usize = 10;

/// Who decides when the next request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loop {
    /// The schedule, so many a second: a slow server is sent no less.
    Open(f64),
    /// The answers, on so many connections: a slow server is asked less.
    Closed(usize),
}

/// What counts: from the end of the warm-up to the end of the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its begin.
    pub begin: Duration,
    /// Its end, which is not part of it.
    pub end: Duration,
}

impl Window {
    /// As long as the second, after the first.
    #[must_use]
    pub fn new(warm_up: Duration, length: Duration) -> Self {
        Self {
            begin: warm_up,
            end: warm_up + length,
        }
    }

    fn holds(&self, at: Duration) -> bool {
        self.begin <= at && at < self.end
    }

    fn seconds(&self) -> f64 {
        (self.end - self.begin).as_secs_f64()
    }

    /// Which of the [`SLICES`] a time of the window is in.
    fn slice(&self, at: Duration) -> usize {
        let share = (at - self.begin).as_secs_f64() / self.seconds();
        ((share * SLICES as f64) as usize).min(SLICES - 1)
    }
}

/// Latencies in microseconds.
#[derive(Debug)]
struct Latencies(Histogram<u64>);

impl Latencies {
    /// Right to so many digits; they grow as wide as the longest, which a timeout bounds.
    fn new(digits: u8) -> Self {
        Self(Histogram::new(digits).expect("five digits and fewer are allowed"))
    }

    fn add(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        // It resizes itself, so no value is too large.
        self.0.record(micros).expect("it takes every value");
    }

    fn milliseconds(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e3
    }

    fn spread(&self) -> Option<Spread> {
        (!self.0.is_empty()).then(|| Spread {
            count: self.0.len(),
            mean_ms: (self.0.mean().round()) / 1e3,
            p50_ms: self.milliseconds(0.5),
            p90_ms: self.milliseconds(0.9),
            p95_ms: self.milliseconds(0.95),
            p99_ms: self.milliseconds(0.99),
            p999_ms: self.milliseconds(0.999),
            max_ms: self.0.max() as f64 / 1e3,
        })
    }
}

/// One part of the window.
#[derive(Debug)]
struct Part {
    requests: u64,
    latencies: Latencies,
}

/// The counts of one load.
#[derive(Debug)]
pub struct Tally {
    kind: Loop,
    window: Window,
    requests: u64,
    ended: BTreeMap<Ended, u64>,
    latency: Latencies,
    service: Latencies,
    lag: Latencies,
    late: u64,
    queue: Queue,
    answered_within: u64,
    parts: Vec<Part>,
}

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new(kind: Loop, window: Window) -> Self {
        let part = || Part {
            requests: 0,
            latencies: Latencies::new(2),
        };
        Self {
            kind,
            window,
            requests: 0,
            ended: BTreeMap::new(),
            latency: Latencies::new(3),
            service: Latencies::new(3),
            lag: Latencies::new(3),
            late: 0,
            queue: Queue::default(),
            answered_within: 0,
            parts: (0..SLICES).map(|_| part()).collect(),
        }
    }

    /// What counts.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Requests that count, so far.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Answers within the window, so far.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.answered_within
    }

    /// Adds a request. In an open loop it counts if it was due in the window, however late its answer
    /// is; in a closed one, which is cut off at the end, if it ended in the window.
    pub fn add(&mut self, event: &Event) {
        self.add_to_queue(event);
        let counted_at = match self.kind {
            Loop::Open(_) => event.due,
            Loop::Closed(_) => event.done,
        };
        if !self.window.holds(counted_at) {
            return;
        }
        let latency = event.done.saturating_sub(event.due);
        let part = &mut self.parts[self.window.slice(counted_at)];
        self.requests += 1;
        part.requests += 1;
        *self.ended.entry(event.ended).or_default() += 1;
        self.late += u64::from(event.late);
        if let Some(sent) = event.sent {
            self.lag.add(sent.saturating_sub(event.due));
        }
        if event.ended == Ended::Answered || event.ended.is_given_up() {
            self.latency.add(latency);
            part.latencies.add(latency);
        }
        if let (Ended::Answered, Some(sent)) = (event.ended, event.sent) {
            self.service.add(event.done.saturating_sub(sent));
        }
    }

    fn add_to_queue(&mut self, event: &Event) {
        let open_at = |at: Duration| u64::from(event.due < at && event.done >= at);
        self.queue.at_begin += open_at(self.window.begin);
        self.queue.at_end += open_at(self.window.end);
        self.queue.arrivals += u64::from(self.window.holds(event.due));
        if self.window.holds(event.done) {
            self.queue.completions += 1;
            self.answered_within += u64::from(event.ended == Ended::Answered);
        }
    }

    /// How many of the latencies are longer than that.
    #[must_use]
    pub fn longer_than(&self, bound: Duration) -> u64 {
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        let steps = self.latency.0.iter_recorded();
        steps
            .filter(|step| step.value_iterated_to() > self.latency.0.highest_equivalent(micros))
            .map(|step| step.count_since_last_iteration())
            .sum()
    }

    /// What came of it.
    #[must_use]
    pub fn step(&self) -> Step {
        let of = |wanted: fn(&Ended) -> bool| -> u64 {
            let counts = self.ended.iter().filter(|(ended, _)| wanted(ended));
            counts.map(|(_, count)| count).sum()
        };
        let answered = of(|ended| *ended == Ended::Answered);
        let refused = of(|ended| matches!(ended, Ended::Refused(_)));
        let (rate, connections) = match self.kind {
            Loop::Open(rate) => (Some(rate), None),
            Loop::Closed(connections) => (None, Some(connections)),
        };
        let length = self.window.seconds() / SLICES as f64;
        let slices = self.parts.iter().enumerate().map(|(at, part)| {
            let spread = part.latencies.spread();
            Slice {
                from_s: (length * at as f64 * 1e3).round() / 1e3,
                requests: part.requests,
                p50_ms: spread.as_ref().map(|spread| spread.p50_ms),
                p99_ms: spread.map(|spread| spread.p99_ms),
            }
        });
        Step {
            rate,
            connections,
            seconds: self.window.seconds(),
            requests: self.requests,
            answered,
            refused,
            failed: self.requests - answered - refused,
            not_answered: self
                .ended
                .iter()
                .filter(|(ended, _)| **ended != Ended::Answered)
                .map(|(ended, count)| (ended.code(), *count))
                .collect(),
            throughput: self.answered_within as f64 / self.window.seconds(),
            latency: self.latency.spread(),
            service: self.service.spread(),
            lag: rate.and(self.lag.spread()),
            late: self.late,
            queue: rate.map(|_| self.queue),
            slices: slices.collect(),
            judgement: None,
        }
    }
}
