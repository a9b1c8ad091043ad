//! A store that fails: the Batcher asks again, waits longer each time, and recovers by itself.

use std::time::Duration;

use beagle::store::{JobState, JobStore as _, NewJob, StoreLimits};

use super::{LEASE, Scene, TICK, accept, ids, jobs, store};
use crate::planned_store::{Method, PlannedStore};
use crate::{LONG, job};

/// Asserts that a wait was these milliseconds, spread by up to a quarter, to the timer's tick.
#[track_caller]
fn assert_waited(waited: Duration, millis: u64, waits: u32) {
    let least = Duration::from_millis(millis);
    let most = least + least / 4 + waits * TICK;
    assert!((least..=most).contains(&waited), "{waited:?}");
}

#[actix::test]
async fn a_store_that_fails_to_claim_is_asked_again_until_it_answers() {
    let store = store();
    store.fail(Method::Claim, 5);
    accept(&store, &jobs::<1>()).await;
    let mut scene = Scene::start(store, 1);
    let mut before = scene.store.call(Method::Claim, 1).await.at;
    for (failed, wait) in [50, 100, 200, 400, 800].into_iter().enumerate() {
        let again = scene.store.call(Method::Claim, failed + 2).await.at;
        assert_waited(again - before, wait, 1);
        before = again;
    }
    assert_eq!(scene.batches.next().await.jobs.len(), 1);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(!scene.health.store_is_down());
}

#[actix::test]
async fn a_store_that_fails_to_claim_is_told_as_down_and_not_asked_more_by_looking_again() {
    let store = store();
    store.fail(Method::Claim, usize::MAX);
    store.fail(Method::Tend, usize::MAX);
    let scene = Scene::start(store, 1);
    scene.store.call(Method::Claim, 1).await;
    scene.tell(beagle::message::LookAgain).await;
    assert!(scene.health.store_is_down());
    assert_eq!(scene.rooms(), [4]);
    scene.store.call(Method::Tend, 10).await;
    // Once in 800 ms or a little more, after the first four.
    let asked = scene.rooms().len();
    assert!((12..=17).contains(&asked), "{asked}");
}

#[actix::test]
async fn a_batch_that_could_not_be_started_goes_back_and_runs_after_the_backoff() {
    let (store, all) = (store(), jobs::<2>());
    store.fail(Method::Start, 2);
    accept(&store, &all).await;
    let mut scene = Scene::start(store, 1);
    scene.store.call(Method::Start, 1).await;
    assert!(scene.batches.is_empty());
    let batch = scene.batches.next().await;
    assert_waited(scene.began.elapsed(), 150, 2);
    assert_eq!(ids(&batch), [all[0].id, all[1].id]);
    assert_eq!(scene.store.calls(Method::Start).len(), 3);
    assert_eq!(scene.store.view(all[0].id).await.attempts, 1);
    // Its credit was not lost on the way: the next batch goes when this one is done.
    drop(batch);
    accept(&scene.store, &jobs::<1>()).await;
    assert_eq!(scene.batches.next().await.jobs.len(), 1);
}

#[actix::test]
async fn a_batch_that_was_given_back_is_kept_alive() {
    let (store, all) = (store(), jobs::<1>());
    store.fail(Method::Start, usize::MAX);
    accept(&store, &all).await;
    let scene = Scene::start(store, 1);
    let beat = scene.store.call(Method::Heartbeat, 1).await;
    assert_eq!(beat.jobs, [all[0].id]);
    scene.assert_came(beat.at, LEASE / 3);
}

#[actix::test]
async fn a_failed_heartbeat_and_a_failed_tending_are_tried_again_at_their_next_time() {
    let scene = Scene::with(&jobs::<1>()).await;
    scene.store.fail(Method::Heartbeat, 1);
    scene.store.fail(Method::Tend, 1);
    scene.store.call(Method::Tend, 1).await;
    let beat = scene.store.call(Method::Heartbeat, 2).await;
    scene.assert_came(beat.at, 2 * LEASE / 3);
    assert!(scene.store.calls(Method::Tend).len() >= 19);
}

#[actix::test]
async fn an_unknown_profile_ends_in_a_dead_letter_and_costs_nobody_else() {
    let store = PlannedStore::new(StoreLimits {
        max_attempts: 3,
        ..StoreLimits::default()
    });
    let unknown = NewJob {
        profile: "retired".to_owned(),
        ..job()
    };
    let known = job();
    accept(&store, &[unknown.clone(), known.clone()]).await;
    let mut scene = Scene::start(store, 1);
    let batch = scene.batches.next().await;
    assert_eq!(ids(&batch), [known.id]);
    scene.batches.stays_empty_for(LONG).await;
    let view = scene.store.view(unknown.id).await;
    assert_eq!((view.state, view.attempts), (JobState::Dead, 3));
    assert!(view.reason.unwrap().contains("'retired'"));
    assert_eq!(scene.store.calls(Method::Fail).len(), 3);
    let beats = scene.store.calls(Method::Heartbeat);
    assert!(!beats.is_empty() && beats.iter().all(|beat| beat.jobs == [known.id]));
}

#[actix::test]
async fn an_unknown_profile_that_the_store_did_not_hear_of_is_left_to_its_lease() {
    let store = store();
    store.fail(Method::Start, 1);
    let unknown = NewJob {
        profile: "retired".to_owned(),
        ..job()
    };
    accept(&store, std::slice::from_ref(&unknown)).await;
    let mut scene = Scene::start(store, 1);
    scene.batches.stays_empty_for(LONG).await;
    assert!(scene.store.calls(Method::Heartbeat).is_empty());
    assert_eq!(scene.store.inner.stats().await.unwrap().queued, 1);
}
