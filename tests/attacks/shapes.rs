//! Requests of odd shapes: paths that lead elsewhere, and framing that two readers may read
//! differently.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use crate::bystanders::attack;
use crate::raw::{self, Raw};
use crate::server::Server;

/// What the server may have at most, in MiB.
const MEMORY: u64 = 160;
/// How often all of them are sent.
const ROUNDS: usize = 20;

/// Sends bytes and reads all that comes, as responses.
fn send(addr: SocketAddr, bytes: &[u8]) -> Vec<Raw> {
    let mut stream = raw::connect(addr);
    stream.write_all(bytes).unwrap();
    // A client that has said all: what is not answered by then never is.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    // A reset after the answer is an end as well.
    let _ = stream.read_to_end(&mut rest);
    let mut rest = &rest[..];
    let mut told = Vec::new();
    while !rest.is_empty() {
        told.push(Raw::parse(&mut rest).unwrap());
    }
    told
}

#[test]
fn no_path_leads_elsewhere() {
    let mut server = Server::start();
    let addr = server.addr;
    let long = format!("/{}", "a/".repeat(10_000));
    let paths: [(&str, u16); 18] = [
        ("/../../../etc/passwd", 404),
        ("/jobs/../healthz", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/jobs/..%2f..%2fetc%2fpasswd", 404),
        ("/jobs/%2e%2e/healthz", 404),
        ("/jobs/%00", 404),
        ("/%00", 404),
        ("/%c0%ae%c0%ae/%c0%afetc", 404),
        ("/jobs/%c0%ae", 404),
        ("/%ff", 404),
        ("//healthz", 404),
        ("/healthz/", 404),
        ("/healthz%2f", 404),
        ("/.", 404),
        (&long, 404),
        // The same page, said otherwise.
        ("/%68ealthz", 200),
        ("http://elsewhere.example/healthz", 200),
        ("/healthz?../../etc/passwd", 200),
    ];
    attack("paths", &mut server, None, || {
        for _ in 0..ROUNDS {
            for (path, status) in &paths {
                let told = raw::ask(addr, &format!("GET {path}"), &[], &[]);
                assert_eq!(told.status, *status, "{path}: {}", told.text());
                assert!(!told.text().contains("root:"), "{path}");
            }
            for path in ["/\0", "/a b", "*", "healthz", "\\healthz", "/\u{7f}"] {
                let told = raw::ask(addr, &format!("GET {path}"), &[], &[]).status;
                assert!([400, 404].contains(&told), "{path:?}: {told}");
            }
        }
    });
    assert!(server.peak() < MEMORY);
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused_with_all_that_follows() {
    let mut server = Server::start();
    let addr = server.addr;
    let hidden = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let framings = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 35\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "Content-Length: 0, 35\r\n\r\n",
        "Content-Length: +0\r\n\r\n",
        "Content-Length: -1\r\n\r\n",
        "Content-Length: 0x0\r\n\r\n",
        "Content-Length: 99999999999999999999\r\n\r\n",
        "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Content-Length : 0\r\n\r\n",
        " Content-Length: 0\r\n\r\n",
        "X-Folded: a\r\n Content-Length: 0\r\n\r\n",
        "X: a\rContent-Length: 0\r\n\r\n",
        "Host: b\r\n\r\n",
    ];
    attack("framing", &mut server, None, || {
        for _ in 0..ROUNDS {
            for framing in framings {
                let bytes = format!("POST /predict HTTP/1.1\r\nHost: a\r\n{framing}{hidden}");
                let told = send(addr, bytes.as_bytes());
                let statuses: Vec<u16> = told.iter().map(|told| told.status).collect();
                assert_eq!(statuses, [400], "{framing:?}");
            }
            // Chunks that are not: refused, and what follows is no request.
            for chunk in [
                "x\r\n",
                "-1\r\n",
                "ffffffffffffffffff\r\n",
                "5;a\nhello\r\n",
                "\r\n",
                "1\r\nab\r\n",
            ] {
                let bytes = format!(
                    "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n\
                     Transfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n{hidden}"
                );
                let told = send(addr, bytes.as_bytes());
                assert!(
                    told.iter().all(|told| told.status >= 400),
                    "{chunk:?}: {told:?}"
                );
            }
            let no_host = send(addr, b"GET /healthz HTTP/1.1\r\n\r\n");
            assert_eq!(no_host[0].status, 400);
        }
    });
    assert!(server.peak() < MEMORY);
}

#[test]
fn http_2_in_the_clear_is_no_request() {
    let server = Server::start();
    let told = send(
        server.addr,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    );
    let statuses: Vec<u16> = told.iter().map(|told| told.status).collect();
    assert_eq!(statuses, [400]);
    let upgrade = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", ""),
    ];
    let told = raw::ask(server.addr, "GET /healthz", &upgrade, &[]);
    assert_eq!(told.status, 200, "it stays with what it speaks");
}
