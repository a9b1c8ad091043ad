//! The end: who waits is answered, what was not started stays in the store.

use std::sync::Arc;
use std::thread;

use beagle::app::Ended;
use beagle::store::sqlite::{SqliteStore, Synchronous};
use beagle::store::{JobState, JobStore as _, StoreLimits};
use futures_executor::block_on;

use crate::app::{TestApp, Wanted};
use crate::fake::{Act, picture};

#[test]
fn requests_that_are_open_are_answered_before_the_end() {
    let mut app = TestApp::start();
    let (agent, url) = (ureq::agent(), app.url("/predict"));
    let stage = app.stage.clone();
    let open = thread::spawn(move || {
        let request = agent.post(url).header("Content-Type", "image/bmp");
        crate::app::Told::of(request.send(&picture(3, Act::Wait)[..]).unwrap())
    });
    stage.wait_for_batches(1);
    app.tell_to_stop();
    stage.open();
    open.join().unwrap().assert_class(3);
    assert_eq!(app.stop(), Ended::InOrder);
}

#[test]
fn what_was_not_started_is_still_queued_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queue.db");
    let open = || SqliteStore::open(&file, StoreLimits::default(), Synchronous::Normal).unwrap();
    let mut wanted = Wanted::default();
    wanted.settings.batch.max_size = 1;
    let app = TestApp::on(Arc::new(open()), wanted);
    let asynchronous = [("Content-Type", "image/bmp"), ("Prefer", "respond-async")];
    app.post_with("/predict", &picture(1, Act::Wait), &asynchronous);
    app.stage.wait_for_batches(1);
    for class in 2..6 {
        app.post_with("/predict", &picture(class, Act::Wait), &asynchronous);
    }
    let stage = app.stage.clone();
    assert_eq!(app.stop(), Ended::InOrder);
    let ran = stage.batches().len();
    let jobs = block_on(open().list(None, 100)).unwrap();
    let count = |state| jobs.iter().filter(|job| job.state == state).count();
    assert_eq!(
        (count(JobState::Done), count(JobState::Queued)),
        (ran, 5 - ran),
        "{jobs:?}"
    );
    let attempts = |state: JobState, attempts| {
        let mut of_state = jobs.iter().filter(|job| job.state == state);
        assert!(of_state.all(|job| job.attempts == attempts), "{jobs:?}");
    };
    attempts(JobState::Done, 1);
    attempts(JobState::Queued, 0);
}
