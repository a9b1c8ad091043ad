//! The Responder alone: between a planned store and a Batcher that only records.

mod recording;
mod waiting;
mod watching;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor as _, Addr, Handler, Message};
use beagle::classify::top::Prediction;
use beagle::error::ErrorCode;
use beagle::health::Health;
use beagle::message::{Awaited, Classified, Held, Offered, Scored, Settled};
use beagle::respond::actor::{Parts, Responder};
use beagle::respond::rate::Rate;
use beagle::respond::record::Record;
use beagle::store::{Completion, JobId, JobStore as _, Lease, StoreError, StoreLimits};
use beagle::ticket::{Answer, Place, Reply, Ticket};
use beagle::watch::Watch;
use tokio::sync::oneshot::Receiver;
use tokio::time::{Instant, timeout};

use crate::planned_store::PlannedStore;
use crate::probe::{Inbox, Witness, probe};
use crate::{GUARD, job};

/// From arrival to the model, of every job.
const QUEUED: Duration = Duration::from_millis(3);
/// In the model, of every batch.
const INFER: Duration = Duration::from_millis(40);

/// A Responder and its neighbours. Time is paused.
struct Scene {
    responder: Addr<Responder>,
    store: Arc<PlannedStore>,
    settled: Inbox<Settled>,
    rate: Arc<Mutex<Rate>>,
    health: Arc<Health>,
    witness: Arc<Witness>,
    watch: Arc<Watch>,
    began: Instant,
}

/// Somebody who waits.
struct Caller {
    /// The name on the ticket, and of the job it becomes.
    id: JobId,
    reply: Receiver<Reply>,
}

impl Scene {
    fn start(store: PlannedStore) -> Self {
        tokio::time::pause();
        let store = Arc::new(store);
        let (batcher, settled) = probe();
        let rate = Arc::new(Mutex::new(Rate::new(std::time::Instant::now())));
        let watch = Arc::new(Watch::new(2));
        let (health, witness) = (Arc::<Health>::default(), Arc::<Witness>::default());
        let responder = Responder::new(Parts {
            store: store.clone(),
            settled: batcher,
            rate: rate.clone(),
            health: health.clone(),
            observer: witness.clone(),
            watch: watch.clone(),
        });
        Self {
            responder: responder.start(),
            store,
            settled,
            rate,
            health,
            witness,
            watch,
            began: Instant::now(),
        }
    }

    /// Tells the Responder; it has handled it when this ends.
    async fn tell<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        Responder: Handler<M>,
    {
        self.responder.send(message).await.unwrap();
    }

    /// Somebody waits for a job that the store has not been asked for yet.
    async fn caller(&self, keep: bool, respond_async: bool) -> Caller {
        let (ticket, reply) = Ticket::open(Place::default(), respond_async);
        let id = ticket.id;
        self.tell(Awaited { keep, ticket }).await;
        Caller { id, reply }
    }

    /// Somebody waits for a job that the store has accepted.
    async fn waiting(&self) -> Caller {
        let caller = self.caller(false, false).await;
        self.accept(caller.id).await;
        self.offered(caller.id, Ok(caller.id)).await;
        caller
    }

    async fn offered(&self, id: JobId, outcome: Result<JobId, StoreError>) {
        self.tell(Offered { id, outcome }).await;
    }

    /// The store accepts the job, and the Responder has not heard of it.
    async fn accept(&self, id: JobId) {
        let job = beagle::store::NewJob { id, ..job() };
        self.store.inner.enqueue(job).await.unwrap();
    }

    /// The next job of the queue is claimed and started.
    async fn run_next(&self) -> Lease {
        let lease = self.store.inner.claim(1).await.unwrap()[0].lease;
        self.store.inner.start(&[lease]).await.unwrap();
        lease
    }

    /// Another process has this result of the job.
    async fn complete_elsewhere(&self, lease: Lease, label: &str) {
        let result = Record::new(predictions(label), QUEUED, INFER).to_bytes();
        let done = Completion { lease, result };
        self.store.inner.complete(&[done]).await.unwrap();
    }

    /// A Classifier has run these jobs.
    async fn classified(&self, outcomes: &[(Lease, Result<&str, &str>)]) {
        let scored = |(lease, outcome): &(Lease, Result<&str, &str>)| Scored {
            job: Held {
                lease: *lease,
                top: 1,
                queued: QUEUED,
                trace: None,
            },
            outcome: outcome.map(predictions).map_err(str::to_owned),
        };
        let jobs = outcomes.iter().map(scored).collect();
        self.tell(Classified { jobs, infer: INFER }).await;
    }
}

impl Caller {
    async fn reply(self) -> Reply {
        let reply = timeout(GUARD, self.reply).await;
        reply.expect("nobody replied").unwrap()
    }

    async fn answer(self) -> Answer {
        match self.reply().await {
            Reply::Answered(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// The label of the answer.
    async fn label(self) -> String {
        self.answer().await.predictions.remove(0).label
    }

    /// Asserts that there is no answer, for this reason, and gives what people are told.
    async fn refused(self, code: ErrorCode) -> String {
        match self.reply().await {
            Reply::Refused(refusal, _) if refusal.code == code => refusal.message,
            other => panic!("{other:?}"),
        }
    }

    /// Asserts that there is no reply yet.
    #[track_caller]
    fn assert_waits(&mut self) {
        assert!(self.reply.try_recv().is_err(), "a reply came");
    }

    /// Asserts that there is no reply for so long, of paused time.
    async fn waits_for(&mut self, time: Duration) {
        assert!(
            timeout(time, &mut self.reply).await.is_err(),
            "a reply came"
        );
    }
}

fn predictions(label: &str) -> Vec<Prediction> {
    vec![Prediction {
        label: label.to_owned(),
        probability: 0.5,
        class: Some(162),
    }]
}

fn store() -> PlannedStore {
    PlannedStore::new(StoreLimits::default())
}

/// A store whose notices are lost.
fn silent_store() -> PlannedStore {
    PlannedStore::without_notices(StoreLimits::default())
}
