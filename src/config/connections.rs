//! `[connections]`: bounds on who is connected, and on how slow it may be.
//!
//! Must not know: what is done with them.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::layer::{size, size_of};
use super::{ConfigError, at_least_one};
use crate::gate::Limits;
use crate::gate::pace::Tempo;

/// The longest that a peer may be waited for.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What people say about it.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ConnectionsLayer {
    /// Connections of one address at once; behind a proxy all of them have its address [default:
    /// 1024]
    #[arg(long, env = "BEAGLE_MAX_PER_ADDRESS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_address: Option<usize>,

    /// How long a connection stays open between two requests [default: 5s]
    #[arg(long, env = "BEAGLE_KEEP_ALIVE", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<Duration>,

    /// Largest head of a request: its line and headers [default: 32KiB]
    #[arg(long, env = "BEAGLE_MAX_HEAD", value_name = "SIZE", value_parser = size)]
    #[serde(deserialize_with = "size_of", skip_serializing_if = "Option::is_none")]
    pub max_head: Option<ByteSize>,

    /// How long a body may take to arrive [default: 1m]
    #[arg(long, env = "BEAGLE_UPLOAD_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub upload_timeout: Option<Duration>,

    /// What must arrive of a body each second, over ten of them [default: 1KiB]
    #[arg(long, env = "BEAGLE_MIN_UPLOAD_SPEED", value_name = "SIZE", value_parser = size)]
    #[serde(deserialize_with = "size_of", skip_serializing_if = "Option::is_none")]
    pub min_upload_speed: Option<ByteSize>,

    /// How long a client may take for the next 4 KiB of its answer [default: 30s]
    #[arg(long, env = "BEAGLE_WRITE_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub write_timeout: Option<Duration>,
}

impl ConnectionsLayer {
    /// What is meant when nothing is said.
    pub(super) fn usual() -> Self {
        let limits = Limits::default();
        Self {
            max_per_address: Some(limits.per_address),
            keep_alive: Some(limits.keep_alive),
            max_head: Some(ByteSize::b(limits.head_bytes as u64)),
            upload_timeout: Some(Duration::from_secs(60)),
            min_upload_speed: Some(ByteSize::kib(1)),
            write_timeout: Some(limits.write_timeout),
        }
    }

    /// The bounds on connections, checked.
    ///
    /// # Errors
    /// [`ConfigError::Range`], naming the setting.
    pub(super) fn limits(&self, head_timeout: Duration) -> Result<Limits, ConfigError> {
        let head = at_least_one("max-head", self.max_head.map(|size| size.as_u64()))?;
        Ok(Limits {
            per_address: at_least_one("max-per-address", self.max_per_address)?,
            head_timeout: patience("header-timeout", Some(head_timeout))?,
            head_bytes: usize::try_from(head).unwrap_or(usize::MAX),
            write_timeout: patience("write-timeout", self.write_timeout)?,
            keep_alive: patience("keep-alive", self.keep_alive)?,
            ..Limits::default()
        })
    }

    /// How fast a body must come.
    ///
    /// # Errors
    /// [`ConfigError::Range`], naming the setting.
    pub(super) fn upload(&self) -> Result<Tempo, ConfigError> {
        let Tempo { window, .. } = Tempo::default();
        let speed = self.min_upload_speed.unwrap_or_default().as_u64();
        Ok(Tempo {
            // At least a byte: what stands still is over.
            part: speed.saturating_mul(window.as_secs()).max(1),
            window,
            whole: Some(patience("upload-timeout", self.upload_timeout)?),
        })
    }
}

/// A time that a peer may be given: some, and not for ever.
fn patience(name: &'static str, value: Option<Duration>) -> Result<Duration, ConfigError> {
    match value {
        Some(value) if !value.is_zero() && value <= LONGEST => Ok(value),
        value => Err(ConfigError::Range {
            name,
            value: humantime::format_duration(value.unwrap_or_default()).to_string(),
            remedy: "say a time with its unit, longer than nothing and at most 1day",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_what_the_parts_use_by_themselves() {
        let usual = ConnectionsLayer::usual();
        let limits = Limits::default();
        assert_eq!(usual.limits(limits.head_timeout).unwrap(), limits);
        assert_eq!(usual.upload().unwrap(), Tempo::default());
    }

    #[test]
    fn nobody_is_given_nothing_or_for_ever() {
        for time in [Duration::ZERO, Duration::MAX] {
            let said = ConnectionsLayer {
                upload_timeout: Some(time),
                ..ConnectionsLayer::usual()
            };
            let error = said.upload().unwrap_err().to_string();
            assert!(error.contains("upload-timeout"), "{error}");
        }
    }
}
