//! A receiver of callbacks: it hears everything and answers as it is told.
//!
//! Must not know: who calls, what is said.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use beagle::webhook::sign::{Forged, Keyring};
use serde_json::Value;

use crate::{GUARD, WINDOW};

/// Longest body that is read.
const LONGEST: usize = 1 << 20;

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// When it came, in seconds since 1970.
    pub(crate) at: u64,
}

impl Heard {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks the signature as of the moment it came.
    pub(crate) fn verify(&self, keys: &Keyring) -> Result<(), Forged> {
        let signed = (
            self.header("webhook-id"),
            self.header("webhook-timestamp"),
            self.header("webhook-signature"),
        );
        keys.verify(signed, &self.body, self.at, WINDOW)
    }
}

/// What is done with a call.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// A status, and more headers, each with its line end.
    Status(u16, String),
    /// Nothing; the connection stays.
    Nothing,
    /// A good status and a body without an end.
    Endless,
}

/// A receiver; it stops when it is dropped.
pub(crate) struct Receiver {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What is answered to the n-th call.
type Script = dyn Fn(usize, &Heard) -> Answer + Send + Sync;

struct Shared {
    heard: Mutex<Vec<Heard>>,
    changed: Condvar,
    over: AtomicBool,
    answer: Box<Script>,
}

impl Receiver {
    /// Takes everything.
    pub(crate) fn start() -> Self {
        Self::answering(|_, _| Answer::Status(204, String::new()))
    }

    /// Answers the n-th call, the first being 0.
    pub(crate) fn answering(
        answer: impl Fn(usize, &Heard) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            heard: Mutex::default(),
            changed: Condvar::new(),
            over: AtomicBool::new(false),
            answer: Box::new(answer),
        });
        let all = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if all.over.load(Ordering::SeqCst) {
                    return;
                }
                let all = Arc::clone(&all);
                thread::spawn(move || hear(stream, &all));
            }
        });
        Self {
            addr,
            shared,
            thread: Some(thread),
        }
    }

    /// What was heard so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Waits until what was heard is enough.
    #[track_caller]
    pub(crate) fn wait_until(&self, enough: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let heard = self.heard_by_then(&enough);
        assert!(enough(&heard), "waited in vain: {heard:?}");
        heard
    }

    /// What was heard when it was enough, or when it was time to give up.
    pub(crate) fn heard_by_then(&self, enough: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let heard = self.shared.heard.lock().unwrap();
        let changed = &self.shared.changed;
        let waited = changed.wait_timeout_while(heard, GUARD, |heard| !enough(heard));
        waited.unwrap().0.clone()
    }

    /// Waits for so many calls.
    #[track_caller]
    pub(crate) fn wait_for(&self, calls: usize) -> Vec<Heard> {
        self.wait_until(|heard| heard.len() >= calls)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes who accepts.
        let _ = TcpStream::connect(self.addr);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Hears one call; a connection that breaks is none.
fn hear(mut stream: TcpStream, shared: &Shared) {
    stream.set_read_timeout(Some(GUARD)).unwrap();
    let Some(heard) = read(&mut stream) else {
        return;
    };
    let call = {
        let mut all = shared.heard.lock().unwrap();
        all.push(heard.clone());
        shared.changed.notify_all();
        all.len() - 1
    };
    match (shared.answer)(call, &heard) {
        Answer::Status(status, headers) => {
            let head = format!(
                "HTTP/1.1 {status} As Told\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
        }
        Answer::Nothing => {
            // Until the caller has had enough.
            let _ = stream.read(&mut [0]);
        }
        Answer::Endless => {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(b"4\r\nmore\r\n");
            }
        }
    }
}

/// Reads one call.
pub(crate) fn read(stream: &mut impl Read) -> Option<Heard> {
    let mut lines = BufReader::new(stream);
    let mut first = String::new();
    lines.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length.min(LONGEST)];
    lines.read_exact(&mut body).ok()?;
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Some(Heard {
        path,
        headers,
        body,
        at: at.as_secs(),
    })
}
