//! From ONNX to Rust and into a source tree: what is refused and how it is said, and that what is
//! committed is what the published weights give.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod drift;
mod files;
mod graphs;
mod operators;
mod quantized;
mod registering;
mod tree;
#[path = "../weights/mod.rs"]
mod weights;
