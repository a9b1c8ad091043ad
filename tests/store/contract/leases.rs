//! What a lease promises: its holder alone may work on the job, for as long as it says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use beagle::store::{Completed, JobState, Lease, Start, StoreLimits};

use super::Lab;
use crate::fixture::{
    GUARD, SHORT, accept, accept_many, claim_one, completion, failure, job, limits, run_one, soon,
    state, tend_until, view,
};

pub(crate) async fn a_lost_lease_is_worth_nothing(lab: &dyn Lab) {
    let store = lab.open(short_lease()).await;
    let id = accept(&*store, job()).await;
    let lost = claim_one(&*store).await.lease;
    let tended = tend_until(&*store, |tended| tended.reclaimed > 0).await;
    assert_eq!((tended.reclaimed, tended.dead, tended.expired), (1, 0, 0));

    assert_eq!(store.start(&[lost]).await, Ok(vec![Start::Gone]));
    let again = claim_one(&*store).await;
    assert_eq!(again.lease.id, id);
    assert_eq!(again.attempts, 0);
    assert_eq!(store.start(&[lost]).await, Ok(vec![Start::Gone]));
}

pub(crate) async fn a_running_job_whose_lease_is_lost_comes_again_with_its_attempt(lab: &dyn Lab) {
    let store = lab.open(short_lease()).await;
    let id = accept(&*store, job()).await;
    run_one(&*store).await;
    tend_until(&*store, |tended| tended.reclaimed > 0).await;

    assert_eq!(state(&*store, id).await, Some(JobState::Queued));
    let again = claim_one(&*store).await;
    assert_eq!((again.lease.id, again.attempts), (id, 1));
}

pub(crate) async fn a_result_after_a_lost_lease_is_stale(lab: &dyn Lab) {
    let store = lab.open(short_lease()).await;
    let id = accept(&*store, job()).await;
    let lost = run_one(&*store).await;
    tend_until(&*store, |tended| tended.reclaimed > 0).await;

    let late = [completion(lost, "too late")];
    assert_eq!(store.complete(&late).await, Ok(vec![Completed::Stale]));
    assert_eq!(state(&*store, id).await, Some(JobState::Queued));
    let now = claim_one(&*store).await.lease;
    assert_eq!(store.complete(&late).await, Ok(vec![Completed::Stale]));
    store.start(&[now]).await.unwrap();
    assert_eq!(store.complete(&late).await, Ok(vec![Completed::Stale]));
    let good = [completion(now, "in time")];
    assert_eq!(store.complete(&good).await, Ok(vec![Completed::First]));
    let view = view(&*store, id).await;
    assert_eq!(view.result.as_deref(), Some(&b"in time"[..]));
}

pub(crate) async fn the_fence_grows_with_every_claim(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, job()).await;
    let first = claim_one(&*store).await.lease;
    store.release(&[first]).await.unwrap();
    let second = run_one(&*store).await;
    store.fail(&[failure(second, "no")]).await.unwrap();
    let third = claim_one(&*store).await.lease;
    assert!(first.fence < second.fence, "{first:?} {second:?}");
    assert!(second.fence < third.fence, "{second:?} {third:?}");
}

pub(crate) async fn a_heartbeat_keeps_its_lease_and_no_other(lab: &dyn Lab) {
    // A machine that stops for longer than the lease in the middle of the test loses the lease
    // by right; it is given a longer one then.
    let mut lease = SHORT;
    while !heartbeats_keep(lab, lease).await {
        lease *= 4;
        assert!(lease < GUARD, "no heartbeat is fast enough");
    }
}

/// `false` if the machine was too slow to say anything.
async fn heartbeats_keep(lab: &dyn Lab, lease: Duration) -> bool {
    let store = lab.open(StoreLimits { lease, ..limits() }).await;
    let offered = accept_many(&*store, 2).await;
    let mut last = Instant::now();
    let kept = claim_one(&*store).await.lease;
    let other = claim_one(&*store).await.lease;
    let mut reclaimed = 0;
    while reclaimed == 0 {
        let beat = Instant::now();
        store.heartbeat(&[kept]).await.unwrap();
        reclaimed += store.tend().await.unwrap().reclaimed;
        // A store counts in whole milliseconds.
        if last.elapsed() + Duration::from_millis(2) >= lease {
            for id in offered {
                store.cancel(id).await.unwrap();
            }
            store.close().await.unwrap();
            return false;
        }
        last = beat;
        tokio::task::yield_now().await;
    }
    assert_eq!(reclaimed, 1);
    let started = store.start(&[kept, other]).await;
    assert_eq!(started, Ok(vec![Start::Run, Start::Gone]));
    true
}

pub(crate) async fn a_heartbeat_does_not_bring_a_lost_lease_back(lab: &dyn Lab) {
    let store = lab.open(short_lease()).await;
    accept(&*store, job()).await;
    let lost = claim_one(&*store).await.lease;
    tend_until(&*store, |tended| tended.reclaimed > 0).await;

    store.heartbeat(&[lost]).await.unwrap();
    assert_eq!(store.start(&[lost]).await, Ok(vec![Start::Gone]));
    // And it is there for another.
    assert_eq!(claim_one(&*store).await.lease.id, lost.id);
}

pub(crate) async fn a_released_job_comes_again_in_its_place_without_charge(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = accept_many(&*store, 3).await;
    let claimed = soon(store.claim(2)).await.unwrap();
    let leases: Vec<Lease> = claimed.iter().map(|job| job.lease).collect();
    store.release(&leases).await.unwrap();

    assert_eq!(store.start(&leases).await, Ok(vec![Start::Gone; 2]));
    let again = soon(store.claim(3)).await.unwrap();
    let came: Vec<_> = again.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, offered);
    assert!(again.iter().all(|job| job.attempts == 0), "{again:?}");
    assert_eq!(again[0].pixels, claimed[0].pixels);
}

pub(crate) async fn a_release_under_an_old_lease_changes_nothing(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, job()).await;
    let old = claim_one(&*store).await.lease;
    store.release(&[old]).await.unwrap();
    let now = claim_one(&*store).await.lease;

    store.release(&[old]).await.unwrap();
    assert_eq!(store.start(&[now]).await, Ok(vec![Start::Run]));
}

pub(crate) async fn a_started_job_is_not_released(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = accept(&*store, job()).await;
    let lease = run_one(&*store).await;

    store.release(&[lease]).await.unwrap();
    assert_eq!(state(&*store, id).await, Some(JobState::Running));
    let done = store.complete(&[completion(lease, "a dog")]).await;
    assert_eq!(done, Ok(vec![Completed::First]));
}

pub(crate) async fn a_job_that_lost_its_lease_wakes_a_waiting_claim(lab: &dyn Lab) {
    let store = lab.open(short_lease()).await;
    let id = accept(&*store, job()).await;
    claim_one(&*store).await;
    let waiting = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { claim_one(&*store).await.lease.id })
    };
    tend_until(&*store, |tended| tended.reclaimed > 0).await;
    assert_eq!(soon(waiting).await.unwrap(), id);
}

fn short_lease() -> StoreLimits {
    StoreLimits {
        lease: SHORT,
        ..limits()
    }
}
