//! The rules of the queue over plain maps; time is an argument.
//!
//! Must not know: clocks, locks, tasks, who waits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem;

use super::record::Record;
use crate::store::rules::{admit, admit_callback, died_each_time, turns};
use crate::store::{
    Cancelled, Claimed, Completed, Completion, Enqueued, Entered, Failed, Failure, Idempotency,
    JobId, JobState, JobView, Lease, NewJob, Priority, Start, Stats, StoreError, StoreLimits,
    Tended, UnixMillis,
};

/// A queue.
pub(super) struct Core {
    pub(super) limits: StoreLimits,
    pub(super) jobs: HashMap<JobId, Record>,
    /// Jobs to be claimed, the first to go first: queued ones that nobody holds.
    ready: BTreeMap<(Priority, u64), JobId>,
    /// Jobs that are queued or running.
    live: HashSet<JobId>,
    /// Bytes of pixels of those.
    bytes: u64,
    /// Dead letters, the oldest first.
    pub(super) dead: BTreeMap<(UnixMillis, u64), JobId>,
    /// Outcomes of other ended jobs, the oldest first.
    pub(super) outcomes: BTreeMap<(UnixMillis, u64), JobId>,
    /// Jobs with a callback, until that has ended; in neither of the two before.
    pub(super) owed: HashSet<JobId>,
    keys: HashMap<String, JobId>,
    next: u64,
    /// Jobs claimed so far.
    claimed: u64,
    /// Jobs that ended since somebody asked.
    ended: Vec<JobId>,
}

// === impl Core ===

impl Core {
    pub(super) fn new(limits: StoreLimits) -> Self {
        Self {
            limits,
            jobs: HashMap::new(),
            ready: BTreeMap::new(),
            live: HashSet::new(),
            bytes: 0,
            dead: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            owed: HashSet::new(),
            keys: HashMap::new(),
            next: 0,
            claimed: 0,
            ended: Vec::new(),
        }
    }

    /// Whether a claim would find something.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Jobs that ended since this was last asked, in that order.
    pub(super) fn take_ended(&mut self) -> Vec<JobId> {
        mem::take(&mut self.ended)
    }

    pub(super) fn enqueue(&mut self, job: NewJob, now: UnixMillis) -> Result<Enqueued, StoreError> {
        if self.jobs.contains_key(&job.id) {
            return Ok(Enqueued::Accepted);
        }
        if let Some(asked) = &job.idempotency
            && let Some(existing) = self.named(asked, now)?
        {
            return Ok(Enqueued::Existing(existing));
        }
        let size = job.pixels.len() as u64;
        admit(&self.limits, self.live.len() as u64, self.bytes, size)?;
        if job.callback.is_some() {
            admit_callback(&self.limits, self.owed.len() as u64)?;
            self.owed.insert(job.id);
        }
        let (id, place) = (job.id, self.next_place());
        let key_until = job.idempotency.as_ref().map(|asked| {
            self.keys.insert(asked.key.clone(), id);
            now.after(self.limits.key_ttl)
        });
        self.live.insert(id);
        self.bytes += size;
        self.ready.insert((job.priority, place), id);
        let record = Record::new(job, place, key_until);
        self.jobs.insert(id, record);
        Ok(Enqueued::Accepted)
    }

    pub(super) fn enter(&mut self, job: NewJob, now: UnixMillis) -> Result<Entered, StoreError> {
        let first = !self.has_ready();
        let enqueued = self.enqueue(job, now)?;
        // Of a job that was known, or has another's key, nothing has become ready.
        if first && let Some(job) = self.claim(1, now).pop() {
            self.start(&job.lease, now);
            return Ok(Entered::Started(job));
        }
        Ok(Entered::Queued(enqueued))
    }

    /// The job that has this key, if the key lives.
    fn named(&self, asked: &Idempotency, now: UnixMillis) -> Result<Option<JobId>, StoreError> {
        let Some(record) = self.keys.get(&asked.key).and_then(|id| self.jobs.get(id)) else {
            return Ok(None);
        };
        if record.key_until.is_none_or(|until| until <= now) {
            return Ok(None);
        }
        let job = record.job.id;
        match &record.job.idempotency {
            Some(had) if had.fingerprint == asked.fingerprint => Ok(Some(job)),
            _ => Err(StoreError::KeyReused { job }),
        }
    }

    pub(super) fn claim(&mut self, room: usize, now: UnixMillis) -> Vec<Claimed> {
        let mut claimed = Vec::new();
        for (priority, share) in turns(self.claimed, room) {
            let most = room.min(claimed.len() + share);
            while claimed.len() < most
                && let Some(id) = self.pop_ready(priority)
            {
                let Some(record) = self.jobs.get_mut(&id) else {
                    continue;
                };
                if record.attempts >= self.limits.max_attempts {
                    self.bury(id, None, now);
                } else if record.job.deadline <= now {
                    self.end(id, JobState::Expired, now);
                } else {
                    claimed.push(record.claim(now.after(self.limits.lease)));
                }
            }
        }
        self.claimed += claimed.len() as u64;
        claimed.sort_by_key(|job| job.priority);
        claimed
    }

    /// Takes the first job of a priority that is ready.
    fn pop_ready(&mut self, priority: Priority) -> Option<JobId> {
        let mut of_priority = self.ready.range((priority, 0)..=(priority, u64::MAX));
        let first = *of_priority.next()?.0;
        self.ready.remove(&first)
    }

    pub(super) fn start(&mut self, lease: &Lease, now: UnixMillis) -> Start {
        let until = now.after(self.limits.lease);
        let Some(record) = self.held(lease) else {
            return Start::Gone;
        };
        if record.state == JobState::Running {
            // Asked again by who does not know that it was told.
            return Start::Run;
        }
        if record.job.deadline <= now {
            self.end(lease.id, JobState::Expired, now);
            return Start::Gone;
        }
        record.state = JobState::Running;
        record.attempts += 1;
        record.lease = Some(until);
        Start::Run
    }

    pub(super) fn heartbeat(&mut self, lease: &Lease, now: UnixMillis) {
        let until = now.after(self.limits.lease);
        if let Some(record) = self.held(lease) {
            record.lease = Some(until);
        }
    }

    pub(super) fn complete(&mut self, done: &Completion, now: UnixMillis) -> Completed {
        let Some(record) = self.held(&done.lease) else {
            return Completed::Stale;
        };
        record.result = Some(done.result.clone());
        self.end(done.lease.id, JobState::Done, now);
        Completed::First
    }

    pub(super) fn fail(&mut self, failed: &Failure, now: UnixMillis) -> Failed {
        let max_attempts = self.limits.max_attempts;
        let Some(record) = self.held(&failed.lease) else {
            return Failed::Stale;
        };
        if record.attempts >= max_attempts {
            self.bury(failed.lease.id, Some(failed.reason.clone()), now);
            return Failed::Dead;
        }
        record.reason = Some(failed.reason.clone());
        self.queue_again(failed.lease.id);
        Failed::Again
    }

    pub(super) fn release(&mut self, lease: &Lease) {
        if let Some(record) = self.held(lease)
            && record.state == JobState::Queued
        {
            self.queue_again(lease.id);
        }
    }

    pub(super) fn cancel(&mut self, id: JobId, now: UnixMillis) -> Option<Cancelled> {
        let record = self.jobs.get(&id).filter(|record| record.lives(now))?;
        if record.state.is_final() {
            return Some(Cancelled::Before(record.state));
        }
        self.end(id, JobState::Cancelled, now);
        Some(Cancelled::Now)
    }

    pub(super) fn job(&self, id: JobId, now: UnixMillis) -> Option<JobView> {
        let record = self.jobs.get(&id).filter(|record| record.lives(now))?;
        Some(record.view())
    }

    pub(super) fn ahead(&self, id: JobId) -> Option<u64> {
        let place = self.live.get(&id).map(|id| self.jobs[id].place)?;
        let before = |id: &&JobId| self.jobs[*id].place < place;
        Some(self.live.iter().filter(before).count() as u64)
    }

    pub(super) fn tend(&mut self, now: UnixMillis) -> Tended {
        let mut tended = Tended::default();
        for id in self.live_where(|record| record.lease.is_some_and(|until| until <= now)) {
            if self.jobs[&id].attempts >= self.limits.max_attempts {
                self.bury(id, None, now);
                tended.dead += 1;
            } else {
                self.queue_again(id);
                tended.reclaimed += 1;
            }
        }
        let late = |record: &Record| record.state == JobState::Queued && record.job.deadline <= now;
        for id in self.live_where(late) {
            self.end(id, JobState::Expired, now);
            tended.expired += 1;
        }
        tended.given_up = self.give_up(now);
        let old = self.outcomes.values().copied();
        let old: Vec<JobId> = old.filter(|id| !self.jobs[id].lives(now)).collect();
        old.into_iter().for_each(|id| self.forget(id));
        tended
    }

    pub(super) fn stats(&self) -> Stats {
        let live = || self.live.iter().map(|id| &self.jobs[id]);
        let running = live().filter(|record| record.state == JobState::Running);
        let running = running.count() as u64;
        let due = |dead| self.due(|state| (state == JobState::Dead) == dead).len() as u64;
        let (due_dead, due_others) = (due(true), due(false));
        Stats {
            queued: self.live.len() as u64 - running,
            running,
            bytes: self.bytes,
            dead: self.dead.len() as u64 + due_dead,
            ended: self.outcomes.len() as u64 + due_others,
            due: due_dead + due_others,
            oldest: live().map(|record| record.job.created).min(),
        }
    }

    pub(super) fn list(&self, state: Option<JobState>, limit: usize) -> Vec<JobView> {
        let wanted = |record: &&Record| state.is_none_or(|state| record.state == state);
        let mut found: Vec<&Record> = self.jobs.values().filter(wanted).collect();
        found.sort_unstable_by_key(|record| record.place);
        let views = found.into_iter().take(limit).map(Record::view);
        views
            .map(|view| JobView {
                result: None,
                ..view
            })
            .collect()
    }

    pub(super) fn retry(&mut self, id: JobId, deadline: UnixMillis) -> Result<bool, StoreError> {
        let jobs = self.live.len() as u64;
        let place = self.next_place();
        let Some(record) = self.jobs.get_mut(&id) else {
            return Ok(false);
        };
        let (JobState::Dead, Some(finished)) = (record.state, record.finished) else {
            return Ok(false);
        };
        let size = record.job.pixels.len() as u64;
        admit(&self.limits, jobs, self.bytes, size)?;
        if record.job.callback.is_some() && !self.owed.contains(&id) {
            admit_callback(&self.limits, self.owed.len() as u64)?;
            self.owed.insert(id);
        }
        self.dead.remove(&(finished, record.place));
        record.state = JobState::Queued;
        record.attempts = 0;
        record.finished = None;
        record.reason = None;
        (record.delivery, record.next_try) = (None, None);
        record.job.deadline = deadline;
        record.place = place;
        self.live.insert(id);
        self.bytes += size;
        self.queue_again(id);
        Ok(true)
    }

    pub(super) fn purge(&mut self, state: JobState) -> u64 {
        let ended = self.dead.values().chain(self.outcomes.values()).copied();
        let mut found: Vec<JobId> = ended.filter(|id| self.jobs[id].state == state).collect();
        found.extend(self.due(|of| of == state));
        let count = found.len() as u64;
        found.into_iter().for_each(|id| self.forget(id));
        count
    }

    /// The job, if this lease is the right to it.
    fn held(&mut self, lease: &Lease) -> Option<&mut Record> {
        let record = self.jobs.get_mut(&lease.id)?;
        (record.lease.is_some() && record.fence == lease.fence).then_some(record)
    }

    fn live_where(&self, wanted: impl Fn(&Record) -> bool) -> Vec<JobId> {
        let live = self.live.iter().copied();
        let mut found: Vec<JobId> = live.filter(|id| wanted(&self.jobs[id])).collect();
        found.sort_unstable_by_key(|id| self.jobs[id].place);
        found
    }

    /// Nobody holds the job any more: it waits in its old place.
    fn queue_again(&mut self, id: JobId) {
        if let Some(record) = self.jobs.get_mut(&id) {
            record.state = JobState::Queued;
            record.lease = None;
            self.ready.insert((record.job.priority, record.place), id);
        }
    }

    /// Makes a dead letter of a job, for this reason or because its runners died.
    fn bury(&mut self, id: JobId, reason: Option<String>, now: UnixMillis) {
        if let Some(record) = self.jobs.get_mut(&id) {
            let died = || died_each_time(record.attempts);
            record.reason = Some(reason.unwrap_or_else(died));
            self.end(id, JobState::Dead, now);
        }
    }

    /// A queued or running job comes to its end.
    fn end(&mut self, id: JobId, state: JobState, now: UnixMillis) {
        let Some(record) = self.jobs.get_mut(&id) else {
            return;
        };
        self.live.remove(&id);
        self.bytes -= record.job.pixels.len() as u64;
        self.ready.remove(&(record.job.priority, record.place));
        record.state = state;
        record.lease = None;
        record.finished = Some(now);
        if state != JobState::Dead {
            record.job.pixels = bytes::Bytes::new();
        }
        self.ended.push(id);
        if self.owed.contains(&id) {
            self.owe(id, now);
        } else {
            self.keep(id, now);
        }
    }

    /// An ended job goes, with its key.
    pub(super) fn forget(&mut self, id: JobId) {
        let Some(record) = self.jobs.remove(&id) else {
            return;
        };
        self.owed.remove(&id);
        if let Some(finished) = record.finished {
            self.dead.remove(&(finished, record.place));
            self.outcomes.remove(&(finished, record.place));
        }
        // The key may name a younger job by now.
        if let Some(asked) = record.job.idempotency
            && self.keys.get(&asked.key) == Some(&id)
        {
            self.keys.remove(&asked.key);
        }
    }

    fn next_place(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
