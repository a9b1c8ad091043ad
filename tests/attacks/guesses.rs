//! Guessing keys, as fast as the server lets one, from the address that good callers share.

use std::io::Write as _;

use beagle::access::secret::Secret;

use crate::bystanders::attack;
use crate::raw::{self, Raw};
use crate::server::Server;

/// Guesses.
const MANY: usize = 5000;
/// What the server may have at most, in MiB.
const MEMORY: u64 = 160;

#[test]
fn guessing_finds_nothing_and_locks_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let secret = Secret::new().unwrap();
    let table = format!(
        "[shop]\nsha256 = \"{}\"\nrequests-per-second = 1000000\n",
        secret.digest()
    );
    std::fs::write(&path, table).unwrap();
    let mut server = Server::with_keys(&path);
    let addr = server.addr;
    attack("guessed keys", &mut server, Some(secret.as_str()), || {
        let mut stream = raw::connect(addr);
        let mut ask = |key: &str| {
            let ask = raw::request("GET /metrics", &[("X-API-Key", key)], &[]);
            stream.write_all(&ask).unwrap();
            Raw::read(&mut stream).unwrap()
        };
        let (mut unknown, mut waits) = (0, 0);
        for number in 0..MANY {
            // Each begins as the right one does.
            let guess = format!("{}{number:08}", &secret.as_str()[..30]);
            match ask(&guess).status {
                401 => unknown += 1,
                429 => waits += 1,
                other => panic!("a guess is told {other}"),
            }
        }
        assert_eq!(unknown + waits, MANY);
        assert!(waits > unknown, "{waits} of {MANY} guesses had to wait");
        // The same address, and a good key.
        assert_eq!(ask(secret.as_str()).status, 200);
    });
    assert!(server.peak() < MEMORY);
}
