//! What a fetch tells its caller while it works, and a bar that shows it on a terminal.
//!
//! The fetch calls a `Progress`; a library user keeps `Silent`, the command line gives `Bar`.
//! Must not know: where files come from, the cache.

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Told what a fetch does. Called on the fetching thread, often: must be quick.
pub trait Progress: Send + Sync {
    /// A step begins; the one before it is over.
    fn step(&self, _step: &Step) {}
    /// Bytes of the current step that are done. May fall back when a file is asked for again.
    fn position(&self, _bytes: u64) {}
    /// Something a person should know though the fetch goes on.
    fn notice(&self, _notice: &Notice) {}
    /// The fetch is over, well or not.
    fn finish(&self) {}
}

/// A part of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hashing what is in the cache.
    Verify {
        /// Bytes to hash.
        bytes: u64,
    },
    /// Copying from a folder the user gave.
    Copy {
        /// Bytes to copy.
        bytes: u64,
    },
    /// Taking the files out of an archive.
    Unpack {
        /// Bytes to write.
        bytes: u64,
    },
    /// Waiting for the npm client; how much it has is not known.
    Npm,
    /// Loading file by file from the public repository.
    Download {
        /// Bytes to load.
        bytes: u64,
    },
    /// A damaged folder of the cache moves aside.
    SetAside,
    /// The verified folder moves into place.
    Install,
}

/// Something a person should know though the fetch goes on.
#[derive(Debug)]
pub enum Notice {
    /// Another process is fetching; this one waits for it.
    Waiting {
        /// The lock that is held.
        lock: PathBuf,
    },
    /// The cache does not hold the pinned weights; they are fetched again.
    CacheDamaged {
        /// The folder of the cache.
        entry: PathBuf,
        /// The file and what is wrong with it, in one text.
        reason: String,
    },
    /// What a killed process left behind was removed.
    Swept {
        /// The folder that is gone.
        path: PathBuf,
    },
    /// A source did not deliver; the next one is tried.
    SourceFailed {
        /// The source, as a person names it.
        place: String,
        /// Why, in one text.
        reason: String,
    },
    /// The cache was good, so what the user gave was not read.
    FromUnused {
        /// What the user gave.
        from: PathBuf,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { lock } => write!(
                f,
                "another process is fetching the weights and holds {}; waiting for it",
                lock.display()
            ),
            Self::CacheDamaged { entry, reason } => write!(
                f,
                "the cached weights in {} are refused: {reason}; fetching them again",
                entry.display()
            ),
            Self::Swept { path } => write!(
                f,
                "removed {}, left by a fetch that was killed",
                path.display()
            ),
            Self::SourceFailed { place, reason } => write!(f, "{place}: {reason}"),
            Self::FromUnused { from } => write!(
                f,
                "the cache already holds the verified weights; {} was not read",
                from.display()
            ),
        }
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}

/// A bar on stderr, drawn on a terminal only; notices are lines on stderr wherever it goes.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar on stderr.
    #[must_use]
    pub fn stderr() -> Self {
        Self(ProgressBar::with_draw_target(
            None,
            ProgressDrawTarget::stderr(),
        ))
    }

    fn show(&self, message: &'static str, bytes: Option<u64>) {
        let (template, tick) = match bytes {
            Some(_) => (
                "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {eta}",
                None,
            ),
            None => ("{msg} {spinner} {elapsed}", Some(TICK)),
        };
        let style = ProgressStyle::with_template(template)
            .expect("both templates are constants and are drawn in a unit test");
        self.0.set_style(style);
        self.0.reset();
        self.0.set_message(message);
        match bytes {
            Some(bytes) => self.0.set_length(bytes),
            None => self.0.unset_length(),
        }
        match tick {
            Some(every) => self.0.enable_steady_tick(every),
            None => self.0.disable_steady_tick(),
        }
    }
}

const TICK: Duration = Duration::from_millis(120);

impl Progress for Bar {
    fn step(&self, step: &Step) {
        match step {
            Step::Verify { bytes } => self.show("Checking the weights", Some(*bytes)),
            Step::Copy { bytes } => self.show("Copying the weights", Some(*bytes)),
            Step::Unpack { bytes } => self.show("Unpacking the weights", Some(*bytes)),
            Step::Download { bytes } => self.show("Loading the weights", Some(*bytes)),
            Step::Npm => self.show("Loading the weights with npm", None),
            Step::SetAside | Step::Install => self.show("Installing the weights", None),
        }
    }

    fn position(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    fn notice(&self, notice: &Notice) {
        // A closed stderr must not stop a fetch.
        self.0
            .suspend(|| writeln!(io::stderr(), "{notice}").unwrap_or_default());
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_template_that_parses() {
        let bar = Bar(ProgressBar::hidden());
        for step in [
            Step::Verify { bytes: 1 },
            Step::Copy { bytes: 1 },
            Step::Unpack { bytes: 1 },
            Step::Npm,
            Step::Download { bytes: 1 },
            Step::SetAside,
            Step::Install,
        ] {
            bar.step(&step);
            bar.position(1);
        }
        bar.finish();
    }
}
