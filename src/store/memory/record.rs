//! One job as the store in memory has it.
//!
//! Must not know: other jobs, limits, clocks.

use bytes::Bytes;

use crate::store::{Claimed, Delivery, JobState, JobView, Lease, NewJob, UnixMillis};

/// A job; its pixels are gone once it has an outcome.
pub(super) struct Record {
    pub(super) job: NewJob,
    /// Place in the order of arrival.
    pub(super) place: u64,
    pub(super) state: JobState,
    pub(super) attempts: u32,
    pub(super) fence: u64,
    /// Until when somebody holds it, if somebody does.
    pub(super) lease: Option<UnixMillis>,
    pub(super) finished: Option<UnixMillis>,
    /// Until when its key lives.
    pub(super) key_until: Option<UnixMillis>,
    /// Until when its outcome is kept.
    pub(super) keep_until: Option<UnixMillis>,
    pub(super) result: Option<Bytes>,
    pub(super) reason: Option<String>,
    /// How the telling of its end goes.
    pub(super) delivery: Option<Delivery>,
    /// From when on somebody may try to tell it; while somebody does, the end of the lease.
    pub(super) next_try: Option<UnixMillis>,
}

// === impl Record ===

impl Record {
    /// A job that waits.
    pub(super) fn new(job: NewJob, place: u64, key_until: Option<UnixMillis>) -> Self {
        Self {
            job,
            place,
            state: JobState::Queued,
            attempts: 0,
            fence: 0,
            lease: None,
            finished: None,
            key_until,
            keep_until: None,
            result: None,
            reason: None,
            delivery: None,
            next_try: None,
        }
    }

    /// Whether its outcome, if it has one, is still to be seen.
    pub(super) fn lives(&self, now: UnixMillis) -> bool {
        self.keep_until.is_none_or(|until| until > now)
    }

    /// Somebody holds it until then.
    pub(super) fn claim(&mut self, until: UnixMillis) -> Claimed {
        self.fence += 1;
        self.lease = Some(until);
        let lease = Lease {
            id: self.job.id,
            fence: self.fence,
        };
        Claimed {
            lease,
            attempts: self.attempts,
            ..Claimed::first(&self.job)
        }
    }

    /// What others may know of it.
    pub(super) fn view(&self) -> JobView {
        JobView {
            id: self.job.id,
            state: self.state,
            profile: self.job.profile.clone(),
            top: self.job.top,
            priority: self.job.priority,
            created: self.job.created,
            deadline: self.job.deadline,
            attempts: self.attempts,
            finished: self.finished,
            result: self.result.clone(),
            reason: self.reason.clone(),
            callback: self.job.callback.clone(),
            delivery: self.delivery.clone(),
            traceparent: self.job.traceparent.clone(),
        }
    }
}
