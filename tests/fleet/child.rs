//! What one process of a fleet runs: a web process, a worker or both, on a planned model.
//!
//! It tells every model it makes and its address on stdout, and opens the model's gate when told so
//! on stdin. Must not know: who asks, what is checked.

use std::env;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use beagle::app::{App, Ended, Engines, Settings};
use beagle::batch::policy::BatchLimits;
use beagle::classify::catalog::Catalog;
use beagle::classify::model::Model;
use beagle::config::layer::Role;
use beagle::edge::admission::AdmissionLimits;
use beagle::observe::Nobody;
use beagle::traces::{TraceSettings, Traces};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

use crate::fake::{self, Fake, Stage};
use crate::fleet::open;
use crate::parent::{MARK, stage};
use crate::{GUARD, pass, say};

/// The variable that holds the [`Orders`].
pub(crate) const ORDERS: &str = "BEAGLE_FLEET_ORDERS";
/// Told on stdout for every model that is made.
pub(crate) const LOADED: &str = "loaded";
/// How a process ends whose model hangs, as the program itself does.
pub(crate) const WEDGED: i32 = 75;

/// How a process is to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// The address of the store.
    pub(crate) store: String,
    /// What it does.
    pub(crate) role: Role,
    /// Where it listens.
    pub(crate) bind: SocketAddr,
    /// How long the model takes for a batch, beside what it takes for each image.
    pub(crate) batch: Duration,
    /// How long it takes for each image.
    pub(crate) image: Duration,
    /// Side of the model's input in pixels.
    pub(crate) side: u32,
    /// Most images in a batch.
    pub(crate) max_batch: usize,
    /// Whether pictures that wait do not.
    pub(crate) gate_open: bool,
    /// How long a claim lasts without a sign of life.
    pub(crate) lease: Duration,
    /// How long it stays open when it is to end.
    pub(crate) drain_delay: Duration,
    /// How long a batch may be in the model.
    pub(crate) wedge: Duration,
    /// Whether it knows the second profile.
    pub(crate) other: bool,
    /// Where its traces go.
    pub(crate) otlp: Option<String>,
}

/// A model that takes its time.
struct Planned {
    model: Fake,
    batch: Duration,
    image: Duration,
    /// Bytes of an image.
    bytes: usize,
}

impl Model for Planned {
    fn probabilities(&mut self, lane: usize, pixels: Vec<u8>) -> Result<Vec<f32>, String> {
        let images = pixels.chunks(self.bytes);
        // This is the model's work.
        pass(self.batch + self.image * u32::try_from(images.len()).unwrap());
        // A picture is one colour: some of it says all.
        let some = images.flat_map(|image| &image[..fake::BYTES]);
        self.model.probabilities(lane, some.copied().collect())
    }
}

/// The process; as a test of its own it has nothing to do.
#[test]
fn entry() {
    let Ok(orders) = env::var(ORDERS) else { return };
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let stage = stage(orders.gate_open);
    let traces = traces(&orders);
    let ended = actix::System::new().block_on(serve(&orders, &stage, traces.clone()));
    traces.end();
    match ended {
        Ended::InOrder => {}
        Ended::Wedged => std::process::exit(WEDGED),
        Ended::OutOfTime => panic!("it did not end in time"),
    }
}

fn traces(orders: &Orders) -> Traces {
    let Some(endpoint) = &orders.otlp else {
        return Traces::default();
    };
    let settings = TraceSettings {
        endpoint: endpoint.clone(),
        ratio: 1.0,
        service: "fleet".to_owned(),
    };
    Traces::start(&settings, orders.role.name()).unwrap()
}

async fn serve(orders: &Orders, stage: &Arc<Stage>, traces: Traces) -> Ended {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let models: Vec<Box<dyn Model>> = match orders.role {
        Role::Web => Vec::new(),
        Role::All | Role::Worker => {
            say(&format!("{MARK} {LOADED}"));
            vec![Box::new(Planned {
                model: Fake(stage.clone()),
                batch: orders.batch,
                image: orders.image,
                bytes: (orders.side * orders.side * 3) as usize,
            })]
        }
    };
    let engines = Engines {
        store: open(&orders.store, orders.lease),
        catalog: catalog(orders),
        models,
        observer: Arc::new(Nobody),
        traces,
    };
    let listener = TcpListener::bind(orders.bind).unwrap();
    let app = App::start(listener, settings(orders), engines).unwrap();
    say(&format!("{MARK} ready {}", app.addr()));
    let stop = async move {
        terminate.recv().await;
    };
    app.run_until(stop).await.unwrap()
}

/// The fake profiles, or the first alone, with an input of the side that is wanted.
fn catalog(orders: &Orders) -> Catalog {
    let fake = fake::catalog();
    let most = if orders.other { usize::MAX } else { 1 };
    let profiles = fake.iter().take(most).map(|served| {
        let mut served = (**served).clone();
        served.geometry.width = orders.side;
        served.geometry.height = orders.side;
        served
    });
    Catalog::new(profiles.collect()).unwrap()
}

fn settings(orders: &Orders) -> Settings {
    Settings {
        role: orders.role,
        admission: AdmissionLimits {
            uploads: 4096,
            bytes: 16 << 20,
        },
        batch: BatchLimits {
            max_size: orders.max_batch,
            max_delay: Duration::from_millis(5),
        },
        wedge_timeout: orders.wedge,
        connections: 1024,
        drain_delay: orders.drain_delay,
        ..crate::settings::settings(orders.lease, GUARD)
    }
}
