//! Fleet tests: web processes and workers on one Redis behind nginx, and what fails under them.
//!
//! `BEAGLE_FLEET_ROUNDS=200` makes the seeded rounds of [`rounds`] as many as that; other
//! variables, named in [`recovery`], [`scaling`] and [`stress`], make the measurements long. What
//! they print is shown with `--no-capture`.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod child;
mod clients;
mod faults;
mod fleet;
mod gather;
mod insight;
mod load;
mod nginx;
mod proxy;
mod recovery;
mod roles;
mod rolling;
mod rounds;
mod scaling;
mod stress;
mod traces;

#[path = "../crash/ask.rs"]
mod ask;
#[path = "../fake/mod.rs"]
mod fake;
#[path = "../fake/settings.rs"]
mod settings;
#[path = "../crash/history.rs"]
mod history;
#[path = "../crash/parent.rs"]
mod parent;
#[path = "../store/redis_server.rs"]
mod redis_server;
#[path = "../crash/server.rs"]
mod server;

use std::io::Write as _;
use std::time::Duration;

/// Nothing here takes so long; what does has failed.
const GUARD: Duration = Duration::from_secs(60);

/// One write for a line: a kill does not cut it in two.
fn say(text: &str) {
    // Whoever has closed the pipe does not want to know.
    let _ = std::io::stdout().write_all(format!("{text}\n").as_bytes());
}

/// A number that a variable of the environment may say.
fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Lets time pass that belongs to what is played: a model's work, the length of an outage, a
/// client's pause. Nothing here waits for others by the clock.
#[expect(clippy::disallowed_methods, reason = "the time itself is wanted")]
fn pass(time: Duration) {
    std::thread::sleep(time);
}
