//! Callbacks: the whole server against receivers of the test's own, all on this machine.
//!
//! `BEAGLE_WEBHOOK_ROUNDS=50` makes the rounds of [`crash`] as many as that; without it they are
//! one for each store and point. The table is shown with `--no-capture`.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod addresses;
mod child;
mod crash;
mod delivering;
mod documented;
mod encrypted;
mod receiver;
mod refusing;

#[expect(dead_code, reason = "a part of it is for other tests")]
#[path = "../api/app.rs"]
mod app;
#[path = "../fake/mod.rs"]
mod fake;
#[path = "../fake/settings.rs"]
mod settings;
#[path = "../crash/parent.rs"]
mod parent;
#[expect(dead_code, reason = "a part of it is for other tests")]
#[path = "../crash/place.rs"]
mod place;
#[expect(dead_code, reason = "a part of it is for other tests")]
#[path = "../store/redis_server.rs"]
mod redis_server;
#[expect(dead_code, reason = "a part of it is for other tests")]
#[path = "../crash/server.rs"]
mod server;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use beagle::webhook::caller::SystemNames;
use beagle::webhook::guard::Guard;
use beagle::webhook::policy::Waits;
use beagle::webhook::sign::Keyring;
use beagle::webhook::{self};

/// Nothing here takes so long; what does has failed.
const GUARD: Duration = Duration::from_secs(60);

/// The secrets of every server here, the newest first.
const SECRETS: &str = "new:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n\
                       old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// A minute: no test takes so long to look at what it has heard.
const WINDOW: Duration = Duration::from_secs(60);

fn keys() -> Keyring {
    Keyring::parse(SECRETS).unwrap()
}

/// How servers call here: this machine is allowed, and tries follow each other at once.
fn calls() -> webhook::Settings {
    webhook::Settings {
        keys: Arc::new(keys()),
        guard: Arc::new(Guard::new(vec!["127.0.0.0/8".parse().unwrap()])),
        names: Arc::new(SystemNames),
        callers: 4,
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
        waits: Waits {
            first: Duration::from_millis(20),
            longest: Duration::from_millis(100),
        },
        certificates: None,
    }
}

/// Where a callback of this path goes.
fn url(receiver: SocketAddr, path: &str) -> String {
    format!("http://{receiver}/{path}")
}

/// One write for a line: a kill does not cut it in two.
fn say(text: &str) {
    // Whoever has closed the pipe does not want to know.
    let _ = std::io::stdout().write_all(format!("{text}\n").as_bytes());
}
