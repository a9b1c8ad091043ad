//! One queue over several Redis servers: each job is whole in one of them, its shard.
//!
//! In the order of the flow: `order` says which shard a job or key belongs to, `shard` is one of
//! them, `whereabouts` remembers who has what, `offer` takes jobs in, `claim` takes them out,
//! `deliveries` those whose end is to be told, `spread` asks each shard about its own and puts the answers together.
//!
//! What is promised beside [`JobStore`]:
//!
//! - **A job without a key** goes to the first shard of its name's order that answers and has room.
//! - **A job with a key** goes to the first shard of the key's order and to no other: that one
//!   decides alone, in one script, so one key never names two jobs. While that shard is down or
//!   full the request is refused, not taken elsewhere. The others are asked first whether they
//!   know the key, from before a shard was added; one that is down then cannot say so.
//! - **A shard that is down** takes no new work, its accepted work waits for its return, the others
//!   go on. Whoever asks it finds out within 2 s and it is not asked again until it answers.
//! - **Bounds** are for the whole, in equal parts: no shard ever holds more than its part.
//! - **Order**: priorities, their shares and arrival hold in each shard, priority also within what one
//!   claim gives.
//! - **Adding a shard** moves nothing: names of jobs carry nothing, so a job is looked for in its
//!   order until it is found. Before one is removed it must be empty.
//!
//! Every process must name the shards alike. Must not know: actors, HTTP, how a Redis is reached.

mod order;
mod shard;
mod whereabouts;
mod offer;
mod claim;
mod deliveries;
mod spread;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::sync::{broadcast, watch};

use super::redis::{Ears, RedisStore, Server};
use super::{
    Cancelled, Claimed, Completed, Completion, Demand, Description, DueDelivery, Enqueued, Failed,
    Failure, Finding, JobId, JobState, JobStore, JobView, Lease, NewJob, Place, Severity, Start,
    Stats, StoreError, StoreLimits, Tended, Tried, UnixMillis,
};
use claim::Claimer;
use shard::Shard;
use whereabouts::Whereabouts;

/// Jobs whose shard is remembered: a minute's at a thousand a second.
const KNOWN: usize = 65_536;

/// A durable queue over several Redis servers. See the [module](self).
pub struct ShardedStore {
    names: Vec<String>,
    shards: Vec<Arc<Shard>>,
    known: Arc<Whereabouts>,
    ears: Ears,
    again: watch::Sender<()>,
    turn: AtomicUsize,
}

/// Opens the queue at one address or over several; see [`RedisStore::open_on`].
///
/// # Errors
/// [`StoreError::Unusable`] if an address is wrong or named twice, or a Redis that answers cannot
/// be used; [`StoreError::Unavailable`] if one refuses the user or password.
pub fn open(
    urls: &[String],
    limits: StoreLimits,
    demand: &Demand,
) -> Result<Arc<dyn JobStore>, StoreError> {
    match urls {
        [url] => Ok(Arc::new(RedisStore::open_on(
            url,
            limits,
            Arc::clone(demand),
        )?)),
        urls => Ok(Arc::new(ShardedStore::open(urls, &limits, demand)?)),
    }
}

impl ShardedStore {
    /// Opens the queue. A shard that is down does not hinder.
    ///
    /// # Errors
    /// As for [`open`].
    pub fn open(
        urls: &[String],
        limits: &StoreLimits,
        demand: &Demand,
    ) -> Result<Self, StoreError> {
        let servers: Result<Vec<Server>, _> = urls.iter().map(|url| Server::parse(url)).collect();
        let servers = servers?;
        let names: Vec<String> = servers.iter().map(|server| server.place.clone()).collect();
        let twice = |(at, name): (usize, &String)| names[..at].contains(name);
        if names.is_empty() || names.iter().enumerate().any(twice) {
            return Err(StoreError::Unusable(format!(
                "{}: every shard must be another Redis or database",
                names.join(", ")
            )));
        }
        let ears = Ears::default();
        let shards = servers.into_iter().enumerate().map(|(at, server)| {
            let part = order::part(limits, &names, at);
            let demand = Arc::clone(demand);
            let store = RedisStore::open_among(server, part, demand, ears.clone())
                .map_err(|error| of_shard(&names[at], error))?;
            Ok(Arc::new(Shard::new(store)))
        });
        let shards: Result<Vec<_>, StoreError> = shards.collect();
        Ok(Self {
            shards: shards?,
            names,
            known: Arc::new(Whereabouts::new(KNOWN)),
            ears,
            again: watch::channel(()).0,
            turn: AtomicUsize::new(0),
        })
    }

    fn order(&self, key: &[u8]) -> Vec<usize> {
        order::order(&self.names, key)
    }
}

/// An error at the start, with the shard's name.
fn of_shard(name: &str, error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(reason) => StoreError::Unavailable(format!("{name}: {reason}")),
        StoreError::Unusable(reason) => StoreError::Unusable(format!("{name}: {reason}")),
        other => other,
    }
}

#[async_trait]
impl JobStore for ShardedStore {
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        self.offer(job).await
    }

    async fn claim(&self, room: usize) -> Result<Vec<Claimed>, StoreError> {
        let claimer = Claimer {
            shards: &self.shards,
            known: &self.known,
            bell: &self.ears.bell,
            again: &self.again,
            turn: &self.turn,
        };
        claimer.claim(room).await
    }

    async fn start(&self, leases: &[Lease]) -> Result<Vec<Start>, StoreError> {
        let id = |lease: &Lease| lease.id;
        let said = self
            .spread(leases, id, |store, some| {
                async move { store.start(&some).await }.boxed()
            })
            .await?;
        // What a shard that is down has is let go, so that the others' jobs need not wait; it is
        // handed back when the shard returns.
        for (at, missed) in said.missed(leases) {
            self.shards[at].owe([missed]);
        }
        let run = |answers: Vec<Start>| answers.contains(&Start::Run);
        let start = |run| if run { Start::Run } else { Start::Gone };
        Ok(said.answers.into_iter().map(run).map(start).collect())
    }

    async fn heartbeat(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let id = |lease: &Lease| lease.id;
        let beat = self.spread(leases, id, |store, some| {
            async move { store.heartbeat(&some).await.map(|()| vec![(); some.len()]) }.boxed()
        });
        beat.await.map(drop)
    }

    async fn complete(&self, done: &[Completion]) -> Result<Vec<Completed>, StoreError> {
        let id = |done: &Completion| done.lease.id;
        let said = self.spread(done, id, |store, some| {
            async move { store.complete(&some).await }.boxed()
        });
        let best = |answers: Vec<Completed>| {
            let first = answers.contains(&Completed::First);
            first.then_some(Completed::First)
        };
        said.await?.each(best, Completed::Stale)
    }

    async fn fail(&self, failed: &[Failure]) -> Result<Vec<Failed>, StoreError> {
        let id = |failed: &Failure| failed.lease.id;
        let said = self.spread(failed, id, |store, some| {
            async move { store.fail(&some).await }.boxed()
        });
        let best = |answers: Vec<Failed>| answers.into_iter().find(|one| *one != Failed::Stale);
        said.await?.each(best, Failed::Stale)
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let id = |lease: &Lease| lease.id;
        let said = self
            .spread(leases, id, |store, some| {
                async move { store.release(&some).await.map(|()| vec![(); some.len()]) }.boxed()
            })
            .await?;
        for (at, missed) in said.missed(leases) {
            self.shards[at].owe([missed]);
        }
        Ok(())
    }

    async fn cancel(&self, id: JobId) -> Result<Option<Cancelled>, StoreError> {
        self.find(id, |store| store.cancel(id)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<JobView>, StoreError> {
        self.find(id, |store| store.job(id)).await
    }

    /// As many in each other shard, for they are emptied alike.
    async fn ahead(&self, id: JobId) -> Result<Option<u64>, StoreError> {
        let here = self.find(id, |store| store.ahead(id)).await?;
        Ok(here.map(|jobs| jobs * self.shards.len() as u64))
    }

    async fn claim_deliveries(
        &self,
        room: usize,
        lease: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        self.due(room, lease).await
    }

    async fn settle_deliveries(&self, tried: &[Tried]) -> Result<Vec<bool>, StoreError> {
        let id = |tried: &Tried| tried.turn.id;
        let said = self.spread(tried, id, |store, some| {
            async move { store.settle_deliveries(&some).await }.boxed()
        });
        let counts = |answers: Vec<bool>| answers.contains(&true).then_some(true);
        said.await?.each(counts, false)
    }

    fn ended(&self) -> broadcast::Receiver<JobId> {
        self.ears.ended.subscribe()
    }

    async fn tend(&self) -> Result<Tended, StoreError> {
        let mut all = Tended::default();
        let tend = |shard: Arc<Shard>| async move { shard.call(shard.tend()).await }.boxed();
        for one in self.everywhere(tend).await?.given {
            all.reclaimed += one.reclaimed;
            all.expired += one.expired;
            all.dead += one.dead;
            all.given_up += one.given_up;
        }
        Ok(all)
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        let mut all = Stats::default();
        let stats =
            |shard: Arc<Shard>| async move { shard.call(shard.store.stats()).await }.boxed();
        for one in self.everywhere(stats).await?.given {
            all.queued += one.queued;
            all.running += one.running;
            all.bytes += one.bytes;
            all.dead += one.dead;
            all.ended += one.ended;
            all.due += one.due;
            all.oldest = all.oldest.into_iter().chain(one.oldest).min();
        }
        Ok(all)
    }

    async fn list(
        &self,
        state: Option<JobState>,
        limit: usize,
    ) -> Result<Vec<JobView>, StoreError> {
        let list = move |shard: Arc<Shard>| {
            async move { shard.call(shard.store.list(state, limit)).await }.boxed()
        };
        let lists = self.everywhere(list).await?;
        let mut all: Vec<JobView> = lists.given.into_iter().flatten().collect();
        // As each shard lists its own: what has ended by its end, else by arrival.
        let ended = state.is_some_and(JobState::is_final);
        all.sort_by_key(|job| (job.finished.filter(|_| ended), job.id));
        all.truncate(limit);
        Ok(all)
    }

    async fn retry(&self, id: JobId, deadline: UnixMillis) -> Result<bool, StoreError> {
        let retry = |store| async move {
            let retried = RedisStore::retry(store, id, deadline).await?;
            Ok(retried.then_some(true))
        };
        Ok(self.find(id, |store| retry(store).boxed()).await?.is_some())
    }

    async fn purge(&self, state: JobState) -> Result<u64, StoreError> {
        let purge = move |shard: Arc<Shard>| {
            async move { shard.call(shard.store.purge(state)).await }.boxed()
        };
        let purged = self.everywhere(purge).await?;
        match purged.failed.into_iter().next() {
            // The others have done it; to say how many would be to say that it is done.
            Some(error) => Err(error),
            None => Ok(purged.given.into_iter().sum()),
        }
    }

    async fn doctor(&self) -> Result<Vec<Finding>, StoreError> {
        let examined = self.shards.iter().map(|shard| async {
            let name = &shard.name;
            let named = |found: Finding| Finding {
                message: format!("{name}: {}", found.message),
                ..found
            };
            match shard.call(shard.store.doctor()).await {
                Ok(findings) => (true, findings.into_iter().map(named).collect()),
                Err(error) => (false, vec![of_absent(&error)]),
            }
        });
        let (there, findings): (Vec<bool>, Vec<Vec<Finding>>) =
            join_all(examined).await.into_iter().unzip();
        if there.contains(&true) {
            Ok(findings.into_iter().flatten().collect())
        } else {
            Err(self.nobody())
        }
    }

    fn description(&self) -> Description {
        let each: Vec<Description> = self
            .shards
            .iter()
            .map(|shard| shard.store.description())
            .collect();
        let alike = each.iter().all(|one| one.durability == each[0].durability);
        let durability = if alike {
            format!("in each shard, {}", each[0].durability)
        } else {
            let named =
                |(name, one): (&String, &Description)| format!("{name}: {}", one.durability);
            let all: Vec<String> = self.names.iter().zip(&each).map(named).collect();
            all.join("; ")
        };
        Description {
            place: format!(
                "redis, {} shards: {}",
                self.names.len(),
                self.names.join(", ")
            ),
            durability,
        }
    }

    fn places(&self) -> Vec<Place> {
        self.shards
            .iter()
            .flat_map(|shard| shard.store.places())
            .collect()
    }

    fn place_of(&self, id: JobId) -> usize {
        self.known.get(id).unwrap_or(self.shards.len())
    }

    async fn close(&self) -> Result<(), StoreError> {
        let closing = self.shards.iter().map(|shard| async {
            let down = shard.store.trouble();
            match (shard.store.close().await, down) {
                // What it has of this process comes back when its leases run out.
                (Err(error), Some(_)) => {
                    tracing::debug!(store.place = %shard.name, %error, "a shard was not told");
                    Ok(())
                }
                (closed, _) => closed,
            }
        });
        join_all(closing).await.into_iter().collect()
    }
}

fn of_absent(error: &StoreError) -> Finding {
    Finding {
        check: "shard".to_owned(),
        severity: Severity::Warning,
        message: format!("{error}: it takes no new work, and its accepted work waits for it"),
    }
}
