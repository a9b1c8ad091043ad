//! The way in, whatever the protocol: the bounds, [`Edge::submit`] for an image on its way, the
//! store to ask.
//!
//! Must not know: HTTP, gRPC, what a request looks like.

pub mod admission;
mod pending;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::Recipient;
use bytes::Bytes;
use futures_util::future::join_all;

use admission::Admission;
pub(crate) use pending::Pending;

use crate::classify::catalog::Catalog;
use crate::error::{ErrorCode, Refusal};
use crate::health::Health;
use crate::message::{Abandoned, Ask, Upload};
use crate::observe::Observer;
use crate::respond::rate::{Rate, retry_after};
use crate::store::JobStore;
use crate::ticket::{Place, Reply, Ticket};
use crate::webhook::guard::Guard;

/// Bounds on one request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes of the whole body.
    pub bytes: usize,
    /// Images in it.
    pub images: usize,
}

/// Times of the server.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Longest time that a caller waits for its answer.
    pub request_timeout: Duration,
    /// How long a job that is kept may wait for its turn.
    pub keep_for: Duration,
}

/// Who may be called back; nothing if nobody is.
pub(crate) type Callbacks = Option<Arc<Guard>>;

/// How long a caller waits, and what then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// How long.
    pub(crate) wait: Duration,
    /// Whether it is content with the job's name: then, or at once if `wait` is zero.
    pub(crate) respond_async: bool,
}

/// One image as it arrived, and the place it holds.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) bytes: Bytes,
    pub(crate) place: Place,
}

/// Shared by everything that takes images.
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
    /// Who may be called back; nothing if nobody is.
    pub callbacks: Option<Arc<Guard>>,
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
    pub(crate) fn check_open(&self) -> Result<(), Refusal> {
        if self.health.store_is_down() {
            let message = "the job store is not available: nothing was accepted, ask again";
            return Err(Refusal::new(ErrorCode::StoreUnavailable, message)
                .with_retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    /// Sends images on their way, each as a job of its own.
    ///
    /// # Errors
    /// [`ErrorCode::ShuttingDown`]; those already on their way are taken back.
    pub(crate) fn submit(
        &self,
        images: Vec<Image>,
        ask: &Ask,
        patience: Patience,
    ) -> Result<Vec<Pending>, Refusal> {
        let several = images.len() > 1;
        let mut pending = Vec::with_capacity(images.len());
        for (number, Image { bytes, place }) in images.into_iter().enumerate() {
            // Without patience the job's name is enough, once it is durable.
            let (ticket, receiver) = Ticket::open(place, patience.wait.is_zero());
            let ask = Ask {
                idempotency_key: key(ask, number, several),
                ..ask.clone()
            };
            pending.push(Pending::new(
                &ticket,
                receiver,
                self.abandoned.clone(),
                ask.keep,
            ));
            let upload = Upload { bytes, ask, ticket };
            if self.uploads.try_send(upload).is_err() {
                let message = "the server is about to stop: ask another one, or this one later";
                return Err(Refusal::new(ErrorCode::ShuttingDown, message));
            }
        }
        Ok(pending)
    }

    /// The replies of all, in their order.
    pub(crate) async fn replies(&self, pending: Vec<Pending>, patience: Patience) -> Vec<Reply> {
        let wait = if patience.wait.is_zero() {
            // Acceptance itself takes a moment.
            self.times.request_timeout
        } else {
            patience.wait
        };
        let replies = pending
            .into_iter()
            .map(|pending| pending.reply(wait, patience.respond_async));
        join_all(replies)
            .await
            .into_iter()
            .map(|reply| self.timed(reply))
            .collect()
    }

    /// Says when to ask again, where that helps.
    pub(crate) fn with_retry_after(&self, refusal: Refusal) -> Refusal {
        let helps = matches!(refusal.code, ErrorCode::QueueFull | ErrorCode::ShuttingDown);
        if !helps || refusal.retry_after.is_some() {
            return refusal;
        }
        let rate = self.rate.lock().map(|rate| rate.per_second(Instant::now()));
        let depth = self.depth.load(Ordering::Relaxed);
        refusal.with_retry_after(retry_after(depth, rate.unwrap_or_default()))
    }

    /// The same for a reply.
    fn timed(&self, reply: Reply) -> Reply {
        match reply {
            Reply::Refused(refusal, job) => Reply::Refused(self.with_retry_after(refusal), job),
            reply => reply,
        }
    }
}

/// The caller's key, a key for each image if there are several.
fn key(ask: &Ask, number: usize, several: bool) -> Option<String> {
    let key = ask.idempotency_key.as_ref()?;
    Some(if several {
        format!("{key}#{number}")
    } else {
        key.clone()
    })
}
