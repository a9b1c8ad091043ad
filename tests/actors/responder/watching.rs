//! Who watches a job: woken when it ends anywhere, and now and then if nobody says so.

use std::time::Duration;

use beagle::store::JobStore as _;
use tokio::time::timeout;

use super::{Scene, silent_store, store};
use crate::LONG;

/// How often watchers are woken without a notice.
const LOOK: Duration = Duration::from_secs(1);

#[actix::test]
async fn an_end_wakes_who_watches_the_job_at_once() {
    let scene = Scene::start(store());
    let (caller, other) = (scene.waiting().await, scene.waiting().await);
    let mut watcher = scene.watch.add(caller.id).unwrap();
    let mut elsewhere = scene.watch.add(other.id).unwrap();
    scene.store.inner.cancel(caller.id).await.unwrap();
    assert_eq!(timeout(LONG, watcher.rung()).await, Ok(true));
    assert_eq!(scene.began.elapsed(), Duration::ZERO);
    let before_the_look = timeout(LOOK / 2, elsewhere.rung());
    assert!(before_the_look.await.is_err(), "its job has not ended");
}

#[actix::test]
async fn who_watches_looks_now_and_then_if_no_notice_comes() {
    let scene = Scene::start(silent_store());
    let caller = scene.waiting().await;
    let mut watcher = scene.watch.add(caller.id).unwrap();
    scene.store.inner.cancel(caller.id).await.unwrap();
    assert_eq!(timeout(LONG, watcher.rung()).await, Ok(true));
    assert!(scene.began.elapsed() <= LOOK + Duration::from_millis(10));
}
