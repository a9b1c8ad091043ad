//! The Batcher's way in: jobs claimed from the store into its mirror.
//!
//! It asks for no more than it has room for, and backs off from a store that fails. Must not
//! know: Classifiers, what becomes of a job.

use actix::{ActorFutureExt as _, AsyncContext as _, Context, WrapFuture as _};

use super::actor::Batcher;
use super::policy::{Entry, most_waiting};
use crate::observe::{Fact, Point, Span, Stage};
use crate::store::{Claimed, Failure, StoreError, UnixMillis};
use crate::traceparent::TraceParent;

impl Batcher {
    /// Jobs that may still be claimed.
    fn room(&self) -> usize {
        let images = self.parts.slots.iter().map(|slot| slot.pulse.image());
        most_waiting(&self.parts.limits, images).saturating_sub(self.waiting.len())
    }

    /// Asks the store for jobs, if there is room and it is not asked already.
    pub(super) fn claim(&mut self, ctx: &mut Context<Self>) {
        let room = self.room();
        if self.claiming.is_some() || self.draining || room == 0 {
            return;
        }
        let store = self.parts.store.clone();
        let claim = async move { store.claim(room).await };
        self.claiming = Some(ctx.spawn(claim.into_actor(self).map(
            |claimed, this, ctx| match claimed {
                Ok(jobs) => {
                    this.claiming = None;
                    this.backoff.succeeded();
                    this.parts.health.store_answers();
                    this.mirror(jobs, ctx);
                    this.look(ctx);
                }
                Err(error) => this.claim_later(&error, ctx),
            },
        )));
    }

    fn claim_later(&mut self, error: &StoreError, ctx: &mut Context<Self>) {
        let wait = self.backoff.failed();
        self.parts.health.store_fails(error);
        tracing::warn!(%error, retry_after_ms = wait.as_millis() as u64, "cannot claim jobs");
        self.claiming = Some(ctx.run_later(wait, |this, ctx| {
            this.claiming = None;
            this.look(ctx);
        }));
    }

    fn mirror(&mut self, jobs: Vec<Claimed>, ctx: &mut Context<Self>) {
        for job in jobs {
            if let Some(entry) = self.hold(job, ctx) {
                self.waiting.push(entry);
            }
        }
    }

    /// Takes note of a job that is this process's now; nothing if it cannot be run here.
    pub(super) fn hold(&mut self, job: Claimed, ctx: &mut Context<Self>) -> Option<Entry<Claimed>> {
        self.parts.observer.reached(Point::Claimed, job.lease.id);
        if job.attempts > 0 {
            self.parts.observer.saw(Fact::Redelivered);
        }
        if let Some(trace) = TraceParent::of(job.traceparent.as_deref()) {
            let waited = UnixMillis::now().since(job.created);
            let span = Span::ending(Stage::Queue, trace, job.lease.id, waited);
            self.parts.observer.spent(&span);
        }
        self.held.insert(job.lease.id, job.lease);
        let Some(served) = self.parts.catalog.get(&job.profile) else {
            self.refuse(job, ctx);
            return None;
        };
        Some(Entry {
            lane: served.lane,
            priority: job.priority,
            deadline: job.deadline,
            suspect: job.attempts > 0,
            since: self.now(),
            job,
        })
    }

    /// Ends an attempt at a job that this process cannot run at all.
    fn refuse(&mut self, job: Claimed, ctx: &mut Context<Self>) {
        let store = self.parts.store.clone();
        let lease = job.lease;
        let reason = format!("no process serves the profile '{}'", job.profile);
        let fail = async move {
            // It must be started to be charged, else it would come back for ever.
            store.start(&[lease]).await?;
            store.fail(&[Failure { lease, reason }]).await
        };
        ctx.spawn(fail.into_actor(self).map(move |failed, this, ctx| {
            if let Err(error) = failed {
                tracing::warn!(job.id = %lease.id, %error, "cannot refuse a job");
            }
            this.held.remove(&lease.id);
            this.look(ctx);
        }));
    }
}
