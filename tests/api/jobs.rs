//! `GET` and `DELETE /jobs/{id}`.

use crate::app::TestApp;
use crate::fake::{Act, picture};

const ASYNC: [(&str, &str); 2] = [("Content-Type", "image/bmp"), ("Prefer", "respond-async")];

#[test]
fn a_job_tells_its_state_and_its_answer() {
    let app = TestApp::start();
    let told = app.post_with(
        "/predict?top=2&profile=other",
        &picture(4, Act::Answer),
        &ASYNC,
    );
    let job = app.wait_for_state(told.header("x-job-id"), "done");
    assert_eq!(job.status, 200);
    assert_eq!(job.json["id"], told.header("x-job-id"));
    assert_eq!(job.json["profile"], "other");
    assert_eq!(job.json["top"], 2);
    assert_eq!(job.json["attempts"], 1);
    assert_eq!(job.json["predictions"].as_array().unwrap().len(), 2);
    assert!(job.json["finished_ms"].as_u64() >= job.json["created_ms"].as_u64());
}

#[test]
fn a_queued_job_can_be_taken_back_and_a_done_one_stays() {
    let app = TestApp::start();
    let busy = app.post_with("/predict", &picture(1, Act::Wait), &ASYNC);
    app.stage.wait_for_batches(1);
    let queued = app.post_with("/predict", &picture(2, Act::Answer), &ASYNC);
    let path = format!("/jobs/{}", queued.header("x-job-id"));
    assert_eq!(app.delete(&path).json["state"], "cancelled");
    assert_eq!(
        app.delete(&path).json["state"],
        "cancelled",
        "twice is as once"
    );
    app.stage.open();
    app.wait_for_state(busy.header("x-job-id"), "done");
    let done = format!("/jobs/{}", busy.header("x-job-id"));
    assert_eq!(app.delete(&done).json["state"], "done");
    let job = app.get(&path);
    assert_eq!(job.json["error"]["code"], "cancelled");
    app.classify(3, Act::Answer).assert_class(3);
    assert_eq!(
        app.stage.batches(),
        [[1], [3]],
        "the cancelled one was never run"
    );
}

#[test]
fn a_running_job_that_is_taken_back_has_no_result() {
    let app = TestApp::start();
    let running = app.post_with("/predict", &picture(1, Act::Wait), &ASYNC);
    app.stage.wait_for_batches(1);
    let path = format!("/jobs/{}", running.header("x-job-id"));
    assert_eq!(app.delete(&path).json["state"], "cancelled");
    app.stage.open();
    app.classify(3, Act::Answer).assert_class(3);
    let job = app.get(&path);
    assert_eq!(job.json["state"], "cancelled");
    assert!(job.json.get("predictions").is_none());
}
