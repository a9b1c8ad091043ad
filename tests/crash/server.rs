//! A server process as its parent has it: its address, its signals, its end.
//!
//! Must not know: what the server does.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use crate::GUARD;
use crate::child::{ORDERS, Orders};
use crate::parent::{MARK, OPEN};

/// A running server; killed when dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// What it told before it listened.
    pub(crate) told: Vec<String>,
    process: Child,
    lines: Receiver<String>,
}

impl Server {
    /// Starts one and waits until it listens.
    pub(crate) fn start(orders: &Orders) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child::entry", "--nocapture", "--quiet"])
            .env(ORDERS, serde_json::to_string(orders).unwrap())
            // The model panics as it is told; where from does not matter.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let told = line.strip_prefix(MARK).map(|line| line.trim().to_owned());
                if told.is_some_and(|line| tell.send(line).is_err()) {
                    break;
                }
            }
        });
        let mut server = Self {
            addr: ([0, 0, 0, 0], 0).into(),
            told: Vec::new(),
            process,
            lines,
        };
        loop {
            let line = server.line();
            match line.strip_prefix("ready ") {
                Some(addr) => {
                    server.addr = addr.parse().unwrap();
                    return server;
                }
                None => server.told.push(line),
            }
        }
    }

    /// Waits until the model has a batch in its hands; for servers whose gate is closed.
    #[track_caller]
    pub(crate) fn wait_until_it_holds(&self) {
        assert_eq!(self.line(), "holding");
    }

    /// Whatever waits in the model goes on.
    pub(crate) fn open_gate(&mut self) {
        let stdin = self.process.stdin.as_mut().unwrap();
        stdin.write_all(format!("{OPEN}\n").as_bytes()).unwrap();
    }

    /// Its number among the system's processes.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGSTOP.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// SIGKILL, and waits until it is gone.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        assert_eq!(self.ended().signal(), Some(9));
    }

    #[track_caller]
    fn line(&self) -> String {
        let line = self.lines.recv_timeout(GUARD);
        line.unwrap_or_else(|error| panic!("the server says nothing: {error}"))
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        loop {
            match self.lines.recv_timeout(GUARD) {
                Ok(_) => {}
                // Its end of the pipe is closed: it is gone.
                Err(RecvTimeoutError::Disconnected) => return self.process.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("the server does not end"),
            }
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already over, as a rule.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
