//! The Responder: outcomes into the store, answers to whoever waits.
//!
//! The store hears of an outcome first; the first result of a job is the only one that anybody
//! sees. Jobs that end in another process are heard of through the store. Light: it waits for
//! the store. Must not know: HTTP, which store, models.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Recipient, StreamHandler,
    WrapFuture as _,
};
use futures_util::stream;
use tokio::sync::broadcast::{self, error::RecvError};

use super::outcome;
use super::rate::Rate;
use super::record::Record;
use super::recording::{Outcomes, Recorded, record};
use super::waiters::Waiters;
use crate::error::Refusal;
use crate::health::Health;
use crate::message::{Abandoned, Awaited, Classified, Offered, Settled};
use crate::observe::{Fact, Observer, Point, Span, Stage};
use crate::store::{
    Cancelled, Completed, Completion, Failed, Failure, JobId, JobState, JobStore, JobView,
};
use crate::ticket::{Answer, Reply, Timing};
use crate::watch::Watch;

/// How often those who wait are looked up, in case a notice was lost.
const SWEEP: Duration = Duration::from_secs(5);
/// Most jobs looked up in one sweep, so that a sweep is no load of its own.
const SWEPT: usize = 256;

/// How often some of the watched jobs are looked at, in case a notice was lost, or none is given.
const LOOK: Duration = Duration::from_secs(1);
/// Most watchers that look at once then.
const LOOKS: usize = 256;

/// What the Responder is made of.
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn JobStore>,
    /// Told which leases have ended.
    pub settled: Recipient<Settled>,
    /// How fast jobs end, in all processes together, read by the edge.
    pub rate: Arc<Mutex<Rate>>,
    /// Told whether the store answers.
    pub health: Arc<Health>,
    /// Told of every job's way.
    pub observer: Arc<dyn Observer>,
    /// Told of jobs that have ended, or may have changed.
    pub watch: Arc<Watch>,
}

/// Records outcomes and answers.
pub struct Responder {
    parts: Parts,
    waiters: Waiters,
    /// Jobs whose outcome is being recorded here: the store's own notice of them says nothing new.
    recording: HashSet<JobId>,
    /// Where the next sweep begins.
    swept: usize,
}

/// What the store has to say about jobs that ended.
enum Notice {
    Ended(JobId),
    /// So many notices were lost.
    Lagged(usize),
}

impl Responder {
    /// A Responder for whom nobody waits yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            waiters: Waiters::default(),
            recording: HashSet::new(),
            swept: 0,
        }
    }

    /// Asks the store how a job stands and answers if it has ended.
    fn look_up(&mut self, id: JobId, ctx: &mut Context<Self>) {
        let store = self.parts.store.clone();
        let offering = self.waiters.is_offering(id);
        let since = Instant::now();
        let look = async move { store.job(id).await };
        ctx.spawn(
            look.into_actor(self)
                .map(move |found, this, _| match found {
                    Ok(Some(job)) => this.answer_by(&job, since),
                    // Not known yet when it was asked: what the store says to the offer is on its
                    // way, or has come since.
                    Ok(None) if offering => {}
                    Ok(None) => this.refuse(id, &outcome::forgotten()),
                    Err(error) => this.parts.health.store_fails(&error),
                }),
        );
    }

    /// Answers everybody who waits for a job by what the store knows of it.
    fn answer_by(&mut self, job: &JobView, since: Instant) {
        if !job.state.is_final() {
            let content = self.waiters.take_async(job.id);
            for ticket in content {
                ticket.reply(Reply::Accepted(job.id, job.state));
            }
            return;
        }
        match outcome::of(job) {
            Ok(record) => self.answer(job.id, &record, since),
            Err(refusal) => self.refuse(job.id, &refusal),
        }
    }

    /// Answers what this process has known `since` then.
    fn answer(&mut self, id: JobId, record: &Record, since: Instant) {
        for ticket in self.waiters.take(id) {
            if let Some(trace) = ticket.trace {
                let span = Span::ending(Stage::Respond, trace, id, since.elapsed());
                self.parts.observer.spent(&span);
            }
            let timing = Timing {
                decode: ticket.decode,
                queue: Duration::from_micros(record.queue_us),
                infer: Duration::from_micros(record.infer_us),
            };
            let total = ticket.arrived.elapsed();
            self.parts.observer.saw(Fact::Answered(total));
            ticket.reply(Reply::Answered(Answer {
                id,
                predictions: record.predictions.clone(),
                timing,
            }));
        }
    }

    fn refuse(&mut self, id: JobId, refusal: &Refusal) {
        for ticket in self.waiters.take(id) {
            ticket.reply(Reply::Refused(refusal.clone(), Some(id)));
        }
    }

    fn recorded(&mut self, recorded: Recorded, ctx: &mut Context<Self>) {
        let Recorded {
            completed,
            failed,
            records,
        } = recorded;
        let mut leases = Vec::with_capacity(completed.len() + failed.len());
        for ((lease, completed), record) in completed.into_iter().zip(&records) {
            leases.push(lease);
            self.recording.remove(&lease.id);
            match completed {
                Completed::First => {
                    self.parts.observer.reached(Point::Completed, lease.id);
                    self.answer(lease.id, record, Instant::now());
                }
                Completed::Stale => self.look_up_if_awaited(lease.id, ctx),
            }
        }
        for (lease, failed) in failed {
            leases.push(lease);
            self.recording.remove(&lease.id);
            match failed {
                Failed::Again => {}
                Failed::Dead => {
                    self.parts.observer.saw(Fact::Dead);
                    self.look_up_if_awaited(lease.id, ctx);
                }
                Failed::Stale => self.look_up_if_awaited(lease.id, ctx),
            }
        }
        if self.parts.settled.try_send(Settled(leases)).is_err() {
            // It keeps them alive by heartbeats, and they have ended in the store: no harm.
            tracing::debug!("the batcher was not told of settled leases");
        }
    }

    fn look_up_if_awaited(&mut self, id: JobId, ctx: &mut Context<Self>) {
        if self.waiters.has(id) && !self.recording.contains(&id) {
            self.look_up(id, ctx);
        }
    }

    /// Counts jobs that ended somewhere: a queue that is shared empties as fast as all do together.
    fn count(&self, jobs: usize) {
        if let Ok(mut rate) = self.parts.rate.lock() {
            rate.count(jobs, Instant::now());
        }
    }

    /// Looks up some of those who wait, others the next time.
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        let mut jobs = self.waiters.jobs();
        jobs.sort_unstable();
        if self.swept >= jobs.len() {
            self.swept = 0;
        }
        for id in jobs.into_iter().skip(self.swept).take(SWEPT) {
            if self.waiters.prune(id) {
                self.cancel(id, ctx);
            } else {
                self.look_up_if_awaited(id, ctx);
            }
        }
        self.swept += SWEPT;
    }

    /// Takes back a job that nobody waits for and nobody wanted kept.
    fn cancel(&self, id: JobId, ctx: &mut Context<Self>) {
        let store = self.parts.store.clone();
        let cancel = async move { store.cancel(id).await };
        ctx.spawn(
            cancel
                .into_actor(self)
                .map(move |cancelled, this, _| match cancelled {
                    Ok(Some(Cancelled::Now)) => this.parts.observer.saw(Fact::Cancelled),
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(job.id = %id, %error, "cannot cancel a job nobody waits for");
                    }
                }),
        );
    }
}

impl Actor for Responder {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let notices = stream::unfold(self.parts.store.ended(), next_notice);
        ctx.add_stream(notices);
        ctx.run_interval(SWEEP, Self::sweep);
        ctx.run_interval(LOOK, |this, _| this.parts.watch.sweep(LOOKS));
    }
}

async fn next_notice(
    mut ended: broadcast::Receiver<JobId>,
) -> Option<(Notice, broadcast::Receiver<JobId>)> {
    match ended.recv().await {
        Ok(id) => Some((Notice::Ended(id), ended)),
        Err(RecvError::Lagged(lost)) => {
            let lost = usize::try_from(lost).unwrap_or(usize::MAX);
            Some((Notice::Lagged(lost), ended))
        }
        Err(RecvError::Closed) => None,
    }
}

impl StreamHandler<Notice> for Responder {
    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        match notice {
            Notice::Ended(id) => {
                self.count(1);
                self.parts.watch.ring(id);
                self.look_up_if_awaited(id, ctx);
            }
            Notice::Lagged(jobs) => {
                self.count(jobs);
                self.sweep(ctx);
            }
        }
    }

    /// A store that ends its notices has been closed; those who wait are still answered.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Awaited> for Responder {
    type Result = ();

    fn handle(&mut self, Awaited { keep, ticket }: Awaited, _: &mut Self::Context) {
        self.waiters.add(ticket, keep);
    }
}

impl Handler<Offered> for Responder {
    type Result = ();

    fn handle(&mut self, Offered { id, outcome }: Offered, ctx: &mut Self::Context) {
        match outcome {
            Ok(job) if job == id => {
                for ticket in self.waiters.take_async(id) {
                    ticket.reply(Reply::Accepted(id, JobState::Queued));
                }
                if self.waiters.accepted(id) {
                    self.cancel(id, ctx);
                }
            }
            Ok(job) => {
                self.waiters.move_to(id, job);
                self.look_up(job, ctx);
            }
            Err(error) => {
                for ticket in self.waiters.take(id) {
                    ticket.refuse(Refusal::from(&error));
                }
            }
        }
    }
}

impl Handler<Classified> for Responder {
    type Result = ();

    fn handle(&mut self, Classified { jobs, infer }: Classified, ctx: &mut Self::Context) {
        // Outcomes of one place do not wait for another that does not answer.
        let mut places: BTreeMap<usize, Outcomes> = BTreeMap::new();
        for scored in jobs {
            let lease = scored.job.lease;
            self.recording.insert(lease.id);
            let place = self.parts.store.place_of(lease.id);
            let outcomes = places.entry(place).or_default();
            if let Some(trace) = scored.job.trace {
                outcomes.traced.push((lease.id, trace));
            }
            match scored.outcome {
                Ok(predictions) => {
                    let record = Record::new(predictions, scored.job.queued, infer);
                    let result = record.to_bytes();
                    outcomes.done.push((Completion { lease, result }, record));
                }
                Err(reason) => outcomes.failures.push(Failure { lease, reason }),
            }
        }
        for outcomes in places.into_values() {
            let parts = &self.parts;
            let (store, health) = (parts.store.clone(), parts.health.clone());
            let recording = record(store, health, parts.observer.clone(), outcomes);
            ctx.spawn(recording.into_actor(self).map(|recorded, this, ctx| {
                this.recorded(recorded, ctx);
            }));
        }
    }
}

impl Handler<Abandoned> for Responder {
    type Result = ();

    fn handle(&mut self, Abandoned { id, keep }: Abandoned, ctx: &mut Self::Context) {
        if let Some(unwanted) = self.waiters.forget(id, keep) {
            self.cancel(unwanted, ctx);
        }
    }
}
