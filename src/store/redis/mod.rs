//! The store in Redis: many processes, on as many machines, share one queue.
//!
//! In the order of the flow: `address` says where it is, `connection` is the way there, `keys` what is kept, `scripts`
//! how it changes (one Lua script for each transition), `accept` how jobs come in, `claim` how
//! they are taken, `reclaim` how they come back, `deliveries` how ends are told, `look` what is seen of them, `reply` how it
//! is read; `greeting`, `presence` and `news` run in a thread of the store's own; `doctor` looks
//! at Redis itself.
//!
//! A job is in the stream of its priority from its arrival to its end, pending there while
//! somebody holds it. Who holds it, and since which claim, is in its hash; the hash decides,
//! because Redis lets anybody acknowledge anything.
//!
//! Needs Redis 7.0 or Valkey, one primary. Must not know: actors, HTTP, tickets, what pixels and
//! results mean.

mod address;
mod connection;
mod keys;
mod scripts;
mod reply;
mod accept;
mod claim;
mod reclaim;
mod deliveries;
mod look;
mod greeting;
mod presence;
mod news;
mod doctor;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{broadcast, watch};

use super::recent::Recent;
use super::{
    Cancelled, Claimed, Completed, Completion, Demand, Description, DueDelivery, Enqueued, Failed,
    Failure, Finding, Idempotency, JobId, JobState, JobStore, JobView, Lease, NewJob, Place, Start,
    Stats, StoreError, StoreLimits, Tended, Tried, UnixMillis,
};
use accept::Accepted;
pub(super) use address::Server;
use claim::Claimer;
pub(super) use claim::LOOK;
use connection::{Link, Welcome};
use greeting::Greeter;
use news::News;
use presence::{Claims, Thread, Work};
use scripts::Scripts;

/// Longest time that opening waits for a first answer.
const OPEN: Duration = Duration::from_secs(5);

/// Bytes of pixels that this process need not read back.
const RECENT: u64 = 64 << 20;

/// Names of ended jobs that a slow listener may be behind.
const ENDED: usize = 4096;

/// A durable queue in Redis. See the [module](self).
pub struct RedisStore {
    link: Link,
    /// Another one for pixels, so that a lease is never late because of them.
    bulk: Link,
    scripts: Arc<Scripts>,
    claims: Arc<Claims>,
    limits: StoreLimits,
    consumer: String,
    recent: Mutex<Recent>,
    bell: watch::Sender<()>,
    ended: broadcast::Sender<JobId>,
    place: String,
    caveat: Option<&'static str>,
    welcome: watch::Receiver<Welcome>,
    thread: Mutex<Option<Thread>>,
}

/// What several stores of one process share: they are heard as one.
#[derive(Clone)]
pub(super) struct Ears {
    /// Rung when there may be work in any of them, or when one can be used again.
    pub(super) bell: watch::Sender<()>,
    /// Names of jobs that ended in any of them.
    pub(super) ended: broadcast::Sender<JobId>,
}

impl Default for Ears {
    fn default() -> Self {
        Self {
            bell: watch::channel(()).0,
            ended: broadcast::channel(ENDED).0,
        }
    }
}

impl RedisStore {
    /// Opens the queue at an address: `redis://`, `rediss://`, `redis+unix://` or `unix://`, with
    /// user, password and database as usual; or `redis+sentinel://` with the sentinels and the
    /// name of the primary, or `redis+cluster://` with some of the nodes.
    ///
    /// Blocks until Redis has answered or is known not to, at most 5 s; needs no runtime, starts
    /// a thread. A Redis that is down does not hinder: calls are refused until it answers.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if Redis refuses the user or password;
    /// [`StoreError::Unusable`] for a wrong address, a Redis that is too old, or data of another
    /// version of Beagle.
    pub fn open(url: &str, limits: StoreLimits) -> Result<Self, StoreError> {
        Self::open_on(url, limits, Arc::new(|_| Ok(())))
    }

    /// The same on a condition: a Redis that does not meet the demand is refused as
    /// [`StoreError::Unusable`], whenever it first answers.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_on(url: &str, limits: StoreLimits, demand: Demand) -> Result<Self, StoreError> {
        Self::open_among(Server::parse(url)?, limits, demand, Ears::default())
    }

    /// The same as one of several.
    pub(super) fn open_among(
        server: Server,
        limits: StoreLimits,
        demand: Demand,
        ears: Ears,
    ) -> Result<Self, StoreError> {
        let (welcome, welcomed) = watch::channel(Welcome::NotYet);
        let (heard, hears) = watch::channel(false);
        let (link, keeper) = server.link(welcomed.clone());
        let (bulk, bulk_keeper) = server.link(welcomed.clone());
        let scripts = Arc::new(Scripts::new(&limits));
        let claims = Arc::new(Claims::default());
        let consumer = keys::consumer();
        let Ears { bell, ended } = ears;
        let (tell, told) = mpsc::sync_channel(1);
        let (place, caveat) = (server.place.clone(), server.caveat());
        let work = Work {
            keepers: [keeper, bulk_keeper],
            news: News {
                server,
                ended: ended.clone(),
                bell: bell.clone(),
                hears: heard,
            },
            link: link.clone(),
            scripts: Arc::clone(&scripts),
            claims: Arc::clone(&claims),
            consumer: consumer.clone(),
            greeter: Greeter {
                link: link.unwelcomed(),
                bulk: bulk.unwelcomed(),
                scripts: Arc::clone(&scripts),
                consumer: consumer.clone(),
                limits: limits.clone(),
                demand,
                welcome,
                hears,
                bell: bell.clone(),
                first: tell,
            },
        };
        let thread = work.begin()?;
        match told.recv_timeout(OPEN) {
            Ok(Err(error @ StoreError::Unavailable(_))) if link.is_refused() => return Err(error),
            // It is down, and looked at when it comes.
            Ok(Ok(()) | Err(StoreError::Unavailable(_))) | Err(_) => {}
            Ok(Err(error)) => return Err(error),
        }
        Ok(Self {
            link,
            bulk,
            scripts,
            claims,
            limits,
            consumer,
            recent: Mutex::new(Recent::new(RECENT)),
            bell,
            ended,
            place,
            caveat,
            welcome: welcomed,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Its address without secrets: `127.0.0.1:6379/0`.
    pub(super) fn name(&self) -> &str {
        &self.place
    }

    /// Why calls would be refused now; nothing if they would be made.
    pub(super) fn trouble(&self) -> Option<String> {
        self.link.trouble().or_else(|| self.bulk.trouble())
    }

    /// Takes at most so many jobs without waiting for any, and whether there may be more.
    pub(super) async fn take(&self, room: usize) -> Result<(Vec<Claimed>, bool), StoreError> {
        self.claimer().take(room).await
    }

    /// The job that has a key, if any has it here.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`] if it was for another request.
    pub(super) async fn keyed(&self, named: &Idempotency) -> Result<Option<JobId>, StoreError> {
        accept::keyed(&self.link, named).await
    }

    fn claimer(&self) -> Claimer<'_> {
        Claimer {
            link: &self.link,
            bulk: &self.bulk,
            scripts: &self.scripts,
            claims: &self.claims,
            recent: &self.recent,
            bell: &self.bell,
            consumer: &self.consumer,
        }
    }
}

impl RedisStore {
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobStore for RedisStore {
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        // Before the offer: once it is accepted, a claim may come for them at any moment, and what
        // came too late would stay.
        self.recent().insert(job.id, job.pixels.clone());
        let offered = accept::offer(&self.bulk, &self.scripts, &self.limits, &job).await;
        if !matches!(offered, Ok(Accepted::New)) {
            self.recent().take(&job.id);
        }
        match offered? {
            // Where it is known, what it was offered with now may differ; the first offer stands.
            Accepted::New | Accepted::Known => Ok(Enqueued::Accepted),
            Accepted::Existing(id) => Ok(Enqueued::Existing(id)),
        }
    }

    async fn claim(&self, room: usize) -> Result<Vec<Claimed>, StoreError> {
        self.claimer().claim(room).await
    }

    async fn start(&self, leases: &[Lease]) -> Result<Vec<Start>, StoreError> {
        let call = self.scripts.call(&self.scripts.start).leases(leases);
        let answers: Vec<u8> = call.run(&self.link).await?;
        let start = |answer| if answer == 1 { Start::Run } else { Start::Gone };
        Ok(answers.into_iter().map(start).collect())
    }

    async fn heartbeat(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let call = self
            .scripts
            .call(&self.scripts.heartbeat)
            .arg(&self.consumer);
        call.leases(leases).run(&self.link).await
    }

    async fn complete(&self, done: &[Completion]) -> Result<Vec<Completed>, StoreError> {
        let mut call = self.scripts.call(&self.scripts.complete);
        for one in done {
            call = call.leases(&[one.lease]).arg(&one.result[..]);
        }
        let answers: Vec<u8> = call.run(&self.link).await?;
        let completed = |answer| match answer {
            1 => Completed::First,
            _ => Completed::Stale,
        };
        Ok(answers.into_iter().map(completed).collect())
    }

    async fn fail(&self, failed: &[Failure]) -> Result<Vec<Failed>, StoreError> {
        let mut call = self.scripts.call(&self.scripts.fail);
        for one in failed {
            call = call.leases(&[one.lease]).arg(&one.reason);
        }
        let answers: Vec<String> = call.run(&self.link).await?;
        let became = |answer: String| match &answer[..] {
            "again" => Failed::Again,
            "dead" => Failed::Dead,
            _ => Failed::Stale,
        };
        Ok(answers.into_iter().map(became).collect())
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let call = self.scripts.call(&self.scripts.release).leases(leases);
        call.run(&self.link).await
    }

    async fn cancel(&self, id: JobId) -> Result<Option<Cancelled>, StoreError> {
        let call = self.scripts.call(&self.scripts.cancel).arg(id.to_string());
        let state: Option<String> = call.run(&self.link).await?;
        self.recent().take(&id);
        state.as_deref().map(reply::cancelled).transpose()
    }

    async fn job(&self, id: JobId) -> Result<Option<JobView>, StoreError> {
        look::job(&self.link, id).await
    }

    async fn ahead(&self, id: JobId) -> Result<Option<u64>, StoreError> {
        look::ahead(&self.link, id).await
    }

    async fn claim_deliveries(
        &self,
        room: usize,
        lease: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        deliveries::claim(&self.link, &self.scripts, room, lease).await
    }

    async fn settle_deliveries(&self, tried: &[Tried]) -> Result<Vec<bool>, StoreError> {
        deliveries::settle(&self.link, &self.scripts, tried).await
    }

    fn ended(&self) -> broadcast::Receiver<JobId> {
        self.ended.subscribe()
    }

    async fn tend(&self) -> Result<Tended, StoreError> {
        reclaim::tend(&self.link, &self.scripts).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        look::stats(&self.link, &self.scripts).await
    }

    async fn list(
        &self,
        state: Option<JobState>,
        limit: usize,
    ) -> Result<Vec<JobView>, StoreError> {
        look::list(&self.link, state, limit).await
    }

    async fn retry(&self, id: JobId, deadline: UnixMillis) -> Result<bool, StoreError> {
        accept::retry(&self.link, &self.scripts, &self.limits, id, deadline).await
    }

    async fn purge(&self, state: JobState) -> Result<u64, StoreError> {
        reclaim::purge(&self.link, &self.scripts, state).await
    }

    async fn doctor(&self) -> Result<Vec<Finding>, StoreError> {
        doctor::examine(&self.link, &self.scripts, &self.limits).await
    }

    fn description(&self) -> Description {
        let durability = match &*self.welcome.borrow() {
            Welcome::Yes(durability) => durability.clone(),
            Welcome::NotYet => "it does not answer yet, so what a job survives is not known".into(),
            Welcome::No(error) => error.to_string(),
        };
        let durability = match self.caveat {
            Some(caveat) => format!("{durability}; {caveat}"),
            None => durability,
        };
        Description {
            place: format!("redis {}", self.place),
            durability,
        }
    }

    fn places(&self) -> Vec<Place> {
        vec![Place {
            name: self.place.clone(),
            trouble: self.trouble(),
        }]
    }

    async fn close(&self) -> Result<(), StoreError> {
        let call = self.scripts.call(&self.scripts.close).arg(&self.consumer);
        let handed_back = call.run(&self.link).await;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(thread);
        self.link.closed().await;
        self.bulk.closed().await;
        // Waiting claims look once more, and find it closed.
        self.bell.send_replace(());
        handed_back
    }
}
