//! Who waits: told of jobs that end elsewhere, brought to another's job, forgotten when gone.

use std::time::Duration;

use beagle::error::ErrorCode;
use beagle::message::Abandoned;
use beagle::store::{JobState, JobStore as _, StoreError};
use beagle::ticket::Reply;

use super::{Scene, silent_store, store};
use crate::LONG;
use crate::planned_store::Method;

/// How often those who wait are looked up.
const SWEEP: Duration = Duration::from_secs(5);

#[actix::test]
async fn a_job_that_ends_elsewhere_answers_at_once() {
    let scene = Scene::start(store());
    let (answered, cancelled) = (scene.waiting().await, scene.waiting().await);
    let lease = scene.run_next().await;
    scene.complete_elsewhere(lease, "beagle").await;
    assert_eq!(answered.label().await, "beagle");
    scene.store.inner.cancel(cancelled.id).await.unwrap();
    cancelled.refused(ErrorCode::Cancelled).await;
    assert_eq!(scene.began.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn a_lost_notice_is_made_up_for_by_the_sweep() {
    let scene = Scene::start(silent_store());
    let (mut caller, mut other) = (scene.waiting().await, scene.waiting().await);
    let lease = scene.run_next().await;
    scene.complete_elsewhere(lease, "beagle").await;
    caller.waits_for(SWEEP - Duration::from_millis(10)).await;
    assert_eq!(caller.label().await, "beagle");
    assert!(scene.began.elapsed() < SWEEP + Duration::from_millis(10));
    other.waits_for(LONG).await;
}

#[actix::test]
async fn a_notice_that_could_not_be_followed_is_made_up_for_by_the_sweep() {
    let scene = Scene::start(store());
    let caller = scene.waiting().await;
    let lease = scene.run_next().await;
    scene.store.fail(Method::Job, 1);
    scene.complete_elsewhere(lease, "beagle").await;
    scene.store.call(Method::Job, 1).await;
    assert_eq!(caller.label().await, "beagle");
    assert!(
        scene.health.store_is_down(),
        "nobody says here that it is back"
    );
    assert_eq!(scene.store.calls(Method::Job).len(), 2);
}

#[actix::test]
async fn a_job_that_the_store_has_forgotten_is_told_as_unknown() {
    let scene = Scene::start(silent_store());
    let caller = scene.waiting().await;
    scene.store.inner.cancel(caller.id).await.unwrap();
    scene.store.inner.purge(JobState::Cancelled).await.unwrap();
    caller.refused(ErrorCode::UnknownJob).await;
}

#[actix::test]
async fn a_job_that_is_still_being_offered_is_not_told_as_unknown() {
    let scene = Scene::start(store());
    let mut caller = scene.caller(false, false).await;
    caller.waits_for(LONG).await;
    assert!(
        !scene.store.calls(Method::Job).is_empty(),
        "it was looked up"
    );
    scene.accept(caller.id).await;
    scene.offered(caller.id, Ok(caller.id)).await;
    let lease = scene.run_next().await;
    scene.complete_elsewhere(lease, "beagle").await;
    assert_eq!(caller.label().await, "beagle");
}

#[actix::test]
async fn an_answer_from_before_the_store_had_the_job_is_not_told_after_it_has() {
    let scene = Scene::start(store());
    scene.store.hold(Method::Job);
    let mut caller = scene.caller(false, false).await;
    scene.store.call(Method::Job, 1).await;
    scene.accept(caller.id).await;
    scene.offered(caller.id, Ok(caller.id)).await;
    scene.store.let_go(Method::Job);
    caller.waits_for(LONG).await;
    let lease = scene.run_next().await;
    scene.complete_elsewhere(lease, "beagle").await;
    assert_eq!(caller.label().await, "beagle");
}

#[actix::test]
async fn a_key_seen_before_is_answered_by_the_job_that_has_it() {
    let scene = Scene::start(store());
    let first = scene.waiting().await.id;
    let lease = scene.run_next().await;
    scene.complete_elsewhere(lease, "beagle").await;
    let again = scene.caller(true, false).await;
    scene.offered(again.id, Ok(first)).await;
    let answer = again.answer().await;
    assert_eq!(
        (answer.id, answer.predictions[0].label.as_str()),
        (first, "beagle")
    );
}

#[actix::test]
async fn a_key_of_a_job_that_runs_is_answered_together_with_the_first_caller() {
    let mut scene = Scene::start(store());
    let first = scene.waiting().await;
    let lease = scene.run_next().await;
    let mut again = scene.caller(true, false).await;
    scene.offered(again.id, Ok(first.id)).await;
    again.waits_for(LONG).await;
    scene.classified(&[(lease, Ok("beagle"))]).await;
    assert_eq!(first.label().await, "beagle");
    assert_eq!(again.label().await, "beagle");
    assert_eq!(scene.settled.next().await.0, [lease]);
}

#[actix::test]
async fn a_caller_that_does_not_wait_is_told_the_name_once_the_store_has_accepted() {
    let scene = Scene::start(store());
    let mut caller = scene.caller(true, true).await;
    caller.waits_for(LONG).await;
    let id = caller.id;
    scene.accept(id).await;
    scene.offered(id, Ok(id)).await;
    assert_eq!(caller.reply().await, Reply::Accepted(id, JobState::Queued));
    assert!(scene.store.calls(Method::Cancel).is_empty());
}

#[actix::test]
async fn a_caller_that_does_not_wait_is_told_how_the_job_of_its_key_stands() {
    let scene = Scene::start(store());
    let first = scene.waiting().await.id;
    let lease = scene.run_next().await;
    let running = scene.caller(true, true).await;
    scene.offered(running.id, Ok(first)).await;
    let told = Reply::Accepted(first, JobState::Running);
    assert_eq!(running.reply().await, told);
    scene.complete_elsewhere(lease, "beagle").await;
    let done = scene.caller(true, true).await;
    scene.offered(done.id, Ok(first)).await;
    assert_eq!(done.label().await, "beagle");
}

#[actix::test]
async fn what_the_store_does_not_accept_is_refused_whether_the_caller_waits_or_not() {
    let scene = Scene::start(store());
    let full = StoreError::TooManyJobs { jobs: 1, limit: 1 };
    let reused = StoreError::KeyReused {
        job: crate::job().id,
    };
    let away = StoreError::Unavailable("connection refused".to_owned());
    for (error, code) in [
        (full, ErrorCode::QueueFull),
        (reused, ErrorCode::KeyReused),
        (away, ErrorCode::StoreUnavailable),
    ] {
        for respond_async in [false, true] {
            let caller = scene.caller(respond_async, respond_async).await;
            scene.offered(caller.id, Err(error.clone())).await;
            caller.refused(code).await;
        }
    }
}

#[actix::test]
async fn a_job_whose_only_caller_has_gone_is_cancelled() {
    let scene = Scene::start(store());
    let id = scene.waiting().await.id;
    scene.tell(Abandoned { id, keep: false }).await;
    assert_eq!(scene.store.call(Method::Cancel, 1).await.jobs, [id]);
    assert_eq!(scene.store.state(id).await, JobState::Cancelled);
}

#[actix::test]
async fn a_job_whose_caller_went_unnoticed_is_cancelled_by_the_sweep() {
    let scene = Scene::start(store());
    let caller = scene.waiting().await;
    drop(caller.reply);
    let cancelled = scene.store.call(Method::Cancel, 1).await;
    assert_eq!(cancelled.jobs, [caller.id]);
    assert!(cancelled.at - scene.began >= SWEEP);
}

#[actix::test]
async fn a_job_whose_caller_goes_before_the_store_has_it_is_cancelled_once_it_has() {
    let scene = Scene::start(store());
    for (nth, noticed) in [(1, true), (2, false)] {
        let caller = scene.caller(false, false).await;
        let id = caller.id;
        drop(caller.reply);
        if noticed {
            scene.tell(Abandoned { id, keep: false }).await;
        }
        scene.accept(id).await;
        scene.offered(id, Ok(id)).await;
        assert_eq!(scene.store.call(Method::Cancel, nth).await.jobs, [id]);
        assert_eq!(scene.store.state(id).await, JobState::Cancelled);
    }
}

#[actix::test]
async fn a_job_that_is_to_be_kept_is_not_cancelled() {
    let scene = Scene::start(store());
    for (told_before, told_after) in [(true, false), (false, true), (true, true)] {
        let mut caller = scene.caller(told_before, false).await;
        let id = caller.id;
        scene.accept(id).await;
        scene.offered(id, Ok(id)).await;
        caller.assert_waits();
        scene
            .tell(Abandoned {
                id,
                keep: told_after,
            })
            .await;
    }
    let mut last = scene.caller(true, false).await;
    last.waits_for(LONG).await;
    assert!(scene.store.calls(Method::Cancel).is_empty());
}

#[actix::test]
async fn a_job_that_somebody_else_waits_for_is_not_cancelled() {
    let scene = Scene::start(store());
    let first = scene.waiting().await;
    let again = scene.caller(true, false).await;
    scene.offered(again.id, Ok(first.id)).await;
    let id = first.id;
    scene.tell(Abandoned { id, keep: false }).await;
    let lease = scene.run_next().await;
    scene.complete_elsewhere(lease, "beagle").await;
    assert_eq!(again.label().await, "beagle");
    assert!(scene.store.calls(Method::Cancel).is_empty());
}
