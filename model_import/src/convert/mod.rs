//! TensorFlow.js layers model to ONNX.
//!
//! `layers` reads the files as Keras wrote them, `topology` says which reading of them to build,
//! `support` which layers have a translation; `lower` turns each into operators, the sliding ones
//! by `window`, weights in the order of axes that ONNX wants by `order`.
//! Must not know: where the files came from, burn, profiles.

mod layers;
mod lower;
mod order;
mod support;
mod topology;
mod window;

pub use layers::{ConvertError, LayersModel};
pub use lower::to_onnx;
pub use topology::Topology;
