//! The published weights for tests, out of the ordinary cache; filled first if it can be.
//!
//! Joined to each test binary that needs them by a `#[path]`.

use std::io::{self, Write as _};

use model_import::fetch::{self, FetchError, Fetcher, WeightsDir};

/// The published weights. Without them, and without any way to get them, a line that says so.
pub(crate) fn published() -> Option<WeightsDir> {
    match Fetcher::new(fetch::home().unwrap()).fetch() {
        Ok(weights) => Some(weights),
        Err(error @ FetchError::Unavailable { .. }) => {
            say(&format!("SKIPPED, not checked: {error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Past the test harness, which keeps what a passing test prints.
fn say(text: &str) {
    let line = format!("\n{text}\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
}
