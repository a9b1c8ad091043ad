//! What is too much over HTTP is refused with a status, before it is kept.

use beagle::store::StoreLimits;

use crate::fake::Act;
use crate::server::{Server, images};

const INFER: &str = "/v2/models/plain/infer";

#[test]
fn http_bodies_that_are_too_large_are_a_413() {
    let server = Server::with(|settings| settings.body.bytes = 1000);
    let body = vec![b' '; 1001];
    let told = server.post(INFER, &body, &[]);
    told.assert_error(413, "more than 1000 bytes");
    server.infer(&images(&[(1, Act::Answer)])).done();
}

#[test]
fn http_requests_of_too_many_rows_are_a_413() {
    let server = Server::with(|settings| settings.body.images = 2);
    let rows = [(1, Act::Answer), (2, Act::Answer), (3, Act::Answer)];
    server.infer(&images(&rows)).assert_error(413, "2 rows");
    server.infer(&images(&rows[..2])).done();
}

#[test]
fn http_requests_for_which_there_is_no_room_are_a_503_that_says_when() {
    let server = Server::with(|settings| settings.admission.bytes = 300);
    let rows: Vec<(u8, Act)> = (0..4).map(|class| (class, Act::Answer)).collect();
    let told = server.infer(&images(&rows));
    told.assert_error(503, "bytes of uploads");
    let seconds: u64 = told.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    server.infer(&images(&rows[..1])).done();

    let server = Server::with(|settings| settings.admission.uploads = 2);
    server.infer(&images(&rows)).assert_error(503, "uploads");
    server.infer(&images(&rows[..1])).done();
}

#[test]
fn http_requests_to_a_full_queue_are_a_503_that_says_when() {
    let limits = StoreLimits {
        max_jobs: 2,
        ..StoreLimits::default()
    };
    let server = Server::on(limits, |settings| settings.batch.max_size = 1);
    let rows = [(1, Act::Answer), (2, Act::Answer), (3, Act::Answer)];
    let mut busy = images(&[(9, Act::Wait)]);
    busy["parameters"] = serde_json::json!({"priority": "high"});
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| server.infer(&busy));
        server.stage.wait_for_batches(1);
        let told = server.infer(&images(&rows));
        told.assert_error(503, "row ");
        assert!(told.headers.contains_key("retry-after"));
        server.stage.open();
        waits.join().unwrap().done();
    });
}

#[test]
fn http_bodies_that_are_packed_are_a_415() {
    let server = Server::start();
    let body = images(&[(1, Act::Answer)]).to_string();
    for coding in ["gzip", "deflate", "br", "gzip, gzip", "identity, gzip"] {
        let told = server.post(INFER, body.as_bytes(), &[("Content-Encoding", coding)]);
        told.assert_error(415, "Content-Encoding");
    }
    let plain = [("Content-Encoding", "identity")];
    server.post(INFER, body.as_bytes(), &plain).done();
}

#[test]
fn http_reads_long_requests_as_well_as_short_ones() {
    let server = Server::with(|settings| settings.body.bytes = 1 << 20);
    let mut body = images(&[(7, Act::Answer)]).to_string();
    body.push_str(&" ".repeat(400 << 10));
    let told = server.post(INFER, body.as_bytes(), &[]);
    assert_eq!(told.done()["outputs"][0]["data"][0], "class_7");
    body.push('x');
    server
        .post(INFER, body.as_bytes(), &[])
        .assert_error(400, "cannot be read");
}
