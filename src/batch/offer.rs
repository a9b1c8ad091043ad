//! The Batcher's way in for what was decoded here: jobs offered to the store.
//!
//! Who waits is known to the Responder first; what the store says goes there, too. A job that
//! comes when nothing else is to be done is started with its offer. Must not know: what becomes of
//! a job that waits.

use std::sync::atomic::Ordering;

use actix::dev::SendError;
use actix::{ActorFutureExt as _, AsyncContext as _, Context, Handler, WrapFuture as _};
use tokio::time::Instant;

use super::actor::Batcher;
use crate::message::{Awaited, Decoded, Offered};
use crate::observe::{Point, Span, Stage};
use crate::store::{Enqueued, Entered, JobId, Start, StoreError};

impl Handler<Decoded> for Batcher {
    type Result = ();

    fn handle(&mut self, decoded: Decoded, ctx: &mut Self::Context) {
        let Decoded {
            job,
            keep,
            mut ticket,
        } = decoded;
        let (id, trace) = (job.id, ticket.trace);
        // Its upload's place is free again when it counts as being offered.
        let place = ticket.take_place();
        if ticket.is_abandoned() && !keep {
            return;
        }
        // Who waits is known before the store is, so that no answer comes too early.
        if let Err(SendError::Full(awaited) | SendError::Closed(awaited)) =
            self.parts.awaited.try_send(Awaited { keep, ticket })
        {
            drop(awaited);
            return;
        }
        let store = self.parts.store.clone();
        let began = Instant::now();
        self.offering += 1;
        drop(place);
        let at_once = self.is_idle();
        let offer = async move {
            if at_once {
                store.enqueue_and_start(job).await
            } else {
                store.enqueue(job).await.map(Entered::Queued)
            }
        };
        ctx.spawn(offer.into_actor(self).map(move |entered, this, ctx| {
            this.offering -= 1;
            if let Some(trace) = trace {
                let mut span = Span::ending(Stage::Enqueue, trace, id, began.elapsed());
                span.failure = entered.as_ref().err().map(ToString::to_string);
                this.parts.observer.spent(&span);
            }
            if let Ok(Entered::Queued(Enqueued::Accepted) | Entered::Started(_)) = entered {
                this.parts.observer.reached(Point::Enqueued, id);
            }
            let enqueued = entered.map(|entered| this.enter(entered, ctx));
            // It is no company on its way any more: who waited for it need not.
            this.dispatch(ctx);
            this.tell(id, enqueued);
        }));
    }
}

impl Batcher {
    /// Whether the one job that is offered has a model to itself: then it need not be claimed and
    /// started, and what a lone caller waits for is two changes of the store less.
    fn is_idle(&self) -> bool {
        let alone = self.offering == 1 && self.parts.arriving.load(Ordering::Relaxed) == 0;
        let mut slots = self.parts.slots.iter();
        alone && self.held.is_empty() && !self.draining && slots.any(|slot| slot.credits.free() > 0)
    }

    /// Runs a job that the store has started.
    fn enter(&mut self, entered: Entered, ctx: &mut Context<Self>) -> Enqueued {
        let job = match entered {
            Entered::Queued(enqueued) => return enqueued,
            Entered::Started(job) => job,
        };
        if let Some(entry) = self.hold(job, ctx) {
            match self.free_slot() {
                Some((slot, credit)) => self.give(vec![entry], &[Start::Run], slot, credit),
                // Another was quicker. To be started twice under one lease does no harm.
                None => self.waiting.push(entry),
            }
        }
        Enqueued::Accepted
    }

    /// Tells the Responder what the store said.
    fn tell(&self, id: JobId, enqueued: Result<Enqueued, StoreError>) {
        let outcome = match enqueued {
            Ok(Enqueued::Accepted) => Ok(id),
            Ok(Enqueued::Existing(other)) => Ok(other),
            Err(error) => {
                if matches!(error, StoreError::Unavailable(_)) {
                    self.parts.health.store_fails(&error);
                }
                Err(error)
            }
        };
        if self
            .parts
            .offered
            .try_send(Offered { id, outcome })
            .is_err()
        {
            tracing::error!(job.id = %id, "the responder did not take an offer's outcome");
        }
    }
}
