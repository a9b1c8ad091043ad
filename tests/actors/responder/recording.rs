//! Outcomes: on record first, told afterwards, and the first one is the only one.

use std::time::{Duration, Instant};

use beagle::error::ErrorCode;
use beagle::observe::Point;
use beagle::store::{JobState, JobStore as _, StoreLimits};
use beagle::ticket::Timing;

use super::{INFER, QUEUED, Scene, silent_store, store};
use crate::LONG;
use crate::planned_store::{Method, PlannedStore};

#[actix::test]
async fn a_result_is_in_the_store_before_anybody_is_answered() {
    let mut scene = Scene::start(store());
    let mut caller = scene.waiting().await;
    let lease = scene.run_next().await;
    scene.store.hold(Method::Complete);
    scene.classified(&[(lease, Ok("beagle"))]).await;
    scene.store.call(Method::Complete, 1).await;
    caller.waits_for(LONG).await;
    assert!(scene.settled.is_empty());
    assert!(scene.witness.jobs_at(Point::Completed).is_empty());
    assert_eq!(scene.store.state(lease.id).await, JobState::Running);

    scene.store.let_go(Method::Complete);
    let answer = caller.answer().await;
    assert_eq!(answer.id, lease.id);
    assert_eq!(answer.predictions[0].label, "beagle");
    let timing = Timing {
        decode: Duration::ZERO,
        queue: QUEUED,
        infer: INFER,
    };
    assert_eq!(answer.timing, timing);
    assert_eq!(scene.store.state(lease.id).await, JobState::Done);
    assert_eq!(scene.settled.next().await.0, [lease]);
    assert_eq!(scene.witness.jobs_at(Point::Completed), [lease.id]);
    assert!(scene.rate.lock().unwrap().per_second(Instant::now()) > 0.0);
    // There was no failure to tell the store of.
    assert!(scene.store.calls(Method::Fail).is_empty());
}

#[actix::test]
async fn a_result_that_nobody_waits_for_is_recorded_all_the_same() {
    let mut scene = Scene::start(store());
    let id = crate::job().id;
    scene.accept(id).await;
    let lease = scene.run_next().await;
    scene.classified(&[(lease, Ok("beagle"))]).await;
    assert_eq!(scene.settled.next().await.0, [lease]);
    assert_eq!(scene.store.state(id).await, JobState::Done);
}

#[actix::test]
async fn the_first_result_of_a_job_is_the_one_that_is_told() {
    let mut scene = Scene::start(silent_store());
    let caller = scene.waiting().await;
    let lost = scene.run_next().await;
    // The lease was lost to another process, which was faster.
    scene.store.inner.fail(&[failure(lost)]).await.unwrap();
    let other = scene.run_next().await;
    scene.complete_elsewhere(other, "first").await;
    scene.classified(&[(lost, Ok("second"))]).await;
    assert_eq!(caller.label().await, "first");
    assert_eq!(scene.began.elapsed(), Duration::ZERO);
    assert_eq!(scene.settled.next().await.0, [lost]);
    assert!(scene.witness.jobs_at(Point::Completed).is_empty());
}

#[actix::test]
async fn a_late_result_of_a_job_that_another_still_runs_answers_nobody() {
    let mut scene = Scene::start(store());
    let mut caller = scene.waiting().await;
    let lost = scene.run_next().await;
    scene.store.inner.fail(&[failure(lost)]).await.unwrap();
    let other = scene.run_next().await;
    scene.classified(&[(lost, Ok("late"))]).await;
    assert_eq!(scene.settled.next().await.0, [lost]);
    caller.waits_for(LONG).await;
    scene.complete_elsewhere(other, "in time").await;
    assert_eq!(caller.label().await, "in time");
}

#[actix::test]
async fn an_attempt_that_fails_answers_nobody_and_the_last_one_says_why() {
    let mut scene = Scene::start(PlannedStore::new(StoreLimits {
        max_attempts: 2,
        ..StoreLimits::default()
    }));
    let mut caller = scene.waiting().await;
    let first = scene.run_next().await;
    scene.classified(&[(first, Err("no power"))]).await;
    assert_eq!(scene.settled.next().await.0, [first]);
    assert_eq!(scene.store.state(first.id).await, JobState::Queued);
    caller.waits_for(LONG).await;

    let last = scene.run_next().await;
    scene.classified(&[(last, Err("no paper"))]).await;
    let told = caller.refused(ErrorCode::DeadLetter).await;
    assert!(told.contains("no paper"), "{told}");
    assert_eq!(scene.settled.next().await.0, [last]);
    assert_eq!(scene.store.state(first.id).await, JobState::Dead);
}

#[actix::test]
async fn each_job_of_a_batch_is_told_its_own_outcome() {
    let mut scene = Scene::start(PlannedStore::new(StoreLimits {
        max_attempts: 1,
        ..StoreLimits::default()
    }));
    let callers = [
        scene.waiting().await,
        scene.waiting().await,
        scene.waiting().await,
    ];
    let (a, b, c) = (
        scene.run_next().await,
        scene.run_next().await,
        scene.run_next().await,
    );
    let outcomes = [(a, Ok("cat")), (b, Err("broken")), (c, Ok("dog"))];
    scene.classified(&outcomes).await;
    let [first, second, third] = callers;
    assert_eq!(first.label().await, "cat");
    assert_eq!(third.label().await, "dog");
    second.refused(ErrorCode::DeadLetter).await;
    assert_eq!(scene.settled.next().await.0, [a, c, b]);
}

#[actix::test]
async fn results_are_kept_while_the_store_is_away_and_told_when_it_is_back() {
    let mut scene = Scene::start(store());
    let mut caller = scene.waiting().await;
    let lease = scene.run_next().await;
    scene.store.fail(Method::Complete, 7);
    scene.classified(&[(lease, Ok("beagle"))]).await;
    scene.store.call(Method::Complete, 7).await;
    caller.assert_waits();
    assert!(scene.settled.is_empty(), "it must be kept alive");
    assert!(scene.health.store_is_down());
    assert_eq!(caller.label().await, "beagle");
    let waited = scene.began.elapsed();
    // 50, 100, 200, 400 and three times 800 ms, each spread by up to a quarter.
    let least = Duration::from_millis(3150);
    assert!((least..least + least / 4 + Duration::from_millis(14)).contains(&waited));
    assert_eq!(scene.settled.next().await.0, [lease]);
}

#[actix::test]
async fn failures_are_kept_while_the_store_is_away() {
    let mut scene = Scene::start(PlannedStore::new(StoreLimits {
        max_attempts: 1,
        ..StoreLimits::default()
    }));
    let caller = scene.waiting().await;
    let lease = scene.run_next().await;
    scene.store.fail(Method::Fail, 3);
    scene.classified(&[(lease, Err("broken"))]).await;
    caller.refused(ErrorCode::DeadLetter).await;
    assert_eq!(scene.store.calls(Method::Fail).len(), 4);
    assert!(scene.store.calls(Method::Complete).is_empty());
    assert_eq!(scene.settled.next().await.0, [lease]);
}

#[actix::test]
async fn a_result_that_cannot_be_recorded_holds_up_no_other() {
    let mut scene = Scene::start(store());
    let mut stuck = scene.waiting().await;
    let lease = scene.run_next().await;
    let next = scene.waiting().await;
    let other = scene.run_next().await;
    scene.store.fail(Method::Complete, 1);
    scene.classified(&[(lease, Ok("stuck"))]).await;
    scene.store.call(Method::Complete, 1).await;
    scene.classified(&[(other, Ok("next"))]).await;
    assert_eq!(next.label().await, "next");
    stuck.assert_waits();
    assert_eq!(stuck.label().await, "stuck");
    assert_eq!(scene.settled.next().await.0, [other]);
}

fn failure(lease: beagle::store::Lease) -> beagle::store::Failure {
    let reason = "its process died".to_owned();
    beagle::store::Failure { lease, reason }
}
