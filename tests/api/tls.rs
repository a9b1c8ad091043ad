//! TLS: versions and protocols, a pair that is exchanged, clients' certificates, slow handshakes.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use beagle::gate::Limits;
use beagle::tls::{Files, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::app::TestApp;
use crate::raw::{self, Raw};

const GET: &str = "GET /healthz";

/// Somebody who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn sign(&self) -> (CertificateDer<'static>, String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.0).unwrap();
        (cert.der().clone(), cert.pem(), key)
    }
}

/// A server with TLS, and who signed its certificate.
struct Secure {
    app: TestApp,
    tls: Arc<Tls>,
    folder: TempDir,
    authority: Authority,
}

impl Secure {
    fn start(asks_clients: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let ca = folder.path().join("ca.pem");
        fs::write(&ca, authority.0.pem()).unwrap();
        renew(&folder, &authority);
        let files = Files {
            cert: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
            client_ca: asks_clients.then_some(ca),
        };
        let tls = Arc::new(Tls::open(files).unwrap());
        let served = tls.clone();
        let app = TestApp::with(|wanted| {
            wanted.settings.door.tls = Some(served);
            wanted.settings.door.connections = Limits {
                handshake_timeout: Duration::from_millis(300),
                handshakes: 4,
                ..Limits::default()
            };
        });
        Self {
            app,
            tls,
            folder,
            authority,
        }
    }

    fn client(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> ClientConfig {
        self.builder(versions).with_no_client_auth()
    }

    fn builder(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
    }

    fn connect(&self, config: ClientConfig) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        StreamOwned::new(connection, raw::connect(self.app.addr))
    }
}

/// Another pair in the files of a server; says which certificate.
fn renew(folder: &TempDir, authority: &Authority) -> CertificateDer<'static> {
    let (der, pem, key) = authority.sign();
    fs::write(folder.path().join("cert.pem"), pem).unwrap();
    fs::write(folder.path().join("key.pem"), key.serialize_pem()).unwrap();
    der
}

fn ask(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> io::Result<Raw> {
    stream.write_all(&raw::request(GET, &[], &[]))?;
    Raw::read(stream)
}

fn served(stream: &StreamOwned<ClientConnection, TcpStream>) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

#[test]
fn both_versions_speak_http_1_and_nothing_else() {
    let secure = Secure::start(false);
    for (version, name) in [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let mut config = secure.client(&[version]);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut stream = secure.connect(config);
        assert_eq!(ask(&mut stream).unwrap().status, 200);
        assert_eq!(stream.conn.protocol_version(), Some(name));
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
    let mut config = secure.client(rustls::ALL_VERSIONS);
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(
        ask(&mut secure.connect(config)).is_err(),
        "there is no HTTP/2"
    );
}

#[test]
fn nothing_is_told_in_the_clear() {
    let secure = Secure::start(false);
    let mut stream = raw::connect(secure.app.addr);
    stream.write_all(&raw::request(GET, &[], &[])).unwrap();
    let mut told = Vec::new();
    // An alert, or a reset.
    let _ = stream.read_to_end(&mut told);
    assert!(
        !told.starts_with(b"HTTP"),
        "{}",
        String::from_utf8_lossy(&told)
    );
}

#[test]
fn a_pair_is_exchanged_under_open_connections() {
    let secure = Secure::start(false);
    let client = || secure.connect(secure.client(rustls::ALL_VERSIONS));
    let mut old = client();
    assert_eq!(ask(&mut old).unwrap().status, 200);
    let first = served(&old);

    let second = renew(&secure.folder, &secure.authority);
    secure.tls.reload().unwrap();
    let mut new = client();
    assert_eq!(ask(&mut new).unwrap().status, 200);
    assert_eq!(served(&new), second);
    assert_ne!(first, second);
    assert_eq!(ask(&mut old).unwrap().status, 200, "the old one goes on");

    fs::write(secure.folder.path().join("key.pem"), "broken").unwrap();
    assert!(secure.tls.reload().is_err());
    let mut newest = client();
    assert_eq!(ask(&mut newest).unwrap().status, 200);
    assert_eq!(served(&newest), second);
}

#[test]
fn a_client_needs_a_certificate_where_they_are_asked_for() {
    let secure = Secure::start(true);
    let without = secure.client(rustls::ALL_VERSIONS);
    assert!(ask(&mut secure.connect(without)).is_err());
    let own = |authority: &Authority| {
        let (cert, _, key) = authority.sign();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = secure.builder(rustls::ALL_VERSIONS);
        config.with_client_auth_cert(vec![cert], key).unwrap()
    };
    let good = own(&secure.authority);
    assert_eq!(ask(&mut secure.connect(good)).unwrap().status, 200);
    let foreign = own(&Authority::new());
    assert!(ask(&mut secure.connect(foreign)).is_err());
}

#[test]
fn handshakes_that_do_not_go_on_are_cut_off_and_others_get_their_turn() {
    let secure = Secure::start(false);
    // More than may be under way at once.
    let silent: Vec<TcpStream> = (0..8).map(|_| raw::connect(secure.app.addr)).collect();
    for mut stream in silent {
        let mut told = Vec::new();
        match stream.read_to_end(&mut told) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
        assert!(told.is_empty());
    }
    let mut stream = secure.connect(secure.client(rustls::ALL_VERSIONS));
    assert_eq!(ask(&mut stream).unwrap().status, 200);
}
