//! The Deliverer: takes deliveries that are due from the store, as many as there are threads to
//! call, and records what came of each. What is too much for one receiver is put off.
//!
//! Several processes may have one each: the store gives a delivery to one at a time. Must not
//! know: HTTP, signatures, which store it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt as _, Addr, AsyncContext as _, Context, Handler, StreamHandler,
    SyncArbiter, WrapFuture as _,
};
use futures_util::stream;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, oneshot};

use super::Settings;
use super::caller::{Caller, Times};
use super::hosts::Hosts;
use super::poster::{Post, Poster, Write};
use super::target;
use crate::batch::backoff::Backoff;
use crate::health::Health;
use crate::message::Drain;
use crate::observe::{Fact, Observer, Point};
use crate::store::{DueDelivery, JobId, JobStore, Outcome, StoreError, Tried};

/// How often the store is asked what is due.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait after a job's end for others, so that many ends are one question.
const GATHER: Duration = Duration::from_millis(50);

/// What a Deliverer is given.
pub struct Parts {
    /// The durable queue.
    pub store: Arc<dyn JobStore>,
    /// How to call, and whom.
    pub settings: Settings,
    /// What calls.
    pub caller: Arc<Caller>,
    /// How an end is written down.
    pub write: Write,
    /// Whether the store answers.
    pub health: Arc<Health>,
    /// Told of every delivery.
    pub observer: Arc<dyn Observer>,
}

/// Tells ends of jobs to those who asked for it.
pub struct Deliverer {
    parts: Parts,
    posters: Addr<Poster>,
    /// Threads that have nothing to do.
    free: usize,
    /// Where calls are on their way to.
    hosts: Hosts,
    /// Whether the store is being asked.
    asking: bool,
    /// Whether it is to be asked in a moment.
    hinted: bool,
    /// Told when nothing is on its way; from then on nothing is taken.
    draining: Option<oneshot::Sender<()>>,
}

impl Settings {
    /// What calls by these settings.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let times = Times {
            connect: self.connect_timeout,
            whole: self.timeout,
        };
        let (names, guard) = (self.names.clone(), self.guard.clone());
        Caller::new(names, guard, times, self.certificates.clone())
    }

    /// How long a delivery is a process' own: for the call, and as long again to record it.
    fn lease(&self) -> Duration {
        self.timeout * 2
    }
}

impl Deliverer {
    /// A Deliverer with threads of its own.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (caller, observer) = (parts.caller.clone(), parts.observer.clone());
        let (keys, waits) = (parts.settings.keys.clone(), parts.settings.waits);
        let write = parts.write;
        let posters = SyncArbiter::start(parts.settings.callers, move || Poster {
            caller: caller.clone(),
            keys: keys.clone(),
            waits,
            write,
            observer: observer.clone(),
        });
        Self {
            free: parts.settings.callers,
            hosts: Hosts::new(parts.settings.callers),
            parts,
            posters,
            asking: false,
            hinted: false,
            draining: None,
        }
    }

    /// Takes what is due, if there is a thread for it.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.asking || self.free == 0 || self.draining.is_some() {
            return;
        }
        self.asking = true;
        let (store, room) = (self.parts.store.clone(), self.free);
        let lease = self.parts.settings.lease();
        let ask = async move { store.claim_deliveries(room, lease).await };
        ctx.spawn(ask.into_actor(self).map(move |due, this, ctx| match due {
            Ok(due) => this.begin(due, room, ctx),
            Err(error) => {
                this.parts.health.store_fails(&error);
                this.asked(ctx, false);
            }
        }));
    }

    /// Calls those whose hosts have not their part of the threads yet; the others come again.
    fn begin(&mut self, due: Vec<DueDelivery>, room: usize, ctx: &mut Context<Self>) {
        let full = due.len() == room;
        let timeout = self.parts.settings.timeout;
        let mut postponed = Vec::new();
        for one in due {
            let host = host(&one);
            match self.hosts.begin(&host, timeout) {
                Ok(()) => self.post(one, host, ctx),
                Err(after) => {
                    let outcome = Outcome::Postponed { after };
                    let turn = one.turn;
                    postponed.push(Tried { turn, outcome });
                }
            }
        }
        if postponed.is_empty() {
            return self.asked(ctx, full);
        }
        let store = self.parts.store.clone();
        // Those that cannot be put off come again when their turn runs out.
        let put_off = async move { store.settle_deliveries(&postponed).await };
        ctx.spawn(put_off.into_actor(self).map(move |put_off, this, ctx| {
            if let Err(error) = &put_off {
                this.parts.health.store_fails(error);
            }
            this.asked(ctx, full && put_off.is_ok());
        }));
    }

    /// The store was asked; at once again if there may be more.
    fn asked(&mut self, ctx: &mut Context<Self>, more: bool) {
        self.asking = false;
        if more {
            self.look(ctx);
        }
        self.say_if_drained();
    }

    fn post(&mut self, due: DueDelivery, host: String, ctx: &mut Context<Self>) {
        self.free = self.free.saturating_sub(1);
        let turn = due.turn;
        self.parts.observer.reached(Point::CallbackClaimed, turn.id);
        let began = Instant::now();
        let until = began + self.parts.settings.lease();
        let posted = self.posters.send(Post(Arc::new(due)));
        let store = self.parts.store.clone();
        let told = async move {
            let posted = posted.await;
            let took = began.elapsed();
            // Without its thread the turn runs out, and another tries.
            let Ok(outcome) = posted else {
                return (took, None);
            };
            let tried = Tried { turn, outcome };
            let counts = record(&*store, &tried, until).await;
            (took, Some((tried, counts)))
        };
        ctx.spawn(told.into_actor(self).map(move |(took, told), this, ctx| {
            this.free += 1;
            this.hosts.over(&host, took);
            if let Some((tried, recorded)) = told {
                this.count(&tried, recorded);
            }
            this.look(ctx);
            this.say_if_drained();
        }));
    }

    fn count(&self, tried: &Tried, recorded: Result<bool, StoreError>) {
        let id = tried.turn.id;
        match &tried.outcome {
            Outcome::Delivered => self.parts.observer.saw(Fact::Delivered),
            Outcome::Postponed { .. } => {}
            Outcome::Again { after, reason } => {
                self.parts.observer.saw(Fact::DeliveryFailed);
                let after = after.as_secs();
                tracing::info!(job.id = %id, tries = tried.turn.tries, reason, again_after_s = after, "callback failed");
            }
            Outcome::GivenUp { reason } => {
                self.parts.observer.saw(Fact::DeliveryFailed);
                self.parts.observer.saw(Fact::DeliveryGivenUp);
                tracing::warn!(job.id = %id, tries = tried.turn.tries, reason, "callback given up");
            }
        }
        match recorded {
            Ok(true) => self.parts.observer.reached(Point::CallbackRecorded, id),
            Ok(false) => tracing::debug!(job.id = %id, "another has taken this callback over"),
            Err(error) => {
                self.parts.health.store_fails(&error);
                tracing::warn!(job.id = %id, %error, "cannot record a callback: it will be sent again");
            }
        }
    }

    fn say_if_drained(&mut self) {
        if self.free == self.parts.settings.callers
            && !self.asking
            && let Some(done) = self.draining.take()
        {
            // Whoever asked may have lost patience.
            let _ = done.send(());
        }
    }
}

/// Whom a delivery goes to; those whose URL is not called any more are one.
fn host(due: &DueDelivery) -> String {
    let url = due.job.callback.as_ref().map(|callback| &callback.url[..]);
    let target = url.and_then(|url| target::read(url).ok());
    target.map_or_else(String::new, |target| {
        format!("{}:{}", target.host.to_ascii_lowercase(), target.port)
    })
}

/// Records what came of a try, again and again while the turn lasts.
async fn record(store: &dyn JobStore, tried: &Tried, until: Instant) -> Result<bool, StoreError> {
    let mut backoff = Backoff::default();
    loop {
        match store.settle_deliveries(std::slice::from_ref(tried)).await {
            Ok(counts) => return Ok(counts.first().copied().unwrap_or_default()),
            Err(error) => {
                let wait = backoff.failed();
                if Instant::now() + wait >= until {
                    return Err(error);
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
}

impl Actor for Deliverer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let ends = stream::unfold(self.parts.store.ended(), next_end);
        ctx.add_stream(ends);
        ctx.run_interval(LOOK, Self::look);
        self.look(ctx);
    }
}

/// One or many jobs have ended somewhere.
struct End;

async fn next_end(
    mut ended: broadcast::Receiver<JobId>,
) -> Option<(End, broadcast::Receiver<JobId>)> {
    match ended.recv().await {
        Ok(_) | Err(RecvError::Lagged(_)) => Some((End, ended)),
        Err(RecvError::Closed) => None,
    }
}

impl StreamHandler<End> for Deliverer {
    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        if !self.hinted {
            self.hinted = true;
            ctx.run_later(GATHER, |this, ctx| {
                this.hinted = false;
                this.look(ctx);
            });
        }
    }

    /// A store that ends its notices has been closed.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Drain> for Deliverer {
    type Result = ();

    fn handle(&mut self, Drain { done }: Drain, _: &mut Self::Context) {
        self.draining = Some(done);
        self.say_if_drained();
    }
}
