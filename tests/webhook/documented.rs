//! The receiver of docs/webhooks.md, run as it is written there: it believes what is genuine, and
//! nothing that is forged, changed, old or repeated.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::keys;

const DOCS: &str = include_str!("../../docs/webhooks.md");

/// What calls the receiver: a JSON list of calls on the command line, a word for each on stdout.
const CALLS: &str = r#"
import json, sys
for headers, body in json.loads(sys.argv[1]):
    try:
        verify(headers, body.encode())
        print("believed")
    except ValueError as error:
        print(error)
"#;

/// The first Python text of the documentation.
fn documented() -> &'static str {
    let (_, rest) = DOCS
        .split_once("```python\n")
        .expect("there is Python in it");
    rest.split_once("```").unwrap().0
}

#[test]
fn the_documented_receiver_believes_what_is_genuine_alone() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (body, keys) = (r#"{"id":"1"}"#, keys());
    let call = |id: &str, time: u64, signed_at: u64, signed: &str, body: &str| {
        let signature = keys.sign(id, signed_at, signed.as_bytes()).signature;
        serde_json::json!([{
            "webhook-id": id,
            "webhook-timestamp": time.to_string(),
            "webhook-signature": signature,
        }, body])
    };
    let mut unsigned = call("e", now, now, body, body);
    unsigned[0]["webhook-signature"] = "".into();
    let calls = serde_json::json!([
        call("a", now, now, body, body),
        call("b", now, now, body, r#"{"id":"2"}"#),
        call("c", now, now - 400, body, body),
        call("d", now - 400, now - 400, body, body),
        unsigned,
        call("a", now, now, body, body),
        call("f", now, now, body, body),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("receiver.py");
    fs::write(&script, format!("{}{CALLS}", documented())).unwrap();
    let ran = Command::new("python3")
        .arg(&script)
        .arg(calls.to_string())
        .env(
            "WEBHOOK_SECRET",
            "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
        )
        .output()
        .expect("python3 is needed for this test: install it");
    let said = String::from_utf8(ran.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    let wanted = [
        "believed",
        "forged",
        "forged",
        "too old",
        "forged",
        "seen before",
        "believed",
    ];
    assert_eq!(lines, wanted, "{}", String::from_utf8_lossy(&ran.stderr));
}
