//! Taking jobs from all shards.
//!
//! The room is dealt out among the shards that answer, what does not divide to the next in turn;
//! what some do not fill the others may. So every shard with work has its part of every claim, and
//! with room for less than one job each, its turn. Each shard is asked in a task of its own: one
//! that is slow is not waited for once another has given something, and what it then gives is
//! there for the next claim. It is not asked again before it has answered.
//!
//! Waiting is as in [`redis`](crate::store::redis): all shards ring one bell. Must not know: what
//! jobs are beyond their priority.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::shard::{Shard, nobody};
use super::whereabouts::Whereabouts;
use crate::store::redis::LOOK;
use crate::store::{Claimed, StoreError};

/// How long a claim that has something waits for shards that have not answered. A shard that hangs
/// costs this once every time it is asked, and it is not asked again before it has answered.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a claim needs.
pub(super) struct Claimer<'a> {
    pub(super) shards: &'a [Arc<Shard>],
    pub(super) known: &'a Arc<Whereabouts>,
    /// Rung by the shards.
    pub(super) bell: &'a watch::Sender<()>,
    /// Rung when a shard that was busy has answered and others may have waited for that.
    pub(super) again: &'a watch::Sender<()>,
    /// Whose turn it is to be asked first.
    pub(super) turn: &'a AtomicUsize,
}

/// What a shard that was asked has said.
enum Said {
    /// It has more than it was asked for.
    More,
    /// Nothing more.
    Dry,
    Failed(StoreError),
}

impl Claimer<'_> {
    /// See [`JobStore::claim`](crate::store::JobStore::claim).
    pub(super) async fn claim(&self, room: usize) -> Result<Vec<Claimed>, StoreError> {
        let room = room.max(1);
        loop {
            // Before the look: what rings after it is not missed.
            let (mut bell, mut again) = (self.bell.subscribe(), self.again.subscribe());
            let mut claimed = Vec::new();
            let failures = self.look(room, &mut claimed).await;
            if !claimed.is_empty() {
                // The order of arrival is that of the names.
                claimed.sort_by_key(|job: &Claimed| (job.priority, job.lease.id));
                return Ok(claimed);
            }
            if let Some(error) = self.nobody_left(failures) {
                return Err(error);
            }
            let (rung, freed) = (pin!(bell.changed()), pin!(again.changed()));
            // All ends of the wait are the same: look again.
            let _ = timeout(LOOK, future::select(rung, freed)).await;
        }
    }

    /// Asks until the room is filled or nobody has more.
    async fn look(&self, room: usize, claimed: &mut Vec<Claimed>) -> Vec<(usize, StoreError)> {
        let mut left: Vec<usize> = (0..self.shards.len()).collect();
        left.rotate_left(self.turn.fetch_add(1, Ordering::Relaxed) % self.shards.len());
        let mut failures = Vec::new();
        self.collect(room, claimed);
        while claimed.len() < room {
            left.retain(|at| self.shards[*at].is_up());
            let parts = parts(room - claimed.len(), left.len());
            let mut asked: FuturesUnordered<_> = left
                .iter()
                .zip(parts)
                .filter_map(|(at, part)| self.ask(*at, part))
                .collect();
            if asked.is_empty() {
                break;
            }
            let mut late = false;
            while !asked.is_empty() && !late {
                let answer = if claimed.is_empty() {
                    asked.next().await
                } else {
                    let answer = timeout(PATIENCE, asked.next()).await;
                    late = answer.is_err();
                    answer.ok().flatten()
                };
                self.collect(room, claimed);
                match answer {
                    // A task that panicked has nothing either.
                    Some(Ok((at, Said::Dry))) => left.retain(|other| *other != at),
                    Some(Ok((at, Said::Failed(error)))) => {
                        left.retain(|other| *other != at);
                        failures.push((at, error));
                    }
                    Some(Ok((_, Said::More)) | Err(_)) | None => {}
                }
            }
            if late {
                break;
            }
            // Those that have had no part yet come first.
            let one = usize::from(!left.is_empty());
            left.rotate_left(one);
        }
        failures
    }

    /// Asks a shard for so many, unless it is being asked.
    fn ask(&self, at: usize, part: usize) -> Option<JoinHandle<(usize, Said)>> {
        if part == 0 {
            return None;
        }
        let shard = Arc::clone(&self.shards[at]);
        if shard.busy.swap(true, Ordering::AcqRel) {
            shard.wanted.store(true, Ordering::Release);
            return None;
        }
        let (known, again) = (Arc::clone(self.known), self.again.clone());
        let bell = self.bell.subscribe();
        Some(tokio::spawn(async move {
            let answer = shard.store.take(part).await;
            let said = match answer {
                Ok((claimed, more)) => {
                    let said = if more || claimed.len() >= part {
                        Said::More
                    } else {
                        Said::Dry
                    };
                    let missed = bell.has_changed().unwrap_or(true);
                    let came = !claimed.is_empty();
                    for job in &claimed {
                        known.put(job.lease.id, at);
                    }
                    shard.keep(claimed);
                    shard.busy.store(false, Ordering::Release);
                    // Who would have asked it meanwhile has heard the bell, and in vain.
                    if came || shard.wanted.swap(false, Ordering::AcqRel) && missed {
                        again.send_replace(());
                    }
                    said
                }
                Err(error) => {
                    shard.busy.store(false, Ordering::Release);
                    Said::Failed(error)
                }
            };
            (at, said)
        }))
    }

    /// Moves what has arrived, a job of each shard in turn.
    fn collect(&self, room: usize, claimed: &mut Vec<Claimed>) {
        while claimed.len() < room {
            let before = claimed.len();
            for shard in self.shards {
                if claimed.len() < room {
                    claimed.extend(shard.next_arrived());
                }
            }
            if claimed.len() == before {
                return;
            }
        }
    }

    /// Why nothing can come: no shard is up, or each that was asked has failed.
    fn nobody_left(&self, mut failures: Vec<(usize, StoreError)>) -> Option<StoreError> {
        let up = self.shards.iter().filter(|shard| shard.is_up()).count();
        if up == 0 {
            return Some(nobody(self.shards));
        }
        // One that has gone down meanwhile is nobody's trouble but its own.
        failures.retain(|(at, _)| self.shards[*at].is_up());
        (failures.len() >= up).then(|| failures.remove(0).1)
    }
}

/// Deals room out among so many.
fn parts(room: usize, among: usize) -> impl Iterator<Item = usize> {
    (0..among).map(move |at| room / among + usize::from(at < room % among))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_dealt_out_whole_and_evenly() {
        let dealt = |room, among| parts(room, among).collect::<Vec<_>>();
        assert_eq!(dealt(8, 3), [3, 3, 2]);
        assert_eq!(dealt(1, 2), [1, 0]);
        assert!(dealt(4, 0).is_empty());
    }
}
