//! What the server process of a crash test runs: the whole server on the fake model.
//!
//! It tells the jobs it found and its address on stdout, opens the model's gate when told so on
//! stdin, and kills itself at a named point of a job's way. Must not know: who asks, what is
//! checked.

use std::env;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use beagle::app::{App, Ended, Engines, Settings};
use beagle::batch::policy::BatchLimits;
use beagle::observe::{Observer, Point};
use beagle::store::JobId;
use beagle::traces::Traces;
use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGKILL;
use signal_hook::low_level::raise;
use tokio::signal::unix::{SignalKind, signal};

use crate::fake::{self, Fake, Stage};
use crate::parent::{MARK, stage};
use crate::{GUARD, place, say};

/// The variable that holds the [`Orders`].
pub(crate) const ORDERS: &str = "BEAGLE_CRASH_ORDERS";

/// How a server is to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Where the jobs are; see [`place::open`].
    pub(crate) store: String,
    /// The name of a [`Point`], and at which job that comes to it the process dies.
    pub(crate) fuse: Option<(String, u32)>,
    /// Whether pictures that wait do not.
    pub(crate) gate_open: bool,
}

/// Kills the process at the n-th job that comes to a point.
struct Fuse {
    point: Option<Point>,
    left: AtomicU32,
}

impl Fuse {
    fn of(orders: &Orders) -> Self {
        let (name, count) = orders.fuse.clone().unwrap_or_default();
        let point = Point::ALL.into_iter().find(|point| point.name() == name);
        assert_eq!(point.is_some(), orders.fuse.is_some(), "no point '{name}'");
        Self {
            point,
            left: AtomicU32::new(count),
        }
    }
}

impl Observer for Fuse {
    fn reached(&self, point: Point, _: JobId) {
        if self.point == Some(point) && self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            raise(SIGKILL).unwrap();
        }
    }
}

/// The server process; as a test of its own it has nothing to do.
#[test]
fn entry() {
    let Ok(orders) = env::var(ORDERS) else { return };
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let stage = stage(orders.gate_open);
    let ended = actix::System::new().block_on(serve(&orders, &stage));
    assert_eq!(ended, Ended::InOrder);
}

async fn serve(orders: &Orders, stage: &Arc<Stage>) -> Ended {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let store = place::open(&orders.store);
    for job in store.list(None, place::MOST).await.unwrap() {
        say(&format!("{MARK} job {}", job.id));
    }
    let engines = Engines {
        store,
        catalog: fake::catalog(),
        models: vec![Box::new(Fake(stage.clone()))],
        observer: Arc::new(Fuse::of(orders)),
        traces: Traces::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = App::start(listener, settings(), engines).unwrap();
    say(&format!("{MARK} ready {}", app.addr()));
    let stop = async move {
        terminate.recv().await;
    };
    app.run_until(stop).await.unwrap()
}

fn settings() -> Settings {
    Settings {
        batch: BatchLimits {
            max_size: 8,
            max_delay: Duration::from_millis(5),
        },
        credits: 2,
        ..crate::settings::settings(place::LEASE, GUARD)
    }
}
