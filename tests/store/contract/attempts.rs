//! What attempts promise: each is on record before it runs, and they have an end.

use beagle::store::{
    Failed, JobState, NewJob, Priority, Start, StoreError, StoreLimits, UnixMillis,
};

use super::Lab;
use crate::fixture::{
    NEVER, SHORT, accept, accept_many, claim_one, claimed_before_its_deadline, completion, die,
    failure, finish_one, job, limits, of, run_one, soon, state, tend_until, view,
};

pub(crate) async fn a_start_is_on_record_at_once(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = accept(&*store, job()).await;
    run_one(&*store).await;

    let view = view(&*store, id).await;
    assert_eq!((view.state, view.attempts), (JobState::Running, 1));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running), (0, 1));
}

pub(crate) async fn starts_are_answered_in_the_order_given(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept_many(&*store, 3).await;
    let claimed = soon(store.claim(3)).await.unwrap();
    let leases: Vec<_> = claimed.iter().rev().map(|job| job.lease).collect();
    store.cancel(leases[0].id).await.unwrap();

    let started = store.start(&leases).await;
    assert_eq!(started, Ok(vec![Start::Gone, Start::Run, Start::Run]));
    assert_eq!(store.start(&[]).await, Ok(vec![]));
}

pub(crate) async fn a_start_repeated_under_its_lease_is_charged_once(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = accept(&*store, job()).await;
    let lease = run_one(&*store).await;

    // Who was told `Unavailable` does not know whether it happened, and asks again.
    assert_eq!(store.start(&[lease]).await, Ok(vec![Start::Run]));
    assert_eq!(view(&*store, id).await.attempts, 1);
}

pub(crate) async fn a_cancelled_job_does_not_start(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, job()).await;
    let lease = claim_one(&*store).await.lease;
    store.cancel(lease.id).await.unwrap();

    assert_eq!(store.start(&[lease]).await, Ok(vec![Start::Gone]));
    assert_eq!(view(&*store, lease.id).await.attempts, 0);
}

pub(crate) async fn an_expired_job_does_not_start(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let lease = claimed_before_its_deadline(&*store).await;

    assert_eq!(store.start(&[lease]).await, Ok(vec![Start::Gone]));
    let view = view(&*store, lease.id).await;
    assert_eq!((view.state, view.attempts), (JobState::Expired, 0));
}

pub(crate) async fn a_failed_job_comes_again_before_younger_ones(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let first = accept(&*store, job()).await;
    let younger = accept(&*store, job()).await;
    let lease = run_one(&*store).await;
    let failed = store.fail(&[failure(lease, "the model panicked")]).await;
    assert_eq!(failed, Ok(vec![Failed::Again]));

    let waits = view(&*store, first).await;
    assert_eq!((waits.state, waits.attempts), (JobState::Queued, 1));
    assert_eq!(waits.reason.as_deref(), Some("the model panicked"));
    let claimed = soon(store.claim(2)).await.unwrap();
    let came: Vec<_> = claimed.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, [first, younger]);
    assert_eq!((claimed[0].attempts, claimed[1].attempts), (1, 0));
}

pub(crate) async fn a_failed_job_does_not_pass_a_higher_priority(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let first = accept(&*store, job()).await;
    let lease = run_one(&*store).await;
    let high = accept(&*store, of(Priority::High)).await;
    store.fail(&[failure(lease, "no")]).await.unwrap();

    let claimed = soon(store.claim(2)).await.unwrap();
    let came: Vec<_> = claimed.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, [high, first]);
}

pub(crate) async fn the_last_failure_makes_a_dead_letter_with_its_reason(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = accept(&*store, job()).await;
    for attempt in 1..=3 {
        let lease = run_one(&*store).await;
        let reason = format!("failure {attempt}");
        let failed = store.fail(&[failure(lease, &reason)]).await.unwrap();
        let last = attempt == 3;
        assert_eq!(failed, [if last { Failed::Dead } else { Failed::Again }]);
    }

    let dead = view(&*store, id).await;
    assert_eq!((dead.state, dead.attempts), (JobState::Dead, 3));
    assert_eq!(dead.reason.as_deref(), Some("failure 3"));
    assert!(dead.finished.is_some());
    assert_eq!(store.stats().await.unwrap().dead, 1);
}

pub(crate) async fn a_job_whose_runners_die_becomes_a_dead_letter(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            lease: SHORT,
            ..limits()
        })
        .await;
    let id = accept(&*store, job()).await;
    for attempt in 1..=3 {
        run_one(&*store).await;
        if attempt < 3 {
            tend_until(&*store, |tended| tended.reclaimed > 0).await;
        }
    }
    let tended = tend_until(&*store, |tended| tended.dead > 0).await;
    assert_eq!(tended.dead, 1);

    let dead = view(&*store, id).await;
    assert_eq!((dead.state, dead.attempts), (JobState::Dead, 3));
    let reason = dead.reason.unwrap();
    assert!(reason.contains("died") && reason.contains('3'), "{reason}");
}

pub(crate) async fn a_job_that_was_claimed_and_never_started_is_not_charged(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            lease: SHORT,
            max_attempts: 1,
            ..limits()
        })
        .await;
    let id = accept(&*store, job()).await;
    for _ in 0..3 {
        assert_eq!(claim_one(&*store).await.attempts, 0);
        tend_until(&*store, |tended| tended.reclaimed > 0).await;
    }
    assert_eq!(state(&*store, id).await, Some(JobState::Queued));
}

pub(crate) async fn a_failure_under_an_old_lease_is_stale(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, job()).await;
    let old = run_one(&*store).await;
    store.fail(&[failure(old, "once")]).await.unwrap();

    let again = [failure(old, "twice")];
    assert_eq!(store.fail(&again).await, Ok(vec![Failed::Stale]));
    let now = run_one(&*store).await;
    assert_eq!(store.fail(&again).await, Ok(vec![Failed::Stale]));
    let view = view(&*store, now.id).await;
    assert_eq!((view.state, view.attempts), (JobState::Running, 2));
    assert_eq!(view.reason.as_deref(), Some("once"));
}

pub(crate) async fn a_failure_of_a_cancelled_job_is_stale(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, job()).await;
    let lease = run_one(&*store).await;
    store.cancel(lease.id).await.unwrap();

    let failed = store.fail(&[failure(lease, "no")]).await;
    assert_eq!(failed, Ok(vec![Failed::Stale]));
    assert_eq!(state(&*store, lease.id).await, Some(JobState::Cancelled));
}

pub(crate) async fn a_failure_under_a_full_queue_is_recorded(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            max_jobs: 1,
            ..limits()
        })
        .await;
    accept(&*store, job()).await;
    let lease = run_one(&*store).await;
    let failed = store.fail(&[failure(lease, "no")]).await;
    assert_eq!(failed, Ok(vec![Failed::Again]));
}

pub(crate) async fn a_dead_letter_that_is_retried_starts_anew(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = job();
    let id = die(&*store, offered.clone(), "no").await;
    let deadline = UnixMillis(offered.deadline.0 + 1);
    assert_eq!(store.retry(id, deadline).await, Ok(true));

    let waits = view(&*store, id).await;
    assert_eq!((waits.state, waits.attempts), (JobState::Queued, 0));
    assert_eq!((waits.deadline, waits.finished), (deadline, None));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.dead), (1, 0));
    assert_eq!(stats.bytes, offered.pixels.len() as u64);
    let claimed = claim_one(&*store).await;
    assert_eq!((claimed.lease.id, claimed.attempts), (id, 0));
    assert_eq!(claimed.pixels, offered.pixels);
    store.start(&[claimed.lease]).await.unwrap();
    store
        .complete(&[completion(claimed.lease, "at last")])
        .await
        .unwrap();
    assert_eq!(state(&*store, id).await, Some(JobState::Done));
}

pub(crate) async fn a_retry_is_refused_by_a_full_queue(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            max_jobs: 1,
            max_bytes: 20,
            ..limits()
        })
        .await;
    let id = die(&*store, job(), "no").await;
    let deadline = UnixMillis::now().after(NEVER);
    let only = accept(&*store, job()).await;
    let full = StoreError::TooManyJobs { jobs: 1, limit: 1 };
    assert_eq!(store.retry(id, deadline).await, Err(full));
    assert_eq!(state(&*store, id).await, Some(JobState::Dead));

    store.cancel(only).await.unwrap();
    assert_eq!(store.retry(id, deadline).await, Ok(true));
}

pub(crate) async fn only_dead_letters_are_retried(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let deadline = UnixMillis::now().after(NEVER);
    let unknown = job().id;
    assert_eq!(store.retry(unknown, deadline).await, Ok(false));
    let done = accept(&*store, job()).await;
    assert_eq!(store.retry(done, deadline).await, Ok(false));
    finish_one(&*store, "a dog").await;
    assert_eq!(store.retry(done, deadline).await, Ok(false));
    let gone = accept(&*store, NewJob { top: 1, ..job() }).await;
    store.cancel(gone).await.unwrap();
    assert_eq!(store.retry(gone, deadline).await, Ok(false));
    assert_eq!(state(&*store, done).await, Some(JobState::Done));
}
