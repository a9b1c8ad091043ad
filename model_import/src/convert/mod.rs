//! TensorFlow.js layers model to ONNX.
//!
//! `layers` reads the files as Keras wrote them, `lower` turns each layer into operators.
//! Must not know: where the files came from, burn, profiles.

mod layers;
mod lower;

pub use layers::{ConvertError, LayersModel};
pub use lower::{Topology, to_onnx};
