//! Both embedded stores, asked the same things in any order, answer alike.
//!
//! The contract says what each promise is; this finds what no rule thought of.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use beagle::store::memory::MemoryStore;
use beagle::store::{
    Claimed, DueDelivery, JobId, JobState, JobStore, JobView, Lease, NewJob, Outcome, Priority,
    StoreLimits, Tried, Turn, UnixMillis,
};
use bytes::Bytes;

use crate::contract::Lab;
use crate::fixture::{NEVER, called, completion, failure, job, keyed, limits, soon};
use crate::sqlite::SqliteLab;

/// A run of choices that is the same for the same seed.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        // Knuth's constants for a linear congruential generator.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len())])
    }
}

#[tokio::test]
async fn memory_and_sqlite_agree_whatever_is_asked() {
    for seed in 0..8 {
        let lab = SqliteLab::new().await;
        let limits = StoreLimits {
            max_jobs: 12,
            max_bytes: 120,
            max_dead: 3,
            ..limits()
        };
        let memory = MemoryStore::new(limits.clone());
        let sqlite = lab.open(limits).await;
        agree(&memory, &*sqlite, Dice(seed)).await;
    }
}

async fn agree(memory: &dyn JobStore, sqlite: &dyn JobStore, mut dice: Dice) {
    let mut ids: Vec<JobId> = vec![JobId::new()];
    let mut leases: Vec<Lease> = Vec::new();
    // A turn in one store and in the other: their clocks are read at different times.
    let mut turns: Vec<[Turn; 2]> = Vec::new();
    for step in 0..400 {
        /// Asks both and compares.
        macro_rules! both {
            ($method:ident $(, $arg:expr)*) => {{
                let wanted = memory.$method($($arg),*).await;
                let got = sqlite.$method($($arg),*).await;
                assert_eq!(got, wanted, "step {step}: {}", stringify!($method));
                got
            }};
        }
        let id = dice.pick(&ids).unwrap();
        let lease = dice.pick(&leases);
        match (dice.roll(14), lease) {
            (0..=2, _) => {
                let job = any_job(&mut dice);
                ids.push(job.id);
                let _ = both!(enqueue, job.clone());
            }
            (3 | 4, _) => {
                let room = 1 + dice.roll(3);
                if let Some(wanted) = claim_now(memory, room).await {
                    let got = soon(sqlite.claim(room)).await.unwrap();
                    assert_eq!(got, wanted, "step {step}: claim");
                    leases.extend(got.iter().map(|job| job.lease));
                } else {
                    // What a claim in vain did to expired jobs, a tending does here.
                    sqlite.tend().await.unwrap();
                    memory.tend().await.unwrap();
                }
            }
            (5 | 6, Some(lease)) => drop(both!(start, &[lease])),
            (7, Some(lease)) => drop(both!(complete, &[completion(lease, "a dog")])),
            (8, Some(lease)) => drop(both!(fail, &[failure(lease, "no")])),
            (9, Some(lease)) => drop(both!(release, &[lease])),
            (10, _) => match dice.roll(4) {
                0 => drop(both!(cancel, id)),
                1 => {
                    if both!(retry, id, UnixMillis::now().after(NEVER)) == Ok(true) {
                        // Two ends in one millisecond are told apart by neither, or by one alone.
                        turns.retain(|[turn, _]| turn.id != id);
                    }
                }
                2 => drop(both!(tend)),
                _ => {
                    if let Some(state) = dice.pick(&JobState::ALL).filter(|_| dice.roll(4) == 0) {
                        let _ = both!(purge, state);
                    }
                }
            },
            (11, _) => {
                let lease = [NEVER, Duration::ZERO][dice.roll(2)];
                let wanted = by_name(memory.claim_deliveries(100, lease).await.unwrap());
                let got = by_name(sqlite.claim_deliveries(100, lease).await.unwrap());
                let both = wanted.iter().zip(&got);
                turns.extend(both.map(|(wanted, got)| [wanted.turn, got.turn]));
                let tries = |due: &[DueDelivery]| -> Vec<u32> {
                    due.iter().map(|one| one.turn.tries).collect()
                };
                assert_eq!(tries(&got), tries(&wanted), "step {step}: tries");
                let jobs = |due: Vec<DueDelivery>| timeless(due.into_iter().map(|one| one.job));
                assert_eq!(jobs(got), jobs(wanted), "step {step}: claim_deliveries");
            }
            (12, _) => {
                if let Some([in_memory, in_sqlite]) = dice.pick(&turns) {
                    let reason = "no".to_owned();
                    let outcome = match dice.roll(5) {
                        4 => Outcome::Postponed {
                            after: Duration::ZERO,
                        },
                        0 => Outcome::GivenUp { reason },
                        1 => Outcome::Delivered,
                        2 => Outcome::Again {
                            after: NEVER,
                            reason,
                        },
                        _ => Outcome::Again {
                            after: Duration::ZERO,
                            reason,
                        },
                    };
                    let tried = |turn| {
                        let outcome = outcome.clone();
                        [Tried { turn, outcome }]
                    };
                    let wanted = memory.settle_deliveries(&tried(in_memory)).await;
                    let got = sqlite.settle_deliveries(&tried(in_sqlite)).await;
                    assert_eq!(got, wanted, "step {step}: settle_deliveries");
                }
            }
            _ => {
                let _ = both!(stats);
                let state = dice.pick(&JobState::ALL).filter(|_| dice.roll(2) == 0);
                let wanted = memory.list(state, 50).await.unwrap();
                let got = sqlite.list(state, 50).await.unwrap();
                assert_eq!(timeless(got), timeless(wanted), "step {step}: list");
            }
        }
    }
    for id in ids {
        let wanted = memory.job(id).await.unwrap();
        let got = sqlite.job(id).await.unwrap();
        assert_eq!(timeless(got), timeless(wanted));
    }
}

fn any_job(dice: &mut Dice) -> NewJob {
    let named = match dice.roll(3) {
        0 => keyed(["a", "b", "c"][dice.roll(3)], ["x", "y"][dice.roll(2)]),
        1 => called(),
        _ => job(),
    };
    let far = UnixMillis::now().after(NEVER);
    NewJob {
        pixels: Bytes::from(vec![7; 1 + dice.roll(20)]),
        priority: Priority::ALL[dice.roll(3)],
        created: UnixMillis(dice.roll(1_000) as u64),
        deadline: if dice.roll(6) == 0 {
            UnixMillis(1)
        } else {
            far
        },
        ..named
    }
}

/// Deliveries by their jobs' names: two may have come due in one millisecond.
fn by_name(mut deliveries: Vec<DueDelivery>) -> Vec<DueDelivery> {
    deliveries.sort_by_key(|one| one.turn.id);
    deliveries
}

/// What there is to claim, if there is something.
async fn claim_now(store: &dyn JobStore, room: usize) -> Option<Vec<Claimed>> {
    let mut claim = pin!(store.claim(room));
    match poll_fn(|context| Poll::Ready(claim.as_mut().poll(context))).await {
        Poll::Ready(claimed) => Some(claimed.unwrap()),
        Poll::Pending => None,
    }
}

/// Jobs that ended in the same order did not end in the same millisecond.
fn timeless(views: impl IntoIterator<Item = JobView>) -> Vec<JobView> {
    let same = |view: JobView| JobView {
        finished: view.finished.map(|_| UnixMillis(0)),
        ..view
    };
    views.into_iter().map(same).collect()
}
