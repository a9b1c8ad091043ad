//! Deadlines, callers that do not wait, callers that go away, and keys.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;

use crate::app::TestApp;
use crate::fake::{Act, picture};

const BMP: (&str, &str) = ("Content-Type", "image/bmp");

#[test]
fn a_deadline_that_passes_is_a_504_and_cancels_the_job() {
    let app = TestApp::start();
    let headers = [BMP, ("X-Request-Timeout", "50ms")];
    let told = app.post_with("/predict", &picture(1, Act::Wait), &headers);
    told.assert_error(504, "timed_out");
    let job = told.header("x-job-id").to_owned();
    app.wait_for_state(&job, "cancelled");
    app.stage.open();
    app.classify(2, Act::Answer).assert_class(2);
    assert_eq!(app.get(&format!("/jobs/{job}")).json["state"], "cancelled");
}

#[test]
fn a_job_that_is_kept_outlives_its_deadline() {
    let app = TestApp::start();
    let headers = [BMP, ("X-Request-Timeout", "50ms")];
    let told = app.post_with("/predict?keep=true", &picture(6, Act::Wait), &headers);
    told.assert_error(504, "timed_out");
    let job = told.header("x-job-id").to_owned();
    app.stage.open();
    let done = app.wait_for_state(&job, "done");
    assert_eq!(done.json["predictions"][0]["label"], "class_6");
}

#[test]
fn who_prefers_not_to_wait_gets_the_jobs_place_once_it_is_durable() {
    let app = TestApp::start();
    let headers = [BMP, ("Prefer", "respond-async")];
    let told = app.post_with("/predict", &picture(6, Act::Wait), &headers);
    assert_eq!(told.status, 202, "{}", told.json);
    let place = told.header("location").to_owned();
    assert_eq!(place, format!("/jobs/{}", told.header("x-job-id")));
    assert!(["queued", "running"].contains(&app.get(&place).json["state"].as_str().unwrap()));
    app.stage.open();
    app.wait_for_state(told.header("x-job-id"), "done");
    let broken = app.post_with("/predict", b"GIF89a", &headers);
    broken.assert_error(422, "malformed_image");
}

#[test]
fn who_waits_a_while_gets_the_answer_or_the_jobs_place() {
    let app = TestApp::start();
    let told = app.post_with(
        "/predict",
        &picture(2, Act::Answer),
        &[BMP, ("Prefer", "wait=20")],
    );
    told.assert_class(2);
    let headers = [
        BMP,
        ("Prefer", "respond-async, wait=20"),
        ("X-Request-Timeout", "30ms"),
    ];
    let told = app.post_with("/predict", &picture(3, Act::Wait), &headers);
    assert_eq!(told.status, 202, "{}", told.json);
    app.stage.open();
    app.wait_for_state(told.header("x-job-id"), "done");
}

#[test]
fn headers_that_make_no_sense_are_named() {
    let app = TestApp::start();
    for (name, value) in [
        ("X-Request-Timeout", "5"),
        ("X-Request-Timeout", "soon"),
        ("Prefer", "wait=soon"),
        ("Idempotency-Key", "with space"),
        ("Idempotency-Key", ""),
    ] {
        let told = app.post_with("/predict", &picture(1, Act::Answer), &[BMP, (name, value)]);
        told.assert_error(400, "bad_request");
        assert!(
            told.json["error"]["message"]
                .as_str()
                .unwrap()
                .contains(name),
            "{}",
            told.json
        );
    }
}

#[test]
fn work_that_waits_for_nobody_never_reaches_the_model() {
    let app = TestApp::start();
    thread::scope(|scope| {
        let busy = scope.spawn(|| app.classify(1, Act::Wait));
        app.stage.wait_for_batches(1);
        let image = picture(99, Act::Answer);
        let mut client = TcpStream::connect(app.addr).unwrap();
        let head = format!(
            "POST /predict HTTP/1.1\r\nHost: b\r\nContent-Type: image/bmp\r\nContent-Length: {}\r\n\r\n",
            image.len()
        );
        client
            .write_all(&[head.as_bytes(), &image].concat())
            .unwrap();
        // Its job is in the queue before it goes.
        let queued = |wanted: usize| loop {
            let jobs = futures_executor::block_on(app.store.list(None, 100)).unwrap();
            if jobs.iter().filter(|job| !job.state.is_final()).count() == wanted {
                break jobs;
            }
            thread::yield_now();
        };
        let jobs = queued(2);
        drop(client);
        queued(1);
        app.stage.open();
        busy.join().unwrap().assert_class(1);
        let gone = jobs.last().unwrap().id.to_string();
        assert_eq!(app.get(&format!("/jobs/{gone}")).json["state"], "cancelled");
        app.classify(2, Act::Answer).assert_class(2);
        assert_eq!(app.stage.batches(), [[1], [2]], "99 was never run");
    });
}

#[test]
fn the_same_key_is_the_same_job_and_another_image_under_it_is_a_mistake() {
    let app = TestApp::start();
    let headers = [BMP, ("Idempotency-Key", "order-17")];
    let first = app.post_with("/predict", &picture(5, Act::Answer), &headers);
    first.assert_class(5);
    let again = app.post_with("/predict", &picture(5, Act::Answer), &headers);
    again.assert_class(5);
    assert_eq!(first.header("x-job-id"), again.header("x-job-id"));
    assert_eq!(first.json, again.json);
    assert_eq!(app.stage.batches().len(), 1, "it ran once");
    app.post_with("/predict", &picture(6, Act::Answer), &headers)
        .assert_error(422, "key_reused");
    app.post_with("/predict?top=2", &picture(5, Act::Answer), &headers)
        .assert_error(422, "key_reused");
}

#[test]
fn two_callers_under_one_key_wait_for_one_job() {
    let app = TestApp::start();
    thread::scope(|scope| {
        let ask = || {
            let headers = [BMP, ("Idempotency-Key", "twice")];
            app.post_with("/predict", &picture(5, Act::Wait), &headers)
        };
        let first = scope.spawn(ask);
        app.stage.wait_for_batches(1);
        let second = scope.spawn(ask);
        app.stage.open();
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        first.assert_class(5);
        second.assert_class(5);
        assert_eq!(first.header("x-job-id"), second.header("x-job-id"));
    });
    assert_eq!(app.stage.batches().len(), 1);
}

#[test]
fn who_gives_up_waiting_for_anothers_job_is_told_that_jobs_name() {
    let app = TestApp::start();
    let ask = |timeout| {
        let headers = [
            BMP,
            ("Idempotency-Key", "shared"),
            ("X-Request-Timeout", timeout),
        ];
        app.post_with("/predict", &picture(5, Act::Wait), &headers)
    };
    let first = ask("60ms");
    let second = ask("60ms");
    first.assert_error(504, "timed_out");
    second.assert_error(504, "timed_out");
    assert_eq!(first.header("x-job-id"), second.header("x-job-id"));
    app.stage.open();
    app.wait_for_state(second.header("x-job-id"), "done");
}
