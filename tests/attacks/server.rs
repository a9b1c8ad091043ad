//! A server process as its attacker's machine sees it: its address, its memory, whether it lives.
//!
//! Must not know: what is done to it.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::child::{KEYS, MARK};

/// A running server; killed when dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    process: Child,
}

impl Server {
    /// Starts one that asks for no keys.
    pub(crate) fn start() -> Self {
        Self::with_keys("".as_ref())
    }

    /// Starts one that asks for those in a file.
    pub(crate) fn with_keys(keys: &Path) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child::entry", "--nocapture", "--quiet"])
            .env(KEYS, keys)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut lines = stdout.lines().map_while(Result::ok);
        let addr = lines.find_map(|line| Some(line.strip_prefix(MARK)?.parse().unwrap()));
        Self {
            addr: addr.expect("the server says where it listens"),
            process,
        }
    }

    /// Its number among the system's processes.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The most memory that it ever had, in MiB.
    #[track_caller]
    pub(crate) fn peak(&mut self) -> u64 {
        let ended = self.process.try_wait().unwrap();
        assert!(ended.is_none(), "the server has ended: {ended:?}");
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = line
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kib >> 10
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already over, as a rule.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
