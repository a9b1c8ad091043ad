//! What closing promises, and what is there again when a durable queue is opened.

use std::sync::Arc;

use beagle::store::{
    Claimed, Enqueued, JobId, JobState, JobStore, Outcome, Priority, StoreError, StoreLimits,
    Tried, Turn,
};

use super::Lab;
use super::entering::enter;
use crate::fixture::{
    NEVER, PIXELS, accept, accept_many, called, claim_one, completion, die, failure, finish_one,
    job, keyed, limits, of, run_one, soon, state, view,
};

pub(crate) async fn a_closed_store_refuses_everything(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = accept(&*store, job()).await;
    let lease = claim_one(&*store).await.lease;
    store.close().await.unwrap();

    let leases = [lease];
    refused(store.enqueue(job()).await);
    refused(store.enqueue_and_start(job()).await);
    refused(soon(store.claim(1)).await);
    refused(store.start(&leases).await);
    refused(store.heartbeat(&leases).await);
    refused(store.complete(&[completion(lease, "")]).await);
    refused(store.fail(&[failure(lease, "")]).await);
    refused(store.release(&leases).await);
    refused(store.cancel(id).await);
    refused(store.claim_deliveries(1, NEVER).await);
    let turn = Turn {
        id,
        ended: beagle::store::UnixMillis::now(),
        tries: 1,
    };
    let outcome = Outcome::Delivered;
    refused(store.settle_deliveries(&[Tried { turn, outcome }]).await);
    refused(store.job(id).await);
    refused(store.ahead(id).await);
    refused(store.tend().await);
    refused(store.stats().await);
    refused(store.list(None, 1).await);
    refused(store.retry(id, beagle::store::UnixMillis::now()).await);
    refused(store.purge(JobState::Done).await);
    refused(store.doctor().await);
}

pub(crate) async fn a_close_ends_waiting_claims(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let mut waiting = {
        let store = Arc::clone(&store);
        Box::pin(async move { store.claim(1).await })
    };
    let early =
        std::future::poll_fn(|context| std::task::Poll::Ready(waiting.as_mut().poll(context)));
    assert!(early.await.is_pending());
    store.close().await.unwrap();
    refused(soon(waiting).await);
}

pub(crate) async fn queued_jobs_are_there_again_in_their_order(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let low = accept(&*store, of(Priority::Low)).await;
    let offered = job();
    let first = accept(&*store, offered.clone()).await;
    let second = accept(&*store, job()).await;
    let high = accept(&*store, of(Priority::High)).await;

    let store = reopen(lab, store, limits()).await;
    let claimed = soon(store.claim(10)).await.unwrap();
    let came: Vec<_> = claimed.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, [high, first, second, low]);
    assert_eq!(claimed[1].pixels, offered.pixels);
    assert_eq!(claimed[1].profile, offered.profile);
    assert_eq!(claimed[1].created, offered.created);
    assert_eq!(claimed[1].deadline, offered.deadline);
}

pub(crate) async fn claimed_jobs_come_back_at_close_without_charge(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = accept_many(&*store, 2).await;
    soon(store.claim(2)).await.unwrap();

    let store = reopen(lab, store, limits()).await;
    let again = soon(store.claim(2)).await.unwrap();
    let came: Vec<JobId> = again.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, offered);
    assert!(again.iter().all(|job| job.attempts == 0), "{again:?}");
}

pub(crate) async fn entered_jobs_come_back_with_their_attempts(lab: &dyn Lab) {
    let short = StoreLimits {
        lease: crate::fixture::SHORT,
        ..limits()
    };
    let store = lab.open(short.clone()).await;
    let entered = enter(&*store, job()).await;

    let store = reopen(lab, store, short).await;
    let again = comes_again(&*store).await;
    assert_eq!(again.lease.id, entered.lease.id);
    assert_eq!((again.attempts, again.pixels), (1, entered.pixels));
}

pub(crate) async fn running_jobs_come_back_with_their_attempts(lab: &dyn Lab) {
    let short = StoreLimits {
        lease: crate::fixture::SHORT,
        ..limits()
    };
    let store = lab.open(short.clone()).await;
    let id = accept(&*store, job()).await;
    let old = run_one(&*store).await;

    let store = reopen(lab, store, short).await;
    let again = comes_again(&*store).await;
    assert_eq!((again.lease.id, again.attempts), (id, 1));
    let late = store.complete(&[completion(old, "too late")]).await;
    assert_eq!(late, Ok(vec![beagle::store::Completed::Stale]));
}

pub(crate) async fn callbacks_and_spans_are_there_again(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = called();
    let id = accept(&*store, offered.clone()).await;

    let store = reopen(lab, store, limits()).await;
    let seen = view(&*store, id).await;
    assert_eq!(seen.callback, offered.callback);
    assert_eq!(seen.traceparent, offered.traceparent);
    assert_eq!(claim_one(&*store).await.traceparent, offered.traceparent);
}

pub(crate) async fn results_are_there_again(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let done = accept(&*store, job()).await;
    finish_one(&*store, "a dog").await;
    let gone = accept(&*store, job()).await;
    store.cancel(gone).await.unwrap();
    let before = view(&*store, done).await;

    let store = reopen(lab, store, limits()).await;
    assert_eq!(view(&*store, done).await, before);
    assert_eq!(before.result.as_deref(), Some(&b"a dog"[..]));
    assert_eq!(state(&*store, gone).await, Some(JobState::Cancelled));
    assert_eq!(store.stats().await.unwrap().ended, 2);
}

pub(crate) async fn dead_letters_are_there_again_with_their_pixels(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = job();
    let dead = die(&*store, offered.clone(), "the model panicked").await;

    let store = reopen(lab, store, limits()).await;
    let view = view(&*store, dead).await;
    assert_eq!(view.state, JobState::Dead);
    assert_eq!(view.reason.as_deref(), Some("the model panicked"));
    assert_eq!(store.retry(dead, offered.deadline).await, Ok(true));
    assert_eq!(claim_one(&*store).await.pixels, offered.pixels);
}

pub(crate) async fn keys_are_there_again(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let first = accept(&*store, keyed("order 1", "a")).await;

    let store = reopen(lab, store, limits()).await;
    let again = store.enqueue(keyed("order 1", "a")).await;
    assert_eq!(again, Ok(Enqueued::Existing(first)));
    let reused = StoreError::KeyReused { job: first };
    assert_eq!(store.enqueue(keyed("order 1", "b")).await, Err(reused));
}

pub(crate) async fn bounds_count_what_was_there(lab: &dyn Lab) {
    let full = StoreLimits {
        max_jobs: 2,
        ..limits()
    };
    let store = lab.open(full.clone()).await;
    accept_many(&*store, 2).await;
    claim_one(&*store).await;

    let store = reopen(lab, store, full).await;
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.bytes), (2, 2 * PIXELS));
    let refused = StoreError::TooManyJobs { jobs: 2, limit: 2 };
    assert_eq!(store.enqueue(job()).await, Err(refused));
}

pub(crate) async fn fences_go_on_growing(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, job()).await;
    let before = claim_one(&*store).await.lease;

    let store = reopen(lab, store, limits()).await;
    let after = claim_one(&*store).await.lease;
    assert_eq!(after.id, before.id);
    assert!(after.fence > before.fence, "{before:?} {after:?}");
    assert_eq!(
        store.start(&[before]).await,
        Ok(vec![beagle::store::Start::Gone])
    );
}

pub(crate) async fn a_job_with_more_attempts_than_it_may_have_is_a_dead_letter_at_its_turn(
    lab: &dyn Lab,
) {
    let store = lab.open(limits()).await;
    let tried = accept(&*store, job()).await;
    let lease = run_one(&*store).await;
    store.fail(&[failure(lease, "once")]).await.unwrap();
    let fresh = accept(&*store, job()).await;

    let fewer = StoreLimits {
        max_attempts: 1,
        ..limits()
    };
    let store = reopen(lab, store, fewer).await;
    assert_eq!(claim_one(&*store).await.lease.id, fresh);
    let dead = view(&*store, tried).await;
    assert_eq!((dead.state, dead.attempts), (JobState::Dead, 1));
}

pub(crate) async fn reopen(
    lab: &dyn Lab,
    store: Arc<dyn JobStore>,
    limits: StoreLimits,
) -> Arc<dyn JobStore> {
    store.close().await.unwrap();
    drop(store);
    lab.open(limits).await
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    match answer {
        Err(StoreError::Unavailable(_)) => {}
        other => panic!("a closed store said {other:?}"),
    }
}

/// A job that ran when its process ended: there at once where nobody else can have it, after the
/// lease where somebody might.
async fn comes_again(store: &dyn JobStore) -> Claimed {
    soon(async {
        loop {
            store.tend().await.unwrap();
            let claim = store.claim(1);
            if let Ok(claimed) = tokio::time::timeout(crate::fixture::SHORT, claim).await {
                return claimed.unwrap().remove(0);
            }
        }
    })
    .await
}
