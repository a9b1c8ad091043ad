//! `[tls]`: the files of TLS.
//!
//! Must not know: what is done with them.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::tls::Files;

/// What people say about it.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TlsLayer {
    /// Certificate chain, PEM: then only TLS is spoken; read again on SIGHUP [default: none]
    #[arg(
        id = "tls-cert",
        long = "tls-cert",
        env = "BEAGLE_TLS_CERT",
        value_name = "FILE"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,

    /// Its private key, PEM
    #[arg(
        id = "tls-key",
        long = "tls-key",
        env = "BEAGLE_TLS_KEY",
        value_name = "FILE"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,

    /// Certificates, PEM, of those who sign clients': then a client needs one [default: none]
    #[arg(
        id = "tls-client-ca",
        long = "tls-client-ca",
        env = "BEAGLE_TLS_CLIENT_CA",
        value_name = "FILE"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

impl TlsLayer {
    /// The files, if TLS is wanted.
    ///
    /// # Errors
    /// [`ConfigError::Half`] where one is missing.
    pub(super) fn files(&self) -> Result<Option<Files>, ConfigError> {
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Ok(Some(Files {
                cert: cert.clone(),
                key: key.clone(),
                client_ca: self.client_ca.clone(),
            })),
            (None, None) if self.client_ca.is_none() => Ok(None),
            (Some(_), None) => Err(ConfigError::Half("tls-key")),
            (None, _) => Err(ConfigError::Half("tls-cert")),
        }
    }
}
