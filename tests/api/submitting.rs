//! `POST /jobs`: jobs instead of answers, their place in the queue, partial success.

use serde_json::Value;

use crate::app::{TestApp, multipart};
use crate::fake::{Act, picture};

const BMP: (&str, &str) = ("Content-Type", "image/bmp");

#[test]
fn a_job_is_told_its_place_as_soon_as_it_is_durable() {
    let app = TestApp::with(|wanted| wanted.settings.batch.max_size = 1);
    let busy = app.post("/jobs", &picture(1, Act::Wait));
    app.stage.wait_for_batches(1);
    assert_eq!(busy.status, 202, "{}", busy.json);
    assert_eq!(
        busy.header("location"),
        format!("/jobs/{}", busy.header("x-job-id"))
    );
    assert_eq!(busy.json["job"], busy.header("x-job-id"));
    for place in 2..5 {
        let told = app.post("/jobs?top=3&priority=high", &picture(2, Act::Answer));
        assert_eq!(told.status, 202, "{}", told.json);
        assert_eq!(told.json["state"], "queued");
        assert_eq!(told.json["position"], place, "{}", told.json);
        assert_eq!(
            told.json.get("expected_wait_ms"),
            Some(&Value::Null),
            "nothing has ended yet"
        );
        let job = app.get(told.header("location"));
        assert_eq!(job.json["position"], place, "{}", job.json);
        assert_eq!(job.json["top"], 3);
    }
    app.stage.open();
    let done = app.wait_for_state(busy.header("x-job-id"), "done");
    assert!(done.json.get("position").is_none(), "{}", done.json);
}

#[test]
fn an_expected_wait_is_told_once_jobs_have_ended() {
    let app = TestApp::with(|wanted| wanted.settings.batch.max_size = 1);
    for class in 0..20 {
        app.classify(class, Act::Answer).assert_class(class);
    }
    app.post("/jobs", &picture(1, Act::Wait));
    app.stage.wait_for_batches(21);
    let told = app.post("/jobs", &picture(1, Act::Wait));
    let wait = told.json["expected_wait_ms"].as_u64();
    // Twenty jobs within the memory of ten seconds: no more than two a second are measured, and
    // no fewer than fade out while a slow machine comes this far.
    assert!(wait.is_some_and(|ms| ms >= 1000), "{}", told.json);
    assert_eq!(told.json["position"], 2);
    app.stage.open();
}

#[test]
fn several_images_are_several_jobs_and_each_has_its_status() {
    let app = TestApp::start();
    let images = [
        picture(1, Act::Wait),
        b"GIF89a".to_vec(),
        picture(2, Act::Wait),
    ];
    let told = app.post_parts("/jobs", &images);
    assert_eq!(told.status, 207, "{}", told.json);
    assert_eq!(told.json["success"], false);
    assert!(!told.headers.contains_key("location"));
    let results = told.json["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, [202, 422, 202]);
    assert_eq!(results[1]["error"]["code"], "malformed_image");
    assert!(results[1].get("position").is_none());
    for job in [&results[0], &results[2]] {
        assert!(job["position"].as_u64().is_some_and(|place| place >= 1));
        assert!(job.get("expected_wait_ms").is_some());
    }
    app.stage.open();
    for (result, class) in [(&results[0], "class_1"), (&results[2], "class_2")] {
        let done = app.wait_for_state(result["job"].as_str().unwrap(), "done");
        assert_eq!(done.json["predictions"][0]["label"], class);
    }
    let alike = app.post_parts("/jobs", &[picture(3, Act::Answer), picture(4, Act::Answer)]);
    assert_eq!((alike.status, &alike.json["success"]), (202, &true.into()));
}

#[test]
fn who_prefers_to_wait_gets_the_answer_and_a_key_names_one_job() {
    let app = TestApp::start();
    let waits = [BMP, ("Prefer", "wait=20")];
    app.post_with("/jobs", &picture(2, Act::Answer), &waits)
        .assert_class(2);
    let keyed = [BMP, ("Idempotency-Key", "order-17")];
    let first = app.post_with("/jobs", &picture(5, Act::Answer), &keyed);
    assert_eq!(first.status, 202, "{}", first.json);
    app.wait_for_state(first.header("x-job-id"), "done");
    let again = app.post_with("/jobs", &picture(5, Act::Answer), &keyed);
    again.assert_class(5);
    assert_eq!(first.header("x-job-id"), again.header("x-job-id"));
    app.post_with("/jobs", &picture(6, Act::Answer), &keyed)
        .assert_error(422, "key_reused");
}

#[test]
fn what_cannot_become_a_job_is_refused_as_elsewhere() {
    let app = TestApp::with(|wanted| {
        wanted.store.max_jobs = 1;
        wanted.settings.batch.max_size = 1;
    });
    app.post("/jobs", b"GIF89a")
        .assert_error(422, "malformed_image");
    app.post("/jobs?top=0", &picture(1, Act::Answer))
        .assert_error(400, "bad_request");
    let nothing = multipart(&[]);
    let kind = "multipart/form-data; boundary=between-the-parts";
    app.post_with("/jobs", &nothing, &[("Content-Type", kind)])
        .assert_error(400, "bad_request");
    assert_eq!(app.post("/jobs", &picture(1, Act::Wait)).status, 202);
    let full = app.post("/jobs", &picture(2, Act::Wait));
    full.assert_error(503, "queue_full");
    assert!(full.headers.contains_key("retry-after"));
    app.get("/jobs").assert_error(405, "method_not_allowed");
    app.stage.open();
}

#[test]
fn another_method_is_told_which_there_are() {
    let app = TestApp::start();
    for (path, allowed) in [
        ("/predict", "POST"),
        ("/jobs", "POST"),
        ("/jobs/01a21050-264e-7654-933e-2bd55b7122a7/events", "GET"),
    ] {
        let told = app.delete(path);
        told.assert_error(405, "method_not_allowed");
        assert_eq!(told.header("allow"), allowed);
    }
    let told = app.post("/jobs/01a21050-264e-7654-933e-2bd55b7122a7", b"");
    told.assert_error(405, "method_not_allowed");
    assert_eq!(told.header("allow"), "GET, DELETE");
}
