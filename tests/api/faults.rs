//! Models that panic and fail: an image costs itself, never its batch mates.

use std::thread;

use crate::app::TestApp;
use crate::fake::{Act, picture};

/// A model that is busy, so that what follows gathers into one batch.
#[track_caller]
fn batch_of_16_with(act: Act) {
    let app = TestApp::start();
    let images: Vec<Vec<u8>> = (0..16)
        .map(|class| picture(class, if class == 7 { act } else { Act::Answer }))
        .collect();
    // From then on it is known to be fast, and gets more than one job at once.
    app.classify(100, Act::Answer).assert_class(100);
    thread::scope(|scope| {
        let busy = scope.spawn(|| app.classify(200, Act::Wait));
        app.stage.wait_for_batches(2);
        let many = scope.spawn(|| app.post_parts("/predict", &images));
        // All sixteen are in the queue before the model goes on.
        while futures_executor::block_on(app.store.stats())
            .unwrap()
            .queued
            < 16
        {
            thread::yield_now();
        }
        app.stage.open();
        busy.join().unwrap().assert_class(200);
        let told = many.join().unwrap();
        let results = told.json["results"].as_array().unwrap();
        for (class, result) in results.iter().enumerate() {
            if class == 7 {
                assert_eq!(result["error"]["code"], "dead_letter", "{result}");
                let message = result["error"]["message"].as_str().unwrap();
                assert!(message.contains("the picture said"), "{message}");
            } else {
                let label = format!("class_{class}");
                assert_eq!(
                    result["predictions"][0]["label"],
                    label.as_str(),
                    "{result}"
                );
            }
        }
        let batches = app.stage.batches();
        let with_it: Vec<usize> = batches
            .iter()
            .filter(|batch| batch.contains(&7))
            .map(Vec::len)
            .collect();
        assert_eq!(
            with_it,
            [16, 1, 1, 1],
            "in company once, then alone three times"
        );
        let job = app.get(&format!("/jobs/{}", results[7]["job"].as_str().unwrap()));
        assert_eq!(
            (&job.json["state"], &job.json["attempts"]),
            (&"dead".into(), &4.into())
        );
    });
    app.classify(1, Act::Answer).assert_class(1);
}

#[test]
fn a_panic_in_a_batch_of_16_costs_one_image() {
    batch_of_16_with(Act::Panic);
}

#[test]
fn an_error_in_a_batch_of_16_costs_one_image() {
    batch_of_16_with(Act::Fail);
}

#[test]
fn a_dead_letter_can_be_retried() {
    let app = TestApp::start();
    let told = app.classify(7, Act::Panic);
    told.assert_error(500, "dead_letter");
    let id = told.header("x-job-id").parse().unwrap();
    let deadline = beagle::store::UnixMillis::now().after(crate::GUARD);
    assert!(futures_executor::block_on(app.store.retry(id, deadline)).unwrap());
    let before = app.stage.batches().len();
    app.stage.wait_for_batches(before.max(5));
    app.wait_for_state(told.header("x-job-id"), "dead");
}

#[test]
fn two_classifiers_share_the_work() {
    let app = TestApp::with(|wanted| wanted.models = 2);
    thread::scope(|scope| {
        let slow = scope.spawn(|| app.classify(1, Act::Wait));
        app.stage.wait_for_batches(1);
        app.classify(2, Act::Answer).assert_class(2);
        app.stage.open();
        slow.join().unwrap().assert_class(1);
    });
}
