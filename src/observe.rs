//! Named points of a job's way, for who counts or for a test that breaks things there.
//!
//! Must not know: what is done with them.

use crate::store::JobId;

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
}

impl Point {
    /// All of them, in the order of the flow.
    pub const ALL: [Self; 6] = [
        Self::Decoded,
        Self::Enqueued,
        Self::Claimed,
        Self::Started,
        Self::Inferred,
        Self::Completed,
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
        }
    }
}

/// Somebody who is told of every job at every point. Called on the pipeline's own threads: it
/// must be quick.
pub trait Observer: Send + Sync + 'static {
    /// The job has come to this point.
    fn reached(&self, point: Point, id: JobId);
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Observer for Nobody {
    fn reached(&self, _: Point, _: JobId) {}
}
