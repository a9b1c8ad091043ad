//! The composition root: stages wired from the last to the first, and the order of the end.
//!
//! The one place that knows every stage. Tests use the same door on port 0.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::{Actor as _, Addr, AsyncContext as _, SyncArbiter};
use actix_web::HttpServer;
use actix_web::web::Data;
use tokio::sync::{Notify, oneshot};

use crate::batch::actor::{Batcher, Parts as BatcherParts, Slot};
use crate::batch::policy::BatchLimits;
use crate::classify::actor::Classifier;
use crate::classify::catalog::Catalog;
use crate::classify::model::Model;
use crate::config::layer::Role;
use crate::credit::Credits;
use crate::decode::Limits;
use crate::decode::actor::Decoder;
use crate::edge::admission::{Admission, AdmissionLimits};
use crate::edge::{BodyLimits, Edge, Times};
use crate::health::Health;
use crate::http::signs::Signs;
use crate::http::{self, Face};
use crate::message::Drain;
use crate::metrics::Metrics;
use crate::observe::{Both, Observer};
use crate::pulse::Pulse;
use crate::respond::actor::{Parts as ResponderParts, Responder};
use crate::respond::rate::Rate;
use crate::store::JobStore;
use crate::webhook;
use crate::webhook::actor::{Deliverer, Parts as DelivererParts};

/// Messages that may wait before an async stage, beside one for each upload at once: credits,
/// outcomes and notices.
const MAILBOX: usize = 1024;
/// Left of the grace for the store, after the callers have had their part.
const LAST_PART: u32 = 4;

/// Everything the server's parts are told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What this process does of the whole.
    pub role: Role,
    /// Threads that decode.
    pub decoders: usize,
    /// Bounds on one image.
    pub image: Limits,
    /// Bounds on a body.
    pub body: BodyLimits,
    /// Bounds on uploads at once.
    pub admission: AdmissionLimits,
    /// What the batching policy may do.
    pub batch: BatchLimits,
    /// How long callers and jobs wait.
    pub times: Times,
    /// How long a claim lasts without a heartbeat; the store's.
    pub lease: Duration,
    /// How long a batch may be with a model before it counts as hanging.
    pub wedge_timeout: Duration,
    /// Batches that may be with a Classifier at once: one that runs, the others next.
    pub credits: usize,
    /// Threads of the web server.
    pub http_threads: usize,
    /// Connections at once.
    pub connections: usize,
    /// How long a request's headers may take to arrive.
    pub header_timeout: Duration,
    /// How long to stay open after readiness is withdrawn.
    pub drain_delay: Duration,
    /// How long the end may take.
    pub grace: Duration,
    /// How to call back; nothing if nobody is called.
    pub webhook: Option<webhook::Settings>,
}

/// What the pipeline runs on.
pub struct Engines {
    /// The durable queue.
    pub store: Arc<dyn JobStore>,
    /// What is served.
    pub catalog: Catalog,
    /// One loaded and warm model a device; none where no model runs.
    pub models: Vec<Box<dyn Model>>,
    /// Told of every job's way.
    pub observer: Arc<dyn Observer>,
}

/// A server that listens.
pub struct App {
    address: SocketAddr,
    server: actix_web::dev::Server,
    batcher: Addr<Batcher>,
    deliverer: Option<Addr<Deliverer>>,
    store: Arc<dyn JobStore>,
    health: Arc<Health>,
    wedged: Arc<Notify>,
    settings: Settings,
}

impl App {
    /// Starts every stage and listens. To be called inside an actix system.
    ///
    /// # Errors
    /// When the listener cannot be used.
    pub fn start(listener: TcpListener, settings: Settings, engines: Engines) -> io::Result<Self> {
        let Engines {
            store,
            catalog,
            models,
            observer,
        } = engines;
        let address = listener.local_addr()?;
        let health = Arc::new(Health::default());
        let arriving = Arc::new(AtomicUsize::new(0));
        let rate = Arc::new(Mutex::new(Rate::new(Instant::now())));
        let metrics = Arc::new(Metrics::new().map_err(io::Error::other)?);
        let observer: Arc<dyn Observer> = Arc::new(Both(observer, metrics.clone()));
        let signs = Data::new(Signs {
            health: health.clone(),
            store: store.clone(),
            metrics,
            observer: observer.clone(),
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
                let counts = observer.clone();
                let decoder = SyncArbiter::start(settings.decoders, move || {
                    Decoder::new(image, next.clone(), observer.clone())
                });
                Face::Edge(Data::new(Edge {
                    uploads: decoder.recipient(),
                    abandoned: responder.recipient(),
                    store: store.clone(),
                    catalog,
                    admission: Admission::new(settings.admission, arriving),
                    body: settings.body,
                    times: settings.times,
                    callbacks,
                    health: health.clone(),
                    rate,
                    depth,
                    observer: counts,
                }))
            }
        };
        let server = HttpServer::new(move || http::app(face.clone(), signs.clone()))
            .workers(settings.http_threads)
            .max_connections(settings.connections)
            .client_request_timeout(settings.header_timeout)
            // A client that closes its side has gone: its work is dropped, not done for nobody.
            .h1_allow_half_closed(false)
            .shutdown_timeout((settings.grace - settings.grace / LAST_PART).as_secs())
            .disable_signals()
            .listen(listener)?
            .run();
        health.models_are_warm();
        Ok(Self {
            address,
            server,
            batcher,
            deliverer,
            store,
            health,
            wedged,
            settings,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is ready, then ends in order, within the grace: not ready; still open
    /// for the drain delay; no new connections, and those there are get their answers; the rest
    /// handed back to the store; the store closed. A model that hangs ends it, too, and then
    /// nobody's answer is waited for: the jobs are back in the store.
    ///
    /// # Errors
    /// When the web server fails by itself.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> io::Result<Ended> {
        let Self {
            server,
            batcher,
            deliverer,
            store,
            health,
            wedged,
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
        };
        health.begin_drain();
        tokio::time::sleep(settings.drain_delay).await;
        let end = async {
            handle.stop(!hangs).await;
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
