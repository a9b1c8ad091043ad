//! One fetch at a time: an advisory lock on a file next to the weights.
//!
//! The system drops the lock when its holder dies, however it dies; the file itself stays.
//! Must not know: what is done under the lock.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::error::FetchError;
use super::progress::{Notice, Progress};

const LOCK: &str = ".lock";

/// Takes the lock of the folder, waiting for another process if need be and saying so.
/// Held until the file is dropped.
pub(crate) fn hold(weights: &Path, progress: &dyn Progress) -> Result<File, FetchError> {
    let path = weights.join(LOCK);
    let file = File::create(&path).map_err(|source| FetchError::Disk {
        path: path.clone(),
        source,
    })?;
    let locked = match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            progress.notice(&Notice::Waiting { lock: path.clone() });
            file.lock()
        }
        Err(TryLockError::Error(source)) => Err(source),
    };
    match locked {
        Ok(()) => Ok(file),
        Err(source) => Err(FetchError::Lock { path, source }),
    }
}
