//! Who is told of a job's end, and how the telling goes.
//!
//! Must not know: any particular store, HTTP, how somebody is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{JobId, JobView, UnixMillis};

/// Where a caller wants to be told how its job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// Who is called, 1 to 2048 bytes.
    pub url: String,
}

/// Where the telling of a job's end stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not told yet; it is tried again and again.
    Due,
    /// Told.
    Delivered,
    /// Nobody could be told, and nobody tries any more.
    GivenUp,
}

impl DeliveryState {
    /// All of them, in the order of a delivery's life.
    pub const ALL: [Self; 3] = [Self::Due, Self::Delivered, Self::GivenUp];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }
}

/// How the telling of a job's end goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was begun.
    pub tries: u32,
    /// Why the last try that failed did, for operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The right to say what came of a try; whoever begins the next one takes it away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The job whose end is told.
    pub id: JobId,
    /// When the job came to the end that is told: one that was retried has another.
    pub ended: UnixMillis,
    /// Which try of that end it is, the first being 1.
    pub tries: u32,
}

/// A delivery whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueDelivery {
    /// The right to say what came of it.
    pub turn: Turn,
    /// The job as it has ended, with its result.
    pub job: JobView,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The end was told.
    Delivered,
    /// It was not, and is to be tried again.
    Again {
        /// Not before so long has passed.
        after: Duration,
        /// Why, for operators.
        reason: String,
    },
    /// It was not even begun, as too many go to the same receiver: the try is not counted.
    Postponed {
        /// Not before so long has passed.
        after: Duration,
    },
    /// It was not, and need not be tried again.
    GivenUp {
        /// Why, for operators.
        reason: String,
    },
}

/// A try that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The right to say so.
    pub turn: Turn,
    /// What came of it.
    pub outcome: Outcome,
}
