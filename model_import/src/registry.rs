//! What is compiled in: models by name, with the manifest that says what each one reads and gives.
//!
//! Must not know: burn's tensors, the cache, images.

use fused::{Plan, Ranges};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::generated;
use crate::labels::{Labels, LabelsError};
use crate::network::Loader;
use crate::profile::{self, Profile};

/// Order of the axes of a network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// N x channels x height x width: PyTorch's, and burn's own.
    Nchw,
    /// N x height x width x channels: TensorFlow's.
    Nhwc,
}

/// What a generated network needs and gives; the `.toml` beside its Rust source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's name: a Rust module name.
    pub name: String,
    /// File of `assets/labels` without its ending.
    pub labels: String,
    /// Number of outputs.
    pub classes: usize,
    /// Input width in pixels.
    pub width: u32,
    /// Input height in pixels.
    pub height: u32,
    /// Order of the input's axes.
    pub layout: Layout,
    /// SHA-256 of the canonical record that fits the Rust source.
    pub record_sha256: String,
    /// The profile of an imported model; the built-in ones are in `profile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// A model of this build, as `generated` lists it.
pub(crate) struct Registered {
    pub(crate) manifest: &'static str,
    pub(crate) plan: Option<&'static str>,
    pub(crate) ranges: Option<&'static str>,
    pub(crate) labels: &'static str,
    pub(crate) load: Loader,
}

/// A name that is not registered, or a registration that does not hold together.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// No profile of that name.
    #[error("there is no profile '{name}': this build has {}", .known.join(", "))]
    NoProfile {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// No model of that name.
    #[error(
        "there is no model '{name}' in this build: import it with `beagle model import` and build again"
    )]
    NoModel {
        /// The name asked for.
        name: String,
    },
    /// A manifest that cannot be read: the file was edited by hand.
    #[error("a model's manifest is malformed ({0}): import the model again")]
    Manifest(#[from] toml::de::Error),
    /// A plan or ranges that cannot be read: the file was edited by hand.
    #[error(
        "the plan or ranges of model '{name}' are malformed ({source}): import the model again"
    )]
    Plan {
        /// The model.
        name: String,
        /// What the parser said.
        source: toml::de::Error,
    },
    /// Labels that do not fit the model.
    #[error("model '{name}': {source}")]
    Labels {
        /// The model.
        name: String,
        /// What is wrong with them.
        source: LabelsError,
    },
}

/// A registered model, ready to be loaded.
#[derive(Clone, Debug)]
pub struct Model {
    /// What it needs and gives.
    pub manifest: Manifest,
    /// How the processor runs it fused, if it can.
    pub plan: Option<Plan>,
    /// The ranges with which it computes in bytes, if its ONNX file had them.
    pub ranges: Option<Ranges>,
    /// Names of its outputs.
    pub labels: Labels,
    pub(crate) load: Loader,
}

/// Every model of this build.
///
/// # Errors
/// [`RegistryError`] when a committed manifest or label file does not hold together.
pub fn models() -> Result<Vec<Model>, RegistryError> {
    generated::MODELS.iter().map(open).collect()
}

/// The model of that name.
///
/// # Errors
/// [`RegistryError::NoModel`], or what [`models`] finds.
pub fn model(name: &str) -> Result<Model, RegistryError> {
    let found = models()?
        .into_iter()
        .find(|model| model.manifest.name == name);
    found.ok_or_else(|| RegistryError::NoModel {
        name: name.to_owned(),
    })
}

/// Every profile of this build: the built-in ones, then those of imported models.
///
/// # Errors
/// What [`models`] finds.
pub fn profiles() -> Result<Vec<Profile>, RegistryError> {
    let imported = models()?
        .into_iter()
        .filter_map(|model| model.manifest.profile);
    Ok(profile::built_in().into_iter().chain(imported).collect())
}

/// The profile of that name.
///
/// # Errors
/// [`RegistryError::NoProfile`] listing the names there are, or what [`models`] finds.
pub fn profile(name: &str) -> Result<Profile, RegistryError> {
    let mut profiles = profiles()?;
    match profiles.iter().position(|profile| profile.name == name) {
        Some(at) => Ok(profiles.swap_remove(at)),
        None => Err(RegistryError::NoProfile {
            name: name.to_owned(),
            known: profiles.into_iter().map(|profile| profile.name).collect(),
        }),
    }
}

fn open(registered: &Registered) -> Result<Model, RegistryError> {
    let manifest: Manifest = toml::from_str(registered.manifest)?;
    let labels = Labels::parse(registered.labels, manifest.classes).map_err(|source| {
        RegistryError::Labels {
            name: manifest.name.clone(),
            source,
        }
    })?;
    let malformed = |source| RegistryError::Plan {
        name: manifest.name.clone(),
        source,
    };
    let plan = registered.plan.map(toml::from_str).transpose();
    let plan = plan.map_err(malformed)?;
    let ranges = registered.ranges.map(toml::from_str).transpose();
    let ranges = ranges.map_err(malformed)?;
    Ok(Model {
        manifest,
        plan,
        ranges,
        labels,
        load: registered.load,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_its_model_and_the_same_input_size() {
        for profile in profiles().unwrap() {
            let manifest = model(&profile.model).unwrap().manifest;
            let geometry = profile.geometry;
            assert_eq!(
                (manifest.width, manifest.height),
                (geometry.width, geometry.height)
            );
        }
    }

    #[test]
    fn an_unknown_profile_is_answered_with_the_known_ones() {
        let error = profile("vgg").unwrap_err().to_string();
        assert!(
            error.contains("'vgg'") && error.contains("imagenet, keras, article"),
            "{error}"
        );
    }
}
