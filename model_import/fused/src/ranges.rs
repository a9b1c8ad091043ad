//! The ranges of values, measured on sample images: what quantization needs to know.
//!
//! Must not know: how they were measured, how numbers are stored.

use serde::{Deserialize, Serialize};

/// The range of every value of a plan, value 0 first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranges {
    /// One range a value.
    pub values: Vec<Range>,
    /// The convolutions that take fewer multiplications in bytes; the others are computed directly.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<PointFactors>,
}

/// How a 3x3 convolution of bytes with fewer multiplications stores its inputs at each point, for 2x2
/// outputs; see [`crate::calibrate`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointFactors {
    /// The plan's layer.
    pub layer: usize,
    /// For each point, row by row, what a number there is multiplied by to become a byte:
    /// [`crate::calibrate::PARTS`]ths of 1 at most.
    pub factors: Vec<f32>,
}

/// The least and the largest number that a value is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least number.
    pub low: f32,
    /// The largest number.
    pub high: f32,
}
