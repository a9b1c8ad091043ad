//! Attacks on a server process of its own each: it stays up, its memory stays below a bound, and
//! other clients are answered meanwhile.
//!
//! What is asserted does not depend on time. How long the others wait is measured, and shown with
//! `--no-capture`: run it alone, with `--test-threads 1`.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod bodies;
mod bystanders;
mod child;
mod guesses;
mod heads;
mod idle;
mod images;
mod program;
mod server;
mod shapes;

#[expect(dead_code, reason = "nobody here asks the model what it was given")]
#[path = "../fake/mod.rs"]
mod fake;
#[path = "../fake/settings.rs"]
mod settings;
#[path = "../api/raw.rs"]
mod raw;

use std::io::Write as _;
use std::time::Duration;

/// Nothing here takes so long; what does has failed.
const GUARD: Duration = Duration::from_secs(120);

/// One write for a line.
fn say(text: &str) {
    // Whoever has closed the pipe does not want to know.
    let _ = std::io::stdout().write_all(format!("{text}\n").as_bytes());
}
