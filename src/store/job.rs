//! What a job is to the queue: its identity, what it carries, where it stands.
//!
//! Must not know: any particular store, HTTP, actors, what the pixels or the result mean.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Callback, Delivery};

/// A job's name, unique for ever: a UUID of version 7, so names sort by the time of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    /// A new name.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Milliseconds since 1970, of the wall clock: what processes agree on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The wall clock's time.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = since.unwrap_or_default().as_millis();
        Self(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// This much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long from `earlier` to this; nothing if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Which jobs go first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before the others, but for their shares: see [`JobStore::claim`](super::JobStore::claim).
    High,
    /// The usual one.
    #[default]
    Normal,
    /// When nothing else waits, and its share.
    Low,
}

impl Priority {
    /// All of them, the first to go first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Its name, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// A caller's name for what it asks, so that asking twice does the work once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The caller's key, 1 to 255 bytes.
    pub key: String,
    /// Digest of everything that was asked; the same key with another is a mistake.
    pub fingerprint: String,
}

/// A job to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its name.
    pub id: JobId,
    /// The network's input, `u8`, height x width x 3.
    pub pixels: Bytes,
    /// Name of the profile to classify it by.
    pub profile: String,
    /// Labels wanted in the answer.
    pub top: u16,
    /// Which jobs go first.
    pub priority: Priority,
    /// When its upload arrived.
    pub created: UnixMillis,
    /// Not to be started from then on.
    pub deadline: UnixMillis,
    /// The caller's name for it, if it gave one.
    pub idempotency: Option<Idempotency>,
    /// Who is told of its end, if anybody is.
    pub callback: Option<Callback>,
    /// The span of the request that it came with: W3C Trace Context, 55 bytes of ASCII.
    pub traceparent: Option<String>,
}

/// What became of a job that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is durable from here on.
    Accepted,
    /// A job was accepted before under the same key for the same request: this one.
    Existing(JobId),
}

/// What became of a job that was offered to be run at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entered {
    /// As if it had been offered to the queue: it is claimed from there, if it was accepted.
    Queued(Enqueued),
    /// It was accepted and is the caller's: durable, claimed, and its attempt on record.
    Started(Claimed),
}

/// What became of a job that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was queued or running, and ended by this.
    Now,
    /// It had ended before, in this state, and stays as it was.
    Before(JobState),
}

impl Cancelled {
    /// The job's state afterwards.
    #[must_use]
    pub const fn state(self) -> JobState {
        match self {
            Self::Now => JobState::Cancelled,
            Self::Before(state) => state,
        }
    }
}

/// The right to work on a job, as it was claimed this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub id: JobId,
    /// Grows each time the job is claimed, so that who lost it can be told from who has it.
    pub fence: u64,
}

/// A job taken from the queue, to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The right to work on it.
    pub lease: Lease,
    /// See [`NewJob::pixels`].
    pub pixels: Bytes,
    /// See [`NewJob::profile`].
    pub profile: String,
    /// See [`NewJob::top`].
    pub top: u16,
    /// See [`NewJob::priority`].
    pub priority: Priority,
    /// See [`NewJob::created`].
    pub created: UnixMillis,
    /// See [`NewJob::deadline`].
    pub deadline: UnixMillis,
    /// How often it was started before. Once or more: it is a suspect and runs alone.
    pub attempts: u32,
    /// See [`NewJob::traceparent`].
    pub traceparent: Option<String>,
}

impl Claimed {
    /// A job as it is claimed the first time.
    #[must_use]
    pub(super) fn first(job: &NewJob) -> Self {
        Self {
            lease: Lease {
                id: job.id,
                fence: 1,
            },
            pixels: job.pixels.clone(),
            profile: job.profile.clone(),
            top: job.top,
            priority: job.priority,
            created: job.created,
            deadline: job.deadline,
            attempts: 0,
            traceparent: job.traceparent.clone(),
        }
    }
}

/// Whether a claimed job may be given to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Yes; the attempt is on record.
    Run,
    /// No: it was cancelled, its deadline passed, or it was claimed again by another.
    Gone,
}

/// A result to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The right to record it.
    pub lease: Lease,
    /// The answer, in whatever form its reader expects.
    pub result: Bytes,
}

/// What became of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// It is the job's one result.
    First,
    /// The job has ended otherwise or belongs to another: the result was dropped.
    Stale,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The right to say so.
    pub lease: Lease,
    /// Why, for people.
    pub reason: String,
}

/// What became of a job whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It waits for another attempt, alone.
    Again,
    /// It was the last attempt: a dead letter now.
    Dead,
    /// The job has ended otherwise or belongs to another: nothing was recorded.
    Stale,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Waits in the queue, or in a process that has claimed it.
    Queued,
    /// Given to a model.
    Running,
    /// Has its result.
    Done,
    /// Failed at its last attempt; can be replayed.
    Dead,
    /// Its deadline passed before it was started.
    Expired,
    /// Somebody took it back.
    Cancelled,
}

impl JobState {
    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Dead,
        Self::Expired,
        Self::Cancelled,
    ];

    /// Its name, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it is the end.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its name.
    pub id: JobId,
    /// Where it stands.
    pub state: JobState,
    /// See [`NewJob::profile`].
    pub profile: String,
    /// See [`NewJob::top`].
    pub top: u16,
    /// See [`NewJob::priority`].
    pub priority: Priority,
    /// See [`NewJob::created`].
    pub created: UnixMillis,
    /// See [`NewJob::deadline`].
    pub deadline: UnixMillis,
    /// How often it was started.
    pub attempts: u32,
    /// When it came to its end.
    pub finished: Option<UnixMillis>,
    /// Its result, if it is done and the result still lives.
    pub result: Option<Bytes>,
    /// Why its last attempt failed, if one has.
    pub reason: Option<String>,
    /// See [`NewJob::callback`].
    pub callback: Option<Callback>,
    /// How the telling of its end goes, once it has ended and if somebody is told.
    pub delivery: Option<Delivery>,
    /// See [`NewJob::traceparent`].
    pub traceparent: Option<String>,
}
