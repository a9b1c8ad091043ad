//! What is too much is refused with a code, and with a time to come again where that helps.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use beagle::decode::Limits;

use crate::GUARD;
use crate::app::TestApp;
use crate::fake::{Act, picture};

#[test]
fn a_body_that_is_too_large_is_a_413() {
    let app = TestApp::with(|wanted| wanted.settings.body.bytes = 1000);
    app.post("/predict", &[0; 1001])
        .assert_error(413, "body_too_large");
    let images: Vec<Vec<u8>> = (0..10).map(|class| picture(class, Act::Answer)).collect();
    app.post_parts("/predict", &images)
        .assert_error(413, "body_too_large");
    app.classify(1, Act::Answer).assert_class(1);
}

#[test]
fn who_sends_all_of_a_large_body_before_it_listens_hears_why_it_was_refused() {
    let app = TestApp::with(|wanted| wanted.settings.body.bytes = 1000);
    let mut stream = TcpStream::connect(app.addr).unwrap();
    stream.set_read_timeout(Some(GUARD)).unwrap();
    stream.set_write_timeout(Some(GUARD)).unwrap();
    // More than the buffers of both sides hold.
    let body = vec![0; 32 << 20];
    let head = format!(
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/bmp\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("body_too_large"), "{answer}");
}

#[test]
fn too_many_images_are_a_413() {
    let app = TestApp::with(|wanted| wanted.settings.body.images = 2);
    let images: Vec<Vec<u8>> = (0..3).map(|class| picture(class, Act::Answer)).collect();
    app.post_parts("/predict", &images)
        .assert_error(413, "too_many_images");
    assert_eq!(app.post_parts("/predict", &images[..2]).status, 200);
}

#[test]
fn an_image_that_is_too_large_is_refused_before_it_is_decoded() {
    let app = TestApp::with(|wanted| {
        wanted.settings.image = Limits {
            max_bytes: 57,
            ..Limits::default()
        };
    });
    app.classify(1, Act::Answer)
        .assert_error(413, "image_too_many_bytes");
    let app = TestApp::with(|wanted| {
        wanted.settings.image = Limits {
            max_pixels: 0,
            ..Limits::default()
        };
    });
    app.classify(1, Act::Answer)
        .assert_error(422, "image_too_many_pixels");
}

#[test]
fn a_full_queue_is_a_503_that_says_when() {
    let app = TestApp::with(|wanted| {
        wanted.store.max_jobs = 2;
        wanted.settings.batch.max_size = 1;
    });
    let asynchronous = [("Content-Type", "image/bmp"), ("Prefer", "respond-async")];
    for class in 0..2 {
        let told = app.post_with("/predict", &picture(class, Act::Wait), &asynchronous);
        assert_eq!(told.status, 202, "{}", told.json);
    }
    let told = app.classify(9, Act::Answer);
    told.assert_error(503, "queue_full");
    let seconds: u64 = told.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    app.stage.open();
    while futures_executor::block_on(app.store.stats()).unwrap().ended < 2 {
        thread::yield_now();
    }
    app.classify(9, Act::Answer).assert_class(9);
}

#[test]
fn too_many_uploads_at_once_are_a_503() {
    let app = TestApp::with(|wanted| wanted.settings.admission.bytes = 100);
    let told = app.post("/predict", &[1; 101]);
    told.assert_error(503, "queue_full");
    assert!(told.headers.contains_key("retry-after"));
    app.classify(1, Act::Answer).assert_class(1);
}

#[test]
fn a_caller_cannot_wait_longer_than_the_server_lets_it() {
    let app =
        TestApp::with(|wanted| wanted.settings.times.request_timeout = Duration::from_millis(40));
    let headers = [("Content-Type", "image/bmp"), ("X-Request-Timeout", "1h")];
    app.post_with("/predict", &picture(1, Act::Wait), &headers)
        .assert_error(504, "timed_out");
}
