//! What the server process of a round runs: the whole server on the fake model, which calls back.
//!
//! Must not know: who asks, what is checked.

use std::env;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use beagle::app::{App, Ended, Engines};
use beagle::observe::{Observer, Point};
use beagle::store::JobId;
use beagle::traces::Traces;
use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGKILL;
use signal_hook::low_level::raise;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::Wanted;
use crate::fake::{self, Fake};
use crate::parent::{MARK, stage};
use crate::{calls, place, say};

/// The variable that holds the [`Orders`].
pub(crate) const ORDERS: &str = "BEAGLE_WEBHOOK_ORDERS";

/// How a server is to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Where the jobs are; see [`place::open`].
    pub(crate) store: String,
    /// The name of a [`Point`], and at which job that comes to it the process dies.
    pub(crate) fuse: Option<(String, u32)>,
}

/// Kills the process at the n-th job that comes to a point.
struct Fuse {
    point: Option<Point>,
    left: AtomicU32,
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
    let ended = actix::System::new().block_on(serve(&orders));
    assert_eq!(ended, Ended::InOrder);
}

async fn serve(orders: &Orders) -> Ended {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let (name, count) = orders.fuse.clone().unwrap_or_default();
    let fuse = Fuse {
        point: Point::ALL.into_iter().find(|point| point.name() == name),
        left: AtomicU32::new(count),
    };
    let engines = Engines {
        store: place::open(&orders.store),
        catalog: fake::catalog(),
        models: vec![Box::new(Fake(stage(true)))],
        observer: Arc::new(fuse),
        traces: Traces::default(),
    };
    let mut settings = Wanted::default().settings;
    settings.lease = place::LEASE;
    settings.webhook = Some(calls());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = App::start(listener, settings, engines).unwrap();
    say(&format!("{MARK} ready {}", app.addr()));
    let stop = async move {
        terminate.recv().await;
    };
    app.run_until(stop).await.unwrap()
}
