//! The edge over gRPC: the Open Inference Protocol on a port of its own.
//!
//! In the order of a request: `listen` takes connections, `admit` a request's bytes, `scan` looks
//! at them before they become messages, `service` answers, with `convert` for the messages and
//! `status` for refusals. [`server`] runs it all. Must not know: stages, images, actix.

mod admit;
mod convert;
mod listen;
mod scan;
pub mod server;
mod service;
mod status;

/// Messages and service, made of `open_inference.proto`; the client is for tests.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    reason = "made by a program; the .proto has the comments"
)]
pub mod proto {
    tonic::include_proto!("inference");
}
