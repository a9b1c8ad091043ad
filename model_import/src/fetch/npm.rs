//! Weights through the user's own npm client, so that its mirror and proxy settings hold.
//!
//! Where npm finds the package is npm's affair. Must not know: any host, the cache.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use super::archive;
use super::error::SourceError;
use super::manifest::Manifest;
use super::progress::{Progress, Step};
use super::staging::Staging;

/// The npm client's command on this system.
pub(super) const COMMAND: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// npm waits 10 s and then 60 s before it gives up by default; another source is at hand, so
/// one quick retry will do.
const OPTIONS: [&str; 5] = [
    "--ignore-scripts",
    "--loglevel=error",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=3000",
];

/// Lines of npm's stderr worth repeating.
const LINES: usize = 4;

/// Runs `npm pack` into the staging folder and unpacks what it wrote.
pub(super) fn bring(
    command: &OsStr,
    manifest: &'static Manifest,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    progress.step(&Step::Npm);
    let output = Command::new(command)
        .arg("pack")
        .arg(manifest.spec())
        .arg("--pack-destination")
        .arg(staging.scratch())
        .args(OPTIONS)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => SourceError::NoNpm(command.to_string_lossy().into_owned()),
            _ => SourceError::Npm {
                status: "it could not be started".to_owned(),
                stderr: error.to_string(),
            },
        })?;
    let packed = staging.scratch().join(manifest.archive_name());
    if !output.status.success() || !packed.is_file() {
        return Err(SourceError::Npm {
            status: if output.status.success() {
                format!("it wrote no {}", manifest.archive_name())
            } else {
                output.status.to_string()
            },
            stderr: gist(&output.stderr),
        });
    }
    archive::bring(&packed, manifest, staging, progress)
}

/// The first few lines that say something, on one line: npm's causes come first, and where its
/// log lies last.
fn gist(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("npm warn"))
        .map(|line| line.strip_prefix("npm error ").unwrap_or(line))
        .take(LINES)
        .collect();
    if lines.is_empty() {
        "it gave no reason".to_owned()
    } else {
        lines.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::gist;

    #[test]
    fn the_gist_is_the_cause_without_warnings_and_logs() {
        let stderr = b"npm warn old lockfile\nnpm error code EAI_AGAIN\nnpm error syscall x\n\
                       npm error errno y\nnpm error request failed\nnpm error A complete log of\n";
        assert_eq!(
            gist(stderr),
            "code EAI_AGAIN; syscall x; errno y; request failed"
        );
        assert_eq!(gist(b"\n"), "it gave no reason");
    }
}
