//! Each row is a job of its own; all of them are answered or none.

use std::thread;

use beagle::store::JobState;
use serde_json::json;

use crate::fake::{Act, label};
use crate::server::{Server, images, output};

#[test]
fn each_row_is_a_job_of_its_own() {
    let server = Server::start();
    let rows: Vec<(u8, Act)> = (0..40).map(|class| (class, Act::Answer)).collect();
    let mut request = images(&rows);
    request["parameters"] = json!({"top": 1});
    let told = server.infer(&request);
    let labels: Vec<String> = (0..40).map(label).collect();
    assert_eq!(output(&told.done(), "label")["data"], json!(labels));
    let jobs: Vec<&str> = told.header("x-job-id").split(',').collect();
    assert_eq!(jobs.len(), 40);
    for job in [jobs[0], jobs[39]] {
        assert_eq!(server.get(&format!("/jobs/{job}")).done()["state"], "done");
    }
}

#[test]
fn a_row_that_cannot_be_done_is_named_with_its_own_status() {
    let server = Server::start();
    let mut request = images(&[(1, Act::Answer), (2, Act::Answer), (3, Act::Answer)]);
    request["inputs"][0]["data"][1] = json!("R0lGODlh");
    server.infer(&request).assert_error(422, "row 1: ");
    request["inputs"][0]["data"][1] = json!("");
    server.infer(&request).assert_error(422, "row 1: ");
    request["inputs"][0]["data"][1] = json!("YSBsZXR0ZXI=");
    server.infer(&request).assert_error(415, "row 1: ");
    for act in [Act::Fail, Act::Panic] {
        let request = images(&[(1, Act::Answer), (2, act)]);
        server
            .infer(&request)
            .assert_error(500, "row 1: every attempt");
    }
}

#[test]
fn the_other_rows_are_taken_back_when_one_cannot_be_done() {
    let server = Server::start();
    let busy = images(&[(1, Act::Wait)]).to_string();
    thread::scope(|scope| {
        let busy = scope.spawn(|| server.post("/v2/models/plain/infer", busy.as_bytes(), &[]));
        server.stage.wait_for_batches(1);
        let mut request = images(&[(2, Act::Answer), (3, Act::Answer)]);
        request["inputs"][0]["data"][1] = json!("R0lGODlh");
        server.infer(&request).assert_error(422, "row 1: ");
        // The first row was accepted, or given up before that: it never comes to the model.
        server.stage.open();
        busy.join().unwrap().done();
    });
    server.infer(&images(&[(4, Act::Answer)])).done();
    assert_eq!(server.stage.batches(), [[1], [4]]);
}

#[test]
fn a_key_names_every_row_and_one_request() {
    let server = Server::start();
    let request = images(&[(1, Act::Answer), (2, Act::Answer)]).to_string();
    let key = [("Idempotency-Key", "order-1")];
    let ask = |body: &str| server.post("/v2/models/plain/infer", body.as_bytes(), &key);
    let first = ask(&request);
    let again = ask(&request);
    assert_eq!(first.done(), again.done());
    assert_eq!(first.header("x-job-id"), again.header("x-job-id"));
    server.wait_for_jobs(2, JobState::Done);
    let other = images(&[(1, Act::Answer), (3, Act::Answer)]).to_string();
    ask(&other).assert_error(422, "row 1: ");
    let spaced = [("Idempotency-Key", "order 1")];
    let told = server.post("/v2/models/plain/infer", request.as_bytes(), &spaced);
    told.assert_error(400, "Idempotency-Key");
}
