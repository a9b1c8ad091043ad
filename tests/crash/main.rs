//! Crash tests: real processes of the whole server, real requests, and what is killed under them.
//!
//! `BEAGLE_CRASH_ROUNDS=50` makes the seeded rounds of [`rounds`] as many as that; without it
//! they are one for each store and fault. The table is shown with `--no-capture`.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod ask;
mod child;
mod client;
mod faults;
mod gather;
mod history;
mod history_tests;
mod outages;
mod parent;
mod place;
mod rounds;
mod scene;
mod server;
mod shards;

#[path = "../fake/mod.rs"]
mod fake;
#[path = "../fake/settings.rs"]
mod settings;
#[path = "../store/redis_server.rs"]
mod redis_server;

use std::io::Write as _;
use std::time::Duration;

/// Nothing here takes so long; what does has failed.
const GUARD: Duration = Duration::from_secs(60);

/// One write for a line: a kill does not cut it in two.
fn say(text: &str) {
    // Whoever has closed the pipe does not want to know.
    let _ = std::io::stdout().write_all(format!("{text}\n").as_bytes());
}
