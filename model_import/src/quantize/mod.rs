//! From floats to bytes: which range of numbers each value of a network is given.
//!
//! In the order of the flow: [`Quantizer`] shows a network sample images and counts what every value
//! holds in a [`Histogram`]; a [`Method`] makes ranges of the counts; an [`Agreement`] says how the
//! network with these ranges answers beside the one without; [`Saved`] keeps ranges and agreement in
//! a file; [`decide`] chooses the numbers that a network computes with. Must not know: image files,
//! the command line.
//!
//! Weights are rounded for what they are multiplied by; biases are not corrected: see `ARCHITECTURE.md`.

mod histogram;
mod method;
mod equalize;
mod inputs;
mod rounding;
mod points;
mod agreement;
mod run;
mod rounded;
mod saved;
mod decide;

use fused::{EngineError, InputError, PlanError};
use thiserror::Error;

use crate::network::LoadError;
use crate::record::RecordError;

pub use agreement::{Agreement, Noise};
pub use decide::{Decision, decide};
pub use histogram::Histogram;
pub use method::Method;
pub use points::Points;
pub use rounded::Rounded;
pub use run::{Quantizer, Trial};
pub use saved::{Saved, SavedError, path};

/// Why a network cannot be quantized.
#[derive(Debug, Error)]
pub enum QuantizeError {
    /// The model runs operator by operator.
    #[error(
        "model '{0}' cannot run fused on the processor, so it cannot be quantized: importing it says why"
    )]
    NoPlan(String),
    /// The weights cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The network cannot be built.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The engine refuses the ranges.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The plan is none.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The pixels are not whole images.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A network that gives no numbers.
    #[error("value {value} of the network holds a number that is infinite or none")]
    NotFinite {
        /// The value.
        value: usize,
    },
    /// Other weights cannot be kept.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// Nothing was shown.
    #[error("the network has seen no image: give it some")]
    NothingSeen,
}
