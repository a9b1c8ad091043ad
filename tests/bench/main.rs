//! `beagle bench` against servers whose capacity is known: in virtual time, and over sockets.

mod answers;
mod command;
mod oip;
mod queue;
mod server;
mod virtual_time;

use std::time::Duration;

/// Waits are for conditions; this only ends a test that would wait for ever.
const GUARD: Duration = Duration::from_secs(120);
