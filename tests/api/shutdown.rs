//! The end: who waits is answered, what was not started stays in the store.

use std::thread;

use beagle::app::Ended;
use beagle::store::JobState;

use crate::app::TestApp;
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
    let app = TestApp::with(|wanted| wanted.settings.batch.max_size = 1);
    let asynchronous = [("Content-Type", "image/bmp"), ("Prefer", "respond-async")];
    app.post_with("/predict", &picture(1, Act::Wait), &asynchronous);
    app.stage.wait_for_batches(1);
    for class in 2..6 {
        app.post_with("/predict", &picture(class, Act::Wait), &asynchronous);
    }
    let store = app.store.clone();
    let stage = app.stage.clone();
    assert_eq!(app.stop(), Ended::InOrder);
    let ran = stage.batches().len();
    let jobs = futures_executor::block_on(store.list(None, 100));
    if let Ok(jobs) = jobs {
        let done = jobs
            .iter()
            .filter(|job| job.state == JobState::Done)
            .count();
        let queued = jobs
            .iter()
            .filter(|job| job.state == JobState::Queued)
            .count();
        assert_eq!((done, queued), (ran, 5 - ran), "{jobs:?}");
    }
}
