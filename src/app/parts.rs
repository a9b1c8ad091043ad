//! What the composition root is given: settings, engines, doors.
//!
//! Must not know: how they are put together.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::policy::BatchLimits;
use crate::classify::catalog::Catalog;
use crate::classify::model::Model;
use crate::config::layer::Role;
use crate::decode::Limits;
use crate::edge::admission::AdmissionLimits;
use crate::edge::door::Door;
use crate::edge::{BodyLimits, Times};
use crate::observe::Observer;
use crate::store::JobStore;
use crate::traces::Traces;
use crate::webhook;

/// Everything the server's parts are told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What stands before the edge.
    pub door: Door,
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
    /// Callers that watch a job at once.
    pub watchers: usize,
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
    /// Who makes spans.
    pub traces: Traces,
}

/// Where a server listens.
#[derive(Debug)]
pub struct Doors {
    /// For HTTP.
    pub http: TcpListener,
    /// For gRPC, if it is spoken. A worker, which takes no images, leaves it closed.
    pub grpc: Option<TcpListener>,
}

impl From<TcpListener> for Doors {
    fn from(http: TcpListener) -> Self {
        Self { http, grpc: None }
    }
}
