//! Why an engine cannot be built or fed.
//!
//! Must not know: how anything is computed.

use thiserror::Error;

use crate::level::Level;
use crate::shapes::PlanError;

/// Why an engine cannot be built.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum EngineError {
    /// The plan is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The weights lack something that the plan names.
    #[error("there is no weight named `{0}`: plan and weights belong to different networks")]
    MissingWeight(String),
    /// A weight is of another shape than the plan says.
    #[error("weight `{name}` has shape {found:?}, the plan needs {expected:?}")]
    WeightShape {
        /// The weight's name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits the plan.
        expected: Vec<usize>,
    },
    /// This processor lacks the instructions.
    #[error("this processor has no {0} instructions: choose a lower level")]
    Level(Level),
    /// No such level.
    #[error("`{0}` is not a level: use portable, avx2 or avx512")]
    UnknownLevel(String),
    /// A precision that cannot be had here.
    #[error("precision {precision} cannot be used: {why}")]
    Precision {
        /// The precision's name.
        precision: &'static str,
        /// Why not.
        why: &'static str,
    },
    /// Ranges of other values than the plan's.
    #[error(
        "there are ranges of {found} values, the plan has {expected}: measure them for this plan"
    )]
    RangeCount {
        /// Ranges given.
        found: usize,
        /// Values of the plan.
        expected: usize,
    },
    /// A range that is not from a number to a larger one.
    #[error(
        "the range of value {value} is {range}, not from a number to a larger one: measure it again"
    )]
    Range {
        /// The value's number.
        value: usize,
        /// Its range.
        range: String,
    },
    /// Factors at points for a layer that cannot have them.
    #[error("layer {0} cannot have these factors at its points: measure them again for this plan")]
    Points(usize),
    /// The normalisation names a pixel channel that does not exist.
    #[error("the channel order {0:?} is not an order of red (0), green (1) and blue (2)")]
    Order([usize; 3]),
}

/// Why a batch cannot be run.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// Not a whole number of images.
    #[error("{found} numbers are not a whole number of images of {image}")]
    Size {
        /// Numbers given.
        found: usize,
        /// Numbers of one image.
        image: usize,
    },
    /// Pixels have three channels, the network's input has not.
    #[error("pixels have 3 channels, the network's input has {0}")]
    Channels(usize),
}
