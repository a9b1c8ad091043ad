//! The whole server over HTTP, on a model that does as the picture says.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod access;
mod app;
mod browsers;
mod connections;
#[path = "../fake/mod.rs"]
mod fake;
#[path = "../fake/settings.rs"]
mod settings;
mod faults;
mod json_images;
mod jobs;
mod limits;
mod metrics;
mod openapi;
mod predict;
mod raw;
mod roles;
mod schemathesis;
mod shutdown;
mod submitting;
mod tls;
mod waiting;
mod watching;

use std::time::Duration;

/// Nothing here takes so long; what does has failed.
const GUARD: Duration = Duration::from_secs(30);
