//! The log, on standard error: for people on a terminal, a JSON object a line elsewhere.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Starts it. `BEAGLE_LOG` says what is logged (`debug`, `beagle=debug,warn`, ...); by default
/// what a person who runs the server should know.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("BEAGLE_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,beagle=info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    let started = if io::stderr().is_terminal() {
        log.with_target(false).try_init()
    } else {
        log.json()
            .flatten_event(true)
            .with_current_span(false)
            .try_init()
    };
    // Somebody who set a log up before us keeps theirs.
    drop(started);
}
