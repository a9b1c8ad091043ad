//! The ranges of values, measured on sample images: what quantization needs to know.
//!
//! Must not know: how they were measured, how numbers are stored.

use serde::{Deserialize, Serialize};

/// The range of every value of a plan, value 0 first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranges {
    /// One range a value.
    pub values: Vec<Range>,
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
