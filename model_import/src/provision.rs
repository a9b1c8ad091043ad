//! Records on disk: found in the cache, or made from the published weights.
//!
//! A record is kept under its own digest, `<home>/records/<sha-256>.bpk`, and hashed whenever it
//! is used: a damaged one is made again. Must not know: burn's tensors, images, the command line.

use std::fs;
use std::path::{Path, PathBuf};

use onnx_ir::ModelProto;
use thiserror::Error;

use crate::convert::{self, ConvertError, LayersModel, Topology};
use crate::fetch::{FetchError, Fetcher, WeightsDir, lock};
use crate::generate::{self, GenerateError};
use crate::onnx::OnnxError;
use crate::optimize;
use crate::record::{self, RecordError};
use crate::register::{self, Imported, RegisterError, Registration};
use crate::registry::Model;

/// Why a model has no record.
#[derive(Debug, Error)]
pub enum ProvisionError {
    /// The published weights cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// They cannot be converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The ONNX model made from them cannot be optimised.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The ONNX model cannot be turned into a burn network.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The record cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It cannot be put into the source tree.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// An imported model's record is gone; only its owner has the ONNX file.
    #[error(
        "the weights of model '{name}' are not in {path}: import its ONNX file again with `beagle model import {name}`"
    )]
    Gone {
        /// The model.
        name: String,
        /// Where they should be.
        path: String,
    },
    /// The weights give another record than the one the compiled network expects.
    #[error(
        "model '{name}' was compiled for the weights {expected}, but the conversion gives {found}: build Beagle again from a clean checkout"
    )]
    Drift {
        /// The model.
        name: String,
        /// SHA-256 in the manifest.
        expected: String,
        /// SHA-256 of what was made.
        found: String,
    },
    /// The cache cannot be written.
    #[error("{path}: {source}: set BEAGLE_HOME to a folder that can be written")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The models that are made from the published weights.
pub const PUBLISHED: [(&str, Topology); 2] = [
    ("resnet50", Topology::Package),
    ("resnet50_article", Topology::Article),
];

/// Where the record of `model` is kept, whether it is there or not.
#[must_use]
pub fn record_path(home: &Path, model: &Model) -> PathBuf {
    let name = format!("{}.bpk", model.manifest.record_sha256);
    home.join("records").join(name)
}

/// The verified record of `model`; fetched, converted and written first if it is not there.
///
/// # Errors
/// [`ProvisionError`]: what is missing or damaged, and what to do.
pub fn record(model: &Model, fetcher: &Fetcher) -> Result<PathBuf, ProvisionError> {
    let path = record_path(&fetcher.home, model);
    if is_whole(&path, model) {
        return Ok(path);
    }
    let name = model.manifest.name.as_str();
    let Some((_, topology)) = PUBLISHED.iter().find(|(published, _)| *published == name) else {
        return Err(ProvisionError::Gone {
            name: name.to_owned(),
            path: path.display().to_string(),
        });
    };
    let weights = fetcher.fetch()?;
    let onnx = published_onnx(&weights, *topology)?;
    make(
        &fetcher.home,
        model,
        &path,
        |folder| generate::generate(&onnx, name, folder).map(|_| ()),
        fetcher,
    )?;
    Ok(path)
}

/// The published weights as the ONNX model that is served: BatchNorm folded.
///
/// # Errors
/// [`ProvisionError::Convert`] or [`ProvisionError::Onnx`].
pub fn published_onnx(
    weights: &WeightsDir,
    topology: Topology,
) -> Result<ModelProto, ProvisionError> {
    let layers = LayersModel::read(&weights.model_json())?;
    let mut onnx = convert::to_onnx(&layers, topology)?;
    optimize::fold_batch_norm(&mut onnx)?;
    Ok(onnx)
}

/// Writes the published models' Rust source, manifests and plans into the checkout at `source`.
///
/// # Errors
/// [`ProvisionError`], as for [`record`].
pub fn regenerate(source: &Path, fetcher: &Fetcher) -> Result<Vec<Imported>, ProvisionError> {
    let weights = fetcher.fetch()?;
    let write = |(name, topology): (&str, Topology)| {
        let registration = Registration {
            name,
            model: published_onnx(&weights, topology)?,
            labels: ("imagenet", None),
            profile: None,
        };
        Ok(register::register(source, &fetcher.home, registration)?)
    };
    PUBLISHED.into_iter().map(write).collect()
}

fn is_whole(path: &Path, model: &Model) -> bool {
    record::digest(path).is_ok_and(|found| found == model.manifest.record_sha256)
}

/// Makes a record in a scratch folder and moves it into place when it is whole and right. One
/// process at a time; what a killed one left behind is cleared by the next.
fn make(
    home: &Path,
    model: &Model,
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), GenerateError>,
    fetcher: &Fetcher,
) -> Result<(), ProvisionError> {
    let records = home.join("records");
    let scratch = records.join(".making");
    fs::create_dir_all(&records).map_err(|source| io(&records, source))?;
    let _lock = lock::hold(&records, fetcher.progress.as_ref())?;
    if is_whole(path, model) {
        return Ok(());
    }
    if scratch.exists() {
        fs::remove_dir_all(&scratch).map_err(|source| io(&scratch, source))?;
    }
    fs::create_dir(&scratch).map_err(|source| io(&scratch, source))?;
    write(&scratch)?;
    let made = scratch.join(format!("{}.bpk", model.manifest.name));
    let found = record::digest(&made)?;
    if found != model.manifest.record_sha256 {
        return Err(ProvisionError::Drift {
            name: model.manifest.name.clone(),
            expected: model.manifest.record_sha256.clone(),
            found,
        });
    }
    fs::rename(&made, path).map_err(|source| io(path, source))?;
    fs::remove_dir_all(&scratch).map_err(|source| io(&scratch, source))
}

fn io(path: &Path, source: std::io::Error) -> ProvisionError {
    ProvisionError::Io {
        path: path.display().to_string(),
        source,
    }
}
