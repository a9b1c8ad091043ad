//! The way in, whatever the protocol: the bounds, [`Edge::submit`] for an image on its way, the
//! store to ask.
//!
//! Must not know: HTTP, gRPC, what a request looks like.

pub mod admission;
pub mod door;
mod pending;
pub mod shares;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::Recipient;
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};

use admission::Admission;
pub(crate) use pending::Pending;
use shares::Shares;

use crate::classify::catalog::Catalog;
use crate::error::{ErrorCode, Refusal};
use crate::health::Health;
use crate::message::{Abandoned, Ask, Form, Upload};
use crate::observe::Observer;
use crate::respond::rate::{Rate, expected_wait, retry_after};
use crate::store::{JobId, JobStore};
use crate::ticket::{Answer, Place, Reply, Ticket};
use crate::traceparent::TraceParent;
use crate::watch::Watch;
use crate::webhook::guard::Guard;

/// Labels in an answer when nothing is said: the article's five.
pub(crate) const LABELS: u16 = 5;
/// Most labels in an answer.
pub(crate) const MOST_LABELS: u16 = 1000;
/// Longest idempotency key, in bytes.
const LONGEST_KEY: usize = 200;

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
pub type Callbacks = Option<Arc<Guard>>;

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
    /// What one client may have of it.
    pub shares: Shares,
    /// Bounds on a body.
    pub body: BodyLimits,
    /// How long callers and jobs wait.
    pub times: Times,
    /// Who may be called back; nothing if nobody is.
    pub callbacks: Callbacks,
    /// Whether the process can do its work.
    pub health: Arc<Health>,
    /// How fast jobs end.
    pub rate: Arc<Mutex<Rate>>,
    /// Jobs in the queue when it was last looked at.
    pub depth: Arc<AtomicU64>,
    /// Told of what becomes of requests.
    pub observer: Arc<dyn Observer>,
    /// Wakes who watches a job.
    pub watch: Arc<Watch>,
}

/// Where a job stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its place in the order of arrival among the jobs that have not ended; the first is 1.
    pub(crate) position: u64,
    /// How long until it has ended, if that can be said.
    pub(crate) wait: Option<Duration>,
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

    /// Whether the process can do its work.
    pub(crate) fn is_ready(&self) -> bool {
        self.health.reasons_with(&self.store.places()).is_empty()
    }

    /// Sends image files on their way, each as a job of its own; what could not be read of the
    /// request is that image's reply, and the others go on.
    ///
    /// # Errors
    /// [`ErrorCode::TooManyInFlight`]; [`ErrorCode::ShuttingDown`], and then those already on their
    /// way are taken back.
    pub(crate) fn submit(
        &self,
        images: Vec<Result<Image, Refusal>>,
        ask: &Ask,
        patience: Patience,
    ) -> Result<Vec<Pending>, Refusal> {
        self.submit_as(Form::File, images, ask, patience)
    }

    /// The same for images of either form.
    ///
    /// # Errors
    /// See [`Self::submit`].
    pub(crate) fn submit_as(
        &self,
        form: Form,
        mut images: Vec<Result<Image, Refusal>>,
        ask: &Ask,
        patience: Patience,
    ) -> Result<Vec<Pending>, Refusal> {
        let several = images.len() > 1;
        let trace = TraceParent::of(ask.traceparent.as_deref());
        for image in images.iter_mut().flatten() {
            self.admission.complete(&mut image.place);
        }
        let holds = ask.caller.hold(images.len())?;
        let mut pending = Vec::with_capacity(images.len());
        for (number, (image, hold)) in images.into_iter().zip(holds).enumerate() {
            let (bytes, place) = match image {
                Ok(Image { bytes, place }) => (Ok(bytes), place),
                Err(refusal) => (Err(refusal), Place::default()),
            };
            // Without patience the job's name is enough, once it is durable.
            let (mut ticket, receiver) = Ticket::open(place, patience.wait.is_zero());
            ticket.trace = trace;
            ticket.id = ask.caller.name_job();
            let ask = Ask {
                idempotency_key: key(ask, number, several),
                ..ask.clone()
            };
            pending.push(Pending::new(
                &ticket,
                receiver,
                self.abandoned.clone(),
                ask.keep,
                hold,
            ));
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(refusal) => {
                    ticket.refuse(refusal);
                    continue;
                }
            };
            let upload = Upload {
                bytes,
                form,
                ask,
                ticket,
            };
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

    /// Where a job stands in the queue; nothing if it has ended, or the store cannot say.
    pub(crate) async fn standing(&self, id: JobId) -> Option<Standing> {
        let ahead = match self.store.ahead(id).await {
            Ok(ahead) => ahead?,
            Err(error) => {
                self.health.store_fails(&error);
                return None;
            }
        };
        let position = ahead + 1;
        Some(Standing {
            position,
            wait: expected_wait(position, self.per_second()),
        })
    }

    fn per_second(&self) -> f64 {
        let rate = self.rate.lock().map(|rate| rate.per_second(Instant::now()));
        rate.unwrap_or_default()
    }

    /// The answers of all, or the first refusal and the number of the image it is about: then
    /// nobody waits for the others any more.
    ///
    /// # Errors
    /// That refusal.
    pub(crate) async fn answers(
        &self,
        pending: Vec<Pending>,
        wait: Duration,
    ) -> Result<Vec<Answer>, (usize, Refusal)> {
        let answers = pending.into_iter().enumerate();
        let answers = answers.map(|(number, pending)| async move {
            match pending.reply(wait, false).await {
                Reply::Answered(answer) => Ok(answer),
                Reply::Refused(refusal, _) => Err((number, self.with_retry_after(refusal))),
                Reply::Accepted(job, _) => {
                    let message = format!("the answer of job {job} is missing: ask again");
                    Err((number, Refusal::new(ErrorCode::Lost, message)))
                }
            }
        });
        try_join_all(answers).await
    }

    /// Says when to ask again, where that helps.
    pub(crate) fn with_retry_after(&self, refusal: Refusal) -> Refusal {
        let helps = matches!(refusal.code, ErrorCode::QueueFull | ErrorCode::ShuttingDown);
        if !helps || refusal.retry_after.is_some() {
            return refusal;
        }
        let depth = self.depth.load(Ordering::Relaxed);
        refusal.with_retry_after(retry_after(depth, self.per_second()))
    }

    /// The same for a reply.
    fn timed(&self, reply: Reply) -> Reply {
        match reply {
            Reply::Refused(refusal, job) => Reply::Refused(self.with_retry_after(refusal), job),
            reply => reply,
        }
    }
}

/// Checks a caller's own name for what it asks.
///
/// # Errors
/// [`ErrorCode::BadRequest`], saying what a key is.
pub(crate) fn check_key(key: &str) -> Result<(), Refusal> {
    let sound = (1..=LONGEST_KEY).contains(&key.len());
    if sound && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let message = format!(
        "Idempotency-Key must be 1 to {LONGEST_KEY} visible ASCII characters without spaces"
    );
    Err(Refusal::new(ErrorCode::BadRequest, message))
}

/// The caller's key, a key for each image if there are several.
fn key(ask: &Ask, number: usize, several: bool) -> Option<String> {
    let key = ask.idempotency_key.as_ref()?;
    Some(ask.caller.scoped(if several {
        format!("{key}#{number}")
    } else {
        key.clone()
    }))
}
