//! What a profile is as a model: its name, its version, its tensors, its labels.
//!
//! Pure. Must not know: requests.

use std::sync::Arc;

use super::error::OipError;
use super::tensor::Datatype;
use crate::classify::catalog::{Catalog, Served};

/// The only version of every model.
pub const VERSION: &str = "1";
/// What runs it: a project and a format, as the specification names platforms.
pub const PLATFORM: &str = "beagle_burn";
/// The server's name.
pub const SERVER: &str = "beagle";
/// Triton's extensions that are here.
pub const EXTENSIONS: [&str; 4] = [
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "schedule_policy",
];

/// Input of image files.
pub const IMAGE: &str = "image";
/// Input of pixels, as bytes.
pub const PIXELS: &str = "pixels";
/// Input of pixels, as floats.
pub const PIXELS_F32: &str = "pixels_f32";
/// Output of the best labels.
pub const LABEL: &str = "label";
/// Output of their probabilities.
pub const PROBABILITY: &str = "probability";
/// Output of every class' probability, in the network's order.
pub const PROBABILITIES: &str = "probabilities";

/// A tensor as metadata shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// Of what.
    pub datatype: Datatype,
    /// Its shape; -1 is any number.
    pub shape: Vec<i64>,
}

/// A model's inputs: a request has exactly one of them.
#[must_use]
pub fn inputs(model: &Served) -> [Described; 3] {
    let pixels = || {
        let (height, width) = (model.geometry.height, model.geometry.width);
        vec![-1, i64::from(height), i64::from(width), 3]
    };
    [
        described(IMAGE, Datatype::Bytes, vec![-1]),
        described(PIXELS, Datatype::Uint8, pixels()),
        described(PIXELS_F32, Datatype::Fp32, pixels()),
    ]
}

/// A model's outputs.
#[must_use]
pub fn outputs(model: &Served) -> [Described; 3] {
    let classes = i64::try_from(model.labels.count()).unwrap_or(-1);
    [
        described(LABEL, Datatype::Bytes, vec![-1, -1]),
        described(PROBABILITY, Datatype::Fp32, vec![-1, -1]),
        described(PROBABILITIES, Datatype::Fp32, vec![-1, classes]),
    ]
}

fn described(name: &'static str, datatype: Datatype, shape: Vec<i64>) -> Described {
    Described {
        name,
        datatype,
        shape,
    }
}

/// Names of a model's classes in the network's order, a line each.
#[must_use]
pub fn labels(model: &Served) -> String {
    let names = (0..model.labels.count()).filter_map(|class| model.labels.get(class));
    names.collect::<Vec<_>>().join("\n")
}

/// How Triton's model repository calls it that models can be used or not.
#[must_use]
pub const fn state(ready: bool) -> &'static str {
    if ready { "READY" } else { "UNAVAILABLE" }
}

/// The model of that name; no version means the one there is.
///
/// # Errors
/// [`OipError::UnknownModel`] or [`OipError::UnknownVersion`].
pub fn find<'a>(
    catalog: &'a Catalog,
    name: &str,
    version: &str,
) -> Result<&'a Arc<Served>, OipError> {
    let Some(model) = catalog.get(name) else {
        let known: Vec<&str> = catalog.iter().map(|served| served.name.as_str()).collect();
        return Err(OipError::UnknownModel {
            name: name.to_owned(),
            known: known.join(", "),
        });
    };
    if version.is_empty() || version == VERSION {
        return Ok(model);
    }
    Err(OipError::UnknownVersion {
        name: name.to_owned(),
        version: version.to_owned(),
    })
}
