//! Who waits for which job.
//!
//! Pure. Several tickets may wait for one job: a repeated idempotency key brings the later ones to
//! the first one's job. Must not know: actors, stores, HTTP.

use std::collections::HashMap;

use crate::store::JobId;
use crate::ticket::Ticket;

/// Tickets by the job that will answer them.
#[derive(Debug, Default)]
pub struct Waiters {
    jobs: HashMap<JobId, Waiting>,
    /// For tickets whose job is not of their own name.
    moved: HashMap<JobId, JobId>,
}

#[derive(Debug, Default)]
struct Waiting {
    tickets: Vec<Ticket>,
    /// Whether the job is wanted even when nobody waits.
    keep: bool,
    /// Whether the store has yet to say yes or no to the job. Until then it stays here, also when
    /// nobody waits any more.
    offering: bool,
}

impl Waiting {
    const fn is_over(&self) -> bool {
        self.tickets.is_empty() && !self.offering
    }
}

impl Waiters {
    /// Adds a ticket that waits for the job of its own name, which is being offered to the store.
    pub fn add(&mut self, ticket: Ticket, keep: bool) {
        let waiting = self.jobs.entry(ticket.id).or_default();
        waiting.keep |= keep;
        waiting.offering = true;
        waiting.tickets.push(ticket);
    }

    /// The store has accepted the job. Says whether it can be cancelled: everybody has gone
    /// meanwhile and nobody wanted it kept.
    pub fn accepted(&mut self, job: JobId) -> bool {
        if let Some(waiting) = self.jobs.get_mut(&job) {
            waiting.offering = false;
        }
        self.prune(job)
    }

    /// Whether the store has yet to say yes or no to the job.
    #[must_use]
    pub fn is_offering(&self, job: JobId) -> bool {
        self.jobs.get(&job).is_some_and(|waiting| waiting.offering)
    }

    /// Brings the tickets of one job to another. Jobs under a key are kept.
    pub fn move_to(&mut self, from: JobId, to: JobId) {
        let Some(waiting) = self.jobs.remove(&from) else {
            return;
        };
        for ticket in &waiting.tickets {
            self.moved.insert(ticket.id, to);
            // Keys bring a ticket to one job, once.
            let _ = ticket.answered_by.set(to);
        }
        let there = self.jobs.entry(to).or_default();
        there.keep = true;
        there.tickets.extend(waiting.tickets);
    }

    /// Whether anybody waits for the job.
    #[must_use]
    pub fn has(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// Takes everybody who waits for the job.
    pub fn take(&mut self, job: JobId) -> Vec<Ticket> {
        let tickets = self.jobs.remove(&job).unwrap_or_default().tickets;
        for ticket in &tickets {
            self.moved.remove(&ticket.id);
        }
        tickets
    }

    /// Takes those who wait for the job and are content with its name: it is wanted from then on.
    pub fn take_async(&mut self, job: JobId) -> Vec<Ticket> {
        let Some(waiting) = self.jobs.get_mut(&job) else {
            return Vec::new();
        };
        let content: Vec<Ticket> = waiting
            .tickets
            .extract_if(.., |ticket| ticket.respond_async)
            .collect();
        waiting.keep |= !content.is_empty();
        for ticket in &content {
            self.moved.remove(&ticket.id);
        }
        if waiting.is_over() {
            self.jobs.remove(&job);
        }
        content
    }

    /// Forgets a ticket whose caller has gone. Gives the job if nobody else waits for it and
    /// nobody wants it kept: it can be cancelled.
    pub fn forget(&mut self, ticket: JobId, keep: bool) -> Option<JobId> {
        let job = self.moved.remove(&ticket).unwrap_or(ticket);
        let waiting = self.jobs.get_mut(&job)?;
        waiting.tickets.retain(|other| other.id != ticket);
        waiting.keep |= keep;
        if !waiting.is_over() {
            return None;
        }
        let unwanted = !waiting.keep;
        self.jobs.remove(&job);
        unwanted.then_some(job)
    }

    /// Forgets tickets whose callers have gone unnoticed, among those of one job. Says whether the
    /// job can be cancelled.
    pub fn prune(&mut self, job: JobId) -> bool {
        let Some(waiting) = self.jobs.get_mut(&job) else {
            return false;
        };
        waiting.tickets.retain(|ticket| !ticket.is_abandoned());
        let unwanted = waiting.is_over() && !waiting.keep;
        if waiting.is_over() {
            self.jobs.remove(&job);
            self.moved.retain(|_, to| *to != job);
        }
        unwanted
    }

    /// Every job that somebody waits for.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobId> {
        self.jobs.keys().copied().collect()
    }

    /// Whether nobody waits for anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::Receiver;

    use super::*;
    use crate::ticket::{Place, Reply};

    fn ticket() -> (Ticket, Receiver<Reply>) {
        Ticket::open(Place::default(), false)
    }

    #[test]
    fn who_goes_leaves_the_job_to_those_who_stay() {
        let mut waiters = Waiters::default();
        let (first, _a) = ticket();
        let (second, _b) = ticket();
        let (job, other) = (first.id, second.id);
        waiters.add(first, false);
        waiters.add(second, false);
        waiters.move_to(other, job);
        assert!(!waiters.accepted(job));
        assert_eq!(waiters.forget(job, false), None, "the second still waits");
        assert_eq!(waiters.forget(other, false), None, "a keyed job is kept");
        assert!(waiters.is_empty());
    }

    #[test]
    fn a_job_that_nobody_wants_can_be_cancelled_once() {
        let mut waiters = Waiters::default();
        let (alone, _a) = ticket();
        let (kept, _b) = ticket();
        let (unwanted, wanted) = (alone.id, kept.id);
        waiters.add(alone, false);
        waiters.add(kept, true);
        assert!(!waiters.accepted(unwanted) && !waiters.accepted(wanted));
        assert_eq!(waiters.forget(unwanted, false), Some(unwanted));
        assert_eq!(waiters.forget(unwanted, false), None);
        assert_eq!(waiters.forget(wanted, false), None);
    }

    #[test]
    fn callers_that_went_unnoticed_are_pruned() {
        let mut waiters = Waiters::default();
        let (gone, receiver) = ticket();
        let (here, _b) = ticket();
        let (unwanted, wanted) = (gone.id, here.id);
        waiters.add(gone, false);
        waiters.add(here, false);
        assert!(!waiters.accepted(unwanted) && !waiters.accepted(wanted));
        drop(receiver);
        assert!(waiters.prune(unwanted));
        assert!(!waiters.prune(wanted));
        assert!(waiters.has(wanted) && !waiters.has(unwanted));
    }

    #[test]
    fn who_goes_before_the_job_is_accepted_is_remembered_until_it_is() {
        let mut waiters = Waiters::default();
        let (left, _a) = ticket();
        let (unnoticed, receiver) = ticket();
        let (kept, _b) = ticket();
        let jobs = [left.id, unnoticed.id, kept.id];
        waiters.add(left, false);
        waiters.add(unnoticed, false);
        waiters.add(kept, false);
        drop(receiver);
        assert_eq!(
            waiters.forget(jobs[0], false),
            None,
            "nothing to cancel yet"
        );
        assert!(!waiters.prune(jobs[1]), "nothing to cancel yet");
        assert_eq!(waiters.forget(jobs[2], true), None);
        assert!(jobs.iter().all(|job| waiters.is_offering(*job)));
        assert_eq!(jobs.map(|job| waiters.accepted(job)), [true, true, false]);
        assert!(waiters.is_empty());
    }

    #[test]
    fn everybody_who_waits_for_a_job_is_taken_together() {
        let mut waiters = Waiters::default();
        let (first, _a) = ticket();
        let (second, _b) = ticket();
        let (job, other) = (first.id, second.id);
        waiters.add(first, false);
        waiters.add(second, false);
        waiters.move_to(other, job);
        assert_eq!(waiters.take(job).len(), 2);
        assert!(!waiters.has(job) && waiters.moved.is_empty());
    }
}
