//! Other clients, from another address: each asks on and on, and must always be answered.
//!
//! Must not know: what else happens to the server.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;

use crate::fake::{Act, label, picture};
use crate::raw::{self, Raw};
use crate::server::Server;
use crate::{GUARD, say};

/// Clients at once.
const CLIENTS: u8 = 4;
/// Requests of each, at least.
const LEAST: usize = 100;
/// Where they come from; attackers come from elsewhere.
const HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A connection from an address of this machine.
pub(crate) fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    connect(to, |socket| socket.bind((from, 0).into()).unwrap())
}

/// A connection on which little is on its way to here.
pub(crate) fn connect_narrow(to: SocketAddr) -> TcpStream {
    connect(to, |socket| socket.set_recv_buffer_size(4096).unwrap())
}

fn connect(to: SocketAddr, prepare: impl FnOnce(&TcpSocket)) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        prepare(&socket);
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(GUARD)).unwrap();
    stream
}

/// Attacks while others ask. Says how long they waited before and meanwhile.
#[track_caller]
pub(crate) fn attack(name: &str, server: &mut Server, key: Option<&str>, attack: impl FnOnce()) {
    let over = AtomicBool::new(true);
    let before = all(server.addr, key, &over);
    over.store(false, Ordering::Release);
    let (meanwhile, peak) = thread::scope(|scope| {
        let (addr, flag) = (server.addr, &over);
        let others = scope.spawn(move || all(addr, key, flag));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(attack));
        over.store(true, Ordering::Release);
        let meanwhile = others.join().unwrap();
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
        (meanwhile, server.peak())
    });
    let (p99, attacked) = (percentile(&before), percentile(&meanwhile));
    say(&format!(
        "{name}: others' p99 {:.1} ms before ({} requests), {:.1} ms meanwhile ({}), ratio {:.2}; \
         peak memory {peak} MiB",
        p99.as_secs_f64() * 1e3,
        before.len(),
        attacked.as_secs_f64() * 1e3,
        meanwhile.len(),
        attacked.as_secs_f64() / p99.as_secs_f64()
    ));
}

/// All of them ask until it is over, and each for its least number at any rate.
fn all(addr: SocketAddr, key: Option<&str>, over: &AtomicBool) -> Vec<Duration> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|class| scope.spawn(move || one(addr, key, class, over)))
            .collect();
        let times = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        times.collect()
    })
}

fn one(addr: SocketAddr, key: Option<&str>, class: u8, over: &AtomicBool) -> Vec<Duration> {
    let bearer = format!("Bearer {}", key.unwrap_or_default());
    let headers = [
        ("Content-Type", "image/bmp"),
        ("Authorization", bearer.as_str()),
    ];
    let ask = raw::request("POST /predict", &headers, &picture(class, Act::Answer));
    let mut stream = connect_from(HOME, addr);
    let mut times = Vec::new();
    while times.len() < LEAST || !over.load(Ordering::Acquire) {
        let begun = Instant::now();
        stream.write_all(&ask).unwrap();
        let told = Raw::read(&mut stream).unwrap();
        times.push(begun.elapsed());
        assert_eq!(told.status, 200, "a bystander is told {}", told.text());
        assert!(told.text().contains(&label(class)), "{}", told.text());
    }
    times
}

fn percentile(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}
