//! The Open Inference Protocol over HTTP and gRPC: the whole server on a model that does as the
//! picture says, NVIDIA's clients against the real one, and the list of what conforms.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod bare;
mod batches;
mod binary;
mod clients;
mod conformance;
mod grpc;
mod grpc_door;
mod grpc_limits;
mod grpc_look;
mod http;
mod limits;
mod refused;
mod server;

#[path = "../fake/mod.rs"]
mod fake;
#[path = "../fake/settings.rs"]
mod settings;

use std::time::Duration;

/// Nothing here takes so long; what does has failed.
const GUARD: Duration = Duration::from_secs(60);
