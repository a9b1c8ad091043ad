//! The Batcher's way in for what was decoded here: jobs offered to the store.
//!
//! Who waits is known to the Responder first; what the store says goes there, too. Must not know:
//! Classifiers, claimed jobs.

use actix::dev::SendError;
use actix::{ActorFutureExt as _, AsyncContext as _, Handler, WrapFuture as _};
use tokio::time::Instant;

use super::actor::Batcher;
use crate::message::{Awaited, Decoded, Offered};
use crate::observe::{Point, Span, Stage};
use crate::store::{Enqueued, JobId, StoreError};

impl Handler<Decoded> for Batcher {
    type Result = ();

    fn handle(&mut self, decoded: Decoded, ctx: &mut Self::Context) {
        let Decoded {
            job,
            keep,
            mut ticket,
        } = decoded;
        let (id, trace) = (job.id, ticket.trace);
        // Its upload's place is free again when this ends; by then it counts as being offered.
        let _place = ticket.take_place();
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
        let offer = async move { store.enqueue(job).await };
        self.offering += 1;
        ctx.spawn(offer.into_actor(self).map(move |enqueued, this, ctx| {
            this.offering -= 1;
            if let Some(trace) = trace {
                let mut span = Span::ending(Stage::Enqueue, trace, id, began.elapsed());
                span.failure = enqueued.as_ref().err().map(ToString::to_string);
                this.parts.observer.spent(&span);
            }
            // It is no company on its way any more: who waited for it need not.
            this.dispatch(ctx);
            this.tell(id, enqueued);
        }));
    }
}

impl Batcher {
    /// Tells the Responder what the store said.
    fn tell(&self, id: JobId, enqueued: Result<Enqueued, StoreError>) {
        let outcome = match enqueued {
            Ok(Enqueued::Accepted) => {
                self.parts.observer.reached(Point::Enqueued, id);
                Ok(id)
            }
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
