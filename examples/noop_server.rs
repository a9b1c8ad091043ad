//! A server whose model does nothing: what the pipeline itself costs.
//!
//! cargo run --release --example noop_server -- [sqlite:PATH | redis://HOST | memory:]
//!
//! Prints its address, and ends at SIGINT.

use std::net::TcpListener;
use std::sync::Arc;

use beagle::app::{App, Engines};
use beagle::classify::catalog::{Catalog, Served};
use beagle::classify::model::Model;
use beagle::config::layer::Layer;
use beagle::config::store_url::StoreUrl;
use beagle::config::{Config, Surroundings};
use beagle::observe::Nobody;
use beagle::store::memory::MemoryStore;
use beagle::store::sharded;
use beagle::store::sqlite::{SqliteStore, Synchronous};
use beagle::store::{Demand, JobStore};
use beagle::traces::Traces;
use model_import::registry;

/// As in the program itself, so that its memory can be measured here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Scores without work.
struct NoOp {
    classes: usize,
    image: usize,
}

impl Model for NoOp {
    fn probabilities(&mut self, _: usize, pixels: Vec<u8>) -> Result<Vec<f32>, String> {
        Ok(vec![
            1.0 / self.classes as f32;
            self.classes * (pixels.len() / self.image)
        ])
    }
}

#[expect(clippy::print_stdout, reason = "it says where it listens")]
fn main() -> anyhow::Result<()> {
    let said = Layer {
        store: std::env::args().nth(1).or(Some("memory:".to_owned())),
        bind: Some(([127, 0, 0, 1], 5050).into()),
        ..Layer::default()
    };
    let around = Surroundings {
        cores: std::thread::available_parallelism()?.into(),
        ..Surroundings::default()
    };
    let config = Config::new(&[&said], &around)?;
    let profile = registry::profile("imagenet")?;
    let model = registry::model(&profile.model)?;
    let served = Served {
        name: profile.name.clone(),
        geometry: profile.geometry,
        lane: 0,
        labels: model.labels.clone(),
    };
    let limits = config.limits.clone();
    actix::System::new().block_on(async move {
        let store: Arc<dyn JobStore> = match &config.store {
            StoreUrl::Memory => Arc::new(MemoryStore::new(limits)),
            StoreUrl::Sqlite(path) => {
                Arc::new(SqliteStore::open(path, limits, Synchronous::Normal)?)
            }
            StoreUrl::Redis(urls) => {
                let anything: Demand = Arc::new(|_| Ok(()));
                sharded::open(urls, limits, &anything)?
            }
        };
        let engines = Engines {
            store,
            models: vec![Box::new(NoOp {
                classes: served.labels.count(),
                image: served.geometry.pixel_bytes(),
            })],
            catalog: Catalog::new(vec![served]).expect("there is one profile"),
            observer: Arc::new(Nobody),
            traces: Traces::default(),
        };
        let app = App::start(TcpListener::bind(config.bind)?, config.settings, engines)?;
        println!("http://{}/predict", app.addr());
        let stop = async {
            // Without a signal there is nothing to wait for.
            let _ = tokio::signal::ctrl_c().await;
        };
        app.run_until(stop).await?;
        anyhow::Ok(())
    })
}
