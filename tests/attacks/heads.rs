//! Heads of requests that dawdle, or do not end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::GUARD;
use crate::bystanders::attack;
use crate::raw::{self, Raw};
use crate::server::Server;

/// Connections of one attack.
const MANY: usize = 300;
/// What the server may have at most, in MiB.
const MEMORY: u64 = 160;

/// Sends each a byte, again and again, until all are closed.
#[track_caller]
pub(crate) fn trickle(addr: SocketAddr, mut streams: Vec<TcpStream>, byte: u8) -> Vec<Vec<u8>> {
    let until = Instant::now() + GUARD;
    let mut told = Vec::new();
    while !streams.is_empty() {
        assert!(Instant::now() < until, "{} are still open", streams.len());
        streams.retain_mut(|stream| {
            stream.set_nonblocking(true).unwrap();
            let sent = stream.write(&[byte]);
            let mut answer = vec![0; 4096];
            let read = stream.read(&mut answer);
            let waits = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
            match (sent, read) {
                (Ok(_), Err(error)) if waits(&error) => true,
                (_, read) => {
                    answer.truncate(read.unwrap_or(0));
                    told.push(answer);
                    false
                }
            }
        });
        // A round takes as long as an answer.
        assert_eq!(raw::ask(addr, "GET /healthz", &[], &[]).status, 200);
    }
    told
}

#[test]
fn slow_heads_are_cut_off_on_new_connections_and_on_used_ones() {
    let mut server = Server::start();
    let addr = server.addr;
    attack("slow heads", &mut server, None, || {
        let streams = (0..MANY).map(|number| {
            let mut stream = raw::connect(addr);
            if number % 2 == 0 {
                let first = raw::request("GET /healthz", &[], &[]);
                stream.write_all(&first).unwrap();
                assert_eq!(Raw::read(&mut stream).unwrap().status, 200);
            }
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
                .unwrap();
            stream
        });
        let told = trickle(addr, streams.collect(), b'a');
        assert_eq!(told.len(), MANY);
        let ok = told.iter().filter(|told| told.starts_with(b"HTTP/1.1 2"));
        assert_eq!(ok.count(), 0);
    });
    assert!(server.peak() < MEMORY);
}

#[test]
fn large_heads_are_cut_off_before_they_fill_the_memory() {
    let mut server = Server::start();
    let addr = server.addr;
    attack("large heads", &mut server, None, || {
        for _ in 0..MANY {
            let mut stream = raw::connect(addr);
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
                .unwrap();
            let line = [b"X-Flood: ", &[b'a'; 1000][..], b"\r\n"].concat();
            let sent = (0..16 << 10)
                .take_while(|_| stream.write_all(&line).is_ok())
                .count();
            assert!(sent < 16 << 10, "a head of 16 MiB is taken");
        }
        // Below the bound and never ended: these the clock ends.
        let streams = (0..MANY).map(|_| {
            let mut stream = raw::connect(addr);
            let head = [b"GET /healthz HTTP/1.1\r\nX-Flood: ", &[b'a'; 30_000][..]].concat();
            stream.write_all(&head).unwrap();
            stream
        });
        trickle(addr, streams.collect(), b'a');
    });
    assert!(server.peak() < MEMORY);
}

#[test]
fn many_headers_are_refused() {
    let mut server = Server::start();
    let addr = server.addr;
    attack("many headers", &mut server, None, || {
        let told = |count: usize| {
            let names: Vec<String> = (0..count).map(|number| format!("X-{number}")).collect();
            let headers: Vec<(&str, &str)> = names.iter().map(|name| (&name[..], "a")).collect();
            raw::ask(addr, "GET /healthz", &headers, &[]).status
        };
        for _ in 0..MANY {
            // The host is one of them.
            assert_eq!(told(95), 200);
            assert_eq!(told(96), 431);
            assert_eq!(told(1000), 431);
        }
    });
    assert!(server.peak() < MEMORY);
}
