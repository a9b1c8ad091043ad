//! TLS for whatever listens: the certificate, its key and who may sign those of clients, read from
//! files and read again without a connection noticing.
//!
//! What is served is swapped whole: a handshake takes the one of its moment, and goes on with it.
//! Must not know: HTTP, gRPC, connections.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;

/// Files with a pair that can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate and those between it and a root, PEM.
    pub cert: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Those who sign clients' certificates, PEM: then a client needs one.
    pub client_ca: Option<PathBuf>,
}

/// What is spoken inside, as ALPN tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// HTTP/1.1 and nothing newer.
    Http1,
    /// HTTP/2, which gRPC needs.
    Http2,
}

/// Files that cannot serve.
#[derive(Debug, Error)]
pub enum TlsError {
    /// One cannot be read, or is no PEM of its kind.
    #[error("{path} is no {what} in PEM form: {reason}")]
    Pem {
        /// The file.
        path: String,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// They do not belong together, or are of a kind that is not known.
    #[error("{cert} and {key} cannot be used together: {reason}")]
    Pair {
        /// The certificate's file.
        cert: String,
        /// The key's.
        key: String,
        /// What is wrong.
        reason: rustls::Error,
    },
    /// The clients' certificates cannot be checked against it.
    #[error("{path} cannot check clients: {reason}")]
    ClientCa {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// A pair that serves, and its files.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    current: RwLock<Served>,
}

#[derive(Clone, Debug)]
struct Served {
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn open(files: Files) -> Result<Self, TlsError> {
        let current = RwLock::new(read(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// [`TlsError`]: then everything stays as it is.
    pub fn reload(&self) -> Result<(), TlsError> {
        let read = read(&self.files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// What a handshake is to use now.
    #[must_use]
    pub fn config(&self, speaks: Speaks) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        match speaks {
            Speaks::Http1 => current.http1.clone(),
            Speaks::Http2 => current.http2.clone(),
        }
    }
}

fn read(files: &Files) -> Result<Served, TlsError> {
    warn_if_seen(&files.key);
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| pem(&files.key, "private key", error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|reason| pair(files, reason))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |reason: String| TlsError::ClientCa {
                path: path.display().to_string(),
                reason,
            };
            let mut roots = RootCertStore::empty();
            for root in certificates(path)? {
                roots.add(root).map_err(|error| wrong(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .map_err(|error| wrong(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut http1 = builder
        .with_single_cert(chain, key)
        .map_err(|reason| pair(files, reason))?;
    let mut http2 = http1.clone();
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    http2.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Served {
        http1: Arc::new(http1),
        http2: Arc::new(http2),
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| pem(path, "certificate", error.to_string()))?;
    if certificates.is_empty() {
        return Err(pem(path, "certificate", "it holds none".to_owned()));
    }
    Ok(certificates)
}

fn pem(path: &Path, what: &'static str, reason: String) -> TlsError {
    TlsError::Pem {
        path: path.display().to_string(),
        what,
        reason,
    }
}

fn pair(files: &Files, reason: rustls::Error) -> TlsError {
    TlsError::Pair {
        cert: files.cert.display().to_string(),
        key: files.key.display().to_string(),
        reason,
    }
}

/// A key that everybody on the machine can read is no secret; whoever runs the server may want
/// it so all the same.
fn warn_if_seen(key: &Path) {
    const OTHERS: u32 = 0o004;
    let mode = fs::metadata(key).map(|file| file.permissions().mode());
    if mode.is_ok_and(|mode| mode & OTHERS != 0) {
        tracing::warn!(
            tls.key = %key.display(),
            "every user of this machine can read the TLS key: chmod 600 it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn files(&self) -> Files {
            Files {
                cert: self.0.path().join("cert.pem"),
                key: self.0.path().join("key.pem"),
                client_ca: None,
            }
        }

        fn write_pair(&self) -> String {
            let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            fs::write(self.files().cert, pair.cert.pem()).unwrap();
            fs::write(self.files().key, pair.signing_key.serialize_pem()).unwrap();
            pair.cert.pem()
        }
    }

    #[test]
    fn each_protocol_is_told_by_its_own_name() {
        let folder = Folder::new();
        folder.write_pair();
        let tls = Tls::open(folder.files()).unwrap();
        assert_eq!(tls.config(Speaks::Http1).alpn_protocols, [b"http/1.1"]);
        assert_eq!(tls.config(Speaks::Http2).alpn_protocols, [b"h2"]);
    }

    #[test]
    fn a_new_pair_is_served_and_a_broken_one_is_not() {
        let folder = Folder::new();
        folder.write_pair();
        let tls = Tls::open(folder.files()).unwrap();
        let first = tls.config(Speaks::Http1);
        folder.write_pair();
        tls.reload().unwrap();
        let second = tls.config(Speaks::Http1);
        assert!(!Arc::ptr_eq(&first, &second));

        let old = fs::read(folder.files().cert).unwrap();
        folder.write_pair();
        fs::write(folder.files().cert, old).unwrap();
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains("cannot be used together"), "{error}");
        assert!(Arc::ptr_eq(&second, &tls.config(Speaks::Http1)));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        let folder = Folder::new();
        let missing = Tls::open(folder.files()).unwrap_err().to_string();
        assert!(missing.contains("cert.pem"), "{missing}");
        folder.write_pair();
        fs::write(folder.files().key, "no key").unwrap();
        let no_key = Tls::open(folder.files()).unwrap_err().to_string();
        assert!(no_key.contains("key.pem is no private key"), "{no_key}");
        fs::write(folder.files().cert, "").unwrap();
        let empty = Tls::open(folder.files()).unwrap_err().to_string();
        assert!(empty.contains("cert.pem is no certificate"), "{empty}");
        folder.write_pair();
        let files = Files {
            client_ca: Some(folder.files().key),
            ..folder.files()
        };
        let no_ca = Tls::open(files).unwrap_err().to_string();
        assert!(no_ca.contains("key.pem is no certificate"), "{no_ca}");
    }
}
