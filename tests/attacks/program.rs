//! The program itself: what it warns of, keys from its command line, and files read again on
//! SIGHUP.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::GUARD;
use crate::raw;

/// A Redis that is not there: a web process starts without it, and needs no weights.
const NOWHERE: &str = "redis://127.0.0.1:1";

fn beagle() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beagle"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BEAGLE_")) {
        command.env_remove(name);
    }
    command
}

/// The program as it serves; killed when dropped.
struct Program {
    process: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut process = beagle()
            .args(["serve", "--role", "web", "--store", NOWHERE])
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Self { process, lines }
    }

    /// Everything that it says up to a line that holds this.
    #[track_caller]
    fn until(&self, part: &str) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let line = self.lines.recv_timeout(GUARD);
            let line = line.unwrap_or_else(|_| panic!("it never says '{part}': {told:#?}"));
            let found = line.contains(part);
            told.push(line);
            if found {
                return told;
            }
        }
    }

    /// Where it listens, once it does.
    #[track_caller]
    fn addr(&self) -> SocketAddr {
        let told = self.until("ready    http");
        let line = told.last().unwrap();
        let (_, rest) = line.split_once("://").unwrap();
        rest.split('/').next().unwrap().parse().unwrap()
    }

    fn hang_up(&self) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes a key with the program and returns its secret.
fn new_key(id: &str, file: &Path) -> String {
    let output = beagle()
        .args(["keys", "new", "--id", id, "--keys"])
        .arg(file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn status(addr: SocketAddr, key: &str) -> u16 {
    raw::ask(addr, "GET /metrics", &[("X-API-Key", key)], &[]).status
}

#[test]
fn others_can_reach_it_and_no_keys_are_asked_for_is_warned_of() {
    let open = Program::start(&["--bind", "0.0.0.0:0"]);
    let told = open.until("ready    http");
    let warning = told.iter().find(|line| line.starts_with("warning"));
    assert!(
        warning.is_some_and(|line| line.contains("--keys FILE")),
        "{told:#?}"
    );

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    new_key("shop", &file);
    let locked = ["--bind", "0.0.0.0:0", "--keys", file.to_str().unwrap()];
    for arguments in [&["--bind", "127.0.0.1:0"][..], &locked] {
        let told = Program::start(arguments).until("ready    http");
        assert!(
            !told.iter().any(|line| line.starts_with("warning")),
            "{told:#?}"
        );
    }
}

#[test]
fn a_key_is_made_served_and_taken_away_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let first = new_key("first", &file);
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&first), "the file holds no secret: {text}");
    let check = beagle()
        .args(["keys", "check", "--keys"])
        .arg(&file)
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(
        check.status.success() && listed.starts_with("first"),
        "{listed}"
    );

    let server = Program::start(&["--bind", "127.0.0.1:0", "--keys", file.to_str().unwrap()]);
    let addr = server.addr();
    assert_eq!(status(addr, &first), 200);

    let second = new_key("second", &file);
    assert_eq!(status(addr, &second), 401);
    server.hang_up();
    server.until("the keys were read again");
    assert_eq!((status(addr, &first), status(addr, &second)), (200, 200));

    let mut broken = fs::OpenOptions::new().append(true).open(&file).unwrap();
    broken.write_all(b"\n[third\n").unwrap();
    server.hang_up();
    let told = server.until("the keys stay as they were");
    assert!(told.last().unwrap().contains("keys.toml"), "{told:?}");
    assert_eq!((status(addr, &first), status(addr, &second)), (200, 200));

    fs::write(&file, &text).unwrap();
    server.hang_up();
    server.until("the keys were read again");
    assert_eq!((status(addr, &first), status(addr, &second)), (200, 401));
}

#[test]
fn a_file_of_keys_that_cannot_be_used_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    fs::write(&file, "[a]\nsha256 = \"12\"\n").unwrap();
    for (arguments, told) in [
        (vec!["serve", "--bind", "127.0.0.1:0", "--keys"], "key 'a'"),
        (vec!["keys", "check", "--keys"], "key 'a'"),
        (vec!["keys", "new", "--id", "b", "--keys"], "key 'a'"),
    ] {
        let output = beagle().args(&arguments).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && said.contains(told),
            "{arguments:?}: {said}"
        );
    }
    let output = beagle()
        .args(["serve", "--bind", "127.0.0.1:0", "--tls-cert", "cert.pem"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("tls-key is missing"), "{said}");
}
