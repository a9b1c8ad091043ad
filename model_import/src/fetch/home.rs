//! Where Beagle keeps what it can make or fetch again.
//!
//! `BEAGLE_HOME`, else the system's cache folder. Must not know: what is kept there.

use std::env;
use std::path::{self, PathBuf};

use etcetera::BaseStrategy as _;

use super::error::FetchError;

/// Beagle's folder: `BEAGLE_HOME`, else `beagle` in the user's cache folder
/// (`$XDG_CACHE_HOME` or `~/.cache`; `~/Library/Caches` on macOS; `%LOCALAPPDATA%` on Windows).
/// An empty `BEAGLE_HOME` counts as unset, a relative one is taken from the current folder.
/// Nothing is created.
///
/// # Errors
///
/// [`FetchError::NoHome`] when nothing says where that is.
pub fn home() -> Result<PathBuf, FetchError> {
    if let Some(home) = env::var_os("BEAGLE_HOME").filter(|home| !home.is_empty()) {
        return path::absolute(home).map_err(|_| FetchError::NoHome);
    }
    let base = etcetera::base_strategy::choose_native_strategy().map_err(|_| FetchError::NoHome)?;
    Ok(base.cache_dir().join("beagle"))
}
