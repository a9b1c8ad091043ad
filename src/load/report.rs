//! What is told of a measurement: to a person as lines, to a program as JSON.
//!
//! Pure. Must not know: how it was measured, where it is printed.

use serde::Serialize;

use super::arrivals::Spacing;
use super::step::{Spread, Step};

/// Version of the JSON: names are added to it, never changed.
const SCHEMA: u32 = 1;
/// A schedule that is kept worse than that, in milliseconds, is worth a word.
const LAG_MS: f64 = 10.0;

/// A measurement. The names are those of the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this form.
    pub schema: u32,
    /// Version of this program.
    pub beagle: &'static str,
    /// What was measured.
    pub target: Asked,
    /// How arrivals lay in time; `null` in a closed loop.
    pub arrivals: Option<Spacing>,
    /// Of the arrivals.
    pub seed: u64,
    /// Load before each step that did not count.
    pub warm_up_s: f64,
    /// How long a request had.
    pub timeout_s: f64,
    /// Most requests on their way at once.
    pub in_flight: usize,
    /// In the order they were run.
    pub steps: Vec<Step>,
    /// What was searched for.
    pub search: Option<Found>,
}

/// What was asked, and of whom.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// Where requests went.
    pub uri: String,
    /// `article` or `oip`.
    pub protocol: &'static str,
    /// Different requests, sent in turn.
    pub requests: usize,
    /// Bytes of a body, on average.
    pub bytes: usize,
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Longest 99th percentile.
    pub bound_ms: f64,
    /// Largest share between the two rates.
    pub within: f64,
    /// Highest rate that passed.
    pub rate: Option<f64>,
    /// Lowest rate that failed.
    pub failed: Option<f64>,
}

impl Report {
    /// Nothing measured yet.
    #[must_use]
    pub const fn new(target: Asked, in_flight: usize) -> Self {
        Self {
            schema: SCHEMA,
            beagle: env!("CARGO_PKG_VERSION"),
            target,
            arrivals: None,
            seed: 0,
            warm_up_s: 0.0,
            timeout_s: 0.0,
            in_flight,
            steps: Vec::new(),
            search: None,
        }
    }

    /// Whether every request that counted was answered.
    #[must_use]
    pub fn all_answered(&self) -> bool {
        self.steps.iter().all(|step| step.answered == step.requests)
    }

    /// For people: what was done, a row a step, what is to be said about them, what was found.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.head();
        lines.push(HEAD.to_owned());
        lines.extend(self.steps.iter().map(row));
        lines.extend(self.steps.iter().flat_map(remarks));
        lines.extend(self.search.as_ref().map(Found::line));
        lines
    }

    fn head(&self) -> Vec<String> {
        let Asked {
            uri,
            protocol,
            requests,
            bytes,
        } = &self.target;
        let seconds = self.steps.first().map_or(0.0, |step| step.seconds);
        let kind = match self.arrivals {
            Some(spacing) => format!("open loop, {spacing} arrivals (seed {})", self.seed),
            None => "closed loop".to_owned(),
        };
        vec![
            format!(
                "{uri} ({protocol}), {requests} different request(s) of {} kB",
                bytes.div_ceil(1000)
            ),
            format!(
                "{kind}, {seconds} s a step after {} s of warm-up; times in ms",
                self.warm_up_s
            ),
        ]
    }
}

const HEAD: &str = "      load   answers/s  refused   failed       p50       p90       p99     p99.9       max  service p99";

fn row(step: &Step) -> String {
    let load = match (step.rate, step.connections) {
        (Some(rate), _) => format!("{rate:.1}/s"),
        (None, connections) => format!("{} conn.", connections.unwrap_or_default()),
    };
    let of = |spread: &Option<Spread>, wanted: fn(&Spread) -> f64| {
        spread
            .as_ref()
            .map_or_else(|| "-".to_owned(), |spread| milliseconds(wanted(spread)))
    };
    let mut row = format!(
        "{load:>10}  {:10.1} {:8} {:8}",
        step.throughput, step.refused, step.failed
    );
    let columns: [fn(&Spread) -> f64; 5] = [
        |spread| spread.p50_ms,
        |spread| spread.p90_ms,
        |spread| spread.p99_ms,
        |spread| spread.p999_ms,
        |spread| spread.max_ms,
    ];
    for wanted in columns {
        row.push_str(&format!(" {:>9}", of(&step.latency, wanted)));
    }
    row.push_str(&format!(
        "    {:>9}",
        of(&step.service, |spread| spread.p99_ms)
    ));
    if let Some(judgement) = &step.judgement {
        let reasons: Vec<&str> = judgement
            .reasons
            .iter()
            .map(|reason| reason.text())
            .collect();
        row.push_str("  ");
        row.push_str(if judgement.passed {
            "passed"
        } else {
            "failed: "
        });
        row.push_str(&reasons.join(", "));
    }
    row
}

/// Three digits that count, more where there are more before the point.
fn milliseconds(value: f64) -> String {
    match value {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// What does not fit into a row.
fn remarks(step: &Step) -> Vec<String> {
    let load = match step.rate {
        Some(rate) => format!("at {rate:.1}/s"),
        None => format!("on {} connections", step.connections.unwrap_or_default()),
    };
    let mut remarks = Vec::new();
    if !step.not_answered.is_empty() {
        let counts = step.not_answered.iter();
        let counts: Vec<String> = counts
            .map(|(code, count)| format!("{count} x {code}"))
            .collect();
        remarks.push(format!("{load} not answered: {}", counts.join(", ")));
    }
    if step.queue_grew()
        && let Some(queue) = step.queue
    {
        let through = step.slices.iter().map(|slice| match slice.p50_ms {
            Some(p50) => milliseconds(p50),
            None => "-".to_owned(),
        });
        remarks.push(format!(
            "{load} the queue grew from {} to {} requests ({} came, {} were done); p50 by tenths of the \
             step: {} ms",
            queue.at_begin,
            queue.at_end,
            queue.arrivals,
            queue.completions,
            through.collect::<Vec<_>>().join(", ")
        ));
    }
    if step.late > 0 {
        remarks.push(format!(
            "{load} {} requests were due while as many as may be were on their way (--in-flight)",
            step.late
        ));
    } else if let Some(lag) = step.lag.as_ref().filter(|lag| lag.p99_ms > LAG_MS) {
        remarks.push(format!(
            "{load} requests were sent late, up to {} ms: this machine is too busy to send them in time",
            milliseconds(lag.max_ms)
        ));
    }
    remarks
}

impl Found {
    fn line(&self) -> String {
        let bound = milliseconds(self.bound_ms);
        match (self.rate, self.failed) {
            (Some(rate), Some(failed)) => {
                format!(
                    "highest rate at p99 <= {bound} ms: {rate:.1} requests/s ({failed:.1} failed)"
                )
            }
            (Some(rate), None) => {
                format!("at p99 <= {bound} ms it keeps up with {rate:.1} requests/s and more")
            }
            (None, _) => format!("no rate was found at p99 <= {bound} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::load::ended::{Ended, Event};
    use crate::load::search::judge;
    use crate::load::tally::{Loop, Tally, Window};

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// Ten requests a second for ten seconds, each 100 ms later answered than the one before.
    fn growing() -> Step {
        let mut tally = Tally::new(Loop::Open(10.0), Window::new(ms(0), ms(10_000)));
        for number in 0..100 {
            let due = ms(number * 100);
            tally.add(&Event {
                due,
                sent: Some(due + ms(1)),
                done: due + ms(50 + number * 100),
                late: false,
                ended: if number == 7 {
                    Ended::Refused(503)
                } else {
                    Ended::Answered
                },
            });
        }
        let mut step = tally.step();
        step.judgement = Some(judge(&step, ms(250), tally.longer_than(ms(250))));
        step
    }

    fn report() -> Report {
        let target = Asked {
            uri: "http://127.0.0.1:5000/predict".to_owned(),
            protocol: "article",
            requests: 1,
            bytes: 47_300,
        };
        Report {
            arrivals: Some(Spacing::Constant),
            steps: vec![growing()],
            search: Some(Found {
                bound_ms: 250.0,
                within: 0.05,
                rate: None,
                failed: Some(10.0),
            }),
            ..Report::new(target, 512)
        }
    }

    #[test]
    fn a_person_is_told_what_was_done_and_what_went_wrong() {
        let lines = report().lines();
        assert_eq!(
            lines[0],
            "http://127.0.0.1:5000/predict (article), 1 different request(s) of 48 kB"
        );
        assert_eq!(
            lines[1],
            "open loop, constant arrivals (seed 0), 10 s a step after 0 s of warm-up; times in ms"
        );
        assert!(
            lines[3].starts_with("    10.0/s         4.9        1        0      5"),
            "{}",
            lines[3]
        );
        assert!(
            lines[3].ends_with("failed: p99 above the bound, not all answered, the queue grew"),
            "{}",
            lines[3]
        );
        assert_eq!(lines[4], "at 10.0/s not answered: 1 x 503");
        assert!(
            lines[5].starts_with("at 10.0/s the queue grew from 0 to 50 requests (100 came, 50 were done); p50 by tenths"),
            "{}",
            lines[5]
        );
        assert_eq!(lines[6], "no rate was found at p99 <= 250 ms");
        assert_eq!(HEAD.len(), lines[3].find("  failed: ").unwrap());
        assert!(!report().all_answered());
    }

    /// Every name of an object and of those in it.
    fn names(value: &Value, under: &str, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let name = format!("{under}{name}");
                    names(value, &format!("{name}."), into);
                    into.push(name);
                }
            }
            Value::Array(values) => {
                if let Some(first) = values.first() {
                    names(first, under, into);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn the_json_has_the_names_that_programs_rely_on() {
        let told = serde_json::to_value(report()).unwrap();
        let mut found = Vec::new();
        names(&told, "", &mut found);
        let spread = [
            "count", "mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "p999_ms", "max_ms",
        ];
        let mut expected: Vec<String> = [
            "schema",
            "beagle",
            "target",
            "target.uri",
            "target.protocol",
            "target.requests",
            "target.bytes",
            "arrivals",
            "seed",
            "warm_up_s",
            "timeout_s",
            "in_flight",
            "steps",
            "steps.rate",
            "steps.connections",
            "steps.seconds",
            "steps.requests",
            "steps.answered",
            "steps.refused",
            "steps.failed",
            "steps.not_answered",
            "steps.not_answered.503",
            "steps.throughput",
            "steps.latency",
            "steps.service",
            "steps.lag",
            "steps.late",
            "steps.queue",
            "steps.queue.arrivals",
            "steps.queue.completions",
            "steps.queue.at_begin",
            "steps.queue.at_end",
            "steps.slices",
            "steps.slices.from_s",
            "steps.slices.requests",
            "steps.slices.p50_ms",
            "steps.slices.p99_ms",
            "steps.judgement",
            "steps.judgement.passed",
            "steps.judgement.reasons",
            "steps.judgement.share_over",
            "steps.judgement.share_over_at_most",
            "search",
            "search.bound_ms",
            "search.within",
            "search.rate",
            "search.failed",
        ]
        .map(str::to_owned)
        .to_vec();
        for part in ["latency", "service", "lag"] {
            expected.extend(spread.map(|name| format!("steps.{part}.{name}")));
        }
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(
            (&told["schema"], &told["arrivals"]),
            (&Value::from(1), &Value::from("constant"))
        );
        assert_eq!(told["steps"][0]["judgement"]["reasons"][2], "queue_grew");
        assert_eq!(told["steps"][0]["rate"], 10.0);
        assert!(told["steps"][0]["connections"].is_null());
    }
}
