//! The way into the store: who waits is known first, and every answer of the store is told.

use std::sync::atomic::Ordering;

use beagle::message::Decoded;
use beagle::store::{Idempotency, JobState, NewJob, StoreError, StoreLimits};
use beagle::ticket::{Arriving, Place, Ticket};

use super::{DELAY, Scene, accept, ids, store, ticket};
use crate::planned_store::{Method, PlannedStore};
use crate::{LONG, job};

fn keyed(fingerprint: &str) -> NewJob {
    NewJob {
        idempotency: Some(Idempotency {
            key: "order 1".to_owned(),
            fingerprint: fingerprint.to_owned(),
        }),
        ..job()
    }
}

#[actix::test]
async fn who_waits_is_told_before_the_store_is_asked_and_then_what_it_said() {
    let mut scene = Scene::start(store(), 0);
    scene.store.hold(Method::Enqueue);
    let job = job();
    let _reply = scene.decoded(job.clone()).await;
    assert_eq!(scene.store.call(Method::Enqueue, 1).await.jobs, [job.id]);
    assert!(
        matches!(scene.told.next().await, super::Told::Awaited(awaited)
            if awaited.ticket.id == job.id && !awaited.keep)
    );
    scene.told.stays_empty_for(LONG).await;
    scene.store.let_go(Method::Enqueue);
    assert!(
        matches!(scene.told.next().await, super::Told::Offered(offered)
            if offered.id == job.id && offered.outcome == Ok(job.id))
    );
    assert_eq!(scene.store.state(job.id).await, JobState::Queued);
}

#[actix::test]
async fn a_full_store_is_told() {
    let limits = StoreLimits {
        max_jobs: 1,
        ..StoreLimits::default()
    };
    let mut scene = Scene::start(PlannedStore::new(limits), 0);
    accept(&scene.store, &[job()]).await;
    let refused = job();
    let _reply = scene.decoded(refused.clone()).await;
    let full = StoreError::TooManyJobs { jobs: 1, limit: 1 };
    assert_eq!(scene.offered(refused.id).await.outcome, Err(full));
    assert!(!scene.health.store_is_down(), "it did answer");
}

#[actix::test]
async fn a_key_brings_the_first_job_or_that_it_was_used_for_another() {
    let mut scene = Scene::start(store(), 0);
    let first = keyed("a");
    accept(&scene.store, std::slice::from_ref(&first)).await;
    let (again, reused) = (keyed("a"), keyed("b"));
    let _reply = scene.decoded(again.clone()).await;
    assert_eq!(scene.offered(again.id).await.outcome, Ok(first.id));
    let _reply = scene.decoded(reused.clone()).await;
    let other = StoreError::KeyReused { job: first.id };
    assert_eq!(scene.offered(reused.id).await.outcome, Err(other));
    assert!(!scene.health.store_is_down(), "it did answer");
}

#[actix::test]
async fn an_unavailable_store_is_told_and_not_asked_again() {
    let mut scene = Scene::start(store(), 0);
    scene.store.fail(Method::Enqueue, 1);
    let refused = job();
    let _reply = scene.decoded(refused.clone()).await;
    let told = scene.offered(refused.id).await;
    assert!(matches!(told.outcome, Err(StoreError::Unavailable(_))));
    assert!(scene.health.store_is_down());
    scene.told.stays_empty_for(LONG).await;
    assert_eq!(scene.store.calls(Method::Enqueue).len(), 1);
    assert!(
        !scene.health.store_is_down(),
        "tending finds that it is back"
    );
}

#[actix::test]
async fn an_image_that_nobody_waits_for_is_offered_only_if_it_is_to_be_kept() {
    let mut scene = Scene::start(store(), 0);
    for keep in [false, true] {
        let job = job();
        let id = job.id;
        let (ticket, reply) = ticket(&job);
        drop(reply);
        scene.tell(Decoded { job, keep, ticket }).await;
        if keep {
            assert_eq!(scene.offered(id).await.outcome, Ok(id));
        } else {
            scene.told.stays_empty_for(LONG).await;
            assert!(scene.store.calls(Method::Enqueue).is_empty());
        }
    }
}

#[actix::test]
async fn the_place_of_an_image_is_given_back_before_the_store_has_it() {
    let scene = Scene::start(store(), 0);
    scene.store.hold(Method::Enqueue);
    let place = Place {
        arriving: Some(Arriving::count(&scene.arriving)),
        ..Place::default()
    };
    let (mut ticket, _reply) = Ticket::open(place, false);
    let job = job();
    ticket.id = job.id;
    assert_eq!(scene.arriving.load(Ordering::Relaxed), 1);
    let keep = false;
    scene.tell(Decoded { job, keep, ticket }).await;
    assert_eq!(scene.arriving.load(Ordering::Relaxed), 0);
}

#[actix::test]
async fn a_job_that_comes_to_an_idle_server_is_started_with_its_offer() {
    let mut scene = Scene::start(store(), 1);
    for nth in 1..=2 {
        let job = job();
        let _reply = scene.decoded(job.clone()).await;
        let batch = scene.batches.next().await;
        assert_eq!(ids(&batch), [job.id]);
        assert_eq!(batch.pixels, job.pixels);
        assert_eq!(scene.offered(job.id).await.outcome, Ok(job.id));
        let view = scene.store.view(job.id).await;
        assert_eq!((view.state, view.attempts), (JobState::Running, 1));
        let beat = scene.store.call(Method::Heartbeat, nth).await;
        assert_eq!(beat.jobs, [job.id]);
        scene.settle(&batch).await;
    }
    assert!(scene.store.calls(Method::Start).is_empty());
    assert!(scene.store.calls(Method::Enqueue).is_empty());
}

#[actix::test]
async fn a_job_with_company_on_its_way_waits_for_it() {
    let mut scene = Scene::start(store(), 1);
    scene.arriving.store(1, Ordering::Relaxed);
    let _reply = scene.decoded(job()).await;
    let batch = scene.batches.next().await;
    scene.assert_came(tokio::time::Instant::now(), DELAY);
    assert_eq!(batch.jobs.len(), 1);
    assert!(scene.store.calls(Method::EnqueueAndStart).is_empty());
}

#[actix::test]
async fn a_job_that_comes_while_another_runs_is_offered_to_the_queue() {
    let mut scene = Scene::start(store(), 2);
    let _first = scene.decoded(job()).await;
    let _running = scene.batches.next().await;
    let second = job();
    let _second = scene.decoded(second.clone()).await;
    assert_eq!(ids(&scene.batches.next().await), [second.id]);
    assert_eq!(scene.store.calls(Method::EnqueueAndStart).len(), 1);
    assert_eq!(scene.store.calls(Method::Enqueue).len(), 1);
}

#[actix::test]
async fn without_a_credit_a_job_is_offered_to_the_queue() {
    let mut scene = Scene::start(store(), 1);
    let _first = scene.decoded(job()).await;
    let batch = scene.batches.next().await;
    scene.settle(&batch).await;
    let second = job();
    let _second = scene.decoded(second.clone()).await;
    scene.batches.stays_empty_for(LONG).await;
    assert_eq!(scene.store.state(second.id).await, JobState::Queued);
    drop(batch);
    assert_eq!(ids(&scene.batches.next().await), [second.id]);
}

#[actix::test]
async fn a_started_job_whose_classifier_another_was_given_waits_and_is_charged_once() {
    let mut scene = Scene::start(store(), 1);
    scene.store.hold(Method::EnqueueAndStart);
    let late = job();
    let _reply = scene.decoded(late.clone()).await;
    scene.store.call(Method::EnqueueAndStart, 1).await;
    let quick = job();
    accept(&scene.store, std::slice::from_ref(&quick)).await;
    let batch = scene.batches.next().await;
    assert_eq!(ids(&batch), [quick.id]);
    scene.store.let_go(Method::EnqueueAndStart);
    assert_eq!(scene.offered(late.id).await.outcome, Ok(late.id));
    scene.batches.stays_empty_for(LONG).await;
    drop(batch);
    assert_eq!(ids(&scene.batches.next().await), [late.id]);
    let view = scene.store.view(late.id).await;
    assert_eq!((view.state, view.attempts), (JobState::Running, 1));
}

#[actix::test]
async fn an_offer_to_an_idle_server_that_fails_leaves_it_idle() {
    let mut scene = Scene::start(store(), 1);
    scene.store.fail(Method::EnqueueAndStart, 1);
    let refused = job();
    let _reply = scene.decoded(refused.clone()).await;
    let told = scene.offered(refused.id).await;
    assert!(matches!(told.outcome, Err(StoreError::Unavailable(_))));
    let next = job();
    let _reply = scene.decoded(next.clone()).await;
    assert_eq!(ids(&scene.batches.next().await), [next.id]);
    assert_eq!(scene.store.calls(Method::EnqueueAndStart).len(), 2);
}
