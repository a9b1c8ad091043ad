//! Images as base64 in a JSON body: as anywhere else, each with a status of its own.

use std::thread;
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::GUARD;
use crate::app::{TestApp, Told};
use crate::fake::{Act, picture};

fn encoded(class: u8, act: Act) -> String {
    BASE64_STANDARD.encode(picture(class, act))
}

fn post(app: &TestApp, path: &str, body: &Value) -> Told {
    let kind = [("Content-Type", "application/json; charset=utf-8")];
    app.post_with(path, body.to_string().as_bytes(), &kind)
}

fn results(told: &Told) -> &[Value] {
    told.json["results"].as_array().unwrap()
}

#[test]
fn each_image_is_answered_under_its_callers_name() {
    let app = TestApp::start();
    let body = json!({"images": [
        {"id": "first", "data": encoded(1, Act::Answer)},
        {"data": encoded(2, Act::Answer)},
        {"data": encoded(3, Act::Answer).trim_end_matches('='), "id": "ÿ\n"},
    ]});
    let told = post(&app, "/predict?top=2&profile=other", &body);
    assert_eq!((told.status, &told.json["success"]), (200, &true.into()));
    let of =
        |name: &str| -> Vec<Value> { results(&told).iter().map(|one| one[name].clone()).collect() };
    assert_eq!(of("id"), [json!("first"), Value::Null, json!("ÿ\n")]);
    for (result, class) in results(&told).iter().zip(1..) {
        assert_eq!(result["predictions"].as_array().unwrap().len(), 2);
        assert_eq!(result["predictions"][0]["label"], format!("class_{class}"));
        let job = app.get(&format!("/jobs/{}", result["job"].as_str().unwrap()));
        assert_eq!(job.json["profile"], "other");
    }
}

#[test]
fn one_image_is_a_list_of_one() {
    let app = TestApp::start();
    let body = json!({"images": [{"data": encoded(7, Act::Answer)}]});
    let told = post(&app, "/predict", &body);
    assert_eq!(told.status, 200, "{}", told.json);
    assert_eq!(results(&told)[0]["predictions"][0]["label"], "class_7");
    let told = post(&app, "/jobs", &body);
    assert_eq!(told.status, 202, "{}", told.json);
    let job = results(&told)[0]["job"].as_str().unwrap();
    assert_eq!(told.header("location"), format!("/jobs/{job}"));
    assert_eq!(told.header("x-job-id"), job);
    app.wait_for_state(job, "done");
}

#[test]
fn what_is_wrong_with_one_image_is_its_own_error_and_the_others_go_on() {
    let app = TestApp::start();
    let body = json!({"images": [
        {"id": "typo", "data": "AAE*"},
        {"id": "good", "data": encoded(1, Act::Answer)},
        {"id": "broken", "data": BASE64_STANDARD.encode(b"GIF89a")},
        {"id": "empty", "data": ""},
    ]});
    for path in ["/predict", "/jobs"] {
        let told = post(&app, path, &body);
        assert_eq!((told.status, &told.json["success"]), (207, &false.into()));
        let codes: Vec<&str> = results(&told)
            .iter()
            .map(|one| one["error"]["code"].as_str().unwrap_or("none"))
            .collect();
        let wanted = ["malformed_base64", "none", "malformed_image", "empty_image"];
        assert_eq!(codes, wanted, "{}", told.json);
        let statuses: Vec<&Value> = results(&told).iter().map(|one| &one["status"]).collect();
        let good = if path == "/jobs" { 202 } else { 200 };
        assert_eq!(statuses, [422, good, 422, 422]);
        assert!(results(&told)[0].get("job").is_none(), "it became none");
    }
    let alone = post(&app, "/predict", &json!({"images": [{"data": "!"}]}));
    assert_eq!(alone.status, 422);
    assert_eq!(results(&alone)[0]["error"]["code"], "malformed_base64");
}

#[test]
fn a_key_names_each_image_by_its_number() {
    let app = TestApp::start();
    let ask = |first: &str| {
        let body = json!({"images": [{"data": first}, {"data": encoded(2, Act::Answer)}]});
        let headers = [
            ("Content-Type", "application/json"),
            ("Idempotency-Key", "album"),
        ];
        app.post_with("/jobs", body.to_string().as_bytes(), &headers)
    };
    let typo = ask("AAE*");
    let mended = ask(&encoded(1, Act::Answer));
    let job = |told: &Told, at: usize| results(told)[at]["job"].clone();
    assert_eq!(job(&typo, 1), job(&mended, 1), "{}", mended.json);
    assert_ne!(job(&mended, 0), job(&mended, 1));
}

#[test]
fn a_body_that_cannot_be_read_is_a_400_that_names_what_is_wrong() {
    let app = TestApp::start();
    let image = encoded(1, Act::Answer);
    for (body, named) in [
        (
            json!({"images": [{"data": image, "priority": "high"}]}),
            "`priority`",
        ),
        (json!({"images": [{"data": image}], "top": 1}), "`top`"),
        (json!({"images": [{"id": "x"}]}), "`data`"),
        (json!({"images": []}), "no images"),
        (json!({"pictures": []}), "`pictures`"),
        (json!([image]), "object"),
    ] {
        let told = post(&app, "/predict", &body);
        told.assert_error(400, "bad_request");
        let message = told.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(named), "{message}");
    }
    let cut = [("Content-Type", "application/json")];
    app.post_with("/jobs", b"{\"images\": [", &cut)
        .assert_error(400, "bad_request");
}

#[test]
fn limits_are_those_of_any_body() {
    let app = TestApp::with(|wanted| {
        wanted.settings.body.images = 2;
        wanted.settings.body.bytes = 1000;
        wanted.settings.admission.bytes = 900;
        wanted.settings.image.max_bytes = 100;
    });
    let list = |images: usize, data: &str| json!({"images": vec![json!({"data": data}); images]});
    let image = encoded(1, Act::Answer);
    post(&app, "/predict", &list(3, &image)).assert_error(413, "too_many_images");
    post(&app, "/predict", &list(1, &"A".repeat(1000))).assert_error(413, "body_too_large");
    // Its body would fit, and with what is decoded of it it does not.
    let told = post(&app, "/predict", &list(1, &"A".repeat(600)));
    told.assert_error(503, "queue_full");
    assert!(told.headers.contains_key("retry-after"));
    let told = post(&app, "/predict", &list(1, &"A".repeat(200)));
    assert_eq!(results(&told)[0]["error"]["code"], "image_too_many_bytes");
    assert_eq!(told.status, 413);
    assert_eq!(post(&app, "/predict", &list(2, &image)).status, 200);
}

#[test]
fn places_come_back_whatever_became_of_the_images() {
    let app = TestApp::with(|wanted| {
        wanted.settings.admission.uploads = 2;
        wanted.settings.admission.bytes = 1000;
    });
    let body = json!({"images": [
        {"data": "!"}, {"data": encoded(1, Act::Answer)}, {"data": encoded(2, Act::Answer)},
    ]});
    for _ in 0..20 {
        // A place is free a moment after its caller has its answer.
        let until = Instant::now() + GUARD;
        loop {
            let told = post(&app, "/predict", &body);
            if told.status == 207 {
                break;
            }
            told.assert_error(503, "queue_full");
            assert!(Instant::now() < until, "no place came back");
            thread::yield_now();
        }
    }
    let more = json!({"images": vec![json!({"data": encoded(1, Act::Answer)}); 3]});
    post(&app, "/predict", &more).assert_error(503, "queue_full");
}
