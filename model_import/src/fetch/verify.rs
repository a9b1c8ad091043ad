//! Counts and hashes a file's bytes as they pass, and refuses what is not pinned.
//!
//! The one way in: every source and the cache itself are read through `pass`.
//! Must not know: where the bytes come from or go to.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::{Fault, SourceError};
use super::manifest::{Manifest, PinnedFile};
use super::progress::{Progress, Step};

/// Bytes moved at a time; also how often progress is told.
const CHUNK: usize = 64 * 1024;

/// Why bytes did not pass.
#[derive(Debug)]
pub(super) enum Halt {
    /// They are not the pinned ones, or could not be read.
    Fault(Fault),
    /// The other side could not take them.
    Write(io::Error),
}

/// Moves a file's bytes from `from` to `to` and accepts them only if size and digest are as
/// pinned. Reads at most one byte more than the pinned size. `passed` is told the bytes so far.
pub(super) fn pass(
    file: &PinnedFile,
    from: &mut dyn Read,
    to: &mut dyn Write,
    passed: &mut dyn FnMut(u64),
) -> Result<(), Halt> {
    let expected = file.bytes;
    let mut from = from.take(expected.saturating_add(1));
    let mut chunk = vec![0; CHUNK];
    let mut hash = Sha256::new();
    let mut found = 0;
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Halt::Fault(Fault::Unreadable {
                    expected,
                    found,
                    reason: error.to_string(),
                }));
            }
        };
        found += read as u64;
        if found > expected {
            return Err(Halt::Fault(Fault::Long { expected }));
        }
        hash.update(&chunk[..read]);
        to.write_all(&chunk[..read]).map_err(Halt::Write)?;
        passed(found);
    }
    if found < expected {
        return Err(Halt::Fault(Fault::Short { expected, found }));
    }
    let digest = hex(&hash.finalize());
    if digest != file.sha256 {
        return Err(Halt::Fault(Fault::Digest {
            expected: file.sha256,
            found: digest,
        }));
    }
    Ok(())
}

/// Hashes every file of a folder. `Absent` if there is no folder at all.
pub(super) fn folder(
    manifest: &Manifest,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    if !folder.exists() {
        return Err(SourceError::Absent);
    }
    progress.step(&Step::Verify {
        bytes: manifest.bytes(),
    });
    let mut done = 0;
    for file in manifest.files {
        let checked = open(&folder.join(file.name), file).and_then(|mut open| {
            pass(file, &mut open, &mut io::sink(), &mut |passed| {
                progress.position(done + passed);
            })
            .map_err(|halt| match halt {
                Halt::Fault(fault) => fault,
                Halt::Write(error) => unreadable(file, &error),
            })
        });
        checked.map_err(|fault| SourceError::Damaged {
            file: file.name,
            fault,
        })?;
        done += file.bytes;
    }
    Ok(())
}

/// Opens a file that should be there.
pub(super) fn open(path: &Path, file: &PinnedFile) -> Result<File, Fault> {
    File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Fault::Missing,
        _ => unreadable(file, &error),
    })
}

fn unreadable(file: &PinnedFile, error: &io::Error) -> Fault {
    Fault::Unreadable {
        expected: file.bytes,
        found: 0,
        reason: error.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    // `printf abc | sha256sum`
    const ABC: PinnedFile = PinnedFile {
        name: "abc",
        bytes: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    fn check(bytes: &[u8]) -> (Result<(), Fault>, Vec<u8>) {
        let mut to = Vec::new();
        let result = pass(&ABC, &mut &bytes[..], &mut to, &mut |_| ());
        let result = result.map_err(|halt| match halt {
            Halt::Fault(fault) => fault,
            Halt::Write(error) => unreachable!("a Vec takes everything: {error}"),
        });
        (result, to)
    }

    #[test]
    fn the_pinned_bytes_pass_and_nothing_else_does() {
        assert_eq!(check(b"abc"), (Ok(()), b"abc".to_vec()));
        assert_eq!(
            check(b"ab").0,
            Err(Fault::Short {
                expected: 3,
                found: 2
            })
        );
        assert_eq!(check(b"abcd").0, Err(Fault::Long { expected: 3 }));
        assert!(matches!(check(b"abd").0, Err(Fault::Digest { .. })));
    }

    #[test]
    fn too_long_a_file_is_never_written_past_its_pinned_size() {
        assert!(check(&[b'x'; 100_000]).1.len() <= 3);
    }
}
