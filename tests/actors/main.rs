//! Each actor alone, between neighbours that only record.
//!
//! Where timers matter the time of tokio is paused: it jumps to the next timer when nothing else
//! is left to do.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod batcher;
mod classifier;
mod decoder;
#[path = "../fake/mod.rs"]
mod fake;
mod planned_store;
mod probe;
mod responder;

use std::time::Duration;

use beagle::store::{JobId, NewJob, Priority, UnixMillis};
use bytes::Bytes;

/// Nothing here takes so long; what does has failed.
const GUARD: Duration = Duration::from_secs(30);
/// Longer than any timer of an actor: what has not come by then does not come.
const LONG: Duration = Duration::from_secs(60);

/// A job of the fake network, with all the time it needs.
fn job() -> NewJob {
    let now = UnixMillis::now();
    NewJob {
        id: JobId::new(),
        pixels: Bytes::from_static(&[7; 12]),
        profile: "plain".to_owned(),
        top: 1,
        priority: Priority::Normal,
        created: now,
        deadline: UnixMillis(u64::MAX),
        idempotency: None,
        callback: None,
        traceparent: None,
    }
}
