//! The durable queue: one trait, what it promises, and how it fails.
//!
//! `job` says what a job is, `callback` who is told of its end; each implementation is a module of its own, and one contract suite
//! (`tests/store`) runs over all of them. The store is the truth: what a process has in memory
//! is a mirror of it. Must not know: actors, HTTP, tickets, what pixels and results mean.

mod callback;
mod job;
pub mod memory;
mod recent;
mod rules;
pub mod sqlite;
pub mod redis;
pub mod sharded;

pub use callback::*;
pub use job::*;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::broadcast;

/// Bounds and times of a queue, the same for every implementation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Most jobs that are queued or running.
    pub max_jobs: u64,
    /// Most bytes of pixels of jobs that are queued or running.
    pub max_bytes: u64,
    /// Most dead letters kept, with their pixels; beyond, the oldest goes.
    pub max_dead: u64,
    /// Most ended jobs whose outcome is kept; beyond, the oldest goes. Those with a delivery that
    /// is due are kept beside them.
    pub max_results: u64,
    /// Most jobs with a [`Callback`] that have not ended or whose delivery has not.
    pub max_callbacks: u64,
    /// How long after a job's end its delivery is tried.
    pub callback_ttl: Duration,
    /// How long an outcome (done, expired, cancelled) is kept.
    pub result_ttl: Duration,
    /// How long an idempotency key is kept, and the outcome of the job it names.
    pub key_ttl: Duration,
    /// How long a claim lasts without a heartbeat.
    pub lease: Duration,
    /// Starts after which a job that has no result is a dead letter: the first may share its
    /// batch, the others are alone.
    pub max_attempts: u32,
}

impl Default for StoreLimits {
    /// 20,000 jobs or 4 GiB of pixels; 1,000 dead letters; 100,000 results for an hour, keys for
    /// a day; 10,000 callbacks, tried for a day; a lease of 30 s; one attempt in company and three alone.
    fn default() -> Self {
        Self {
            max_jobs: 20_000,
            max_bytes: 4 << 30,
            max_dead: 1_000,
            max_results: 100_000,
            max_callbacks: 10_000,
            callback_ttl: Duration::from_secs(24 * 3600),
            result_ttl: Duration::from_secs(3600),
            key_ttl: Duration::from_secs(24 * 3600),
            lease: Duration::from_secs(30),
            max_attempts: 4,
        }
    }
}

/// Why the store did not do what was asked. Nothing was changed unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The queue holds as many jobs as it may.
    #[error("the queue is full: {jobs} jobs of at most {limit}")]
    TooManyJobs {
        /// Jobs in it.
        jobs: u64,
        /// [`StoreLimits::max_jobs`].
        limit: u64,
    },
    /// The queue holds as many bytes as it may.
    #[error("the queue is full: {bytes} bytes of at most {limit}")]
    TooManyBytes {
        /// Bytes in it.
        bytes: u64,
        /// [`StoreLimits::max_bytes`].
        limit: u64,
    },
    /// As many callbacks wait for their job's end or their delivery as may.
    #[error("too many callbacks wait: {callbacks} of at most {limit}")]
    TooManyCallbacks {
        /// Jobs with one that has not ended.
        callbacks: u64,
        /// [`StoreLimits::max_callbacks`].
        limit: u64,
    },
    /// The key names another request.
    #[error("the idempotency key was used for another request: use a new key")]
    KeyReused {
        /// The job that has the key.
        job: JobId,
    },
    /// One of the places that jobs are kept in does not answer, others do; whether a change
    /// happened there is not known.
    #[error("the shard {shard} does not answer: {reason}; the others do")]
    ShardDown {
        /// Which, without secrets.
        shard: String,
        /// Why.
        reason: String,
    },
    /// The store cannot be reached or does not answer; whether a change happened is not known.
    #[error("the job store is not available: {0}")]
    Unavailable(String),
    /// Another process has the store.
    #[error("{0}")]
    InUse(String),
    /// The store's data is damaged or of another version; it was not touched.
    #[error("{0}")]
    Unusable(String),
}

/// How full a queue is, and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Jobs that wait, claimed or not.
    pub queued: u64,
    /// Jobs given to a model.
    pub running: u64,
    /// Bytes of pixels of both.
    pub bytes: u64,
    /// Dead letters.
    pub dead: u64,
    /// Ended jobs whose outcome is kept, dead letters left out.
    pub ended: u64,
    /// Jobs that have ended and whose callback is still to be delivered.
    #[serde(default)]
    pub due: u64,
    /// When the oldest job that is queued or running arrived.
    pub oldest: Option<UnixMillis>,
}

/// What [`JobStore::tend`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Jobs taken back from a process that died or lost its lease.
    pub reclaimed: u64,
    /// Jobs whose deadline had passed.
    pub expired: u64,
    /// Jobs that became dead letters, because who ran them died at the last attempt.
    pub dead: u64,
    /// Deliveries that were tried for as long as they may be.
    pub given_up: u64,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Works, with a narrower promise.
    Warning,
    /// Accepted work can be lost.
    Danger,
}

/// One thing the doctor looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at: `appendonly`, `maxmemory-policy`, `schema`, ...
    pub check: String,
    /// How serious it is.
    pub severity: Severity,
    /// What was found, and what to do if it is not fine.
    pub message: String,
}

/// Says no, and why, to a place that does not keep what is asked of it, by what the doctor found.
pub type Demand = Arc<dyn Fn(&[Finding]) -> Result<(), String> + Send + Sync>;

/// One of the places that a store keeps its jobs in, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Without secrets: `127.0.0.1:6379/0`.
    pub name: String,
    /// Why it cannot be used now.
    pub trouble: Option<String>,
}

/// Where a store keeps its jobs, and what it promises, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Kind and place, without secrets: `sqlite /var/lib/beagle/queue.db`, `redis 127.0.0.1:6379/0`.
    pub place: String,
    /// What an accepted job survives, in one sentence.
    pub durability: String,
}

/// A durable queue of jobs.
///
/// Life of a job: `enqueue` (durable from here on) -> `claim` (held under a lease that
/// `heartbeat` extends) -> `start` (the attempt is on record) -> `complete`, or `fail` and again.
/// A job that is held but not started can be handed back by `release`. Whoever holds a lease
/// that has run out or was taken is told so: its results are dropped.
///
/// All methods may be called from any task, at once. A future that is dropped half way leaves the
/// queue whole: what it did is either done or not.
#[async_trait]
pub trait JobStore: Send + Sync + 'static {
    /// Accepts a job: when this returns [`Enqueued::Accepted`], it survives what
    /// [`description`](Self::description) says. Offering the same job again is harmless and gives
    /// the same answer.
    ///
    /// # Errors
    /// [`StoreError::TooManyJobs`], [`StoreError::TooManyBytes`],
    /// [`StoreError::TooManyCallbacks`], [`StoreError::KeyReused`], [`StoreError::Unavailable`].
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, StoreError>;

    /// Accepts a job as [`enqueue`](Self::enqueue) does and, if no other waits to be claimed,
    /// gives it to the caller as [`claim`](Self::claim) and [`start`](Self::start) would, all in
    /// one step: for who can run it now. A store that gains nothing by it only accepts.
    ///
    /// A caller that does not hear the answer may have the job: it comes again when the lease has run out.
    ///
    /// # Errors
    /// Those of `enqueue`.
    async fn enqueue_and_start(&self, job: NewJob) -> Result<Entered, StoreError> {
        self.enqueue(job).await.map(Entered::Queued)
    }

    /// Waits until there is a job to run, and takes at most `room` of them, `room` not 0: high
    /// priority first, then in the order of arrival. No priority starves: of 16 jobs claimed in a
    /// row at least one is of low priority and three more are of normal priority, as long as such
    /// wait. A job that was started before comes like any
    /// other, with its [`attempts`](Claimed::attempts). Expired and cancelled jobs never come.
    ///
    /// May be dropped at any time; what it had taken comes back when the lease runs out or the
    /// store is closed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn claim(&self, room: usize) -> Result<Vec<Claimed>, StoreError>;

    /// Puts an attempt on record for each job that may run, in the order given.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn start(&self, leases: &[Lease]) -> Result<Vec<Start>, StoreError>;

    /// Extends leases to a full one from now. Those that were lost stay lost.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn heartbeat(&self, leases: &[Lease]) -> Result<(), StoreError>;

    /// Records results; the first one of a job wins. Works also when the store is full.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn complete(&self, done: &[Completion]) -> Result<Vec<Completed>, StoreError>;

    /// Records failed attempts. A job with attempts left is queued again, before younger ones of
    /// its priority; another becomes a dead letter.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn fail(&self, failed: &[Failure]) -> Result<Vec<Failed>, StoreError>;

    /// Hands back jobs that were claimed and not started, as if they had not been claimed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError>;

    /// Takes a job back: one that was queued or running is cancelled (a running one's result will
    /// be dropped), another stays as it ended. `None` if there is no such job.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn cancel(&self, id: JobId) -> Result<Option<Cancelled>, StoreError>;

    /// What is known of a job; `None` if nothing is, or nothing any more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn job(&self, id: JobId) -> Result<Option<JobView>, StoreError>;

    /// How many jobs that have not ended arrived before this one, whatever their priority; `None` if
    /// it has ended itself, or nothing is known of it. Where jobs are in several places it is an
    /// estimate.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn ahead(&self, id: JobId) -> Result<Option<u64>, StoreError>;

    /// Takes at most `room` deliveries that are due, those that have waited longest first, each for
    /// so long: whoever does not say in that time what came of its try has lost its turn. The end
    /// of a job with a [`Callback`] and its delivery are one change, so none is forgotten; what
    /// is known of the job is kept until the delivery has ended, and then as long as any outcome.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn claim_deliveries(
        &self,
        room: usize,
        lease: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError>;

    /// Records what came of tries, in the order given: whether it counts. It does not when another
    /// has taken the turn, or the delivery has ended.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn settle_deliveries(&self, tried: &[Tried]) -> Result<Vec<bool>, StoreError>;

    /// Names of jobs as they come to their end, here or in another process. At most once: a
    /// receiver that lags or a connection that breaks loses some, so whoever waits asks
    /// [`job`](Self::job) now and then as well.
    fn ended(&self) -> broadcast::Receiver<JobId>;

    /// Takes back what leases have lost, ends what has expired, gives up deliveries that are too
    /// old, forgets what is old. To be called
    /// about once a second.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn tend(&self) -> Result<Tended, StoreError>;

    /// How full the queue is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn stats(&self) -> Result<Stats, StoreError>;

    /// Jobs in a state, or in any, without results; the oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn list(&self, state: Option<JobState>, limit: usize)
    -> Result<Vec<JobView>, StoreError>;

    /// Queues a dead letter anew, with no attempts on record and this deadline. `false` if there
    /// is no such dead letter.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::TooManyJobs`], [`StoreError::TooManyBytes`],
    /// [`StoreError::TooManyCallbacks`].
    async fn retry(&self, id: JobId, deadline: UnixMillis) -> Result<bool, StoreError>;

    /// Forgets every job in a final state, and with it a delivery that is due; gives how many
    /// there were. Jobs that are queued or
    /// running are not touched: the answer for those states is 0.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn purge(&self, state: JobState) -> Result<u64, StoreError>;

    /// Looks at everything that durability depends on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn doctor(&self) -> Result<Vec<Finding>, StoreError>;

    /// Where the jobs are, and what is promised.
    fn description(&self) -> Description;

    /// The places that jobs are kept in, as they stand; asks nobody. Nothing for a store that
    /// cannot lose one.
    fn places(&self) -> Vec<Place> {
        Vec::new()
    }

    /// Which of the places has a job, as far as this process knows: jobs of one number may share
    /// a call, those of others should not wait for them.
    fn place_of(&self, _id: JobId) -> usize {
        0
    }

    /// Hands back what this process holds and has not started, writes everything out, and lets
    /// go. Later calls fail.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn close(&self) -> Result<(), StoreError>;
}
