//! The rules of telling ends over plain maps; time is an argument.
//!
//! Must not know: clocks, locks, tasks, how jobs come to their end.

use std::time::Duration;

use super::core::Core;
use crate::store::rules::{keep_until, try_again};
use crate::store::{
    Delivery, DeliveryState, DueDelivery, JobId, JobState, Outcome, Tried, Turn, UnixMillis,
};

impl Core {
    /// See `JobStore::claim_deliveries`.
    pub(super) fn claim_deliveries(
        &mut self,
        room: usize,
        lease: Duration,
        now: UnixMillis,
    ) -> Vec<DueDelivery> {
        let mut due: Vec<(UnixMillis, u64, JobId)> = Vec::new();
        for id in &self.owed {
            let record = &self.jobs[id];
            if let (Some(at), Some(finished)) = (record.next_try, record.finished)
                && at <= now
                && finished.after(self.limits.callback_ttl) > now
            {
                due.push((at, record.place, *id));
            }
        }
        due.sort_unstable();
        let ids = due.into_iter().take(room).map(|(_, _, id)| id);
        let mut claimed = Vec::new();
        for id in ids {
            let Some(record) = self.jobs.get_mut(&id) else {
                continue;
            };
            record.next_try = Some(now.after(lease));
            let Some(delivery) = &mut record.delivery else {
                continue;
            };
            delivery.tries += 1;
            claimed.push(DueDelivery {
                turn: Turn {
                    id,
                    ended: record.finished.unwrap_or_default(),
                    tries: delivery.tries,
                },
                job: record.view(),
            });
        }
        claimed
    }

    /// See `JobStore::settle_deliveries`.
    pub(super) fn settle_delivery(&mut self, tried: &Tried, now: UnixMillis) -> bool {
        let Turn { id, ended, tries } = tried.turn;
        let Some(record) = self.jobs.get_mut(&id).filter(|_| self.owed.contains(&id)) else {
            return false;
        };
        let (Some(delivery), Some(finished)) = (&mut record.delivery, record.finished) else {
            return false;
        };
        if delivery.tries != tries || finished != ended {
            return false;
        }
        match &tried.outcome {
            Outcome::Delivered => self.tell(id, DeliveryState::Delivered, None, now),
            Outcome::GivenUp { reason } => {
                self.tell(id, DeliveryState::GivenUp, Some(reason.clone()), now);
            }
            Outcome::Postponed { after } => {
                delivery.tries = delivery.tries.saturating_sub(1);
                record.next_try = Some(try_again(&self.limits, now, *after, finished));
            }
            Outcome::Again { after, reason } => {
                delivery.reason = Some(reason.clone());
                record.next_try = Some(try_again(&self.limits, now, *after, finished));
            }
        }
        true
    }

    /// Gives up what was tried for long enough and nobody tries just now; how many there were.
    pub(super) fn give_up(&mut self, now: UnixMillis) -> u64 {
        let over = |id: &&JobId| {
            let record = &self.jobs[*id];
            let end = record
                .finished
                .map(|finished| finished.after(self.limits.callback_ttl));
            end.is_some_and(|end| end <= now) && record.next_try.is_some_and(|at| at <= now)
        };
        let over: Vec<JobId> = self.owed.iter().filter(over).copied().collect();
        for id in &over {
            self.tell(*id, DeliveryState::GivenUp, None, now);
        }
        over.len() as u64
    }

    /// A job with a callback has ended: its delivery is due.
    pub(super) fn owe(&mut self, id: JobId, now: UnixMillis) {
        if let Some(record) = self.jobs.get_mut(&id) {
            record.next_try = Some(now);
            record.delivery = Some(Delivery {
                state: DeliveryState::Due,
                tries: 0,
                reason: None,
            });
        }
    }

    /// A delivery comes to its end, and its job is kept like any other.
    fn tell(&mut self, id: JobId, state: DeliveryState, reason: Option<String>, now: UnixMillis) {
        self.owed.remove(&id);
        if let Some(record) = self.jobs.get_mut(&id) {
            record.next_try = None;
            if let Some(delivery) = &mut record.delivery {
                delivery.state = state;
                delivery.reason = reason.or_else(|| delivery.reason.take());
            }
        }
        self.keep(id, now);
    }

    /// An ended job is kept for its time; what is too much of its kind goes.
    pub(super) fn keep(&mut self, id: JobId, now: UnixMillis) {
        let Some(record) = self.jobs.get_mut(&id) else {
            return;
        };
        let kept = if record.state == JobState::Dead {
            (&mut self.dead, self.limits.max_dead)
        } else {
            record.keep_until = Some(keep_until(&self.limits, now, record.key_until));
            (&mut self.outcomes, self.limits.max_results)
        };
        let finished = record.finished.unwrap_or(now);
        kept.0.insert((finished, record.place), id);
        let surplus = kept.0.len() as u64 > kept.1;
        let oldest = kept.0.first_key_value().map(|(_, id)| *id);
        if surplus && let Some(oldest) = oldest {
            self.forget(oldest);
        }
    }

    /// Ended jobs of this state whose delivery is due.
    pub(super) fn due(&self, of: impl Fn(JobState) -> bool) -> Vec<JobId> {
        let state = |id: &JobId| self.jobs[id].state;
        let owed = self.owed.iter().copied();
        owed.filter(|id| state(id).is_final() && of(state(id)))
            .collect()
    }
}
