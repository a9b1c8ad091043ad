//! The Batcher's way out: everything handed back in order, or because a model hangs.
//!
//! Must not know: Classifiers beyond their pulse, what ends the process.

use std::time::Duration;

use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};
use tokio::time::Instant;

use super::actor::Batcher;
use crate::message::Drain;
use crate::store::{Failure, Lease};

/// Who has not looked for so long stood still itself, as a stopped process or machine does, and
/// knows nothing of how long others took.
const STOOD_STILL: Duration = Duration::from_secs(3);

/// Since when the models are watched, without a gap.
pub(super) struct Watch {
    since: Instant,
    last: Instant,
}

impl Watch {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            since: now,
            last: now,
        }
    }

    /// How long of the time that a batch has been busy it was watched.
    fn seen(&mut self, now: Instant, busy: Duration) -> Duration {
        if now.saturating_duration_since(self.last) > STOOD_STILL {
            self.since = now;
        }
        self.last = now;
        busy.min(now.saturating_duration_since(self.since))
    }
}

impl Batcher {
    /// Gives up if a batch has been with a model for too long: the process can do no more than
    /// hand its jobs back and end.
    pub(super) fn watch(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let slots = self.parts.slots.iter();
        let longest = slots.filter_map(|slot| slot.pulse.busy_for(now)).max();
        let stuck = self.watch.seen(now, longest.unwrap_or_default());
        if stuck >= self.parts.wedge_timeout && self.parts.health.model_hangs() {
            self.give_up(stuck, ctx);
        }
    }

    fn give_up(&mut self, stuck: Duration, ctx: &mut Context<Self>) {
        tracing::error!(
            batch.seconds = stuck.as_secs_f64(),
            jobs.held = self.held.len(),
            "the model hangs: its jobs are handed back and this process ends"
        );
        let unstarted = self.stop_claiming(ctx);
        // What was given to a model is charged and runs alone from then on: one of them may be
        // what the model hangs on. Of those just being started some may not be charged yet.
        let given = self
            .held
            .values()
            .filter(|lease| !unstarted.contains(lease));
        let reason = format!(
            "the model hung: a batch did not come out of it within {:?}",
            self.parts.wedge_timeout
        );
        let fail = |lease: &Lease| Failure {
            lease: *lease,
            reason: reason.clone(),
        };
        let failures: Vec<Failure> = given.map(fail).collect();
        let store = self.parts.store.clone();
        let hand_back = async move {
            store.release(&unstarted).await?;
            store.fail(&failures).await
        };
        let wedged = self.parts.wedged.clone();
        ctx.spawn(hand_back.into_actor(self).map(move |back, this, _| {
            if let Err(error) = back {
                tracing::warn!(%error, "cannot hand jobs back: their leases will run out");
            }
            this.held.clear();
            wedged.notify_one();
        }));
    }

    /// Takes no more work, and gives what was not started.
    fn stop_claiming(&mut self, ctx: &mut Context<Self>) -> Vec<Lease> {
        if let Some(claiming) = self.claiming.take() {
            // What a dropped claim had taken comes back when the store is closed.
            ctx.cancel_future(claiming);
        }
        self.draining = true;
        let unstarted = self.waiting.drain();
        unstarted.iter().map(|entry| entry.job.lease).collect()
    }
}

impl Handler<Drain> for Batcher {
    type Result = ();

    fn handle(&mut self, Drain { done }: Drain, ctx: &mut Self::Context) {
        self.drained = Some(done);
        let leases = self.stop_claiming(ctx);
        let store = self.parts.store.clone();
        let release = async move { (store.release(&leases).await, leases) };
        ctx.spawn(
            release
                .into_actor(self)
                .map(|(released, leases), this, ctx| {
                    if let Err(error) = released {
                        tracing::warn!(%error, "cannot hand jobs back: their leases will run out");
                    }
                    for lease in leases {
                        this.held.remove(&lease.id);
                    }
                    this.look(ctx);
                }),
        );
    }
}
