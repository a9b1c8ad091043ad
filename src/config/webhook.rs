//! Settings of callbacks: what signs, who may be called, how long it is tried.
//!
//! Must not know: how somebody is called.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::store::StoreLimits;
use crate::webhook::Settings;
use crate::webhook::caller::{Certificates, SystemNames};
use crate::webhook::guard::{Guard, Network};
use crate::webhook::policy::Waits;
use crate::webhook::sign::Keyring;

/// What may be said about callbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Webhook {
    /// File of secrets that callbacks are signed with, one a line, the newest first: NAME:SECRET,
    /// the secret 24 to 64 bytes in base64; without it callbacks are refused
    #[arg(
        long = "webhook-secrets",
        env = "BEAGLE_WEBHOOK_SECRETS",
        value_name = "FILE"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<PathBuf>,

    /// Networks that may be called besides public addresses, also in plain http and at any port:
    /// 10.0.0.0/8, 127.0.0.1 [default: none]
    #[arg(
        long = "webhook-allow",
        env = "BEAGLE_WEBHOOK_ALLOW",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,

    /// PEM file of the authorities that vouch for https receivers [default: the public ones]
    #[arg(long = "webhook-ca", env = "BEAGLE_WEBHOOK_CA", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,

    /// Callbacks that wait for their job's end or their delivery; one more is refused with 503
    /// [default: 10000]
    #[arg(long = "webhook-max", env = "BEAGLE_WEBHOOK_MAX", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,

    /// How long after a job's end its callback is tried [default: 1day]
    #[arg(long = "webhook-give-up", env = "BEAGLE_WEBHOOK_GIVE_UP", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub give_up: Option<Duration>,

    /// How long a callback may take in all [default: 10s]
    #[arg(long = "webhook-timeout", env = "BEAGLE_WEBHOOK_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub timeout: Option<Duration>,

    /// How long its name or its connection may take [default: 5s]
    #[arg(long = "webhook-connect-timeout", env = "BEAGLE_WEBHOOK_CONNECT_TIMEOUT", value_name = "TIME", value_parser = humantime::parse_duration)]
    #[serde(
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub connect_timeout: Option<Duration>,

    /// Callbacks at once [default: 16]
    #[arg(
        long = "webhook-callers",
        env = "BEAGLE_WEBHOOK_CALLERS",
        value_name = "COUNT"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callers: Option<usize>,
}

impl Webhook {
    /// What is meant when nothing is said.
    pub(super) fn defaults() -> Self {
        let store = StoreLimits::default();
        Self {
            secrets: None,
            allow: Some(Vec::new()),
            ca: None,
            max: Some(store.max_callbacks),
            give_up: Some(store.callback_ttl),
            timeout: Some(Duration::from_secs(10)),
            connect_timeout: Some(Duration::from_secs(5)),
            callers: Some(16),
        }
    }

    /// What calls by these; nothing if nobody is to be called.
    pub(super) fn settings(&self) -> Result<Option<Settings>, ConfigError> {
        let mut networks: Vec<Network> = Vec::new();
        for text in self.allow.iter().flatten() {
            networks.push(text.parse().map_err(|_| ConfigError::Range {
                name: "webhook-allow",
                value: text.clone(),
                remedy: "say a network or an address, such as 10.0.0.0/8 or 127.0.0.1",
            })?);
        }
        let timeout = super::time("webhook-timeout", self.timeout)?;
        let connect_timeout = super::time("webhook-connect-timeout", self.connect_timeout)?;
        let callers = super::at_least_one("webhook-callers", self.callers)?;
        let certificates = self.ca.as_deref().map(certificates).transpose()?;
        let Some(path) = &self.secrets else {
            return Ok(None);
        };
        let text = fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
        let keys = Keyring::parse(&text).map_err(|error| ConfigError::File {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Ok(Some(Settings {
            keys: Arc::new(keys),
            guard: Arc::new(Guard::new(networks)),
            names: Arc::new(SystemNames),
            callers,
            connect_timeout,
            timeout,
            waits: Waits::default(),
            certificates,
        }))
    }
}

fn certificates(path: &Path) -> Result<Certificates, ConfigError> {
    let pem = fs::read(path).map_err(|source| unreadable(path, source))?;
    Certificates::parse(&pem).ok_or_else(|| ConfigError::File {
        path: path.display().to_string(),
        reason: "it must hold certificates in PEM form and nothing else".to_owned(),
    })
}

fn unreadable(path: &Path, source: std::io::Error) -> ConfigError {
    ConfigError::Io {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_without_secrets() {
        assert!(Webhook::defaults().settings().unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let bad = folder.path().join("keys");
        fs::write(&bad, "one:sesame\n").unwrap();
        let error = |change: &dyn Fn(&mut Webhook)| {
            let mut said = Webhook::defaults();
            change(&mut said);
            said.settings().unwrap_err().to_string()
        };
        let network = error(&|said| said.allow = Some(vec!["10.0.0.0/99".to_owned()]));
        assert!(
            network.contains("webhook-allow is 10.0.0.0/99"),
            "{network}"
        );
        let secrets = error(&|said| said.secrets = Some(bad.clone()));
        assert!(
            secrets.contains("line 1") && !secrets.contains("sesame"),
            "{secrets}"
        );
        let ca = error(&|said| said.ca = Some(bad.clone()));
        assert!(ca.contains("certificates"), "{ca}");
        let missing = error(&|said| said.secrets = Some(folder.path().join("nothing")));
        assert!(missing.contains("nothing"), "{missing}");
        let callers = error(&|said| said.callers = Some(0));
        assert!(callers.contains("webhook-callers"), "{callers}");
    }

    #[test]
    fn secrets_and_networks_become_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        fs::write(&path, "one:AAECAwQFBgcICQoLDA0ODxAREhMUFRYX\n").unwrap();
        let said = Webhook {
            secrets: Some(path),
            allow: Some(vec!["127.0.0.1".to_owned()]),
            ..Webhook::defaults()
        };
        let settings = said.settings().unwrap().unwrap();
        let here = "127.0.0.1:9".parse().unwrap();
        assert_eq!(settings.guard.check(false, here), Ok(()));
        assert_eq!(format!("{:?}", settings.keys), r#"["one"]"#);
    }
}
