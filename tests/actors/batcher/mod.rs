//! The Batcher alone: between a planned store, a Responder and Classifiers that only record.

mod batching;
mod draining;
mod failing;
mod offering;
mod wedging;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use actix::{Actor as _, Addr, AsyncContext as _, Context, Message, Recipient};
use beagle::batch::actor::{Batcher, Parts, Slot};
use beagle::batch::policy::BatchLimits;
use beagle::credit::Credits;
use beagle::health::Health;
use beagle::message::{Awaited, Batch, Decoded, Offered, Settled};
use beagle::observe::Nobody;
use beagle::pulse::Pulse;
use beagle::store::{JobId, JobStore as _, NewJob, StoreLimits};
use beagle::ticket::{Place, Reply, Ticket};
use tokio::sync::Notify;
use tokio::sync::oneshot::Receiver;
use tokio::time::Instant;

use crate::fake::catalog;
use crate::job;
use crate::planned_store::{Method, PlannedStore};
use crate::probe::{Inbox, Probe, probe};

/// Longest time that a job waits for company.
const DELAY: Duration = Duration::from_millis(5);
/// A timer may come this much late: its wheel turns in milliseconds.
const TICK: Duration = Duration::from_millis(2);
/// How long a claim lasts.
const LEASE: Duration = Duration::from_secs(30);

/// How long a batch may be with a model.
const WEDGE: Duration = Duration::from_secs(60);

/// A Batcher and its neighbours. Time is paused.
struct Scene {
    batcher: Addr<Batcher>,
    store: Arc<PlannedStore>,
    told: Inbox<Told>,
    batches: Inbox<Batch>,
    arriving: Arc<AtomicUsize>,
    depth: Arc<AtomicU64>,
    health: Arc<Health>,
    /// That of every Classifier.
    pulse: Arc<Pulse>,
    wedged: Arc<Notify>,
    began: Instant,
    /// A Classifier that nobody knows would end.
    _classifier: Recipient<Batch>,
}

/// What the Responder is told.
#[derive(Debug)]
enum Told {
    Awaited(Awaited),
    Offered(Offered),
}

impl From<Awaited> for Told {
    fn from(awaited: Awaited) -> Self {
        Self::Awaited(awaited)
    }
}

impl From<Offered> for Told {
    fn from(offered: Offered) -> Self {
        Self::Offered(offered)
    }
}

impl Scene {
    /// Over this store, with as many Classifiers of one credit, and batches of two.
    fn start(store: PlannedStore, classifiers: usize) -> Self {
        tokio::time::pause();
        let store = Arc::new(store);
        let (responder, told) = Probe::<Told>::new();
        let responder = responder.start();
        let (classifier, batches) = probe();
        let batching = Context::<Batcher>::new();
        let batcher = batching.address();
        let pulse = Arc::new(Pulse::default());
        // Known to be fast, so that there is room.
        pulse.begin(Instant::now());
        pulse.end(Instant::now(), 1);
        let slot = || Slot {
            classifier: classifier.clone(),
            credits: Credits::new(1, batcher.clone().recipient()),
            pulse: pulse.clone(),
        };
        let scene = Self {
            batcher: batcher.clone(),
            store: store.clone(),
            told,
            batches,
            arriving: Arc::default(),
            depth: Arc::default(),
            health: Arc::default(),
            pulse: pulse.clone(),
            wedged: Arc::default(),
            began: Instant::now(),
            _classifier: classifier.clone(),
        };
        batching.run(Batcher::new(Parts {
            store,
            slots: (0..classifiers).map(|_| slot()).collect(),
            awaited: responder.clone().recipient(),
            offered: responder.recipient(),
            catalog: catalog(),
            limits: BatchLimits {
                max_size: 2,
                max_delay: DELAY,
            },
            lease: LEASE,
            wedge_timeout: WEDGE,
            wedged: scene.wedged.clone(),
            arriving: scene.arriving.clone(),
            depth: scene.depth.clone(),
            health: scene.health.clone(),
            observer: Arc::new(Nobody),
        }));
        scene
    }

    /// Over a store that has these jobs, with one Classifier.
    async fn with(jobs: &[NewJob]) -> Self {
        let store = store();
        accept(&store, jobs).await;
        Self::start(store, 1)
    }

    /// Tells the Batcher; it has handled it when this ends.
    async fn tell<M>(&self, message: M)
    where
        M: Message<Result = ()> + Send + 'static,
        Batcher: actix::Handler<M>,
    {
        self.batcher.send(message).await.unwrap();
    }

    /// An image becomes this job.
    async fn decoded(&self, job: NewJob) -> Receiver<Reply> {
        let (ticket, reply) = ticket(&job);
        let keep = false;
        self.tell(Decoded { job, keep, ticket }).await;
        reply
    }

    /// Asserts that the Responder is told next who waits, and gives what was offered then.
    async fn offered(&mut self, id: JobId) -> Offered {
        match self.told.next().await {
            Told::Awaited(awaited) => assert_eq!(awaited.ticket.id, id),
            Told::Offered(offered) => panic!("nobody was told who waits for {offered:?}"),
        }
        match self.told.next().await {
            Told::Offered(offered) => offered,
            Told::Awaited(awaited) => panic!("{awaited:?} came twice"),
        }
    }

    /// Everything in the batch has ended.
    async fn settle(&self, batch: &Batch) {
        let leases = batch.jobs.iter().map(|job| job.lease).collect();
        self.tell(Settled(leases)).await;
    }

    /// Asserts that something came so long after the beginning, of paused time.
    #[track_caller]
    fn assert_came(&self, at: Instant, after: Duration) {
        let came = at - self.began;
        assert!((after..after + TICK).contains(&came), "{came:?}");
    }

    /// Room that was asked for, claim by claim.
    fn rooms(&self) -> Vec<usize> {
        let claims = self.store.calls(Method::Claim);
        claims.iter().map(|call| call.room).collect()
    }
}

fn store() -> PlannedStore {
    PlannedStore::new(StoreLimits::default())
}

fn ticket(job: &NewJob) -> (Ticket, Receiver<Reply>) {
    let (mut ticket, reply) = Ticket::open(Place::default(), false);
    ticket.id = job.id;
    (ticket, reply)
}

fn jobs<const N: usize>() -> [NewJob; N] {
    std::array::from_fn(|_| job())
}

/// Puts jobs into the store as another process would.
async fn accept(store: &PlannedStore, jobs: &[NewJob]) {
    for job in jobs {
        store.inner.enqueue(job.clone()).await.unwrap();
    }
}

fn ids(batch: &Batch) -> Vec<JobId> {
    batch.jobs.iter().map(|job| job.lease.id).collect()
}
