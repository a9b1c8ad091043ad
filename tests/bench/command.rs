//! The command itself: its exit codes, its JSON, its plot.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::server::{Reply, Request, Server};

fn good(_: &Request) -> Reply {
    Reply::Status(200, r#"{"success": true}"#.to_owned())
}

fn full(_: &Request) -> Reply {
    Reply::Status(503, String::new())
}

/// Runs the command and gives its exit code, its output and its errors.
fn bench(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beagle"));
    let output = command
        .arg("bench")
        .args(arguments)
        .output()
        .expect("the program starts");
    let [told, said] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), told, said)
}

#[test]
fn a_rate_after_the_other_is_measured_and_drawn() {
    let server = Server::start(Duration::ZERO, good);
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("plot.svg");
    let url = server.url();
    let (code, told, said) = bench(&[
        &url,
        "--rate",
        "50,100",
        "--arrivals",
        "constant",
        "--duration",
        "310ms",
        "--warm-up",
        "100ms",
        "--timeout",
        "100s",
        "--json",
        "--plot",
        &plot.to_string_lossy(),
    ]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said, "", "a file has no progress bar");
    let told: Value = serde_json::from_str(&told).expect("it is JSON");
    // Due at 0.1, 0.12 ... 0.4 s, and at 0.1, 0.11 ... 0.4 s.
    for (step, requests) in [(0, 16), (1, 31)] {
        assert_eq!(told["steps"][step]["answered"], requests, "{told}");
    }
    assert_eq!(told["arrivals"], "constant");
    assert_eq!(told["target"]["uri"], format!("{url}/predict"));
    let picture = std::fs::read_to_string(plot).unwrap();
    assert_eq!(picture.matches("<circle").count(), 2 * 3);
    // One to look, and the two loads with their warm-ups: 20 and 40 before 0.41 s.
    assert_eq!(server.requests().len(), 1 + 20 + 40);
    let body = String::from_utf8_lossy(&server.requests()[0].body).into_owned();
    assert!(body.contains("filename=\"cat.jpg\"") && body.contains("image/jpeg"));
}

#[test]
fn a_search_of_a_server_that_is_full_finds_nothing_and_says_so() {
    let server = Server::start(Duration::ZERO, full);
    let (code, told, said) = bench(&[
        &server.url(),
        "--search",
        "--p99",
        "100s",
        "--rate",
        "40",
        "--duration",
        "50ms",
        "--warm-up",
        "0s",
    ]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        told.contains("no rate was found at p99 <= 100000 ms"),
        "{told}"
    );
    assert!(told.contains("not all answered"), "{told}");
}

#[test]
fn a_closed_loop_is_what_is_measured_if_nothing_is_said() {
    let server = Server::start(Duration::ZERO, good);
    let (code, told, said) = bench(&[&server.url(), "--duration", "200ms", "--warm-up", "0s"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(told.contains("closed loop, 0.2 s a step"), "{told}");
    assert!(told.contains("  16 conn."), "{told}");
}

#[test]
fn what_cannot_be_done_is_said_with_the_right_code() {
    let (code, _, said) = bench(&["http://127.0.0.1:1", "--duration", "1s"]);
    assert_eq!(code, Some(70));
    assert!(
        said.contains("http://127.0.0.1:1/predict was not answered"),
        "{said}"
    );
    for wrong in [
        &["--rate", "1"][..],
        &["http://a", "--layers"],
        &["http://a", "--rate", "0"],
        &["http://a", "--rate", "1", "--connections", "1"],
        &["http://a", "--protocol", "oip"],
        &[
            "http://a",
            "--protocol",
            "oip",
            "--model",
            "m",
            "--input",
            "u8",
        ],
    ] {
        assert_eq!(bench(wrong).0, Some(2), "{wrong:?}");
    }
}
