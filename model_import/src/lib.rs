//! From published weights or an ONNX file to a classifier that runs on any burn backend.
//!
//! In the order of the flow:
//!
//! - [`fetch`]: the published weights, found and verified.
//! - [`convert`]: a TensorFlow.js layers model to ONNX.
//! - [`onnx`]: reading and writing ONNX.
//! - [`dequantize`]: a network that was quantized to the floats and ranges that it stands for.
//! - [`optimize`]: ONNX to ONNX, fewer operators.
//! - [`generate`]: ONNX to Rust source and a weight [`record`].
//! - [`plan`]: ONNX to the layers that the processor runs fused.
//! - [`register`]: all of it put into the source tree and the cache.
//! - [`profile`], [`labels`], [`registry`]: what is compiled in.
//! - [`provision`]: the record of a registered model, made if need be.
//! - [`device`]: where to run.
//! - [`classifier`]: pixels in, probabilities out.
//! - [`quantize`]: the ranges with which it computes in bytes.
//!
//! Knows nothing of servers, queues or image files.

pub mod fetch;
pub mod convert;
mod envelope;
pub mod onnx;
pub mod dequantize;
pub mod optimize;
pub mod generate;
pub mod record;
pub mod plan;
pub mod register;
pub mod profile;
pub mod labels;
pub mod registry;
mod generated;
mod network;
pub mod provision;
pub mod device;
pub mod classifier;
pub mod quantize;

pub use network::LoadError;
