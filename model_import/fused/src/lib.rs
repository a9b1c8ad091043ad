//! A whole convolutional network as one operation on the processor.
//!
//! A [`Plan`] says which layers there are; it is plain data, written beside a generated model. An
//! [`Engine`] is a plan with packed weights; a [`Crew`] has the threads and the memory of some
//! engines. Must not know: burn, ONNX, files, servers.

#![expect(
    unsafe_code,
    reason = "vector instructions and memory shared between threads; each block says why it is sound"
)]
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

pub mod plan;
mod shapes;
mod ranges;
pub mod calibrate;
mod level;
mod error;
mod weights;
mod layout;
mod memory;
mod element;
mod convolution;
mod pack;
mod requantize;
mod shelf;
mod squares;
mod ahead;
mod blocking;
mod points;
mod winograd;
mod numbers;
mod kernel;
mod steps;
mod network;
mod build;
mod storage;
mod clock;
mod threads;
mod help;
mod turns;
mod crew;
mod options;
mod peak;
mod engine;

pub use crew::Crew;
pub use engine::Engine;
pub use error::{EngineError, InputError};
pub use level::Level;
pub use options::{Options, Precision};
pub use peak::peaks;
pub use plan::{Activation, Convolution, Layer, Operation, Plan, Pool, Shape, WeightLayout};
pub use ranges::{PointFactors, Range, Ranges};
pub use shapes::PlanError;
pub use weights::{Normalise, Weights};
pub use winograd::Winograd;
