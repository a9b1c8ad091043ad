//! From a TensorFlow.js layers model to ONNX, run by tract: another runtime than the one served.
//!
//! `published` has the real weights; the rest are models of a few numbers, written by the test,
//! whose answers are known by hand or by the definitions in `keras`.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod errors;
mod heads;
mod keras;
mod net;
mod padding;
mod published;
mod runner;
#[path = "../weights/mod.rs"]
mod weights;
mod windows;
