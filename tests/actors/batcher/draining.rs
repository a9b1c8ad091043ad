//! The end: what was not started goes back, what was is waited for, and then nothing happens.

use std::time::Duration;

use beagle::message::{Drain, LookAgain};
use beagle::store::{JobState, JobStore as _};
use tokio::sync::oneshot::{self, Receiver};
use tokio::time::timeout;

use super::{Scene, accept, ids, jobs, store};
use crate::planned_store::Method;
use crate::{GUARD, LONG, job};

impl Scene {
    async fn drain(&self) -> Receiver<()> {
        let (done, drained) = oneshot::channel();
        self.tell(Drain { done }).await;
        drained
    }

    /// Asserts that the store is left alone, whatever happens from now on.
    async fn assert_over(&mut self) {
        let asked = self.store.count();
        accept(&self.store, &jobs::<2>()).await;
        self.tell(LookAgain).await;
        self.batches.stays_empty_for(LONG).await;
        assert_eq!(self.store.count(), asked);
    }
}

async fn done(drained: Receiver<()>) {
    timeout(GUARD, drained).await.expect("it goes on").unwrap();
}

#[actix::test]
async fn what_was_not_started_goes_back_and_what_was_is_waited_for() {
    let all = jobs::<3>();
    let mut scene = Scene::with(&all).await;
    let batch = scene.batches.next().await;
    let mut drained = scene.drain().await;
    let released = scene.store.call(Method::Release, 1).await;
    assert_eq!(released.jobs, [all[2].id]);
    scene.batches.stays_empty_for(LONG).await;
    assert!(drained.try_recv().is_err(), "a batch is with a Classifier");
    let beats = scene.store.calls(Method::Heartbeat);
    let last = &beats.last().expect("what is waited for is kept alive").jobs;
    assert_eq!(*last, [all[0].id, all[1].id]);

    scene.settle(&batch).await;
    done(drained).await;
    drop(batch);
    scene.assert_over().await;
    // Others can have what was handed back.
    let claimed = scene.store.inner.claim(1).await.unwrap();
    assert_eq!((claimed[0].lease.id, claimed[0].attempts), (all[2].id, 0));
}

#[actix::test]
async fn an_idle_batcher_is_done_at_once_and_claims_nothing_afterwards() {
    let mut scene = Scene::start(store(), 1);
    scene.store.call(Method::Claim, 1).await;
    done(scene.drain().await).await;
    assert_eq!(scene.began.elapsed(), Duration::ZERO);
    scene.assert_over().await;
}

#[actix::test]
async fn nothing_is_claimed_or_tended_while_a_batch_is_waited_for() {
    let mut scene = Scene::with(&jobs::<1>()).await;
    let batch = scene.batches.next().await;
    let drained = scene.drain().await;
    let (claims, tends) = (Method::Claim, Method::Tend);
    let asked = scene.store.calls(claims).len() + scene.store.calls(tends).len();
    accept(&scene.store, &jobs::<2>()).await;
    scene.batches.stays_empty_for(LONG).await;
    let then = scene.store.calls(claims).len() + scene.store.calls(tends).len();
    assert_eq!(then, asked);
    scene.settle(&batch).await;
    done(drained).await;
}

#[actix::test]
async fn a_batch_that_is_being_started_is_run_and_waited_for() {
    let store = store();
    store.hold(Method::Start);
    let all = jobs::<1>();
    accept(&store, &all).await;
    let mut scene = Scene::start(store, 1);
    scene.store.call(Method::Start, 1).await;
    let mut drained = scene.drain().await;
    scene.store.call(Method::Release, 1).await;
    scene.store.let_go(Method::Start);
    let batch = scene.batches.next().await;
    assert_eq!(ids(&batch), [all[0].id]);
    assert!(drained.try_recv().is_err());
    scene.settle(&batch).await;
    done(drained).await;
}

#[actix::test]
async fn a_store_that_fails_to_take_jobs_back_does_not_hold_up_the_end() {
    let all = jobs::<3>();
    let mut scene = Scene::with(&all).await;
    let batch = scene.batches.next().await;
    scene.store.fail(Method::Release, 1);
    let drained = scene.drain().await;
    scene.settle(&batch).await;
    done(drained).await;
    scene.assert_over().await;
}

#[actix::test]
async fn a_store_that_could_not_be_asked_for_jobs_is_not_asked_after_the_end() {
    let store = store();
    store.fail(Method::Claim, usize::MAX);
    let mut scene = Scene::start(store, 1);
    scene.store.call(Method::Claim, 2).await;
    done(scene.drain().await).await;
    scene.assert_over().await;
}

#[actix::test]
async fn an_image_that_comes_during_the_end_is_accepted_for_others() {
    let mut scene = Scene::with(&jobs::<1>()).await;
    let batch = scene.batches.next().await;
    let drained = scene.drain().await;
    let late = job();
    let _reply = scene.decoded(late.clone()).await;
    assert_eq!(scene.offered(late.id).await.outcome, Ok(late.id));
    scene.settle(&batch).await;
    done(drained).await;
    drop(batch);
    scene.batches.stays_empty_for(LONG).await;
    assert_eq!(scene.store.state(late.id).await, JobState::Queued);
}
