//! How much memory a server takes when it is ready, with every profile of the build.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use super::beagle;

/// A server; killed when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Already over, if it could not start.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Both networks of the build have the same weights: packed, 238 MB. Twice that, or a record that
/// stays in memory, would be seen.
#[test]
fn a_server_holds_each_weight_once() {
    let mut command = beagle();
    command
        .args(["serve", "--bind", "127.0.0.1:0", "--store", "memory:"])
        .args(["--durability", "none", "--threads", "2"])
        .args(["--precision", "f32"])
        .stderr(Stdio::piped());
    let mut server = Server(command.spawn().expect("the program starts"));
    let said = server.0.stderr.take().expect("it is piped");
    let mut lines = BufReader::new(said).lines().map_while(Result::ok);
    assert!(
        lines.any(|line| line.starts_with("ready")),
        "the server does not start"
    );
    let status = fs::read_to_string(format!("/proc/{}/status", server.0.id()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes.expect("in kB").parse().expect("a number");
    assert!(kilobytes < 420_000, "{kilobytes} kB");
}
