//! Weights from a file or folder the user names.
//!
//! Copied and verified like any other source. Must not know: the network, npm, the cache.

use std::path::Path;

use super::archive;
use super::error::{Fault, SourceError};
use super::manifest::Manifest;
use super::progress::{Progress, Step};
use super::staging::Staging;
use super::verify;

/// Takes the files from a folder, or from an archive if `from` is a file.
pub(super) fn bring(
    from: &Path,
    manifest: &'static Manifest,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    if from.is_dir() {
        copy(from, manifest, staging, progress)
    } else {
        archive::bring(from, manifest, staging, progress)
    }
}

fn copy(
    from: &Path,
    manifest: &'static Manifest,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    progress.step(&Step::Copy {
        bytes: manifest.bytes(),
    });
    let damaged = |file, fault| SourceError::Damaged { file, fault };
    let first = manifest.files.first().map_or("", |file| file.name);
    let folder = manifest
        .places()
        .iter()
        .map(|place| from.join(place))
        .find(|folder| folder.join(first).is_file())
        .ok_or_else(|| damaged(first, Fault::Missing))?;
    let mut done = 0;
    for file in manifest.files {
        let mut open = verify::open(&folder.join(file.name), file)
            .map_err(|fault| damaged(file.name, fault))?;
        staging.receive(file, &mut open, &mut |passed| {
            progress.position(done + passed);
        })?;
        done += file.bytes;
    }
    Ok(())
}
