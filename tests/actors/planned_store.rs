//! The memory store behind a plan: each method fails as often, or waits as long, as the test
//! says, and every call is on record.
//!
//! Must not know: which actor is tested.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use beagle::store::memory::MemoryStore;
use beagle::store::{
    Cancelled, Claimed, Completed, Completion, Description, DueDelivery, Enqueued, Entered, Failed,
    Failure, Finding, JobId, JobState, JobStore, JobView, Lease, NewJob, Start, Stats, StoreError,
    StoreLimits, Tended, Tried, UnixMillis,
};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout};

use crate::GUARD;

/// A method of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Method {
    Enqueue,
    EnqueueAndStart,
    Claim,
    Start,
    Heartbeat,
    Complete,
    Fail,
    Release,
    Cancel,
    Job,
    Tend,
    Stats,
}

/// One call of it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The jobs it was about, sorted.
    pub(crate) jobs: Vec<JobId>,
    /// Of a claim.
    pub(crate) room: usize,
    /// When it came, of paused time.
    pub(crate) at: Instant,
}

/// A store that does as the test says.
pub(crate) struct PlannedStore {
    /// The truth, for the test to act in as another process would: not on record.
    pub(crate) inner: MemoryStore,
    failing: Mutex<HashMap<Method, usize>>,
    held: watch::Sender<HashSet<Method>>,
    calls: watch::Sender<Vec<Call>>,
    /// Notices go here, unheard, if they are to be lost.
    lost: Option<broadcast::Sender<JobId>>,
}

impl PlannedStore {
    /// A store without a plan.
    pub(crate) fn new(limits: StoreLimits) -> Self {
        Self {
            inner: MemoryStore::new(limits),
            failing: Mutex::default(),
            held: watch::Sender::default(),
            calls: watch::Sender::default(),
            lost: None,
        }
    }

    /// A store whose notices of ended jobs are all lost.
    pub(crate) fn without_notices(limits: StoreLimits) -> Self {
        Self {
            lost: Some(broadcast::Sender::new(1)),
            ..Self::new(limits)
        }
    }

    /// The next `times` calls of the method find the store unavailable.
    pub(crate) fn fail(&self, method: Method, times: usize) {
        self.failing.lock().unwrap().insert(method, times);
    }

    /// Calls of the method wait, once they are on record.
    pub(crate) fn hold(&self, method: Method) {
        self.held.send_modify(|held| {
            held.insert(method);
        });
    }

    /// They go on.
    pub(crate) fn let_go(&self, method: Method) {
        self.held.send_modify(|held| {
            held.remove(&method);
        });
    }

    /// Waits for the `nth` call of the method, the first being 1.
    pub(crate) async fn call(&self, method: Method, nth: usize) -> Call {
        let mut calls = self.calls.subscribe();
        let came = |calls: &Vec<Call>| of(calls, method).len() >= nth;
        let calls = timeout(GUARD, calls.wait_for(came)).await;
        let calls = calls.expect("the store was not asked").unwrap();
        of(&calls, method).swap_remove(nth - 1)
    }

    /// The calls of the method so far.
    pub(crate) fn calls(&self, method: Method) -> Vec<Call> {
        of(&self.calls.borrow(), method)
    }

    /// What the store was asked for, in order.
    pub(crate) fn methods(&self) -> Vec<Method> {
        self.calls.borrow().iter().map(|call| call.method).collect()
    }

    /// How often the store was asked anything.
    pub(crate) fn count(&self) -> usize {
        self.calls.borrow().len()
    }

    /// Where a job stands.
    pub(crate) async fn state(&self, id: JobId) -> JobState {
        self.view(id).await.state
    }

    /// What is known of a job.
    pub(crate) async fn view(&self, id: JobId) -> JobView {
        self.inner.job(id).await.unwrap().unwrap()
    }

    /// Puts the call on record, waits while it is to wait, fails if it is to fail.
    async fn step(
        &self,
        method: Method,
        jobs: impl IntoIterator<Item = JobId>,
        room: usize,
    ) -> Result<(), StoreError> {
        let mut jobs: Vec<JobId> = jobs.into_iter().collect();
        jobs.sort_unstable();
        let call = Call {
            method,
            jobs,
            room,
            at: Instant::now(),
        };
        self.calls.send_modify(|calls| calls.push(call));
        let mut held = self.held.subscribe();
        let free = held.wait_for(|held| !held.contains(&method)).await;
        free.map_err(|_| StoreError::Unavailable("the test has ended".to_owned()))?;
        let mut failing = self.failing.lock().unwrap();
        let left = failing.entry(method).or_default();
        if *left == 0 {
            return Ok(());
        }
        *left -= 1;
        Err(StoreError::Unavailable("so it was planned".to_owned()))
    }

    async fn step_leases(&self, method: Method, leases: &[Lease]) -> Result<(), StoreError> {
        let jobs = leases.iter().map(|lease| lease.id);
        self.step(method, jobs, 0).await
    }
}

/// The calls of one method.
fn of(calls: &[Call], method: Method) -> Vec<Call> {
    let of_method = calls.iter().filter(|call| call.method == method);
    of_method.cloned().collect()
}

#[async_trait]
impl JobStore for PlannedStore {
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        self.step(Method::Enqueue, [job.id], 0).await?;
        self.inner.enqueue(job).await
    }

    async fn enqueue_and_start(&self, job: NewJob) -> Result<Entered, StoreError> {
        self.step(Method::EnqueueAndStart, [job.id], 0).await?;
        self.inner.enqueue_and_start(job).await
    }

    async fn claim(&self, room: usize) -> Result<Vec<Claimed>, StoreError> {
        self.step(Method::Claim, [], room).await?;
        self.inner.claim(room).await
    }

    async fn start(&self, leases: &[Lease]) -> Result<Vec<Start>, StoreError> {
        self.step_leases(Method::Start, leases).await?;
        self.inner.start(leases).await
    }

    async fn heartbeat(&self, leases: &[Lease]) -> Result<(), StoreError> {
        self.step_leases(Method::Heartbeat, leases).await?;
        self.inner.heartbeat(leases).await
    }

    async fn complete(&self, done: &[Completion]) -> Result<Vec<Completed>, StoreError> {
        let jobs = done.iter().map(|one| one.lease.id);
        self.step(Method::Complete, jobs, 0).await?;
        self.inner.complete(done).await
    }

    async fn fail(&self, failed: &[Failure]) -> Result<Vec<Failed>, StoreError> {
        let jobs = failed.iter().map(|one| one.lease.id);
        self.step(Method::Fail, jobs, 0).await?;
        self.inner.fail(failed).await
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        self.step_leases(Method::Release, leases).await?;
        self.inner.release(leases).await
    }

    async fn cancel(&self, id: JobId) -> Result<Option<Cancelled>, StoreError> {
        self.step(Method::Cancel, [id], 0).await?;
        self.inner.cancel(id).await
    }

    /// An answer that is held is of the moment when it was asked for.
    async fn job(&self, id: JobId) -> Result<Option<JobView>, StoreError> {
        let found = self.inner.job(id).await;
        self.step(Method::Job, [id], 0).await?;
        found
    }

    async fn ahead(&self, id: JobId) -> Result<Option<u64>, StoreError> {
        self.inner.ahead(id).await
    }

    async fn claim_deliveries(
        &self,
        room: usize,
        lease: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        self.inner.claim_deliveries(room, lease).await
    }

    async fn settle_deliveries(&self, tried: &[Tried]) -> Result<Vec<bool>, StoreError> {
        self.inner.settle_deliveries(tried).await
    }

    fn ended(&self) -> broadcast::Receiver<JobId> {
        let lost = self.lost.as_ref().map(broadcast::Sender::subscribe);
        lost.unwrap_or_else(|| self.inner.ended())
    }

    async fn tend(&self) -> Result<Tended, StoreError> {
        self.step(Method::Tend, [], 0).await?;
        self.inner.tend().await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.step(Method::Stats, [], 0).await?;
        self.inner.stats().await
    }

    async fn list(
        &self,
        state: Option<JobState>,
        limit: usize,
    ) -> Result<Vec<JobView>, StoreError> {
        self.inner.list(state, limit).await
    }

    async fn retry(&self, id: JobId, deadline: UnixMillis) -> Result<bool, StoreError> {
        self.inner.retry(id, deadline).await
    }

    async fn purge(&self, state: JobState) -> Result<u64, StoreError> {
        self.inner.purge(state).await
    }

    async fn doctor(&self) -> Result<Vec<Finding>, StoreError> {
        self.inner.doctor().await
    }

    fn description(&self) -> Description {
        self.inner.description()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}
