//! The store in memory: for tests and trials. Everything is lost when the process ends.
//!
//! One mutex around `core::Core`, which decides everything and takes the time as an argument;
//! this file reads the clock, wakes who waits and tells who listens. Must not know: SQL, Redis,
//! files.

mod core;
mod deliveries;
mod record;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, broadcast};

use self::core::Core;
use super::{
    Cancelled, Claimed, Completed, Completion, Description, DueDelivery, Enqueued, Entered, Failed,
    Failure, Finding, JobId, JobState, JobStore, JobView, Lease, NewJob, Severity, Start, Stats,
    StoreError, StoreLimits, Tended, Tried, UnixMillis,
};

/// Names of ended jobs that a receiver may lag behind.
const ENDED: usize = 4096;

/// A queue in this process's memory.
pub struct MemoryStore {
    /// `None` once closed.
    core: Mutex<Option<Core>>,
    /// Wakes claims when there may be something for them, and all when closed.
    ready: Notify,
    ended: broadcast::Sender<JobId>,
}

// === impl MemoryStore ===

impl MemoryStore {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: StoreLimits) -> Self {
        Self {
            core: Mutex::new(Some(Core::new(limits))),
            ready: Notify::new(),
            ended: broadcast::Sender::new(ENDED),
        }
    }

    /// Does one thing to the queue, at one time, and lets others know what came of it.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Core, UnixMillis) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut guard = self.lock();
        let core = guard.as_mut().ok_or_else(closed)?;
        let answer = work(core, UnixMillis::now());
        for id in core.take_ended() {
            // Nobody listening is fine.
            let _ = self.ended.send(id);
        }
        if core.has_ready() {
            // One at a time: whoever is woken and leaves something wakes the next.
            self.ready.notify_one();
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Option<Core>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobStore for MemoryStore {
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        self.with(|core, now| core.enqueue(job, now))
    }

    async fn enqueue_and_start(&self, job: NewJob) -> Result<Entered, StoreError> {
        self.with(|core, now| core.enter(job, now))
    }

    async fn claim(&self, room: usize) -> Result<Vec<Claimed>, StoreError> {
        loop {
            let woken = self.ready.notified();
            let claimed = self.with(|core, now| Ok(core.claim(room, now)))?;
            if !claimed.is_empty() {
                return Ok(claimed);
            }
            woken.await;
        }
    }

    async fn start(&self, leases: &[Lease]) -> Result<Vec<Start>, StoreError> {
        self.with(|core, now| Ok(leases.iter().map(|lease| core.start(lease, now)).collect()))
    }

    async fn heartbeat(&self, leases: &[Lease]) -> Result<(), StoreError> {
        self.with(|core, now| {
            leases.iter().for_each(|lease| core.heartbeat(lease, now));
            Ok(())
        })
    }

    async fn complete(&self, done: &[Completion]) -> Result<Vec<Completed>, StoreError> {
        self.with(|core, now| Ok(done.iter().map(|one| core.complete(one, now)).collect()))
    }

    async fn fail(&self, failed: &[Failure]) -> Result<Vec<Failed>, StoreError> {
        self.with(|core, now| Ok(failed.iter().map(|one| core.fail(one, now)).collect()))
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        self.with(|core, _| {
            leases.iter().for_each(|lease| core.release(lease));
            Ok(())
        })
    }

    async fn cancel(&self, id: JobId) -> Result<Option<Cancelled>, StoreError> {
        self.with(|core, now| Ok(core.cancel(id, now)))
    }

    async fn job(&self, id: JobId) -> Result<Option<JobView>, StoreError> {
        self.with(|core, now| Ok(core.job(id, now)))
    }

    async fn ahead(&self, id: JobId) -> Result<Option<u64>, StoreError> {
        self.with(|core, _| Ok(core.ahead(id)))
    }

    async fn claim_deliveries(
        &self,
        room: usize,
        lease: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        self.with(|core, now| Ok(core.claim_deliveries(room, lease, now)))
    }

    async fn settle_deliveries(&self, tried: &[Tried]) -> Result<Vec<bool>, StoreError> {
        self.with(|core, now| {
            Ok(tried
                .iter()
                .map(|one| core.settle_delivery(one, now))
                .collect())
        })
    }

    fn ended(&self) -> broadcast::Receiver<JobId> {
        self.ended.subscribe()
    }

    async fn tend(&self) -> Result<Tended, StoreError> {
        self.with(|core, now| Ok(core.tend(now)))
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.with(|core, _| Ok(core.stats()))
    }

    async fn list(
        &self,
        state: Option<JobState>,
        limit: usize,
    ) -> Result<Vec<JobView>, StoreError> {
        self.with(|core, _| Ok(core.list(state, limit)))
    }

    async fn retry(&self, id: JobId, deadline: UnixMillis) -> Result<bool, StoreError> {
        self.with(|core, _| core.retry(id, deadline))
    }

    async fn purge(&self, state: JobState) -> Result<u64, StoreError> {
        self.with(|core, _| Ok(core.purge(state)))
    }

    async fn doctor(&self) -> Result<Vec<Finding>, StoreError> {
        self.with(|_, _| {
            Ok(vec![Finding {
                check: "durability".to_owned(),
                severity: Severity::Warning,
                message: "jobs are in memory alone and end with the process: use sqlite or redis \
                          for work that must not be lost"
                    .to_owned(),
            }])
        })
    }

    fn description(&self) -> Description {
        Description {
            place: "memory".to_owned(),
            durability: "An accepted job is lost when this process ends.".to_owned(),
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.lock().take().ok_or_else(closed)?;
        self.ready.notify_waiters();
        Ok(())
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it was closed".to_owned())
}
