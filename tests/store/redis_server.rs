//! A Redis of a test's own, to be killed, stopped and started again.
//!
//! Needs `redis-server` on the path, or `BEAGLE_REDIS_SERVER` names another (say, Valkey's). Must not know: stores.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Ports below those that the system gives to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// No sync takes so long.
const WRITTEN: Duration = Duration::from_secs(60);

/// A running Redis, killed when dropped.
pub(crate) struct RedisServer {
    port: u16,
    folder: TempDir,
    options: Vec<String>,
    under: Vec<String>,
    child: Child,
}

impl RedisServer {
    /// Starts one with an append-only file (everysec) in a folder of its own.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more options, each a name and a value: `["--maxmemory", "10mb"]`.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        Self::start_under(&[], options)
    }

    /// The same under a program that becomes it, given with its arguments: `["env", "A=B"]`.
    pub(crate) fn start_under(under: &[&str], options: &[&str]) -> Self {
        Self::start_as(under, || owned(options))
    }

    /// The same with options that are made anew for each attempt, because they name ports.
    pub(crate) fn start_as(under: &[&str], options: impl Fn() -> Vec<String>) -> Self {
        let under = owned(under);
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..100 {
            let (port, options) = (free_port(), options());
            // Another test may have taken a port in between.
            if let Some(child) = launch(port, &folder, &under, &options) {
                return Self {
                    port,
                    folder,
                    options,
                    under,
                    child,
                };
            }
        }
        panic!("redis-server does not start, with options {:?}", options());
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection of the test's own, to look behind the store.
    pub(crate) fn connect(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
    }

    /// Runs one command, given as words.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.query(&mut self.connect()).unwrap()
    }

    /// Waits until it has handed its append-only file to the system. While a sync takes long it answers
    /// first and writes up to 2 s later: what it is killed with then was never promised.
    pub(crate) fn until_written(&self) {
        let begun = Instant::now();
        loop {
            let text: String = self.run("INFO persistence");
            let none = |name: &str| text.contains(&format!("{name}:0\r"));
            if none("aof_buffer_length") && none("aof_pending_bio_fsync") {
                return;
            }
            assert!(begun.elapsed() < WRITTEN, "{text}");
            thread::yield_now();
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after [`kill`](Self::kill), at the same port with the same data.
    pub(crate) fn restart(&mut self) {
        let child = launch(self.port, &self.folder, &self.under, &self.options);
        self.child = child.expect("the port is taken");
    }

    /// SIGSTOP: it keeps its connections and does nothing.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(port: u16, folder: &TempDir, under: &[String], options: &[String]) -> Option<Child> {
    let mut words = under.iter().map(OsString::from).chain([program()]);
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"])
        .arg(folder.path())
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is needed for these tests: install it");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.any(|line| line.is_ok_and(|line| line.contains("Ready to accept")));
    if !ready {
        child.wait().unwrap();
        return None;
    }
    // It must not wait for somebody to read what it says.
    thread::spawn(move || lines.for_each(drop));
    Some(child)
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The program of the path, or the one that is named.
pub(crate) fn program() -> OsString {
    std::env::var_os("BEAGLE_REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// A port that nobody has yet, and that no other test gets until this process ends: else a short one could be
/// in the place of a server that was killed, when it is looked for before it starts again.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static KEPT: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let span = PORTS.end - PORTS.start;
    // Test processes that run at the same time begin at different places.
    let first = (std::process::id() % u32::from(span)) as u16;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports");
    fs::create_dir_all(&folder).unwrap();
    loop {
        let place = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (first.wrapping_add(place)) % span;
        let lock = File::create(folder.join(port.to_string())).unwrap();
        if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            KEPT.lock().unwrap().push(lock);
            return port;
        }
    }
}
