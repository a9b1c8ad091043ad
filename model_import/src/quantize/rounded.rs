//! Rounded weights on disk, beside the ranges that they belong to: a record whose name has its own digest.
//!
//! Must not know: how weights are rounded, what is in the other file.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::NamedTempFile;

use super::SavedError;
use super::saved::{DIGITS, disk};
use crate::record::{self, Tensors};

/// How the files end.
const ENDING: &str = ".bpk";

/// Weights for bytes, in a file that is gone when it is not kept.
pub struct Rounded(NamedTempFile);

impl Rounded {
    /// Writes them where they will be kept.
    ///
    /// # Errors
    /// [`SavedError`] naming what cannot be written.
    pub fn new(home: &Path, weights: &Tensors) -> Result<Self, SavedError> {
        let folder = home.join("ranges");
        let file = fs::create_dir_all(&folder).and_then(|()| scratch(&folder, ENDING));
        let file = file.map_err(|source| disk(&folder, source))?;
        weights.write(file.path())?;
        Ok(Self(file))
    }

    /// The record.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Keeps them in `folder` under a name that begins with `stem`, which it returns.
    pub(super) fn keep(self, folder: &Path, stem: &str) -> Result<String, SavedError> {
        let digest = record::digest(self.path())?;
        let name = format!("{stem}-{}{ENDING}", &digest[..DIGITS.min(digest.len())]);
        let kept = folder.join(&name);
        let synced = self.0.as_file().sync_all();
        synced.map_err(|source| disk(&kept, source))?;
        let persisted = self.0.persist(&kept);
        persisted.map_err(|error| disk(&kept, error.error))?;
        Ok(name)
    }
}

/// Removes the weights of older ranges from `folder`. What cannot be removed stays and does no harm.
pub(super) fn forget_others(folder: &Path, stem: &str, kept: Option<&str>) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let others = files.filter(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with(stem) && name.ends_with(ENDING) && kept != Some(&*name)
    });
    for other in others {
        let _ = fs::remove_file(other.path());
    }
}

/// A file that others may read once it is in its place, as they may the weights.
pub(super) fn scratch(folder: &Path, suffix: &str) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let readable = {
        use std::os::unix::fs::PermissionsExt as _;
        fs::Permissions::from_mode(0o644)
    };
    #[cfg(unix)]
    builder.permissions(readable);
    builder.suffix(suffix).tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::super::Saved;
    use super::super::saved::tests::{network, saved};
    use super::*;
    use crate::record::Stored;

    #[test]
    fn weights_are_kept_beside_their_ranges_and_older_ones_are_not() {
        let home = tempfile::tempdir().unwrap();
        let (model, profile) = network();
        let saved = saved(&model, &profile, 1.0);
        let keep = |number: f32| {
            let stored = Stored {
                shape: vec![1],
                data: vec![number],
            };
            let tensors = [("weight".to_owned(), stored)].into_iter().collect();
            let rounded = Rounded::new(home.path(), &tensors).unwrap();
            let written = saved
                .clone()
                .write(home.path(), &model, &profile, Some(rounded));
            written.unwrap();
            let found = Saved::read(home.path(), &model, &profile).unwrap().unwrap();
            let kept = found.weights(home.path()).unwrap();
            let record = record::Record::open(&kept).unwrap();
            assert_eq!(record.read("weight").unwrap().unwrap().data, [number]);
            kept
        };
        let (first, second) = (keep(1.0), keep(2.0));
        assert_ne!(first, second);
        let left = fs::read_dir(home.path().join("ranges")).unwrap();
        assert_eq!(left.count(), 2, "the ranges and their weights");
        fs::remove_file(second).unwrap();
        let error = Saved::read(home.path(), &model, &profile)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("is gone") && error.contains("again"),
            "{error}"
        );
    }
}
