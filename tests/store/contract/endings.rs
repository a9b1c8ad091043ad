//! What the end of a job promises: there is one, it is final, and it is told.

use beagle::store::{Cancelled, Completed, JobId, JobState, NewJob, Start, UnixMillis};
use tokio::sync::broadcast::Receiver;

use super::Lab;
use crate::fixture::{
    PIXELS, accept, accept_many, claim_one, claimed_before_its_deadline, completion, die, failure,
    finish_one, job, late, limits, run_one, soon, state, tend_until, view,
};

pub(crate) async fn the_first_result_wins(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = accept(&*store, job()).await;
    let before = UnixMillis::now();
    let lease = run_one(&*store).await;
    let first = store.complete(&[completion(lease, "a dog")]).await;
    assert_eq!(first, Ok(vec![Completed::First]));
    let second = store.complete(&[completion(lease, "a cat")]).await;
    assert_eq!(second, Ok(vec![Completed::Stale]));

    let done = view(&*store, id).await;
    assert_eq!(done.state, JobState::Done);
    assert_eq!(done.result.as_deref(), Some(&b"a dog"[..]));
    assert!(done.finished.unwrap() >= before, "{done:?}");
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.running, stats.bytes, stats.ended), (0, 0, 1));
}

pub(crate) async fn a_result_is_recorded_by_a_full_queue(lab: &dyn Lab) {
    let store = lab
        .open(beagle::store::StoreLimits {
            max_jobs: 2,
            max_bytes: 2 * PIXELS,
            ..limits()
        })
        .await;
    accept_many(&*store, 2).await;
    store.enqueue(job()).await.unwrap_err();
    finish_one(&*store, "a dog").await;
    accept(&*store, job()).await;
}

pub(crate) async fn results_are_answered_in_the_order_given(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept_many(&*store, 3).await;
    let claimed = soon(store.claim(3)).await.unwrap();
    let leases: Vec<_> = claimed.iter().rev().map(|job| job.lease).collect();
    store.start(&leases).await.unwrap();
    store.cancel(leases[1].id).await.unwrap();

    let results: Vec<_> = leases.iter().map(|lease| completion(*lease, "")).collect();
    let completed = store.complete(&results).await.unwrap();
    use Completed::{First, Stale};
    assert_eq!(completed, [First, Stale, First]);
    // The same job twice in one call: one of them is the first.
    let lease = {
        accept(&*store, job()).await;
        run_one(&*store).await
    };
    let twice = [completion(lease, "a"), completion(lease, "b")];
    assert_eq!(store.complete(&twice).await, Ok(vec![First, Stale]));
}

pub(crate) async fn a_queued_job_is_cancelled(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = accept(&*store, job()).await;

    assert_eq!(store.cancel(id).await, Ok(Some(Cancelled::Now)));
    let gone = view(&*store, id).await;
    assert_eq!(gone.state, JobState::Cancelled);
    assert!(gone.finished.is_some());
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.bytes, stats.ended), (0, 0, 1));
}

pub(crate) async fn a_claimed_job_is_cancelled(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, job()).await;
    let lease = claim_one(&*store).await.lease;

    assert_eq!(store.cancel(lease.id).await, Ok(Some(Cancelled::Now)));
    store.release(&[lease]).await.unwrap();
    assert_eq!(state(&*store, lease.id).await, Some(JobState::Cancelled));
}

pub(crate) async fn a_running_job_is_cancelled_and_its_result_dropped(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, job()).await;
    let lease = run_one(&*store).await;

    assert_eq!(store.cancel(lease.id).await, Ok(Some(Cancelled::Now)));
    let late = store.complete(&[completion(lease, "a dog")]).await;
    assert_eq!(late, Ok(vec![Completed::Stale]));
    let gone = view(&*store, lease.id).await;
    assert_eq!((gone.state, gone.result), (JobState::Cancelled, None));
}

pub(crate) async fn an_ended_job_is_not_cancelled(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let done = accept(&*store, job()).await;
    finish_one(&*store, "a dog").await;
    let dead = die(&*store, job(), "no").await;
    let gone = accept(&*store, job()).await;
    store.cancel(gone).await.unwrap();
    let expired = accept(&*store, late()).await;
    tend_until(&*store, |tended| tended.expired > 0).await;

    let before = |state| Ok(Some(Cancelled::Before(state)));
    assert_eq!(store.cancel(done).await, before(JobState::Done));
    assert_eq!(store.cancel(dead).await, before(JobState::Dead));
    assert_eq!(store.cancel(gone).await, before(JobState::Cancelled));
    assert_eq!(store.cancel(expired).await, before(JobState::Expired));
    let result = view(&*store, done).await.result;
    assert_eq!(result.as_deref(), Some(&b"a dog"[..]));
}

pub(crate) async fn a_job_nobody_knows_is_not_cancelled(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    assert_eq!(store.cancel(JobId::new()).await, Ok(None));
    assert_eq!(store.job(JobId::new()).await, Ok(None));
}

pub(crate) async fn a_running_job_does_not_expire(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let (lease, deadline) = started_before_its_deadline(&*store).await;
    while UnixMillis::now() < deadline {
        tokio::task::yield_now().await;
    }

    assert_eq!(store.tend().await.unwrap().expired, 0);
    let done = store.complete(&[completion(lease, "a dog")]).await;
    assert_eq!(done, Ok(vec![Completed::First]));
}

pub(crate) async fn a_failed_job_whose_deadline_has_passed_expires(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let (lease, deadline) = started_before_its_deadline(&*store).await;
    while UnixMillis::now() < deadline {
        tokio::task::yield_now().await;
    }
    store.fail(&[failure(lease, "no")]).await.unwrap();

    tend_until(&*store, |tended| tended.expired > 0).await;
    assert_eq!(state(&*store, lease.id).await, Some(JobState::Expired));
}

pub(crate) async fn a_claimed_job_that_was_not_started_expires(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let lease = claimed_before_its_deadline(&*store).await;

    tend_until(&*store, |tended| tended.expired > 0).await;
    assert_eq!(state(&*store, lease.id).await, Some(JobState::Expired));
    assert_eq!(store.start(&[lease]).await, Ok(vec![Start::Gone]));
}

pub(crate) async fn a_claim_expires_what_it_passes_over(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let expired = accept(&*store, late()).await;
    accept(&*store, job()).await;
    claim_one(&*store).await;

    let gone = view(&*store, expired).await;
    assert_eq!(gone.state, JobState::Expired);
    assert!(gone.finished.is_some());
    assert_eq!(store.stats().await.unwrap().bytes, PIXELS);
}

pub(crate) async fn every_end_is_told(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let mut ended = store.ended();

    let done = accept(&*store, job()).await;
    finish_one(&*store, "a dog").await;
    assert_eq!(told(&mut ended).await, done);

    let dead = die(&*store, job(), "no").await;
    assert_eq!(told(&mut ended).await, dead);

    let gone = accept(&*store, job()).await;
    store.cancel(gone).await.unwrap();
    assert_eq!(told(&mut ended).await, gone);

    let expired = accept(&*store, late()).await;
    tend_until(&*store, |tended| tended.expired > 0).await;
    assert_eq!(told(&mut ended).await, expired);

    let passed = accept(&*store, late()).await;
    accept(&*store, job()).await;
    // With room for both, so that it looks at both.
    soon(store.claim(2)).await.unwrap();
    assert_eq!(told(&mut ended).await, passed);

    let unstarted = claimed_before_its_deadline(&*store).await;
    // The witnesses of that helper were cancelled, and what it tried first.
    store.start(&[unstarted]).await.unwrap();
    while told(&mut ended).await != unstarted.id {}
}

pub(crate) async fn an_end_is_told_once(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let mut ended = store.ended();
    let first = accept(&*store, job()).await;
    let lease = run_one(&*store).await;
    store.complete(&[completion(lease, "a dog")]).await.unwrap();
    store.complete(&[completion(lease, "a cat")]).await.unwrap();
    store.cancel(first).await.unwrap();
    let second = accept(&*store, job()).await;
    store.cancel(second).await.unwrap();

    assert_eq!(told(&mut ended).await, first);
    assert_eq!(told(&mut ended).await, second);
}

async fn told(ended: &mut Receiver<JobId>) -> JobId {
    soon(ended.recv()).await.unwrap()
}

/// Like [`claimed_before_its_deadline`], for a job that was started in time and whose deadline
/// is near.
async fn started_before_its_deadline(
    store: &dyn beagle::store::JobStore,
) -> (beagle::store::Lease, UnixMillis) {
    let mut margin = crate::fixture::SHORT;
    loop {
        let deadline = UnixMillis::now().after(margin);
        let id = accept(store, NewJob { deadline, ..job() }).await;
        let witness = accept(store, job()).await;
        let claimed = soon(store.claim(2)).await.unwrap();
        store.cancel(witness).await.unwrap();
        if let Some(own) = claimed.iter().find(|job| job.lease.id == id)
            && store.start(&[own.lease]).await.unwrap() == [Start::Run]
        {
            return (own.lease, deadline);
        }
        store.cancel(id).await.unwrap();
        margin *= 4;
        assert!(margin < crate::fixture::GUARD, "no start is fast enough");
    }
}
