//! `[access]`: who may ask.
//!
//! Must not know: what is done with it.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// What people say about it.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AccessLayer {
    /// File of keys, as `beagle keys new` writes it: then every request needs one; read again on
    /// SIGHUP [default: none, everybody may ask]
    #[arg(long, env = "BEAGLE_KEYS", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,

    /// Answer GET /metrics without a key [default: false]
    #[arg(long, env = "BEAGLE_OPEN_METRICS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_metrics: Option<bool>,

    /// Origins whose pages may ask from a browser (CORS), as https://HOST [default: none]
    #[arg(
        long,
        env = "BEAGLE_CORS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors_origin: Option<Vec<String>>,
}

impl AccessLayer {
    /// The origins, checked.
    ///
    /// # Errors
    /// [`ConfigError::Range`] for what is no origin.
    pub(super) fn origins(&self) -> Result<Vec<String>, ConfigError> {
        let origins = self.cors_origin.clone().unwrap_or_default();
        match origins.iter().find(|origin| !is_origin(origin)) {
            None => Ok(origins),
            Some(origin) => Err(ConfigError::Range {
                name: "cors-origin",
                value: origin.clone(),
                remedy: "say each as a browser does, https://HOST or http://HOST:PORT, without a path; \
                         there is no wildcard",
            }),
        }
    }
}

/// A scheme, a host, perhaps a port; in lower case, as browsers send it.
fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]_".contains(&byte)
        };
        !host.is_empty() && host.bytes().all(plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends() {
        for good in [
            "https://a.example",
            "http://localhost:3000",
            "http://[::1]:80",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "a.example",
            "https://",
            "https://a.example/",
            "https://*.a",
            "null",
            "https://A",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
