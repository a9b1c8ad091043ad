//! A model that hangs: its jobs go back, readiness is withdrawn, whoever ends the process is told.

use std::time::Duration;

use beagle::store::{JobState, JobStore as _};
use tokio::time::{Instant, timeout};

use super::{Scene, WEDGE, jobs};
use crate::LONG;
use crate::planned_store::Method;

/// The Batcher looks this often.
const LOOK: Duration = Duration::from_secs(1);

#[actix::test]
async fn a_batch_that_does_not_come_out_gives_everything_back_and_charges_what_was_started() {
    let all = jobs::<3>();
    let mut scene = Scene::with(&all).await;
    let batch = scene.batches.next().await;
    scene.pulse.begin(Instant::now());
    timeout(WEDGE + 2 * LOOK, scene.wedged.notified())
        .await
        .expect("nobody was told");
    let after = scene.began.elapsed();
    assert!((WEDGE..=WEDGE + 2 * LOOK).contains(&after), "{after:?}");
    assert_eq!(scene.health.reasons().last(), Some(&"the model hangs"));

    let mut back = scene.store.inner.claim(8).await.unwrap();
    back.sort_by_key(|job| job.attempts);
    let attempts: Vec<_> = back.iter().map(|job| job.attempts).collect();
    assert_eq!(attempts, [0, 1, 1], "what was not started is not charged");
    let reason = scene.store.view(all[0].id).await.reason.unwrap();
    assert!(reason.contains("hung"), "{reason}");

    // Nothing more is done here, whatever comes.
    drop(batch);
    let asked = scene.store.count();
    scene.batches.stays_empty_for(LONG).await;
    assert_eq!(scene.store.count(), asked);
}

#[actix::test]
async fn batches_that_come_out_in_time_are_no_reason() {
    let all = jobs::<1>();
    let mut scene = Scene::with(&all).await;
    let batch = scene.batches.next().await;
    for _ in 0..3 {
        scene.pulse.begin(Instant::now());
        let hangs = timeout(WEDGE - LOOK, scene.wedged.notified()).await;
        assert!(hangs.is_err(), "a batch took {:?}", WEDGE - LOOK);
        scene.pulse.end(Instant::now(), 1);
    }
    // The lease has been kept alive all the time.
    assert_eq!(scene.store.state(all[0].id).await, JobState::Running);
    assert!(scene.store.calls(Method::Heartbeat).len() > 10);
    drop(batch);
}

#[actix::test]
async fn a_process_that_stood_still_itself_blames_no_model() {
    let mut scene = Scene::with(&jobs::<1>()).await;
    let batch = scene.batches.next().await;
    scene.pulse.begin(Instant::now());
    // All at once, as it is for a process that was stopped.
    tokio::time::advance(WEDGE * 10).await;
    let early = timeout(WEDGE - LOOK, scene.wedged.notified()).await;
    assert!(early.is_err(), "it was watched for less than {WEDGE:?}");
    let late = timeout(3 * LOOK, scene.wedged.notified()).await;
    assert!(late.is_ok(), "it hangs all the same");
    drop(batch);
}
