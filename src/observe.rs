//! Named points of a job's way and facts about it, for who counts or for a test that breaks things
//! there.
//!
//! Must not know: what is done with them.

use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorCode;
use crate::store::{JobId, Tended};

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

/// Somebody who is told of every job at every point. Called on the pipeline's own threads: it
/// must be quick.
pub trait Observer: Send + Sync + 'static {
    /// The job has come to this point.
    fn reached(&self, point: Point, id: JobId);

    /// This has happened.
    fn saw(&self, _fact: Fact) {}
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
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Observer for Nobody {
    fn reached(&self, _: Point, _: JobId) {}
}
