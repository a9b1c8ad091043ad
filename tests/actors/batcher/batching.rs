//! The way out of the store: what is claimed, when it goes, with whom, and how long it is held.

use std::sync::atomic::Ordering;
use std::time::Duration;

use beagle::batch::policy::SOON;
use beagle::message::Settled;
use beagle::store::{Failure, JobState, JobStore as _, NewJob, Priority, UnixMillis};

use tokio::time::Instant;

use super::{DELAY, LEASE, Scene, accept, ids, jobs, store};
use crate::planned_store::Method;
use crate::{LONG, job};

#[actix::test]
async fn no_more_is_claimed_than_there_is_room_for() {
    let mut scene = Scene::with(&jobs::<10>()).await;
    let first = scene.batches.next().await;
    scene.batches.stays_empty_for(LONG).await;
    // A batch for the Classifier and one more; then what the first batch left room for.
    assert_eq!(scene.rooms(), [4, 2]);
    scene.settle(&first).await;
    drop(first);
    let second = scene.batches.next().await;
    scene.batches.stays_empty_for(LONG).await;
    assert_eq!(second.jobs.len(), 2);
    assert_eq!(scene.rooms(), [4, 2, 2]);
}

#[actix::test]
async fn a_slow_classifier_leaves_to_others_what_it_cannot_run_soon() {
    let mut scene = Scene::start(store(), 1);
    scene.store.call(Method::Claim, 1).await;
    for _ in 0..16 {
        // Until what it did before no longer counts.
        scene.pulse.begin(Instant::now());
        scene.pulse.end(Instant::now() + SOON, 1);
    }
    // The first claim was made when it was known to be fast.
    accept(&scene.store, &jobs::<4>()).await;
    let batch = scene.batches.next().await;
    accept(&scene.store, &jobs::<6>()).await;
    scene.batches.stays_empty_for(LONG).await;
    scene.settle(&batch).await;
    drop(batch);
    let batch = scene.batches.next().await;
    assert_eq!(batch.jobs.len(), 2, "what it had");
    scene.batches.stays_empty_for(LONG).await;
    assert_eq!(scene.rooms(), [4, 1], "one job waits here, five are left");
    assert_eq!(scene.store.inner.claim(8).await.unwrap().len(), 5);
}

#[actix::test]
async fn nothing_is_claimed_without_classifiers() {
    let store = store();
    accept(&store, &jobs::<2>()).await;
    let mut scene = Scene::start(store, 0);
    scene.batches.stays_empty_for(LONG).await;
    assert!(scene.rooms().is_empty());
    assert_eq!(scene.depth.load(Ordering::Relaxed), 2);
}

#[actix::test]
async fn a_lone_job_goes_at_once_with_its_pixels() {
    let urgent = NewJob {
        profile: "other".to_owned(),
        top: 3,
        ..job()
    };
    let mut scene = Scene::with(std::slice::from_ref(&urgent)).await;
    let batch = scene.batches.next().await;
    assert_eq!(scene.began.elapsed(), Duration::ZERO);
    assert_eq!((ids(&batch), batch.lane), (vec![urgent.id], 1));
    assert_eq!(
        (batch.jobs[0].top, batch.pixels.as_slice()),
        (3, &[7; 12][..])
    );
    let view = scene.store.view(urgent.id).await;
    assert_eq!((view.state, view.attempts), (JobState::Running, 1));
}

#[actix::test]
async fn with_company_on_its_way_a_job_waits_for_the_longest_delay_and_no_longer() {
    let mut scene = Scene::start(store(), 1);
    scene.arriving.store(1, Ordering::Relaxed);
    accept(&scene.store, &jobs::<1>()).await;
    let batch = scene.batches.next().await;
    scene.assert_came(tokio::time::Instant::now(), DELAY);
    assert_eq!(batch.jobs.len(), 1);
}

#[actix::test]
async fn a_full_batch_waits_for_nobody() {
    let mut scene = Scene::start(store(), 1);
    scene.arriving.store(1, Ordering::Relaxed);
    accept(&scene.store, &jobs::<2>()).await;
    assert_eq!(scene.batches.next().await.jobs.len(), 2);
    assert_eq!(scene.began.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn company_that_is_refused_by_the_store_is_waited_for_no_more() {
    let mut scene = Scene::start(store(), 1);
    scene.store.hold(Method::EnqueueAndStart);
    scene.store.fail(Method::EnqueueAndStart, 1);
    let _reply = scene.decoded(job()).await;
    scene.store.call(Method::EnqueueAndStart, 1).await;
    accept(&scene.store, &jobs::<1>()).await;
    // The claim has come back when the next one is asked for: the job waits for its company.
    scene.store.call(Method::Claim, 2).await;
    assert!(scene.batches.is_empty());
    scene.store.let_go(Method::EnqueueAndStart);
    assert_eq!(scene.batches.next().await.jobs.len(), 1);
    assert_eq!(scene.began.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn a_batch_waits_for_a_credit_and_goes_when_it_comes_back() {
    let all = jobs::<3>();
    let mut scene = Scene::with(&all).await;
    let first = scene.batches.next().await;
    scene.batches.stays_empty_for(LONG).await;
    assert_eq!(scene.store.state(all[2].id).await, JobState::Queued);
    let then = tokio::time::Instant::now();
    drop(first);
    assert_eq!(ids(&scene.batches.next().await), [all[2].id]);
    assert_eq!(then.elapsed(), Duration::ZERO);
}

#[actix::test]
async fn each_classifier_gets_a_batch() {
    let store = store();
    accept(&store, &jobs::<5>()).await;
    let mut scene = Scene::start(store, 2);
    let (first, second) = (scene.batches.next().await, scene.batches.next().await);
    assert_eq!((first.jobs.len(), second.jobs.len()), (2, 2));
    scene.batches.stays_empty_for(LONG).await;
}

#[actix::test]
async fn a_suspect_goes_alone() {
    let (store, all) = (store(), jobs::<3>());
    // The second was started once, in company.
    accept(&store, &all[1..2]).await;
    let lease = store.inner.claim(1).await.unwrap()[0].lease;
    store.inner.start(&[lease]).await.unwrap();
    let reason = "the model panicked".to_owned();
    store
        .inner
        .fail(&[Failure { lease, reason }])
        .await
        .unwrap();
    accept(&store, &[all[0].clone(), all[2].clone()]).await;

    let mut scene = Scene::start(store, 1);
    let suspect = scene.batches.next().await;
    assert_eq!(ids(&suspect), [all[1].id]);
    drop(suspect);
    assert_eq!(ids(&scene.batches.next().await), [all[0].id, all[2].id]);
}

#[actix::test]
async fn what_has_ended_before_its_start_never_reaches_a_classifier() {
    let all = jobs::<4>();
    let mut scene = Scene::with(&all).await;
    let first = scene.batches.next().await;
    // Both of the next batch are gone when their turn comes: one taken back, one taken over.
    scene.store.inner.cancel(all[2].id).await.unwrap();
    let stolen = beagle::store::Lease {
        id: all[3].id,
        fence: 1,
    };
    scene.store.inner.release(&[stolen]).await.unwrap();
    let other = scene.store.inner.claim(1).await.unwrap();
    assert_eq!(other[0].lease.id, all[3].id);
    drop(first);
    scene.store.call(Method::Start, 2).await;
    assert!(scene.batches.is_empty());
    // The credit of the batch that was not is there for the next one, and nothing is left of it.
    let last = job();
    accept(&scene.store, std::slice::from_ref(&last)).await;
    assert_eq!(ids(&scene.batches.next().await), [last.id]);
    let beat = scene.store.call(Method::Heartbeat, 1).await;
    assert_eq!(beat.jobs, [all[0].id, all[1].id, last.id]);
}

#[actix::test]
async fn a_job_whose_deadline_passes_before_its_start_never_reaches_a_classifier() {
    let [first, second, mut late] = jobs::<3>();
    late.deadline = UnixMillis::now().after(Duration::from_millis(300));
    late.priority = Priority::Low;
    let mut scene = Scene::with(&[first, second, late.clone()]).await;
    let busy = scene.batches.next().await;
    while UnixMillis::now() < late.deadline {
        std::thread::yield_now();
    }
    drop(busy);
    scene.batches.stays_empty_for(LONG).await;
    assert_eq!(scene.store.state(late.id).await, JobState::Expired);
}

#[actix::test]
async fn everything_held_is_kept_alive_until_it_is_settled() {
    let all = jobs::<3>();
    let mut scene = Scene::with(&all).await;
    let first = scene.batches.next().await;
    let beat = scene.store.call(Method::Heartbeat, 1).await;
    scene.assert_came(beat.at, LEASE / 3);
    assert_eq!(beat.jobs, [all[0].id, all[1].id, all[2].id]);

    scene.settle(&first).await;
    let beat = scene.store.call(Method::Heartbeat, 2).await;
    scene.assert_came(beat.at, 2 * LEASE / 3);
    assert_eq!(beat.jobs, [all[2].id]);

    drop(first);
    let second = scene.batches.next().await;
    // Another's lease of the same job settles nothing.
    let mut stale = second.jobs[0].lease;
    stale.fence += 1;
    scene.tell(Settled(vec![stale])).await;
    let beat = scene.store.call(Method::Heartbeat, 3).await;
    assert_eq!(beat.jobs, [all[2].id]);
    scene.settle(&second).await;
    scene.batches.stays_empty_for(LONG).await;
    assert_eq!(scene.store.calls(Method::Heartbeat).len(), 3);
}

#[actix::test]
async fn the_store_is_tended_each_second() {
    let scene = Scene::start(store(), 1);
    for second in 1..=3 {
        let tended = scene.store.call(Method::Tend, second).await;
        scene.assert_came(tended.at, Duration::from_secs(second as u64));
    }
}

#[actix::test]
async fn a_batch_does_not_wait_behind_the_next_claim() {
    let mut scene = Scene::with(&jobs::<3>()).await;
    scene.batches.next().await;
    let asked = scene.store.methods();
    let mut claims = (0..asked.len()).filter(|&at| asked[at] == Method::Claim);
    let start = asked.iter().position(|&method| method == Method::Start);
    assert!(claims.next() < start, "{asked:?}");
    assert!(claims.all(|claim| Some(claim) > start), "{asked:?}");
}
