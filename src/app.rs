//! The composition root: stages wired from the last to the first, and the order of the end.
//!
//! The one place that knows every stage. Tests use the same door on port 0.

mod parts;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::{Actor as _, Addr, AsyncContext as _, SyncArbiter};
use actix_web::web::Data;
use futures_util::future::{OptionFuture, join};
use tokio::sync::{Notify, oneshot};

pub use parts::{Doors, Engines, Settings};

use crate::batch::actor::{Batcher, Parts as BatcherParts, Slot};
use crate::classify::actor::Classifier;
use crate::classify::catalog::Catalog;
use crate::classify::model::Model;
use crate::config::layer::Role;
use crate::credit::Credits;
use crate::decode::actor::Decoder;
use crate::edge::Edge;
use crate::edge::admission::Admission;
use crate::edge::shares::Shares;
use crate::gate::Gate;
use crate::grpc;
use crate::health::Health;
use crate::http::listen::{self, Running};
use crate::http::signs::Signs;
use crate::http::{self, Face};
use crate::message::Drain;
use crate::metrics::Metrics;
use crate::observe::{Both, Observer};
use crate::pulse::Pulse;
use crate::respond::actor::{Parts as ResponderParts, Responder};
use crate::respond::rate::Rate;
use crate::store::JobStore;
use crate::tls::Speaks;
use crate::watch::Watch;
use crate::webhook::actor::{Deliverer, Parts as DelivererParts};

/// Messages that may wait before an async stage, beside one for each upload at once: credits,
/// outcomes and notices.
const MAILBOX: usize = 1024;
/// Left of the grace for the store, after the callers have had their part.
const LAST_PART: u32 = 4;

/// A server that listens.
pub struct App {
    address: SocketAddr,
    server: actix_server::Server,
    grpc: Option<grpc::server::Running>,
    batcher: Addr<Batcher>,
    deliverer: Option<Addr<Deliverer>>,
    store: Arc<dyn JobStore>,
    health: Arc<Health>,
    wedged: Arc<Notify>,
    watch: Arc<Watch>,
    settings: Settings,
}

impl App {
    /// Starts every stage and listens. To be called inside an actix system.
    ///
    /// # Errors
    /// When a listener cannot be used.
    pub fn start(
        doors: impl Into<Doors>,
        settings: Settings,
        engines: Engines,
    ) -> io::Result<Self> {
        let Doors {
            http: listener,
            grpc: grpc_listener,
        } = doors.into();
        let Engines {
            store,
            catalog,
            models,
            observer,
            traces,
        } = engines;
        let address = listener.local_addr()?;
        let health = Arc::new(Health::default());
        let arriving = Arc::new(AtomicUsize::new(0));
        let rate = Arc::new(Mutex::new(Rate::new(Instant::now())));
        let metrics = Arc::new(Metrics::new().map_err(io::Error::other)?);
        let watch = Arc::new(Watch::new(settings.watchers));
        let told: [Arc<dyn Observer>; 3] =
            [metrics.clone(), watch.clone(), Arc::new(traces.clone())];
        let observer = told.into_iter().fold(observer, |all, one| {
            Arc::new(Both(all, one)) as Arc<dyn Observer>
        });
        let signs = Data::new(Signs {
            health: health.clone(),
            store: store.clone(),
            metrics,
            observer: observer.clone(),
            traces,
            models: models.len(),
            role: settings.role.name(),
        });
        let mailbox = MAILBOX + settings.admission.uploads;

        let depth = Arc::new(AtomicU64::new(0));
        let wedged = Arc::new(Notify::new());

        // The Responder and the Batcher tell each other things, so both mailboxes come first.
        let mut batching = actix::Context::<Batcher>::new();
        let mut responding = actix::Context::<Responder>::new();
        batching.set_mailbox_capacity(mailbox);
        responding.set_mailbox_capacity(mailbox);
        let (batcher, responder) = (batching.address(), responding.address());
        responding.run(Responder::new(ResponderParts {
            store: store.clone(),
            settled: batcher.clone().recipient(),
            rate: rate.clone(),
            health: health.clone(),
            observer: observer.clone(),
            watch: watch.clone(),
        }));
        let slots = classifiers(
            models,
            &catalog,
            &batcher,
            &responder,
            &observer,
            settings.credits,
        );
        batching.run(Batcher::new(BatcherParts {
            store: store.clone(),
            slots,
            awaited: responder.clone().recipient(),
            offered: responder.clone().recipient(),
            catalog: catalog.clone(),
            limits: settings.batch,
            lease: settings.lease,
            wedge_timeout: settings.wedge_timeout,
            wedged: wedged.clone(),
            arriving: arriving.clone(),
            depth: depth.clone(),
            health: health.clone(),
            observer: observer.clone(),
        }));
        let counts = observer.clone();
        let mut grpc = None;
        let calls = settings
            .webhook
            .clone()
            .filter(|_| settings.role != Role::Worker);
        let callbacks = calls.as_ref().map(|calls| calls.guard.clone());
        let deliverer = calls.map(|settings| {
            let deliverer = Deliverer::new(DelivererParts {
                store: store.clone(),
                caller: Arc::new(settings.caller()),
                settings,
                write: http::job_body,
                health: health.clone(),
                observer: observer.clone(),
            });
            deliverer.start()
        });
        let face = match settings.role {
            Role::Worker => Face::Worker,
            Role::All | Role::Web => {
                let (image, next) = (settings.image, batcher.clone().recipient());
                let observes = observer.clone();
                let decoder = SyncArbiter::start(settings.decoders, move || {
                    Decoder::new(image, next.clone(), observer.clone())
                });
                let edge = Arc::new(Edge {
                    uploads: decoder.recipient(),
                    abandoned: responder.recipient(),
                    store: store.clone(),
                    catalog,
                    admission: Admission::new(settings.admission, arriving),
                    shares: Shares::new(settings.admission, &settings.body),
                    body: settings.body,
                    times: settings.times,
                    callbacks,
                    health: health.clone(),
                    rate,
                    depth,
                    observer: observes,
                    watch: watch.clone(),
                });
                let bounds = grpc::server::Bounds {
                    threads: settings.http_threads,
                    connections: settings.connections,
                    streams: settings.admission.uploads,
                };
                let door = &settings.door;
                let start =
                    |listener| grpc::server::Running::start(listener, edge.clone(), door, bounds);
                grpc = grpc_listener.map(start).transpose()?;
                Face::Edge(Data::from(edge))
            }
        };
        let door = settings.door.clone();
        let gate = Gate::new(door.connections, Speaks::Http1, door.tls.clone());
        let running = Running {
            threads: settings.http_threads,
            connections: settings.connections,
            grace: for_callers(settings.grace),
        };
        let door = Data::new(door);
        let server = listen::serve(listener, gate, running, counts, move || {
            http::app(face.clone(), signs.clone(), door.clone())
        })?;
        health.models_are_warm();
        Ok(Self {
            address,
            server,
            grpc,
            batcher,
            deliverer,
            store,
            health,
            wedged,
            watch,
            settings,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it speaks gRPC.
    #[must_use]
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().map(grpc::server::Running::addr)
    }

    /// Serves until `stop` is ready, then ends in order, within the grace: not ready; still open
    /// for the drain delay; no new connections, and those there are get their answers; the rest
    /// handed back to the store; the store closed. A model that hangs ends it, too, and then
    /// nobody's answer is waited for: the jobs are back in the store.
    ///
    /// # Errors
    /// When the web server or that of gRPC fails by itself.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> io::Result<Ended> {
        let Self {
            server,
            mut grpc,
            batcher,
            deliverer,
            store,
            health,
            wedged,
            watch,
            settings,
            ..
        } = self;
        let handle = server.handle();
        let server = actix::spawn(server);
        tokio::pin!(server);
        let hangs = tokio::select! {
            ended = &mut server => return ended.map_err(io::Error::other)?.map(|()| Ended::InOrder),
            () = stop => false,
            () = wedged.notified() => true,
            error = ended_by_itself(&mut grpc) => return Err(error),
        };
        health.begin_drain();
        tokio::time::sleep(settings.drain_delay).await;
        // Who watches would hold its connection open to the end of the job.
        watch.close();
        let end = async {
            let patience = if hangs {
                Duration::ZERO
            } else {
                for_callers(settings.grace)
            };
            let grpc = grpc.map(|grpc| grpc.stop(patience));
            join(handle.stop(!hangs), OptionFuture::from(grpc)).await;
            let (done, drained) = oneshot::channel();
            if !hangs && batcher.try_send(Drain { done }).is_ok() {
                // An ended Batcher holds nothing.
                let _ = drained.await;
            }
            let (done, drained) = oneshot::channel();
            let calls = deliverer.filter(|_| !hangs);
            if calls.is_some_and(|calls| calls.try_send(Drain { done }).is_ok()) {
                // What is not told by then is told by the next process.
                let _ = drained.await;
            }
            if let Err(error) = store.close().await {
                tracing::warn!(%error, "the store did not close in order");
            }
        };
        let ended = tokio::time::timeout(settings.grace, end).await;
        Ok(if hangs {
            Ended::Wedged
        } else if ended.is_ok() {
            Ended::InOrder
        } else {
            Ended::OutOfTime
        })
    }
}

/// What callers have of the grace.
fn for_callers(grace: Duration) -> Duration {
    grace - grace / LAST_PART
}

/// Ready when the gRPC server ends unasked; never if there is none.
async fn ended_by_itself(grpc: &mut Option<grpc::server::Running>) -> io::Error {
    match grpc {
        Some(grpc) => grpc.ended().await,
        None => std::future::pending().await,
    }
}

/// How the server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything was finished or handed back.
    InOrder,
    /// The grace ran out: what was with a model runs again after its lease.
    OutOfTime,
    /// A model hung; its jobs were handed back.
    Wedged,
}

/// One Classifier a model, each on a thread of its own.
fn classifiers(
    models: Vec<Box<dyn Model>>,
    catalog: &Catalog,
    batcher: &Addr<Batcher>,
    responder: &Addr<Responder>,
    observer: &Arc<dyn Observer>,
    credits: usize,
) -> Vec<Slot> {
    let slot = |model: Box<dyn Model>| {
        let model = Mutex::new(Some(model));
        let (catalog, observer) = (catalog.clone(), observer.clone());
        let pulse = Arc::new(Pulse::default());
        let signs = pulse.clone();
        let next = responder.clone().recipient();
        // The factory runs once, on the thread that keeps the model.
        let classifier = SyncArbiter::start(1, move || {
            let model = model.lock().ok().and_then(|mut model| model.take());
            let signs = signs.clone();
            Classifier::new(
                model,
                catalog.clone(),
                next.clone(),
                observer.clone(),
                signs,
            )
        });
        Slot {
            classifier: classifier.recipient(),
            credits: Credits::new(credits, batcher.clone().recipient()),
            pulse,
        }
    };
    models.into_iter().map(slot).collect()
}
