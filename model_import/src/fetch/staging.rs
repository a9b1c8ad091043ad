//! A folder beside the cache in which weights gather, and its atomic move into place.
//!
//! Used under the lock only, so any other staging folder belongs to a process that was killed.
//! Must not know: where the bytes come from.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::{FetchError, SourceError};
use super::manifest::PinnedFile;
use super::progress::{Notice, Progress, Step};
use super::verify::{self, Halt};

const PREFIX: &str = ".fetch-";

/// A private folder on the cache's own file system; removed when dropped.
#[derive(Debug)]
pub(super) struct Staging {
    dir: TempDir,
}

impl Staging {
    /// Removes what killed processes left in the folder, and starts afresh.
    pub(super) fn new(weights: &Path, progress: &dyn Progress) -> Result<Self, FetchError> {
        sweep(weights, progress);
        tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir_in(weights)
            .map(|dir| Self { dir })
            .map_err(|source| disk(weights, source))
    }

    /// Forgets what a source that failed has left.
    pub(super) fn clear(&self) -> Result<(), FetchError> {
        for path in [self.files(), self.scratch()] {
            let cleared = match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => fs::create_dir(&path),
            };
            cleared.map_err(|source| disk(&path, source))?;
        }
        Ok(())
    }

    /// Room for a source's own files; never moved into place.
    pub(super) fn scratch(&self) -> PathBuf {
        self.dir.path().join("scratch")
    }

    /// Writes one file to disk if, and only if, it is the pinned one. May be called again for
    /// a file that was refused.
    pub(super) fn receive(
        &self,
        file: &'static PinnedFile,
        from: &mut dyn Read,
        passed: &mut dyn FnMut(u64),
    ) -> Result<(), SourceError> {
        let path = self.files().join(file.name);
        let written = File::create(&path).map_err(Halt::Write).and_then(|mut to| {
            verify::pass(file, from, &mut to, passed)?;
            to.sync_all().map_err(Halt::Write)
        });
        written.map_err(|halt| match halt {
            Halt::Fault(fault) => SourceError::Damaged {
                file: file.name,
                fault,
            },
            Halt::Write(source) => SourceError::Disk { path, source },
        })
    }

    /// Moves the files into place in one rename. What was there before goes away with the
    /// staging folder; a kill between the two renames leaves an empty place, never a mixed one.
    pub(super) fn install(self, entry: &Path, progress: &dyn Progress) -> Result<(), FetchError> {
        sync_dir(&self.files()).map_err(|source| disk(&self.files(), source))?;
        if entry.symlink_metadata().is_ok() {
            progress.step(&Step::SetAside);
            fs::rename(entry, self.dir.path().join("damaged"))
                .map_err(|source| disk(entry, source))?;
        }
        progress.step(&Step::Install);
        fs::rename(self.files(), entry).map_err(|source| disk(entry, source))?;
        let weights = entry.parent().unwrap_or(entry);
        sync_dir(weights).map_err(|source| disk(weights, source))
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }
}

/// Best effort: what cannot be removed now is tried again by the next fetch.
fn sweep(weights: &Path, progress: &dyn Progress) {
    for entry in fs::read_dir(weights).into_iter().flatten().flatten() {
        let left_over = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes());
        if left_over && fs::remove_dir_all(entry.path()).is_ok() {
            progress.notice(&Notice::Swept { path: entry.path() });
        }
    }
}

/// Makes renames inside a folder last. Windows has no such call and does not need it.
fn sync_dir(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

fn disk(path: &Path, source: io::Error) -> FetchError {
    FetchError::Disk {
        path: path.to_owned(),
        source,
    }
}
