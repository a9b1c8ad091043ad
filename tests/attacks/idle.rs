//! Ten thousand connections that say nothing: from one address, and from many.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::bystanders::{attack, connect_from};
use crate::child::{CONNECTIONS, PER_ADDRESS};
use crate::raw::{self, Raw};
use crate::server::Server;
use crate::{GUARD, say};

/// Connections.
const MANY: usize = 10_000;
/// What the server may have at most, in MiB.
const MEMORY: u64 = 320;
/// Files that a process of this test may need beside them.
const OTHERS: usize = 500;

/// Lets a process have as many files as the system allows.
fn raise_files(pid: u32) {
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("prlimit --pid {pid} --nofile=$(ulimit -Hn):"))
        .status()
        .unwrap();
    assert!(status.success(), "prlimit");
}

/// As many as there may be here: a system may allow fewer.
fn many() -> usize {
    raise_files(std::process::id());
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.unwrap().split_whitespace().next().unwrap();
    let most = soft.parse().unwrap_or(usize::MAX);
    MANY.min(most.saturating_sub(OTHERS))
}

/// Opens connections and keeps them, as far as the server lets it.
fn open(to: SocketAddr, from: impl Fn(usize) -> Ipv4Addr, count: usize) -> Vec<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut open = Vec::with_capacity(count);
        for number in 0..count {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((from(number), 0).into()).unwrap();
            // Where the system's own queue is full, too, that is refusal enough.
            let patience = std::time::Duration::from_millis(20);
            if let Ok(Ok(stream)) = timeout(patience, socket.connect(to)).await {
                open.push(stream.into_std().unwrap());
            }
        }
        open
    })
}

#[test]
fn one_address_has_its_connections_and_no_more() {
    let mut server = Server::start();
    let (addr, count) = (server.addr, many());
    raise_files(server.pid());
    attack("idle connections of one address", &mut server, None, || {
        let held = open(addr, |_| Ipv4Addr::LOCALHOST, count);
        say(&format!("{} of {count} connections were made", held.len()));
        assert!(held.len() > PER_ADDRESS);
        // Somebody who comes now, from elsewhere.
        let mut late = connect_from(Ipv4Addr::new(127, 0, 0, 3), addr);
        late.write_all(&raw::request("GET /healthz", &[], &[]))
            .unwrap();
        assert_eq!(Raw::read(&mut late).unwrap().status, 200);
    });
    assert!(server.peak() < MEMORY);
}

#[test]
fn many_addresses_fill_the_server_and_those_it_serves_go_on() {
    const ADDRESSES: usize = 20;
    let mut server = Server::start();
    let (addr, count) = (server.addr, many());
    raise_files(server.pid());
    attack(
        "idle connections of many addresses",
        &mut server,
        None,
        || {
            let from = |number: usize| {
                let last = u8::try_from(number % ADDRESSES).unwrap();
                Ipv4Addr::new(127, 0, 1, last)
            };
            let held = open(addr, from, count);
            say(&format!("{} of {count} connections were made", held.len()));
            assert!(held.len() > CONNECTIONS.min(count / 2));
            // Whoever comes now waits until the idle ones are told to go, and is served.
            let mut late = connect_from(Ipv4Addr::new(127, 0, 0, 3), addr);
            late.set_read_timeout(Some(GUARD)).unwrap();
            late.write_all(&raw::request("GET /healthz", &[], &[]))
                .unwrap();
            assert_eq!(Raw::read(&mut late).unwrap().status, 200);
        },
    );
    assert!(server.peak() < MEMORY);
}
