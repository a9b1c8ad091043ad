//! `rediss://`: encrypted, and only to a server whose certificate is trusted.
//!
//! Which roots are trusted is the environment's to say, so a process of its own uses the store.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use beagle::store::JobStore;
use beagle::store::redis::RedisStore;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::fixture::{accept, finish_one, job, limits};
use crate::redis_server::{RedisServer, free_port};

const URL: &str = "BEAGLE_STORE_TEST_TLS";

/// An authority of this test's own: its certificate's file, and what signs.
fn authority(folder: &Path, name: &str) -> (PathBuf, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let file = folder.join(name);
    std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
    (file, Issuer::new(params, key))
}

/// What the process says that uses the store at this address, trusting this authority.
fn run(url: &str, trusted: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "redis::tls::entry", "--nocapture", "--quiet"])
        .env(URL, url)
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap()
}

#[test]
fn a_server_is_used_if_its_certificate_is_trusted_and_else_not() {
    let folder = tempfile::tempdir().unwrap();
    let (trusted, issuer) = authority(folder.path(), "ca.pem");
    let (other, _) = authority(folder.path(), "other.pem");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, secret) = (
        folder.path().join("redis.pem"),
        folder.path().join("redis.key"),
    );
    std::fs::write(&certificate, params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    std::fs::write(&secret, key.serialize_pem()).unwrap();
    let (port, text) = (free_port(), |path: &Path| path.to_str().unwrap().to_owned());
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &text(&certificate),
        "--tls-key-file",
        &text(&secret),
        "--tls-ca-cert-file",
        &text(&trusted),
        "--tls-auth-clients",
        "no",
    ]);

    let url = format!("rediss://127.0.0.1:{port}/");
    let used = run(&url, &trusted);
    assert!(used.status.success(), "{used:?}");
    let said = String::from_utf8_lossy(&used.stdout);
    assert!(said.contains("finished"), "{said}");
    assert_eq!(server.run::<u64>("ZCARD {beagle:0}:done"), 1);
    for (url, trusted) in [
        (url, &other),
        // The certificate is for the address.
        (format!("rediss://localhost:{port}/"), &trusted),
    ] {
        let refused = run(&url, trusted);
        assert!(refused.status.success(), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stdout).to_lowercase();
        assert!(
            said.contains("trouble") && said.contains("certificate"),
            "{said}"
        );
    }
    assert_eq!(server.run::<u64>("ZCARD {beagle:0}:done"), 1);
}

/// What the process of its own runs; as a test of its own it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "its parent reads it")]
async fn entry() {
    let Ok(url) = std::env::var(URL) else { return };
    let store = RedisStore::open(&url, limits()).unwrap();
    if let Some(trouble) = &store.places()[0].trouble {
        println!("trouble: {trouble}");
        return;
    }
    assert!(store.places()[0].name.contains("TLS"));
    let id = accept(&store, job()).await;
    assert_eq!(finish_one(&store, "a dog").await, id);
    println!("finished");
}
