//! Records: a network's weights in burn's `.bpk` format, byte for byte reproducible.
//!
//! burn-onnx gives each parameter a random identity, which training needs and inference does
//! not. A canonical record has none, so the same weights always have the same SHA-256, and one
//! digest pins them. Must not know: ONNX, which network it is.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use burn_pack::{DType, Reader, Tensor, Writer};
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

fn damaged(path: &Path, reason: &impl ToString) -> RecordError {
    RecordError::NotARecord {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

/// A record whose tensors are read when they are asked for, so that they need not be in memory
/// together.
pub struct Record {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

impl Record {
    /// Reads what tensors there are, but none of them.
    ///
    /// # Errors
    /// [`RecordError::NotARecord`] when the file is missing, cut short or something else.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let reader = Reader::from_file(path).map_err(|reason| damaged(path, &reason))?;
        let tensors = reader.into_tensors();
        let tensors = tensors.map_err(|reason| damaged(path, &reason))?;
        let floats = tensors.into_iter().filter(|t| t.dtype == DType::F32);
        Ok(Self {
            path: path.to_owned(),
            tensors: floats.map(|t| (t.name.clone(), t)).collect(),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the float32 tensor of that name, if there is one.
    ///
    /// # Errors
    /// [`RecordError::NotARecord`] when the file can be read no more.
    pub fn read(&self, name: &str) -> Result<Option<Stored>, RecordError> {
        let Some(tensor) = self.tensors.get(name) else {
            return Ok(None);
        };
        // A copy, or the record would keep what it has read.
        let bytes = tensor.to_bytes();
        let bytes = bytes.map_err(|reason| damaged(&self.path, &reason))?;
        let bytes = bytes.read(Default::default());
        let bytes = bytes.map_err(|reason| damaged(&self.path, &reason))?;
        let (words, _) = bytes.as_chunks::<4>();
        Ok(Some(Stored {
            shape: tensor.shape.to_vec(),
            data: words.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        }))
    }
}

/// The float32 tensors of a record by name, in the order of the names.
#[derive(Default)]
pub struct Tensors(BTreeMap<String, Stored>);

/// One tensor of a record.
#[derive(Clone)]
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
        let record = Record::open(path)?;
        let mut read = BTreeMap::new();
        for name in record.tensors.keys() {
            if let Some(stored) = record.read(name)? {
                read.insert(name.clone(), stored);
            }
        }
        Ok(Self(read))
    }

    /// Writes them as a record into a file, which keeps its place and its owner.
    ///
    /// # Errors
    /// [`RecordError::NotARecord`] when the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RecordError> {
        let tensor = |(name, stored): (&String, &Stored)| {
            let bytes = stored.data.iter().flat_map(|number| number.to_le_bytes());
            let bytes = burn::tensor::Bytes::from_bytes_vec(bytes.collect());
            Tensor::new(name.clone(), DType::F32, &stored.shape, None, bytes)
        };
        let writer = Writer::new(self.0.iter().map(tensor).collect()).auto_extension(false);
        let written = writer.write_to_file_in_place(path);
        written.map_err(|reason| damaged(path, &reason))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path) -> PathBuf {
        let path = folder.join("record.bpk");
        let tensor = |name: &str, dtype, shape: &[usize], bytes: Vec<u8>| {
            let bytes = burn::tensor::Bytes::from_bytes_vec(bytes);
            Tensor::new(name.to_owned(), dtype, shape, Some(7), bytes)
        };
        let floats = [1.0_f32, -2.5, 0.0, 4.0].map(f32::to_le_bytes).concat();
        let tensors = vec![
            tensor("weight", DType::F32, &[2, 2], floats),
            tensor("steps", DType::I64, &[1], vec![0; 8]),
        ];
        Writer::new(tensors).write_to_file(&path).expect("written");
        path
    }

    #[test]
    fn a_tensor_is_read_when_it_is_asked_for_and_not_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = written(folder.path());
        let record = Record::open(&path).expect("a record");
        for _ in 0..2 {
            let read = record.read("weight").expect("readable").expect("there");
            assert_eq!(
                (read.shape, read.data),
                (vec![2, 2], vec![1.0, -2.5, 0.0, 4.0])
            );
        }
        for absent in ["steps", "bias"] {
            assert!(record.read(absent).expect("readable").is_none(), "{absent}");
        }
        std::fs::remove_file(&path).expect("removed");
        let error = record.read("weight").err().expect("gone").to_string();
        assert!(error.contains("record.bpk"), "{error}");
    }

    #[test]
    fn tensors_are_written_as_they_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("some.bpk");
        let stored = Stored {
            shape: vec![1, 3],
            data: vec![0.1, -0.0, f32::MAX],
        };
        let some: Tensors = [("weight".to_owned(), stored)].into_iter().collect();
        some.write(&path).expect("writable");
        let read = Tensors::read(&path).expect("readable");
        let read: Vec<_> = read
            .iter()
            .map(|(name, t)| (name, &t.shape[..], &t.data[..]))
            .collect();
        assert_eq!(read, [("weight", &[1, 3][..], &[0.1, -0.0, f32::MAX][..])]);
        let error = some.write(&folder.path().join("no/such.bpk")).unwrap_err();
        assert!(error.to_string().contains("such.bpk"), "{error}");
    }

    #[test]
    fn a_record_that_is_cut_short_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = written(folder.path());
        let bytes = std::fs::read(&path).expect("readable");
        for end in [0, 20, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..end]).expect("writable");
            let error = Record::open(&path).err().expect("damaged").to_string();
            assert!(error.contains("record.bpk"), "{end}: {error}");
        }
    }
}
