//! What the server process of an attack runs: the whole server on the fake model, with the usual
//! bounds and shorter times.
//!
//! Must not know: who attacks it.

use std::env;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use beagle::access::Access;
use beagle::app::{App, Engines, Settings};
use beagle::batch::policy::BatchLimits;
use beagle::classify::model::Model;
use beagle::edge::BodyLimits;
use beagle::edge::admission::AdmissionLimits;
use beagle::edge::door::Door;
use beagle::gate::Limits;
use beagle::gate::pace::Tempo;
use beagle::observe::Nobody;
use beagle::store::StoreLimits;
use beagle::store::memory::MemoryStore;
use beagle::traces::Traces;

use crate::fake::{self, Fake, Stage};
use crate::{GUARD, say};

/// The variable that makes a process of these tests a server: its file of keys, or nothing.
pub(crate) const KEYS: &str = "BEAGLE_ATTACKS_KEYS";
/// What the line with its address begins with; the test harness has lines of its own.
pub(crate) const MARK: &str = "@ready ";

/// How long a head may take here, and a part of a body or an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// Connections of one address.
pub(crate) const PER_ADDRESS: usize = 1024;
/// Connections in all.
pub(crate) const CONNECTIONS: usize = 4096;

/// How long the model takes over a batch: about as long as ResNet50 in int8 over two images, so that
/// the others wait about as long as they would for a real one.
const MODEL: Duration = Duration::from_millis(20);

/// The fake model, which takes its time.
struct Unhurried(Fake);

impl Model for Unhurried {
    fn probabilities(&mut self, lane: usize, pixels: Vec<u8>) -> Result<Vec<f32>, String> {
        thread::park_timeout(MODEL);
        self.0.probabilities(lane, pixels)
    }
}

/// The server process; as a test of its own it has nothing to do.
#[test]
fn entry() {
    let Ok(keys) = env::var(KEYS) else { return };
    let access = if keys.is_empty() {
        Access::open()
    } else {
        Access::with_keys(PathBuf::from(keys)).unwrap()
    };
    actix::System::new().block_on(async {
        let stage = Arc::new(Stage::default());
        let engines = Engines {
            store: Arc::new(MemoryStore::new(StoreLimits {
                // What the others were told is not what an attack costs.
                max_results: 1000,
                ..StoreLimits::default()
            })),
            catalog: fake::catalog(),
            models: vec![Box::new(Unhurried(Fake(stage)))],
            observer: Arc::new(Nobody),
            traces: Traces::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let app = App::start(listener, settings(access), engines).unwrap();
        say(&format!("{MARK}{}", app.addr()));
        // Killed when it is no longer needed.
        app.run_until(std::future::pending()).await.unwrap();
    });
}

fn settings(access: Access) -> Settings {
    Settings {
        door: Door {
            access: Arc::new(access),
            connections: Limits {
                per_address: PER_ADDRESS,
                head_timeout: PATIENCE,
                write_timeout: PATIENCE,
                ..Limits::default()
            },
            upload: Tempo {
                window: PATIENCE,
                ..Tempo::default()
            },
            ..Door::default()
        },
        body: BodyLimits {
            bytes: 64 << 20,
            images: 64,
        },
        admission: AdmissionLimits {
            uploads: 256,
            bytes: 256 << 20,
        },
        batch: BatchLimits {
            max_size: 32,
            max_delay: Duration::from_millis(5),
        },
        connections: CONNECTIONS,
        ..crate::settings::settings(StoreLimits::default().lease, GUARD)
    }
}
