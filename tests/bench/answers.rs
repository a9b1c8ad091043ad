//! What is made of what a server does, over sockets. What is asserted holds on a machine of any speed:
//! it follows from the schedule, or from what the server takes at least.

use std::sync::Arc;
use std::time::Duration;

use beagle::load::arrivals::{Arrivals, Spacing};
use beagle::load::drive::{self, Bounds};
use beagle::load::send::{Photo, Protocol, Server as Target, TargetError};
use beagle::load::step::Step;
use beagle::load::tally::{Loop, Tally, Window};
use tokio::time::Instant;

use crate::GUARD;
use crate::server::{Reply, Request, Server};

const GOOD: &str = r#"{"success": true, "predictions": []}"#;

fn good(_: &Request) -> Reply {
    Reply::Status(200, GOOD.to_owned())
}

/// The first request, which only looks, is answered; the others get what the path says.
fn as_the_path_says(request: &Request) -> Reply {
    if request.body.windows(5).any(|part| part == b"first") {
        return good(request);
    }
    let act = request.head.split(' ').nth(1).unwrap_or_default();
    match act.trim_start_matches('/') {
        "reset" => Reply::Reset,
        "garbage" => Reply::Garbage,
        "nothing" => Reply::Nothing,
        "false" => Reply::Status(200, r#"{"success": false}"#.to_owned()),
        "last" => Reply::Last(200, GOOD.to_owned()),
        status => Reply::Status(status.parse().unwrap_or(404), GOOD.to_owned()),
    }
}

fn photo(name: &str) -> Arc<Photo> {
    Arc::new(Photo {
        name: format!("{name}.jpg"),
        bytes: name.to_owned().into(),
    })
}

async fn target(url: &str, photos: &[Arc<Photo>]) -> Result<Target, TargetError> {
    Target::find(url, &Protocol::Article, photos, &[]).await
}

async fn open(target: &Target, rate: f64, length: Duration, timeout: Duration) -> Step {
    let window = Window::new(Duration::ZERO, length);
    let mut tally = Tally::new(Loop::Open(rate), window);
    let start = Instant::now();
    let due = drive::announce(start, window.end, Arrivals::new(Spacing::Constant, rate, 1));
    let bounds = Bounds {
        in_flight: 200,
        timeout,
    };
    drive::open(target, (start, due), bounds, &mut tally, &mut ()).await;
    tally.step()
}

#[tokio::test]
async fn above_its_capacity_a_server_gets_every_request_that_is_due_and_its_queue_is_seen() {
    let service = Duration::from_millis(20);
    let server = Server::start(service, good);
    let target = target(&server.url(), &[photo("a")]).await.unwrap();
    // 120 % of what it does at most.
    let step = open(&target, 60.0, Duration::from_secs(2), GUARD).await;
    // Due at every sixtieth of a second below 2 s.
    assert_eq!((step.requests, step.answered), (119, 119));
    assert_eq!(server.requests().len(), 1 + 119);
    let queue = step.queue.unwrap();
    assert!(queue.completions <= 100 && queue.grew(), "{queue:?}");
    // The last of 119 cannot be done before 119 times 20 ms have gone by.
    assert!(step.latency.unwrap().max_ms > 370.0);
}

#[tokio::test]
async fn a_closed_loop_is_never_above_what_a_server_can_do() {
    let server = Server::start(Duration::from_millis(10), good);
    let target = target(&server.url(), &[photo("a")]).await.unwrap();
    let window = Window::new(Duration::ZERO, Duration::from_secs(1));
    let mut tally = Tally::new(Loop::Closed(4), window);
    let bounds = Bounds {
        in_flight: 4,
        timeout: GUARD,
    };
    drive::closed(&target, bounds, &mut tally, &mut ()).await;
    let step = tally.step();
    assert!((1..=101).contains(&step.answered), "{step:?}");
    assert_eq!(step.requests, step.answered);
    assert!(step.latency.unwrap().p50_ms >= 10.0);
}

#[tokio::test]
async fn what_is_no_answer_is_told_by_what_it_was() {
    let server = Server::start(Duration::ZERO, as_the_path_says);
    for (act, code) in [
        ("503", "503"),
        ("429", "429"),
        ("500", "500"),
        ("404", "404"),
        ("false", "not_success"),
        ("reset", "broken"),
        ("garbage", "garbled"),
        ("nothing", "timed_out"),
    ] {
        let url = format!("{}/{act}", server.url());
        let photos = [photo("first"), photo("other")];
        let target = target(&url, &photos).await.unwrap();
        // Both photos in turn: eleven requests, the first one of the first photo.
        let timeout = if act == "nothing" {
            // The others are answered at once; a busy machine may take its time over that.
            Duration::from_secs(5)
        } else {
            GUARD
        };
        let step = open(&target, 100.0, Duration::from_millis(115), timeout).await;
        assert_eq!(step.requests, 11, "{act}");
        let other = *step.not_answered.get(code).unwrap_or(&0);
        assert_eq!(other, 5, "{act}: {step:?}");
        let refused = if ["503", "429"].contains(&act) {
            other
        } else {
            0
        };
        assert_eq!(step.refused, refused, "{act}");
    }
}

#[tokio::test]
async fn connections_are_kept_where_they_may_be_and_made_again_where_not() {
    let server = Server::start(Duration::ZERO, as_the_path_says);
    for act in ["200", "last"] {
        let url = format!("{}/{act}", server.url());
        let target = target(&url, &[photo("other")]).await.unwrap();
        let step = open(&target, 200.0, Duration::from_millis(500), GUARD).await;
        assert_eq!((step.requests, step.answered), (99, 99), "{act}: {step:?}");
    }
}

#[tokio::test]
async fn photos_go_in_turn_as_the_articles_form() {
    let server = Server::start(Duration::ZERO, good);
    let photos = [photo("one"), photo("two"), photo("three")];
    let headers = ["X-Api-Key: secret".to_owned()];
    let target = Target::find(&server.url(), &Protocol::Article, &photos, &headers)
        .await
        .unwrap();
    assert_eq!(target.requests().0, 3);
    open(&target, 100.0, Duration::from_millis(65), GUARD).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 1 + 6);
    for name in ["one", "two", "three"] {
        let part = format!("filename=\"{name}.jpg\"\r\n");
        let with = requests
            .iter()
            .skip(1)
            .filter(|request| String::from_utf8_lossy(&request.body).contains(&part));
        assert_eq!(with.count(), 2, "{name}");
    }
    for request in requests {
        let head = request.head.to_ascii_lowercase();
        assert!(head.starts_with("post /predict http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nx-api-key: secret\r\n"), "{head}");
        assert!(
            head.contains(&format!("\r\nhost: {}\r\n", server.address)),
            "{head}"
        );
        assert!(head.contains("multipart/form-data; boundary="), "{head}");
    }
}

#[tokio::test]
async fn what_cannot_be_measured_says_why() {
    let server = Server::start(Duration::ZERO, as_the_path_says);
    let error = target(&format!("{}/500", server.url()), &[photo("a")])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("status 500"), "{error}");
    // A full server is one that is there.
    assert!(
        target(&format!("{}/503", server.url()), &[photo("a")])
            .await
            .is_ok()
    );
    let error = target(&server.url(), &[]).await.unwrap_err();
    assert!(matches!(error, TargetError::NoPhotos));
    let error = target("http://no-such-host.invalid", &[photo("a")])
        .await
        .unwrap_err();
    assert!(matches!(error, TargetError::UnknownHost { .. }), "{error}");
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = target(&format!("http://{free}"), &[photo("a")])
        .await
        .unwrap_err();
    assert!(matches!(error, TargetError::FirstFailed { .. }), "{error}");
}
