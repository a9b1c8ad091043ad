//! The Batcher: decoded images into the store, claimed jobs out of it, batches to Classifiers.
//!
//! What it holds in memory mirrors what this process has claimed in the store; the store is the
//! truth. It claims only what it has room for, and gives a batch away only with a credit. Light:
//! it waits for the store and decides by [`policy`](super::policy). Must not know: burn, images,
//! the Classifier's type, which store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix::dev::SendError;
use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Recipient, SpawnHandle,
    WrapFuture as _,
};
use tokio::sync::{Notify, oneshot};

use super::backoff::Backoff;
use super::ending::Watch;
use super::policy::{BatchLimits, Decision, Entry, Waiting};
use crate::classify::catalog::Catalog;
use crate::credit::{Credit, Credits};
use crate::health::Health;
use crate::message::{Awaited, Batch, Held, LookAgain, Offered, Settled};
use crate::observe::{Fact, Observer, Point, Span, Stage};
use crate::pulse::Pulse;
use crate::store::{Claimed, JobId, JobStore, Lease, Start, StoreError, UnixMillis};
use crate::traceparent::TraceParent;

/// How often the store is tended.
const TEND: Duration = Duration::from_secs(1);
/// Heartbeats a lease: two may be lost.
const BEATS: u32 = 3;

/// What the Batcher is made of.
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn JobStore>,
    /// The Classifiers; without any, jobs are accepted and none is claimed.
    pub slots: Vec<Slot>,
    /// Who answers.
    pub awaited: Recipient<Awaited>,
    /// The same.
    pub offered: Recipient<Offered>,
    /// What is served.
    pub catalog: Catalog,
    /// What the policy may do.
    pub limits: BatchLimits,
    /// How long a claim lasts without a heartbeat.
    pub lease: Duration,
    /// How long a batch may be with a model before it counts as hanging.
    pub wedge_timeout: Duration,
    /// Told when a model hangs and its jobs have been handed back.
    pub wedged: Arc<Notify>,
    /// Uploads on their way here, counted by the edge.
    pub arriving: Arc<AtomicUsize>,
    /// Jobs in the queue when it was last looked at, for the edge.
    pub depth: Arc<AtomicU64>,
    /// Told whether the store answers.
    pub health: Arc<Health>,
    /// Told of every job's way.
    pub observer: Arc<dyn Observer>,
}

/// A Classifier as the Batcher knows it.
pub struct Slot {
    /// Where its batches go.
    pub classifier: Recipient<Batch>,
    /// Its credits.
    pub credits: Credits,
    /// How it is doing.
    pub pulse: Arc<Pulse>,
}

/// Claims, batches and gives away.
pub struct Batcher {
    pub(super) parts: Parts,
    pub(super) waiting: Waiting<Claimed>,
    /// Everything claimed and not settled, for heartbeats: waiting, starting or with a model.
    pub(super) held: HashMap<JobId, Lease>,
    /// Jobs that the store has not said yes or no to.
    pub(super) offering: usize,
    pub(super) claiming: Option<SpawnHandle>,
    pub(super) backoff: Backoff,
    timer: Option<SpawnHandle>,
    /// Whether the store has just refused to start a batch.
    paused: bool,
    /// Whether the end has begun: from then on nothing is claimed or tended.
    pub(super) draining: bool,
    /// Told when nothing is held any more.
    pub(super) drained: Option<oneshot::Sender<()>>,
    /// How long the models have been watched.
    pub(super) watch: Watch,
    /// The zero of the policy's clock.
    epoch: tokio::time::Instant,
}

impl Batcher {
    /// A Batcher that holds nothing yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            waiting: Waiting::new(parts.limits),
            parts,
            held: HashMap::new(),
            offering: 0,
            claiming: None,
            backoff: Backoff::default(),
            timer: None,
            paused: false,
            draining: false,
            drained: None,
            watch: Watch::begin(),
            epoch: tokio::time::Instant::now(),
        }
    }

    /// Does whatever can be done now.
    pub(super) fn look(&mut self, ctx: &mut Context<Self>) {
        if let Some(done) = self.drained.take_if(|_| self.held.is_empty()) {
            let _ = done.send(());
        }
        // What can start is not behind a claim at the store; and what has started makes room.
        self.dispatch(ctx);
        self.claim(ctx);
    }

    pub(super) fn dispatch(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if self.paused {
            return;
        }
        while let Some((slot, credit)) = self.free_slot() {
            let company = self.offering > 0 || self.parts.arriving.load(Ordering::Relaxed) > 0;
            match self.waiting.decide(self.now(), company) {
                Decision::Run(batch) => self.launch(batch, slot, credit, ctx),
                Decision::WaitUntil(then) => {
                    let wait = then.saturating_sub(self.now());
                    self.timer = Some(ctx.run_later(wait, |this, ctx| this.dispatch(ctx)));
                    credit.keep();
                    return;
                }
                Decision::Idle => return credit.keep(),
            }
        }
    }

    /// A credit of the Classifier that has most of them.
    pub(super) fn free_slot(&self) -> Option<(usize, Credit)> {
        let free = |slot: &usize| self.parts.slots[*slot].credits.free();
        let slot = (0..self.parts.slots.len()).max_by_key(free)?;
        Some((slot, self.parts.slots[slot].credits.take()?))
    }

    /// Puts the attempt on record and gives the batch away.
    fn launch(
        &mut self,
        batch: Vec<Entry<Claimed>>,
        slot: usize,
        credit: Credit,
        ctx: &mut Context<Self>,
    ) {
        let store = self.parts.store.clone();
        let start = async move {
            let leases: Vec<Lease> = batch.iter().map(|entry| entry.job.lease).collect();
            (store.start(&leases).await, batch)
        };
        ctx.spawn(
            start
                .into_actor(self)
                .map(move |(started, batch), this, ctx| {
                    match started {
                        Ok(started) => this.give(batch, &started, slot, credit),
                        Err(error) => {
                            credit.keep();
                            this.start_later(batch, &error, ctx);
                        }
                    }
                    this.look(ctx);
                }),
        );
    }

    /// Puts a batch back that the store did not start. If it did and could not say so, the jobs
    /// are charged once too often, and that is all.
    fn start_later(
        &mut self,
        batch: Vec<Entry<Claimed>>,
        error: &StoreError,
        ctx: &mut Context<Self>,
    ) {
        self.parts.health.store_fails(error);
        for entry in batch {
            self.waiting.push(entry);
        }
        self.paused = true;
        let wait = self.backoff.failed();
        tracing::warn!(%error, retry_after_ms = wait.as_millis() as u64, "cannot start a batch");
        ctx.run_later(wait, |this, ctx| {
            this.paused = false;
            this.look(ctx);
        });
    }

    /// Gives those of a batch away that have started.
    pub(super) fn give(
        &mut self,
        batch: Vec<Entry<Claimed>>,
        started: &[Start],
        slot: usize,
        credit: Credit,
    ) {
        let now = UnixMillis::now();
        let lane = batch.first().map_or(0, |entry| entry.lane);
        let mut jobs = Vec::with_capacity(batch.len());
        let mut pixels = Vec::with_capacity(batch.iter().map(|entry| entry.job.pixels.len()).sum());
        let until = self.now();
        for (Entry { job, since, .. }, started) in batch.into_iter().zip(started) {
            if *started == Start::Gone {
                self.held.remove(&job.lease.id);
                continue;
            }
            self.parts.observer.reached(Point::Started, job.lease.id);
            let queued = now.since(job.created);
            let held = until.saturating_sub(since);
            self.parts.observer.saw(Fact::Launched { queued, held });
            let trace = TraceParent::of(job.traceparent.as_deref());
            if let Some(trace) = trace {
                let span = Span::ending(Stage::BatchWait, trace, job.lease.id, held);
                self.parts.observer.spent(&span);
            }
            pixels.extend_from_slice(&job.pixels);
            jobs.push(Held {
                lease: job.lease,
                top: job.top,
                queued,
                trace,
            });
        }
        if jobs.is_empty() {
            return;
        }
        let batch = Batch {
            lane,
            jobs,
            pixels,
            credit,
        };
        if let Err(SendError::Full(batch) | SendError::Closed(batch)) =
            self.parts.slots[slot].classifier.try_send(batch)
        {
            // Its thread is gone. The leases run out and others take over.
            tracing::error!("a classifier has ended: its batch is left to its lease");
            for job in batch.jobs {
                self.held.remove(&job.lease.id);
            }
        }
    }

    fn beat(&mut self, ctx: &mut Context<Self>) {
        if self.held.is_empty() {
            return;
        }
        let leases: Vec<Lease> = self.held.values().copied().collect();
        let store = self.parts.store.clone();
        let beat = async move { store.heartbeat(&leases).await };
        ctx.spawn(beat.into_actor(self).map(|beaten, this, _| {
            if let Err(error) = beaten {
                this.parts.health.store_fails(&error);
                tracing::warn!(%error, "heartbeat failed");
            }
        }));
    }

    fn tend(&mut self, ctx: &mut Context<Self>) {
        if self.draining {
            return;
        }
        self.watch(ctx);
        let store = self.parts.store.clone();
        let depth = self.parts.depth.clone();
        let tend = async move {
            let tended = store.tend().await?;
            let stats = store.stats().await?;
            depth.store(stats.queued + stats.running, Ordering::Relaxed);
            Ok::<_, StoreError>(tended)
        };
        ctx.spawn(tend.into_actor(self).map(|tended, this, ctx| {
            match tended {
                Ok(tended) => {
                    this.parts.health.store_answers();
                    this.parts.observer.saw(Fact::Tended(tended));
                    if tended.reclaimed > 0 || tended.dead > 0 {
                        tracing::info!(
                            jobs.reclaimed = tended.reclaimed,
                            jobs.dead = tended.dead,
                            "jobs taken back from a process that died"
                        );
                    }
                }
                Err(error) => this.parts.health.store_fails(&error),
            }
            this.look(ctx);
        }));
    }

    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }
}

impl Actor for Batcher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(TEND, Self::tend);
        ctx.run_interval(self.parts.lease / BEATS, Self::beat);
        self.look(ctx);
    }
}

impl Handler<LookAgain> for Batcher {
    type Result = ();

    fn handle(&mut self, _: LookAgain, ctx: &mut Self::Context) {
        self.look(ctx);
    }
}

impl Handler<Settled> for Batcher {
    type Result = ();

    fn handle(&mut self, Settled(leases): Settled, ctx: &mut Self::Context) {
        for lease in leases {
            if self.held.get(&lease.id) == Some(&lease) {
                self.held.remove(&lease.id);
            }
        }
        self.look(ctx);
    }
}
