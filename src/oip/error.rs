//! What can be wrong with an inference request.
//!
//! Must not know: how it is told.

use thiserror::Error;

use crate::error::{ErrorCode, Refusal};

/// A request that cannot be done, and what to do about it.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum OipError {
    /// No profile has the model's name.
    #[error("there is no model '{name}': this server has {known}")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The model has no such version.
    #[error("model '{name}' has no version '{version}': leave it out or say 1")]
    UnknownVersion {
        /// The model.
        name: String,
        /// What was asked for.
        version: String,
    },
    /// The request as a whole cannot be read.
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    /// The number of inputs is not one.
    #[error(
        "an inference has exactly one input, image, pixels or pixels_f32: this one has {0}; several \
         images are rows of one input"
    )]
    Inputs(usize),
    /// There is no such input.
    #[error("there is no input '{0}': say image, pixels or pixels_f32")]
    UnknownInput(String),
    /// There is no such output.
    #[error("there is no output '{0}': say label, probability or probabilities")]
    UnknownOutput(String),
    /// An output is asked for twice.
    #[error("output '{0}' is asked for more than once")]
    RepeatedOutput(String),
    /// The input is of another type.
    #[error("input '{input}' is {wanted}, this one says '{found}'")]
    Datatype {
        /// The input.
        input: String,
        /// What was said.
        found: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// The input is of another shape.
    #[error("input '{input}' has the shape {wanted}, this one has {found:?}")]
    Shape {
        /// The input.
        input: String,
        /// What was said.
        found: Vec<i64>,
        /// What it has to be.
        wanted: String,
    },
    /// There are too many rows.
    #[error("an inference may have {most} rows: send them in several")]
    TooManyRows {
        /// How many there may be.
        most: usize,
    },
    /// The input's data is missing, or given twice.
    #[error("input '{input}' has {found}: give its data once")]
    Data {
        /// The input.
        input: String,
        /// What it has.
        found: &'static str,
    },
    /// The data is not as much as the shape says.
    #[error("input '{input}' has {found} {unit} of data: its shape makes {wanted}")]
    Size {
        /// The input.
        input: String,
        /// How much there is.
        found: usize,
        /// What is counted.
        unit: &'static str,
        /// How much it has to be.
        wanted: usize,
    },
    /// A value is no level of a pixel.
    #[error(
        "row {row} of input '{input}' holds {value}: levels are whole numbers from 0 to 255, neither \
         scaled to 1 nor normalised; round what a resize left between them"
    )]
    Level {
        /// The input.
        input: String,
        /// Which row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A string of JSON is not base64.
    #[error(
        "row {row} of input '{input}' is not base64: in JSON a file is its base64, since it is no text; \
         or send it as binary data"
    )]
    Base64 {
        /// The input.
        input: String,
        /// Which row.
        row: usize,
    },
    /// A parameter has a value that makes no sense.
    #[error("parameter '{name}' is {found}: {remedy}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What was said.
        found: String,
        /// What can be said.
        remedy: String,
    },
    /// There is no such parameter.
    #[error("there is no parameter '{0}': top, priority, timeout and binary_data_output are known")]
    UnknownParameter(String),
    /// The request belongs to a sequence.
    #[error("parameter '{0}': images do not depend on each other, there are no sequences")]
    Sequence(String),
    /// The tensor is in memory that the client wants to share.
    #[error("parameter '{0}': this server shares no memory: send the data itself")]
    SharedMemory(String),
    /// An output that is not scores is to be classified.
    #[error(
        "output '{0}' cannot be classified: ask for probabilities with a classification, or for label \
         and probability"
    )]
    Classification(String),
    /// The answer was kept by a version that did not keep the numbers of classes.
    #[error(
        "the answer under this key is of before classes were kept with it: ask again without the key, \
         or for label and probability"
    )]
    NoClasses,
}

impl OipError {
    const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownModel { .. } | Self::UnknownVersion { .. } => ErrorCode::UnknownProfile,
            Self::TooManyRows { .. } => ErrorCode::TooManyImages,
            Self::NoClasses => ErrorCode::KeyReused,
            _ => ErrorCode::BadRequest,
        }
    }
}

impl From<OipError> for Refusal {
    fn from(error: OipError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
