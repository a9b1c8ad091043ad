//! Named points of a job's way and facts about it, for who counts or for a test that breaks things
//! there.
//!
//! Must not know: what is done with them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::ErrorCode;
use crate::store::{JobId, Tended};
use crate::traceparent::TraceParent;

/// A point of a job's way, in the order of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// Its upload became pixels.
    Decoded,
    /// The store has accepted it; nobody has been told.
    Enqueued,
    /// This process has claimed it.
    Claimed,
    /// It is on record as started and goes to a model.
    Started,
    /// The model has run; the result is in memory alone.
    Inferred,
    /// The result is in the store; nobody has been told.
    Completed,
    /// This process is about to call back about it.
    CallbackClaimed,
    /// The call is over; what came of it is in memory alone.
    CallbackSent,
    /// What came of the call is in the store.
    CallbackRecorded,
}

impl Point {
    /// All of them, in the order of the flow.
    pub const ALL: [Self; 9] = [
        Self::Decoded,
        Self::Enqueued,
        Self::Claimed,
        Self::Started,
        Self::Inferred,
        Self::Completed,
        Self::CallbackClaimed,
        Self::CallbackSent,
        Self::CallbackRecorded,
    ];

    /// Its name, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decoded => "decoded",
            Self::Enqueued => "enqueued",
            Self::Claimed => "claimed",
            Self::Started => "started",
            Self::Inferred => "inferred",
            Self::Completed => "completed",
            Self::CallbackClaimed => "callback_claimed",
            Self::CallbackSent => "callback_sent",
            Self::CallbackRecorded => "callback_recorded",
        }
    }

    /// Whether only jobs with a callback come to it.
    #[must_use]
    pub const fn is_of_callbacks(self) -> bool {
        matches!(
            self,
            Self::CallbackClaimed | Self::CallbackSent | Self::CallbackRecorded
        )
    }
}

/// Something that has happened, and what was measured of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An upload became pixels, in so long.
    Decoded(Duration),
    /// A job was claimed that had been started before.
    Redelivered,
    /// A job goes to a model.
    Launched {
        /// Since it was accepted.
        queued: Duration,
        /// Since this process claimed it.
        held: Duration,
    },
    /// A batch was in a model, whatever came of it.
    Ran {
        /// Its size.
        images: usize,
        /// Time in the model.
        infer: Duration,
    },
    /// A job's first result is recorded, so long after its acceptance.
    Completed(Duration),
    /// A caller gets its answer, so long after its upload.
    Answered(Duration),
    /// A caller is refused.
    Refused(ErrorCode),
    /// A job was taken back.
    Cancelled,
    /// A job became a dead letter, because its last attempt failed here.
    Dead,
    /// A job's end was told to who wanted it.
    Delivered,
    /// Telling it has failed.
    DeliveryFailed,
    /// Nobody tries any more, because the receiver does not want it.
    DeliveryGivenUp,
    /// The store was tended.
    Tended(Tended),
}

/// A stage that a job's time goes to, in the order of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// An upload's bytes become pixels.
    Decode,
    /// The store makes the job durable.
    Enqueue,
    /// The job waits in the store, from its acceptance to its claim.
    Queue,
    /// It waits in the process that has claimed it, until it goes to a model.
    BatchWait,
    /// It is in the model, with its batch.
    Inference,
    /// The store records the result.
    Record,
    /// The process that was asked learns of the end and answers.
    Respond,
}

impl Stage {
    /// All of them, in the order of the flow.
    pub const ALL: [Self; 7] = [
        Self::Decode,
        Self::Enqueue,
        Self::Queue,
        Self::BatchWait,
        Self::Inference,
        Self::Record,
        Self::Respond,
    ];

    /// Its name, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Enqueue => "enqueue",
            Self::Queue => "queue",
            Self::BatchWait => "batch_wait",
            Self::Inference => "inference",
            Self::Record => "record",
            Self::Respond => "respond",
        }
    }
}

/// The time that one job of a trace has spent in one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The stage.
    pub stage: Stage,
    /// The request that the job came with.
    pub parent: TraceParent,
    /// The job.
    pub job: JobId,
    /// When it began.
    pub from: SystemTime,
    /// When it was over.
    pub until: SystemTime,
    /// Images that shared it, where they do.
    pub images: Option<usize>,
    /// What went wrong, if anything did.
    pub failure: Option<String>,
}

impl Span {
    /// A stage that is over now, after so long.
    #[must_use]
    pub fn ending(stage: Stage, parent: TraceParent, job: JobId, took: Duration) -> Self {
        let until = SystemTime::now();
        Self {
            stage,
            parent,
            job,
            from: until.checked_sub(took).unwrap_or(until),
            until,
            images: None,
            failure: None,
        }
    }
}

/// Somebody who is told of every job at every point. Called on the pipeline's own threads: it
/// must be quick.
pub trait Observer: Send + Sync + 'static {
    /// The job has come to this point.
    fn reached(&self, point: Point, id: JobId);

    /// This has happened.
    fn saw(&self, _fact: Fact) {}

    /// A job that belongs to a trace has left a stage.
    fn spent(&self, _span: &Span) {}
}

/// Two who are told, one after the other.
pub struct Both(pub Arc<dyn Observer>, pub Arc<dyn Observer>);

impl Observer for Both {
    fn reached(&self, point: Point, id: JobId) {
        self.0.reached(point, id);
        self.1.reached(point, id);
    }

    fn saw(&self, fact: Fact) {
        self.0.saw(fact);
        self.1.saw(fact);
    }

    fn spent(&self, span: &Span) {
        self.0.spent(span);
        self.1.spent(span);
    }
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Observer for Nobody {
    fn reached(&self, _: Point, _: JobId) {}
}
