//! Bounds on a connection and on what arrives over it.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use beagle::gate::Limits;
use beagle::gate::pace::Tempo;

use crate::app::TestApp;
use crate::fake::{Act, picture};
use crate::raw::{self, Raw};

const BMP: (&str, &str) = ("Content-Type", "image/bmp");

#[test]
fn a_body_that_stops_is_a_408() {
    let app = TestApp::with(|wanted| {
        wanted.settings.door.upload = Tempo {
            window: Duration::from_millis(50),
            ..Tempo::default()
        };
    });
    for kind in ["image/bmp", "multipart/form-data; boundary=b"] {
        let mut stream = raw::connect(app.addr);
        let head = format!(
            "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: 9\r\n\r\n--"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let told = Raw::read(&mut stream).unwrap();
        assert_eq!(
            (told.status, told.code().as_str()),
            (408, "upload_too_slow"),
            "{kind}"
        );
    }
    app.classify(1, Act::Answer).assert_class(1);
}

#[test]
fn a_body_that_takes_too_long_in_all_is_a_408() {
    let app = TestApp::with(|wanted| {
        wanted.settings.door.upload = Tempo {
            part: 1,
            window: Duration::from_secs(60),
            whole: Some(Duration::from_millis(50)),
        };
    });
    let mut stream = raw::connect(app.addr);
    let head = "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/bmp\r\n\
                Content-Length: 9\r\n\r\nBM";
    stream.write_all(head.as_bytes()).unwrap();
    let told = Raw::read(&mut stream).unwrap();
    assert_eq!(
        (told.status, told.code().as_str()),
        (408, "upload_too_slow")
    );
}

#[test]
fn a_second_head_has_as_little_time_as_the_first() {
    let app = TestApp::with(|wanted| {
        wanted.settings.door.connections = Limits {
            head_timeout: Duration::from_millis(100),
            keep_alive: Duration::from_secs(60),
            ..Limits::default()
        };
    });
    let mut stream = raw::connect(app.addr);
    stream
        .write_all(&raw::request("GET /healthz", &[], &[]))
        .unwrap();
    assert_eq!(Raw::read(&mut stream).unwrap().status, 200);
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    let mut told = Vec::new();
    // Nothing but the end, long before the connection would be closed for being idle.
    let _ = stream.read_to_end(&mut told);
    assert!(told.is_empty(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn a_request_that_is_worked_on_may_take_longer_than_a_head() {
    let app = TestApp::with(|wanted| {
        wanted.settings.door.connections.head_timeout = Duration::from_millis(50);
    });
    let mut stream = raw::connect(app.addr);
    let ask = raw::request("POST /predict", &[BMP], &picture(3, Act::Wait));
    stream.write_all(&ask).unwrap();
    app.stage.wait_for_batches(1);
    // Another one's head runs out of time meanwhile.
    let mut slow = raw::connect(app.addr);
    slow.write_all(b"GET /").unwrap();
    let _ = slow.read_to_end(&mut Vec::new());
    app.stage.open();
    assert_eq!(Raw::read(&mut stream).unwrap().status, 200);
    // And the next request on the same connection is as good as the first.
    stream.write_all(&ask).unwrap();
    assert_eq!(Raw::read(&mut stream).unwrap().status, 200);
}

#[test]
fn a_head_that_is_too_large_ends_its_connection() {
    let app = TestApp::with(|wanted| wanted.settings.door.connections.head_bytes = 1000);
    let fits = "a".repeat(800);
    assert_eq!(
        raw::ask(app.addr, "GET /healthz", &[("X", &fits)], &[]).status,
        200
    );
    let mut stream = raw::connect(app.addr);
    let large = "a".repeat(1000);
    stream
        .write_all(&raw::request("GET /healthz", &[("X", &large)], &[]))
        .unwrap();
    let mut told = Vec::new();
    let _ = stream.read_to_end(&mut told);
    assert!(told.is_empty(), "{}", String::from_utf8_lossy(&told));
    // A body is not part of it.
    let body = raw::ask(app.addr, "POST /predict", &[BMP], &vec![b'a'; 50_000]);
    assert_eq!(body.status, 415, "{}", body.text());
}

#[test]
fn requests_that_are_answered_at_once_leave_nothing_of_their_heads() {
    let app = TestApp::start();
    let mut stream = raw::connect(app.addr);
    let ask = raw::request("GET /nothing", &[("X", &"a".repeat(1000))], &[]);
    for number in 0..400 {
        stream.write_all(&ask).unwrap();
        let told = Raw::read(&mut stream);
        assert!(
            told.is_ok_and(|told| told.status == 404),
            "request {number}"
        );
    }
}

#[test]
fn an_address_has_so_many_connections_and_the_rest_are_closed_and_counted() {
    let app = TestApp::with(|wanted| wanted.settings.door.connections.per_address = 2);
    let mut held = [raw::connect(app.addr), raw::connect(app.addr)];
    for stream in &mut held {
        stream
            .write_all(&raw::request("GET /healthz", &[], &[]))
            .unwrap();
        assert_eq!(Raw::read(stream).unwrap().status, 200);
    }
    let mut third = raw::connect(app.addr);
    let _ = third.write_all(&raw::request("GET /healthz", &[], &[]));
    assert!(Raw::read(&mut third).is_err());
    held[0]
        .write_all(&raw::request("GET /metrics", &[], &[]))
        .unwrap();
    let metrics = Raw::read(&mut held[0]).unwrap().text();
    let counted = "beagle_requests_refused_total{code=\"too_many_connections\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn who_asks_first_whether_to_send_is_told_to_go_on() {
    let app = TestApp::start();
    let mut stream = raw::connect(app.addr);
    let body = picture(5, Act::Answer);
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/bmp\r\nExpect: 100-continue\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body).unwrap();
    assert_eq!(Raw::read(&mut stream).unwrap().status, 200);
}

#[test]
fn a_body_in_an_encoding_is_a_415_that_names_the_one_there_is() {
    let app = TestApp::start();
    for encoding in ["gzip", "br", "gzip, identity", ""] {
        let headers = [BMP, ("Content-Encoding", encoding)];
        let told = raw::ask(
            app.addr,
            "POST /predict",
            &headers,
            &picture(1, Act::Answer),
        );
        assert_eq!(
            (told.status, told.code().as_str()),
            (415, "unsupported_media_type")
        );
        assert_eq!(told.header("accept-encoding"), Some("identity"));
    }
    let headers = [BMP, ("Content-Encoding", "identity")];
    let told = raw::ask(
        app.addr,
        "POST /predict",
        &headers,
        &picture(1, Act::Answer),
    );
    assert_eq!(told.status, 200);
}

#[test]
fn the_head_of_a_part_has_an_end() {
    let app = TestApp::with(|wanted| {
        wanted.settings.body.bytes = 8 << 20;
        wanted.settings.admission.bytes = 64 << 20;
    });
    let long = "a".repeat(4 << 20);
    let kind = [("Content-Type", "multipart/form-data; boundary=b")];
    for body in [
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"image\"\r\nX: {long}\r\n\r\na\r\n--b--\r\n"
        ),
        format!(
            "{long}\r\n--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\na\r\n--b--\r\n"
        ),
    ] {
        let told = raw::ask(app.addr, "POST /predict", &kind, body.as_bytes());
        assert_eq!(
            (told.status, told.code().as_str()),
            (413, "body_too_large"),
            "{}",
            told.text()
        );
    }
}
