//! Weights file by file from the package's public repository, at a pinned commit.
//!
//! Proxies are taken from the environment. Must not know: npm, archives, the cache.

use std::time::Duration;

use ureq::Agent;
use ureq::http::Uri;

use super::error::{Fault, SourceError};
use super::manifest::{Manifest, PinnedFile};
use super::progress::{Progress, Step};
use super::staging::Staging;

/// How long a name, a connection or the next byte may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Times one file is asked for when the connection breaks.
const TRIES: u32 = 3;

/// Loads every file below `base`.
pub(super) fn bring(
    base: &str,
    manifest: &'static Manifest,
    staging: &Staging,
    progress: &dyn Progress,
) -> Result<(), SourceError> {
    progress.step(&Step::Download {
        bytes: manifest.bytes(),
    });
    let agent = agent(base);
    let mut done = 0;
    for file in manifest.files {
        let url = format!("{}/{}", base.trim_end_matches('/'), file.name);
        let mut passed = |passed| progress.position(done + passed);
        let mut tries = 1;
        while let Err(error) = load(&agent, &url, file, staging, &mut passed) {
            if tries == TRIES || !broken(&error) {
                return Err(error);
            }
            tries += 1;
        }
        done += file.bytes;
    }
    Ok(())
}

fn load(
    agent: &Agent,
    url: &str,
    file: &'static PinnedFile,
    staging: &Staging,
    passed: &mut dyn FnMut(u64),
) -> Result<(), SourceError> {
    let response = agent.get(url).call().map_err(|error| SourceError::Http {
        url: url.to_owned(),
        reason: error.to_string(),
    })?;
    staging.receive(file, &mut response.into_body().into_reader(), passed)
}

/// Whether the connection broke in the middle of a file, which asking again may mend. A server
/// that cannot be reached or that serves other bytes is not asked twice.
fn broken(error: &SourceError) -> bool {
    matches!(
        error,
        SourceError::Damaged {
            fault: Fault::Unreadable { .. } | Fault::Short { .. },
            ..
        }
    )
}

fn agent(base: &str) -> Agent {
    let mut config = Agent::config_builder()
        .user_agent(concat!("beagle/", env!("CARGO_PKG_VERSION")))
        .https_only(base.starts_with("https://"))
        .timeout_resolve(Some(PATIENCE))
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE));
    if is_loopback(base) {
        // A mirror on this very machine is not behind the proxy of the environment.
        config = config.proxy(None);
    }
    config.build().into()
}

fn is_loopback(base: &str) -> bool {
    base.parse::<Uri>().is_ok_and(|uri| {
        matches!(
            uri.host(),
            Some("localhost" | "127.0.0.1" | "[::1]" | "::1")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(is_loopback("http://127.0.0.1:8000/x"));
        assert!(is_loopback("http://localhost/x"));
        assert!(is_loopback("http://[::1]:1/x"));
        assert!(!is_loopback("https://127.0.0.1.example/x"));
    }
}
