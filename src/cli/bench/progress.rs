//! How far a load is, for a person at a terminal.
//!
//! Must not know: what is sent.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::load::drive::Watch;
use crate::load::step::Step;
use crate::load::tally::Tally;

/// A bar a step.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar as long as the load, called by its name.
    pub(super) fn new(name: String, length: Duration) -> Self {
        // indicatif draws on standard error, and only if that is a terminal.
        let bar =
            ProgressBar::with_draw_target(Some(milliseconds(length)), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {msg}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name);
        Self(bar)
    }

    /// Leaves one line behind.
    pub(super) fn end(self, step: &Step) {
        let told = match (&step.judgement, &step.latency) {
            (Some(judgement), Some(latency)) => {
                let passed = if judgement.passed { "passed" } else { "failed" };
                format!("p99 {:.0} ms, {passed}", latency.p99_ms)
            }
            _ => format!("{:.1} answers/s", step.throughput),
        };
        self.0.finish_with_message(told);
    }
}

impl Watch for Progress {
    fn look(&mut self, at: Duration, tally: &Tally, in_flight: usize) {
        let window = tally.window();
        let at = milliseconds(at);
        self.0.set_position(at.min(milliseconds(window.end)));
        let told = if at < milliseconds(window.begin) {
            "warming up".to_owned()
        } else if at < milliseconds(window.end) {
            format!("{} answered", tally.answered())
        } else {
            format!("{} answered, waiting for the last", tally.answered())
        };
        self.0
            .set_message(format!("{told}, {in_flight} on their way"));
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
