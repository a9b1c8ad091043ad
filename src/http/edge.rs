//! What the handlers share: the way into the pipeline, the bounds, the store to ask.
//!
//! Must not know: single requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::Recipient;

use super::admission::Admission;
use super::ask::Times;
use super::upload::BodyLimits;
use crate::classify::catalog::Catalog;
use crate::error::{ErrorCode, Refusal};
use crate::health::Health;
use crate::message::{Abandoned, Upload};
use crate::observe::Observer;
use crate::respond::rate::{Rate, retry_after};
use crate::store::JobStore;
use crate::ticket::Reply;

/// Shared by every worker of the web server.
pub struct Edge {
    /// Where uploads go.
    pub uploads: Recipient<Upload>,
    /// Who is told of callers that went away.
    pub abandoned: Recipient<Abandoned>,
    /// Asked about jobs.
    pub store: Arc<dyn JobStore>,
    /// What is served.
    pub catalog: Catalog,
    /// Who may come in.
    pub admission: Admission,
    /// Bounds on a body.
    pub body: BodyLimits,
    /// How long callers and jobs wait.
    pub times: Times,
    /// Whether the process can do its work.
    pub health: Arc<Health>,
    /// How fast jobs end.
    pub rate: Arc<Mutex<Rate>>,
    /// Jobs in the queue when it was last looked at.
    pub depth: Arc<AtomicU64>,
    /// Told of what becomes of requests.
    pub observer: Arc<dyn Observer>,
}

impl Edge {
    /// Refuses at once what could only be refused later.
    ///
    /// # Errors
    /// [`ErrorCode::StoreUnavailable`] while the store does not answer.
    pub(super) fn check_open(&self) -> Result<(), Refusal> {
        if self.health.store_is_down() {
            let message = "the job store is not available: nothing was accepted, ask again";
            return Err(Refusal::new(ErrorCode::StoreUnavailable, message)
                .with_retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    /// Says when to ask again, where that helps.
    pub(super) fn with_retry_after(&self, refusal: Refusal) -> Refusal {
        let helps = matches!(refusal.code, ErrorCode::QueueFull | ErrorCode::ShuttingDown);
        if !helps || refusal.retry_after.is_some() {
            return refusal;
        }
        let rate = self.rate.lock().map(|rate| rate.per_second(Instant::now()));
        let depth = self.depth.load(Ordering::Relaxed);
        refusal.with_retry_after(retry_after(depth, rate.unwrap_or_default()))
    }

    /// The same for a reply.
    pub(super) fn timed(&self, reply: Reply) -> Reply {
        match reply {
            Reply::Refused(refusal, job) => Reply::Refused(self.with_retry_after(refusal), job),
            reply => reply,
        }
    }
}
