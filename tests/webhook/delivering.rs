//! Ends are told: what, to whom, how often, and how that shows.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use beagle::app::Ended;
use beagle::store::memory::MemoryStore;
use beagle::store::sqlite::{SqliteStore, Synchronous};
use beagle::store::{DeliveryState, JobStore, StoreLimits};

use crate::app::{TestApp, Told, Wanted};
use crate::fake::{Act, picture};
use crate::receiver::{Answer, Receiver};
use crate::{calls, keys, url};

const BMP: (&str, &str) = ("Content-Type", "image/bmp");

/// A server that calls back.
pub(crate) fn calling(change: impl FnOnce(&mut Wanted)) -> TestApp {
    TestApp::with(|wanted| {
        wanted.settings.webhook = Some(calls());
        change(wanted);
    })
}

fn status(status: u16) -> Answer {
    Answer::Status(status, String::new())
}

/// Sends a picture whose end is to be told.
fn send(app: &TestApp, receiver: &Receiver, act: Act, headers: &[(&str, &str)]) -> Told {
    let path = format!("/predict?callback={}", url(receiver.addr, "hook"));
    app.post_with(&path, &picture(7, act), &[&[BMP], headers].concat())
}

/// Asks for a job until its callback stands so.
#[track_caller]
fn wait_for_callback(app: &TestApp, job: &str, stands: &str) -> Told {
    let path = format!("/jobs/{job}");
    let until = std::time::Instant::now() + crate::GUARD;
    loop {
        let told = app.get(&path);
        if told.json["callback"] == stands {
            return told;
        }
        assert!(std::time::Instant::now() < until, "{}", told.json);
        std::thread::yield_now();
    }
}

/// The value of a counter or gauge.
fn metric(app: &TestApp, name: &str) -> f64 {
    let page = app.text("/metrics");
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

#[track_caller]
fn wait_for_metric(app: &TestApp, name: &str, value: f64) {
    let until = std::time::Instant::now() + crate::GUARD;
    while metric(app, name) != value {
        let found = metric(app, name);
        assert!(std::time::Instant::now() < until, "{name} is {found}");
        std::thread::yield_now();
    }
}

#[test]
fn an_answer_is_told_again_with_a_signature() {
    let (app, receiver) = (calling(|_| {}), Receiver::start());
    let span = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let told = send(&app, &receiver, Act::Answer, &[("traceparent", span)]);
    told.assert_class(7);
    let job = told.header("x-job-id").to_owned();
    let heard = receiver.wait_for(1).remove(0);
    assert_eq!(heard.path, "/hook");
    assert_eq!(heard.verify(&keys()), Ok(()));
    assert_eq!(heard.header("content-type"), "application/json");
    assert_eq!(heard.header("webhook-key-id"), "new old");
    assert!(heard.header("user-agent").starts_with("beagle/"));

    let mut now = wait_for_callback(&app, &job, "delivered").json;
    now["callback"] = "due".into();
    assert_eq!(
        heard.json(),
        now,
        "it is what GET /jobs said at that moment"
    );
    assert_eq!(now["predictions"], told.json["predictions"]);
    let event = format!("{job}-{}", now["finished_ms"]);
    assert_eq!(heard.header("webhook-id"), event);
    wait_for_metric(&app, "beagle_callbacks_delivered_total", 1.0);
    assert_eq!(metric(&app, "beagle_callback_tries_failed_total"), 0.0);
    assert_eq!(metric(&app, "beagle_callbacks_given_up_total"), 0.0);
    assert_eq!(metric(&app, "beagle_queue_callbacks_due"), 0.0);
    assert_eq!(receiver.heard().len(), 1);
}

#[test]
fn every_end_is_told() {
    // Only jobs that are kept have so little time, and those are not to come to their turn.
    let app = calling(|wanted| wanted.settings.times.keep_for = Duration::from_millis(200));
    let receiver = Receiver::start();
    thread::scope(|scope| {
        scope.spawn(|| app.classify(1, Act::Wait).assert_class(1));
        app.stage.wait_for_batches(1);
        let expired = send(&app, &receiver, Act::Answer, &[("Prefer", "respond-async")]);
        let heard = receiver.wait_for(1).remove(0).json();
        assert_eq!(heard["id"], expired.json["job"]);
        assert_eq!(
            (&heard["state"], &heard["error"]["code"]),
            (&"expired".into(), &"timed_out".into())
        );
        app.stage.open();
    });

    let (app, receiver) = (calling(|_| {}), Receiver::start());
    send(&app, &receiver, Act::Panic, &[]).assert_error(500, "dead_letter");
    let heard = receiver.wait_for(1).remove(0).json();
    assert_eq!(
        (&heard["state"], &heard["error"]["code"]),
        (&"dead".into(), &"dead_letter".into())
    );
    let cancelled = send(&app, &receiver, Act::Wait, &[("Prefer", "respond-async")]);
    app.delete(&format!("/jobs/{}", cancelled.header("x-job-id")));
    let heard = receiver.wait_for(2).remove(1).json();
    assert_eq!(heard["id"], cancelled.json["job"]);
    assert_eq!(
        (&heard["state"], &heard["error"]["code"]),
        (&"cancelled".into(), &"cancelled".into())
    );
}

#[test]
fn a_wait_that_is_over_goes_on_and_calls_back() {
    let (app, receiver) = (calling(|_| {}), Receiver::start());
    let told = send(&app, &receiver, Act::Wait, &[("X-Request-Timeout", "50ms")]);
    told.assert_error(504, "timed_out");
    assert!(
        told.json["error"]["message"]
            .to_string()
            .contains("goes on")
    );
    assert!(receiver.heard().is_empty());
    app.stage.open();
    let heard = receiver.wait_for(1).remove(0).json();
    assert_eq!(
        (&heard["id"], &heard["state"]),
        (&told.json["job"], &"done".into())
    );
}

#[test]
fn a_receiver_that_fails_is_called_again_until_it_hears() {
    let app = calling(|_| {});
    let receiver = Receiver::answering(|call, _| match call {
        0 => status(500),
        1 => Answer::Status(429, "Retry-After: 0\r\n".to_owned()),
        2 => status(404),
        _ => status(200),
    });
    let told = send(&app, &receiver, Act::Answer, &[]);
    let job = told.header("x-job-id");
    wait_for_callback(&app, job, "delivered");
    let heard = receiver.heard();
    assert_eq!(heard.len(), 4);
    for one in &heard {
        assert_eq!(one.verify(&keys()), Ok(()));
        assert_eq!(one.header("webhook-id"), heard[0].header("webhook-id"));
        assert_eq!(one.body, heard[0].body);
    }
    wait_for_metric(&app, "beagle_callback_tries_failed_total", 3.0);
    wait_for_metric(&app, "beagle_callbacks_delivered_total", 1.0);
}

#[test]
fn a_receiver_that_is_gone_is_called_no_more() {
    let (app, receiver) = (calling(|_| {}), Receiver::answering(|_, _| status(410)));
    let told = send(&app, &receiver, Act::Answer, &[]);
    wait_for_callback(&app, told.header("x-job-id"), "given_up");
    wait_for_metric(&app, "beagle_callbacks_given_up_total", 1.0);
    assert_eq!(receiver.heard().len(), 1);
}

#[test]
fn a_callback_is_given_up_after_its_time() {
    let app = calling(|wanted| wanted.store.callback_ttl = Duration::from_millis(300));
    let receiver = Receiver::answering(|_, _| status(503));
    let told = send(&app, &receiver, Act::Answer, &[]);
    let job = told.header("x-job-id");
    wait_for_callback(&app, job, "given_up");
    wait_for_metric(&app, "beagle_callbacks_given_up_total", 1.0);
}

#[test]
fn a_receiver_that_says_nothing_or_never_ends_holds_nobody_up() {
    let app = calling(|wanted| {
        let calls = wanted.settings.webhook.as_mut().unwrap();
        calls.timeout = Duration::from_millis(300);
        calls.callers = 1;
    });
    let receiver = Receiver::answering(|call, _| match call {
        0 => Answer::Nothing,
        _ => Answer::Endless,
    });
    let told = send(&app, &receiver, Act::Answer, &[]);
    wait_for_callback(&app, told.header("x-job-id"), "delivered");
    assert_eq!(receiver.heard().len(), 2);
}

#[test]
fn processes_that_share_a_queue_share_its_callbacks() {
    let store: Arc<dyn JobStore> = Arc::new(MemoryStore::new(StoreLimits::default()));
    let start = || {
        let mut wanted = Wanted::default();
        wanted.settings.webhook = Some(calls());
        TestApp::on(store.clone(), wanted)
    };
    let (receiver, apps) = (Receiver::start(), [start(), start()]);
    let mut jobs = BTreeSet::new();
    for round in 0..30 {
        let told = send(&apps[round % 2], &receiver, Act::Answer, &[]);
        jobs.insert(told.header("x-job-id").to_owned());
    }
    receiver.wait_for(30);
    for job in &jobs {
        wait_for_callback(&apps[0], job, "delivered");
    }
    let heard = receiver.heard();
    let ids: BTreeSet<String> = heard
        .iter()
        .map(|heard| heard.json()["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!((heard.len(), ids), (30, jobs));
    let delivered = apps
        .each_ref()
        .map(|app| metric(app, "beagle_callbacks_delivered_total"));
    assert_eq!(delivered.iter().sum::<f64>(), 30.0);
}

#[test]
fn a_call_that_is_on_its_way_is_recorded_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let open = || SqliteStore::open(&path, StoreLimits::default(), Synchronous::Normal).unwrap();
    let (answer, answered) = mpsc::channel();
    let answered = Mutex::new(answered);
    let receiver = Receiver::answering(move |_, _| {
        answered.lock().unwrap().recv_timeout(crate::GUARD).unwrap();
        status(204)
    });
    let mut wanted = Wanted::default();
    let mut calls = calls();
    calls.timeout = crate::GUARD;
    wanted.settings.webhook = Some(calls);
    let mut app = TestApp::on(Arc::new(open()), wanted);
    let told = send(&app, &receiver, Act::Answer, &[]);
    let id = told.header("x-job-id").parse().unwrap();
    receiver.wait_for(1);
    app.tell_to_stop();
    // It ends: nobody else comes in.
    while TcpStream::connect(app.addr).is_ok() {
        thread::yield_now();
    }
    answer.send(()).unwrap();
    assert_eq!(app.stop(), Ended::InOrder);
    let view = futures_executor::block_on(open().job(id)).unwrap().unwrap();
    assert_eq!(view.delivery.unwrap().state, DeliveryState::Delivered);
}

#[test]
fn a_slow_receiver_does_not_hold_up_others() {
    let app = calling(|wanted| wanted.settings.webhook.as_mut().unwrap().timeout = crate::GUARD);
    let (answer, answered) = mpsc::channel::<()>();
    let answered = Mutex::new(answered);
    let slow = Receiver::answering(move |_, _| {
        // Until the test is over.
        let _ = answered.lock().unwrap().recv_timeout(crate::GUARD);
        status(204)
    });
    // More than there are threads to call.
    for _ in 0..10 {
        send(&app, &slow, Act::Answer, &[]).assert_class(7);
    }
    slow.wait_for(1);
    let fast = Receiver::start();
    for _ in 0..3 {
        let told = send(&app, &fast, Act::Answer, &[]);
        wait_for_callback(&app, told.header("x-job-id"), "delivered");
    }
    assert_eq!((slow.heard().len(), fast.heard().len()), (1, 3));
    wait_for_metric(&app, "beagle_queue_callbacks_due", 10.0);
    drop(answer);
}
