//! Ranges on disk: `<home>/ranges/<SHA-256 of the record>-<digest of the network>.toml`, and beside it the
//! weights that were rounded together, a record whose name has its own digest too.
//!
//! The digest is of the plan and the normalisation: profiles that differ in geometry alone share
//! their ranges, as they share a network, and a network that was imported again in another form has
//! none. Must not know: how ranges are measured, what runs with them.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use fused::Ranges;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::rounded::{self, Rounded};
use super::{Agreement, Method};
use crate::profile::Profile;
use crate::record::RecordError;
use crate::registry::Model;

/// The form of the file.
const FORM: u32 = 1;
/// Hexadecimal digits of the network's digest in the file's name.
pub(super) const DIGITS: usize = 16;
const HEAD: &str = "# Written by `beagle model quantize`. Do not edit: run it again instead.\n\n";

/// Why ranges cannot be had or kept.
#[derive(Debug, Error)]
pub enum SavedError {
    /// There are none.
    #[error(
        "there are no measured ranges in {path}: run `beagle model quantize --profile {profile}`"
    )]
    Missing {
        /// Where they should be.
        path: String,
        /// Whose.
        profile: String,
    },
    /// The file is damaged, or another network's.
    #[error(
        "{path} is of no use ({reason}): run `beagle model quantize --profile {profile}` again"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
        /// Whose it should be.
        profile: String,
    },
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The rounded weights cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It cannot be put into words.
    #[error("the ranges cannot be written as TOML: {0}")]
    Toml(#[from] toml::ser::Error),
}

/// What a quantization found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// The form of the file.
    form: u32,
    /// The version of this program that measured.
    pub version: String,
    /// SHA-256 of the record.
    record: String,
    /// Digest of plan and normalisation.
    network: String,
    /// The profile whose geometry the images had.
    pub profile: String,
    /// How the ranges were chosen.
    pub method: Method,
    /// Images that were measured.
    pub images: usize,
    /// How the network in bytes agrees with the exact one on other images.
    pub int8: Agreement,
    /// How the network in bfloat16 does.
    pub bf16: Agreement,
    /// The file of the weights that were rounded together, beside this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<String>,
    /// The ranges.
    pub ranges: Ranges,
}

/// Where the ranges of a network are kept, whether they are there or not.
///
/// # Errors
/// [`SavedError::Toml`] when the network cannot be put into words.
pub fn path(home: &Path, model: &Model, profile: &Profile) -> Result<PathBuf, SavedError> {
    let digest = digest(model, profile)?;
    let name = format!(
        "{}-{}.toml",
        model.manifest.record_sha256,
        &digest[..DIGITS.min(digest.len())]
    );
    Ok(home.join("ranges").join(name))
}

fn digest(model: &Model, profile: &Profile) -> Result<String, SavedError> {
    let mut hash = Sha256::new();
    if let Some(plan) = &model.plan {
        hash.update(toml::to_string(plan)?);
    }
    hash.update(toml::to_string(&profile.normalisation)?);
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Saved {
    /// Of a network that was just measured.
    ///
    /// # Errors
    /// [`SavedError::Toml`] when the network cannot be put into words.
    pub fn new(
        model: &Model,
        profile: &Profile,
        (method, images, ranges): (Method, usize, Ranges),
        [int8, bf16]: [Agreement; 2],
    ) -> Result<Self, SavedError> {
        Ok(Self {
            form: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            record: model.manifest.record_sha256.clone(),
            network: digest(model, profile)?,
            profile: profile.name.clone(),
            method,
            images,
            int8,
            bf16,
            weights: None,
            ranges,
        })
    }

    /// The record of the weights that were rounded together, if there is one.
    #[must_use]
    pub fn weights(&self, home: &Path) -> Option<PathBuf> {
        let name = self.weights.as_ref()?;
        Some(home.join("ranges").join(name))
    }

    /// The ranges of a network, if they were ever measured.
    ///
    /// # Errors
    /// [`SavedError`] when the file is damaged, another network's, or cannot be read.
    pub fn read(home: &Path, model: &Model, profile: &Profile) -> Result<Option<Self>, SavedError> {
        let path = path(home, model, profile)?;
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) if source.kind() == io::ErrorKind::InvalidData => String::from("\0"),
            Err(source) => return Err(disk(&path, source)),
        };
        let damaged = |reason: String| SavedError::Damaged {
            path: path.display().to_string(),
            reason,
            profile: profile.name.clone(),
        };
        let saved: Self = toml::from_str(&text)
            .map_err(|error: toml::de::Error| damaged(error.message().to_owned()))?;
        let values = model.plan.as_ref().map_or(0, |plan| plan.layers.len() + 1);
        let wrong = if saved.form != FORM {
            Some(format!("its form is {}, not {FORM}", saved.form))
        } else if saved.record != model.manifest.record_sha256
            || saved.network != digest(model, profile)?
        {
            Some("it belongs to another network".to_owned())
        } else if saved.ranges.values.len() != values {
            let found = saved.ranges.values.len();
            Some(format!("it has {found} ranges, not {values}"))
        } else {
            let bad = |range: &fused::Range| {
                !(range.low.is_finite() && range.high.is_finite() && range.low <= range.high)
            };
            let bad = saved.ranges.values.iter().position(bad);
            let bad = bad.map(|value| format!("the range of value {value} is none"));
            bad.or_else(|| {
                let weights = saved.weights(home).filter(|weights| !weights.is_file())?;
                Some(format!("{} is gone", weights.display()))
            })
        };
        match wrong {
            None => Ok(Some(saved)),
            Some(reason) => Err(damaged(reason)),
        }
    }

    /// Keeps the ranges and the weights that were rounded together, in the place of older ones; whole or
    /// not at all. Says where the ranges are.
    ///
    /// # Errors
    /// [`SavedError`] naming what cannot be written.
    pub fn write(
        mut self,
        home: &Path,
        model: &Model,
        profile: &Profile,
        weights: Option<Rounded>,
    ) -> Result<PathBuf, SavedError> {
        let path = path(home, model, profile)?;
        let folder = home.join("ranges");
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if let Some(weights) = weights {
            self.weights = Some(weights.keep(&folder, &stem)?);
        }
        let text = toml::to_string(&self)?;
        let write = || {
            fs::create_dir_all(&folder)?;
            let mut file = rounded::scratch(&folder, ".toml")?;
            file.write_all(HEAD.as_bytes())?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)
        };
        write().map_err(|source| disk(&path, source))?;
        rounded::forget_others(&folder, &stem, self.weights.as_deref());
        Ok(path)
    }
}

pub(super) fn disk(path: &Path, source: io::Error) -> SavedError {
    SavedError::Io {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use fused::Range;

    use super::*;
    use crate::registry;

    pub(in crate::quantize) fn network() -> (Model, Profile) {
        let profile = registry::profile("imagenet").unwrap();
        (registry::model(&profile.model).unwrap(), profile)
    }

    pub(in crate::quantize) fn saved(model: &Model, profile: &Profile, top1: f64) -> Saved {
        let values = model.plan.as_ref().unwrap().layers.len() + 1;
        let range = |value| Range {
            low: 0.0,
            high: value as f32 / 7.0,
        };
        let ranges = Ranges {
            values: (0..values).map(range).collect(),
            ..Ranges::default()
        };
        let agreement = Agreement {
            images: 50,
            top1,
            difference: 0.01,
        };
        Saved::new(model, profile, (Method::Mse, 20, ranges), [agreement; 2]).unwrap()
    }

    #[test]
    fn ranges_survive_a_file() {
        let home = tempfile::tempdir().unwrap();
        let (model, profile) = network();
        assert_eq!(Saved::read(home.path(), &model, &profile).unwrap(), None);
        let saved = saved(&model, &profile, 1.0);
        let written = saved.clone().write(home.path(), &model, &profile, None);
        let path = written.unwrap();
        let found = Saved::read(home.path(), &model, &profile).unwrap();
        assert_eq!(found, Some(saved));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("method = \"mse\"") && text.contains("images = 20"));
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing else is left");
    }

    #[test]
    fn another_geometry_shares_ranges_and_another_network_has_its_own() {
        let (model, profile) = network();
        let home = Path::new("/home");
        let of = |name: &str| {
            let profile = registry::profile(name).unwrap();
            let model = registry::model(&profile.model).unwrap();
            path(home, &model, &profile).unwrap()
        };
        assert_eq!(of("imagenet"), of("keras"));
        assert_ne!(
            of("imagenet"),
            of("article"),
            "the same weights, another plan"
        );
        let mut other = profile.clone();
        other.normalisation.scale = 0.5;
        assert_ne!(path(home, &model, &other).unwrap(), of("imagenet"));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_an_error_that_says_what_to_run() {
        let home = tempfile::tempdir().unwrap();
        let (model, profile) = network();
        let whole = saved(&model, &profile, 1.0);
        let path = whole.write(home.path(), &model, &profile, None).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let cases = [
            (text[..text.len() / 2].to_owned(), ""),
            (text.replacen("form = 1", "form = 9", 1), "form is 9"),
            (
                text.replacen("network = \"", "network = \"0", 1),
                "another network",
            ),
            (
                text.replacen("record = \"", "record = \"0", 1),
                "another network",
            ),
            (text.replacen("high = 0.0", "high = inf", 1), "value 0"),
            (text.replacen("high = 0.0", "high = -1.0", 1), "value 0"),
            (
                format!("{text}\n[[ranges.values]]\nlow = 0.0\nhigh = 1.0\n"),
                "ranges, not",
            ),
            (format!("more = 1\n{text}"), "more"),
            ("\u{0}".to_owned(), ""),
        ];
        for (damaged, reason) in cases {
            assert_ne!(damaged, text);
            fs::write(&path, &damaged).unwrap();
            let error = Saved::read(home.path(), &model, &profile).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains("beagle model quantize --profile imagenet` again")
                    && error.contains(reason),
                "{error}"
            );
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(Saved::read(home.path(), &model, &profile).is_err());
    }
}
