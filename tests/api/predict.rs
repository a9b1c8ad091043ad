//! Images in, the article's JSON out.

use std::collections::BTreeSet;

use crate::app::{TestApp, multipart};
use crate::fake::{Act, label, picture};

#[test]
fn a_multipart_image_gets_the_articles_json_key_for_key() {
    let app = TestApp::start();
    let told = app.post_parts("/predict", &[picture(7, Act::Answer)]);
    told.assert_class(7);
    let keys = |value: &serde_json::Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(
        keys(&told.json),
        BTreeSet::from(["predictions", "success"].map(str::to_owned))
    );
    let predictions = told.json["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 5);
    for prediction in predictions {
        assert_eq!(
            keys(prediction),
            BTreeSet::from(["label", "probability"].map(str::to_owned))
        );
    }
    assert!((predictions[0]["probability"].as_f64().unwrap() - 0.9).abs() < 1e-6);
    assert_eq!(told.header("content-type"), "application/json");
}

#[test]
fn a_bare_image_is_as_good() {
    let app = TestApp::start();
    app.classify(9, Act::Answer).assert_class(9);
    let octets = [("Content-Type", "application/octet-stream")];
    app.post_with("/predict", &picture(4, Act::Answer), &octets)
        .assert_class(4);
}

#[test]
fn headers_name_the_job_the_request_and_the_time_of_each_stage() {
    let app = TestApp::start();
    let headers = [("Content-Type", "image/bmp"), ("X-Request-Id", "mine-1")];
    let told = app.post_with("/predict", &picture(1, Act::Answer), &headers);
    assert_eq!(told.header("x-request-id"), "mine-1");
    let timing = told.header("server-timing");
    for stage in ["decode;dur=", "queue;dur=", "infer;dur="] {
        assert!(timing.contains(stage), "{timing}");
    }
    let job = app.get(&format!("/jobs/{}", told.header("x-job-id")));
    assert_eq!(job.json["state"], "done");
    assert_eq!(job.json["predictions"], told.json["predictions"]);
    let unsound = [("Content-Type", "image/bmp"), ("X-Request-Id", "a b<c>")];
    let told = app.post_with("/predict", &picture(1, Act::Answer), &unsound);
    assert_ne!(told.header("x-request-id"), "a b<c>");
}

#[test]
fn several_images_get_a_status_each() {
    let app = TestApp::start();
    let images = [
        picture(3, Act::Answer),
        b"no image at all".to_vec(),
        picture(5, Act::Answer),
        Vec::new(),
    ];
    let told = app.post_parts("/predict", &images);
    assert_eq!(told.status, 207, "{}", told.json);
    assert_eq!(told.json["success"], false);
    let results = told.json["results"].as_array().unwrap();
    let statuses: Vec<u64> = results
        .iter()
        .map(|item| item["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [200, 415, 200, 422]);
    assert_eq!(results[0]["predictions"][0]["label"], label(3));
    assert_eq!(results[2]["predictions"][0]["label"], label(5));
    assert_eq!(results[1]["error"]["code"], "unsupported_format");
    assert_eq!(results[3]["error"]["code"], "empty_image");
    assert_ne!(results[0]["job"], results[2]["job"]);

    let all = app.post_parts(
        "/predict",
        &[picture(3, Act::Answer), picture(4, Act::Answer)],
    );
    assert_eq!((all.status, &all.json["success"]), (200, &true.into()));
}

#[test]
fn top_and_profile_are_asked_in_the_query() {
    let app = TestApp::start();
    let told = app.post("/predict?top=3&profile=other", &picture(8, Act::Answer));
    told.assert_class(8);
    assert_eq!(told.json["predictions"].as_array().unwrap().len(), 3);
    let all = app.post("/predict?top=1000", &picture(8, Act::Answer));
    assert_eq!(all.json["predictions"].as_array().unwrap().len(), 256);
    for (query, code) in [
        ("top=0", "bad_request"),
        ("top=1001", "bad_request"),
        ("top=many", "bad_request"),
        ("tpo=3", "bad_request"),
        ("profile=vgg", "unknown_profile"),
    ] {
        app.post(&format!("/predict?{query}"), &picture(8, Act::Answer))
            .assert_error(400, code);
    }
}

#[test]
fn what_is_no_image_is_refused_by_name() {
    let app = TestApp::start();
    app.post("/predict", b"").assert_error(422, "empty_image");
    app.post("/predict", b"GIF89a")
        .assert_error(422, "malformed_image");
    app.post("/predict", b"%PDF-1.7 and more")
        .assert_error(415, "unsupported_format");
    app.post_with("/predict", b"{}", &[("Content-Type", "application/pdf")])
        .assert_error(415, "unsupported_media_type");
    let form = [(
        "Content-Type",
        "multipart/form-data; boundary=between-the-parts",
    )];
    app.post_with("/predict", &multipart(&[("picture", b"x")]), &form)
        .assert_error(400, "bad_request");
    app.post_with("/predict", b"--between-the-parts\r\ncut", &form)
        .assert_error(400, "bad_request");
}

#[test]
fn other_pages_and_methods_are_refused_in_the_same_form() {
    let app = TestApp::start();
    app.get("/nowhere").assert_error(404, "not_found");
    app.get("/predict").assert_error(405, "method_not_allowed");
    app.get("/jobs/17").assert_error(404, "unknown_job");
    app.get("/jobs/019365fc-0000-7000-8000-000000000000")
        .assert_error(404, "unknown_job");
    assert_eq!(app.get("/healthz").status, 200);
    assert_eq!(app.get("/readyz").status, 200);
}

#[test]
fn a_priority_is_taken_from_the_query_and_a_wrong_one_is_named() {
    let app = TestApp::start();
    let asks = [("Content-Type", "image/bmp"), ("Prefer", "respond-async")];
    for priority in ["high", "normal", "low"] {
        let path = format!("/predict?priority={priority}");
        let told = app.post_with(&path, &picture(1, Act::Answer), &asks);
        let job = told.header("x-job-id").parse().unwrap();
        let found = futures_executor::block_on(app.store.job(job)).unwrap();
        assert_eq!(found.unwrap().priority.name(), priority);
    }
    let told = app.post("/predict?priority=urgent", &picture(1, Act::Answer));
    told.assert_error(400, "bad_request");
    assert!(told.json.to_string().contains("urgent"), "{}", told.json);
}
