//! Every message between stages, in the order of the flow. No behaviour.
//!
//! Each is named by what the data has become. Must not know: who sends or reads it.

use std::sync::Arc;
use std::time::Duration;

use actix::Message;
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::access::caller::Caller;
use crate::batch::policy::Lane;
use crate::classify::catalog::Served;
use crate::classify::top::Prediction;
use crate::credit::Credit;
use crate::store::{Callback, JobId, Lease, NewJob, Priority, StoreError, UnixMillis};
use crate::ticket::Ticket;
use crate::traceparent::TraceParent;

/// What a caller asks about an image.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Who asks.
    pub caller: Caller,
    /// The profile to classify it by.
    pub profile: Arc<Served>,
    /// Labels wanted.
    pub top: u16,
    /// Which goes first.
    pub priority: Priority,
    /// No answer is wanted after this.
    pub deadline: UnixMillis,
    /// The caller's own name for it.
    pub idempotency_key: Option<String>,
    /// Whether the job is wanted even when nobody waits for it.
    pub keep: bool,
    /// Who is told of its end.
    pub callback: Option<Callback>,
    /// The span of the request, as W3C Trace Context writes it.
    pub traceparent: Option<String>,
}

/// What an upload's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An image file of any format that is read.
    File,
    /// The network's input itself, `u8`, height x width x 3: there is nothing to decode.
    Pixels,
}

/// From the edge to the Decoder: an image as it arrived.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Upload {
    /// The image.
    pub bytes: Bytes,
    /// What they are.
    pub form: Form,
    /// What is asked.
    pub ask: Ask,
    /// The way to answer.
    pub ticket: Ticket,
}

/// From the Decoder to the Batcher: pixels, and not yet a job.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Decoded {
    /// The job it will be.
    pub job: NewJob,
    /// See [`Ask::keep`].
    pub keep: bool,
    /// The way to answer.
    pub ticket: Ticket,
}

/// From the Batcher to the Responder, before the job is offered to the store: somebody waits.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Awaited {
    /// See [`Ask::keep`].
    pub keep: bool,
    /// The way to answer, and the job's name.
    pub ticket: Ticket,
}

/// From the Batcher to the Responder: what the store said to a job that was offered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Offered {
    /// The job as it was offered.
    pub id: JobId,
    /// The job that the caller's key names, which is another one for a key seen before.
    pub outcome: Result<JobId, StoreError>,
}

/// A claimed job without its pixels: what is needed to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The right to end it.
    pub lease: Lease,
    /// Labels wanted.
    pub top: u16,
    /// From arrival to the model.
    pub queued: Duration,
    /// The request it came with, if that belongs to a trace.
    pub trace: Option<TraceParent>,
}

/// From the Batcher to a Classifier: jobs that are on record as started.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Batch {
    /// The network they need.
    pub lane: Lane,
    /// The jobs.
    pub jobs: Vec<Held>,
    /// Their pixels one after the other.
    pub pixels: Vec<u8>,
    /// The Classifier's right to the next batch, for when this one is done.
    pub credit: Credit,
}

/// What became of one job in the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The job.
    pub job: Held,
    /// Its labels, or why there are none.
    pub outcome: Result<Vec<Prediction>, String>,
}

/// From a Classifier to the Responder: a batch with its outcomes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Classified {
    /// Job by job.
    pub jobs: Vec<Scored>,
    /// Time in the model.
    pub infer: Duration,
}

/// From the Responder to the Batcher: these leases have ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Settled(pub Vec<Lease>);

/// To the Batcher: something has changed, look again. A credit that came back sends it.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct LookAgain;

/// From the edge to the Responder: whoever waited for this job has gone.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Abandoned {
    /// The name on the ticket.
    pub id: JobId,
    /// Whether the caller wants the job to run all the same.
    pub keep: bool,
}

/// To a stage that is to end: claim no more, hand back what was not started, and say when all
/// that was started has been settled.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Told when the stage holds nothing any more.
    pub done: oneshot::Sender<()>,
}
