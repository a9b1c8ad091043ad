//! https: a receiver is believed for its name alone, whatever address it has.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use beagle::webhook::caller::{Caller, Certificates, Failure, Names, Times};
use beagle::webhook::guard::Guard;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::GUARD;
use crate::receiver::Heard;

/// Leads every name to one address.
#[derive(Debug)]
struct To(SocketAddr);

impl Names for To {
    fn look_up(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self.0])
    }
}

/// Serves one connection of a receiver that calls itself `name`; gives its address, its
/// certificate and what it heard, nothing if that was no call.
fn serve(name: &str) -> (SocketAddr, String, mpsc::Receiver<Option<Heard>>) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let _ = tell.send(hear(stream, config));
    });
    (addr, cert.pem(), told)
}

fn hear(stream: TcpStream, config: ServerConfig) -> Option<Heard> {
    stream.set_read_timeout(Some(GUARD)).unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let heard = crate::receiver::read(&mut stream)?;
    let answer = b"HTTP/1.1 204 Heard\r\nConnection: close\r\n\r\n";
    io::Write::write_all(&mut stream, answer).ok()?;
    stream.conn.send_close_notify();
    io::Write::flush(&mut stream).ok()?;
    Some(heard)
}

fn call(addr: SocketAddr, certificates: Option<Certificates>) -> Result<u16, Failure> {
    let times = Times {
        connect: Duration::from_secs(10),
        whole: Duration::from_secs(20),
    };
    let guard = Arc::new(Guard::new(vec!["127.0.0.0/8".parse().unwrap()]));
    let caller = Caller::new(Arc::new(To(addr)), guard, times, certificates);
    let url = format!("https://example.net:{}/hook", addr.port());
    caller
        .post(&url, &[("webhook-id", "1")], b"{}")
        .map(|answer| answer.status)
}

#[test]
fn a_receiver_whose_certificate_is_of_a_named_authority_hears() {
    let (addr, pem, told) = serve("example.net");
    assert_eq!(call(addr, Certificates::parse(pem.as_bytes())), Ok(204));
    let heard = told.recv_timeout(GUARD).unwrap().unwrap();
    assert_eq!((&heard.path[..], &heard.body[..]), ("/hook", &b"{}"[..]));
    assert_eq!(heard.header("host"), format!("example.net:{}", addr.port()));
    assert_eq!(heard.header("webhook-id"), "1");
}

#[test]
fn a_receiver_that_nobody_vouches_for_hears_nothing() {
    // Of the public authorities none has signed this one; the other is of another name.
    let (addr, _, told) = serve("example.net");
    assert!(matches!(call(addr, None), Err(Failure::Connection(_))));
    assert!(told.recv_timeout(GUARD).unwrap().is_none());
    let (addr, pem, told) = serve("example.org");
    let refused = call(addr, Certificates::parse(pem.as_bytes()));
    assert!(
        matches!(refused, Err(Failure::Connection(_))),
        "{refused:?}"
    );
    assert!(told.recv_timeout(GUARD).unwrap().is_none());
}

#[test]
fn a_file_without_certificates_is_none() {
    assert!(Certificates::parse(b"").is_none());
    assert!(Certificates::parse(b"sesame").is_none());
}
