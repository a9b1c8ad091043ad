//! Records: a network's weights in burn's `.bpk` format, byte for byte reproducible.
//!
//! burn-onnx gives each parameter a random identity, which training needs and inference does
//! not. A canonical record has none, so the same weights always have the same SHA-256, and one
//! digest pins them. Must not know: ONNX, which network it is.

use std::io::Read as _;
use std::path::Path;

use burn_pack::{Reader, Writer};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// A record that could not be read, written or trusted.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not a burnpack.
    #[error("{path} is not a burn record ({reason})")]
    NotARecord {
        /// The file.
        path: String,
        /// What the reader said.
        reason: String,
    },
}

/// Copies a record without the random parameter identities.
///
/// # Errors
/// [`RecordError`] naming the file that could not be read or written.
pub fn canonical(from: &Path, to: &Path) -> Result<(), RecordError> {
    let error = |path: &Path| {
        let path = path.display().to_string();
        move |reason: burn_pack::Error| RecordError::NotARecord {
            path,
            reason: reason.to_string(),
        }
    };
    let reader = Reader::from_file(from).map_err(error(from))?;
    let mut tensors = reader.into_tensors().map_err(error(from))?;
    for tensor in &mut tensors {
        tensor.param_id = None;
    }
    Writer::new(tensors).write_to_file(to).map_err(error(to))
}

/// SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// [`RecordError::Io`] naming the file.
pub fn digest(path: &Path) -> Result<String, RecordError> {
    hash(path).map_err(|source| RecordError::Io {
        path: path.display().to_string(),
        source,
    })
}

fn hash(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut chunk = vec![0; 256 * 1024];
    let mut hash = Sha256::new();
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            read => hash.update(&chunk[..read]),
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
