//! Records: a network's weights in burn's `.bpk` format, byte for byte reproducible.
//!
//! burn-onnx gives each parameter a random identity, which training needs and inference does
//! not. A canonical record has none, so the same weights always have the same SHA-256, and one
//! digest pins them. Must not know: ONNX, which network it is.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use burn_pack::{DType, Reader, Writer};
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
    let reader = Reader::from_file(from).map_err(|reason| damaged(from, &reason))?;
    let tensors = reader.into_tensors();
    let mut tensors = tensors.map_err(|reason| damaged(from, &reason))?;
    for tensor in &mut tensors {
        tensor.param_id = None;
    }
    let written = Writer::new(tensors).write_to_file(to);
    written.map_err(|reason| damaged(to, &reason))
}

fn damaged(path: &Path, reason: &burn_pack::Error) -> RecordError {
    RecordError::NotARecord {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

/// The float32 tensors of a record by name, in the order of the names.
#[derive(Default)]
pub struct Tensors(BTreeMap<String, Stored>);

/// One tensor of a record.
pub struct Stored {
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub data: Vec<f32>,
}

impl Tensors {
    /// Reads all of a record's float32 tensors; others are left out.
    ///
    /// # Errors
    /// [`RecordError::NotARecord`] when the file is missing, damaged or something else.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let reader = Reader::from_file(path).map_err(|reason| damaged(path, &reason))?;
        let tensors = reader.into_tensors();
        let mut read = BTreeMap::new();
        for tensor in tensors.map_err(|reason| damaged(path, &reason))? {
            if tensor.dtype != DType::F32 {
                continue;
            }
            let (name, shape) = (tensor.name.clone(), tensor.shape.to_vec());
            let bytes = tensor.into_bytes();
            let bytes = bytes.map_err(|reason| damaged(path, &reason))?;
            let (words, _) = bytes.as_chunks::<4>();
            let data = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            read.insert(name, Stored { shape, data });
        }
        Ok(Self(read))
    }

    /// The tensor of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Stored> {
        self.0.get(name)
    }

    /// Every tensor with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Stored)> {
        self.0.iter().map(|(name, stored)| (name.as_str(), stored))
    }
}

impl FromIterator<(String, Stored)> for Tensors {
    fn from_iter<I: IntoIterator<Item = (String, Stored)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
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
