//! `GET /jobs/{id}?wait=` and `GET /jobs/{id}/events`: who waits for a job's end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use beagle::store::memory::MemoryStore;
use beagle::store::{JobStore, StoreLimits};
use serde_json::Value;

use crate::GUARD;
use crate::app::{TestApp, Wanted};
use crate::fake::{Act, picture};

/// A name that no job has.
const NOBODY: &str = "01a21050-264e-7654-933e-2bd55b7122a7";

/// A stream of events, as it comes.
struct Events {
    lines: BufReader<TcpStream>,
    head: String,
}

/// One event.
#[derive(Debug)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

impl Events {
    fn open(app: &TestApp, job: &str, last: Option<&str>) -> Self {
        let mut client = TcpStream::connect(app.addr).unwrap();
        client.set_read_timeout(Some(GUARD)).unwrap();
        let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let request = format!("GET /jobs/{job}/events HTTP/1.1\r\nHost: b\r\n{last}\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(client);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        Self {
            lines,
            head: head.to_lowercase(),
        }
    }

    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// The next chunk of the body; nothing after the last.
    fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        if self.lines.read_line(&mut size).unwrap() == 0 {
            return None;
        }
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.lines.read_exact(&mut chunk).unwrap();
        (size > 0).then(|| String::from_utf8_lossy(&chunk[..size]).into_owned())
    }

    /// The next event, comments and the time to come again left out; nothing at the end.
    fn next(&mut self) -> Option<Event> {
        loop {
            let chunk = self.chunk()?;
            let field = |name: &str| {
                let mut lines = chunk.lines();
                lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            if let Some(name) = field("event") {
                assert!(chunk.ends_with("\n\n"), "{chunk:?}");
                return Some(Event {
                    id: field("id").unwrap().to_owned(),
                    name: name.to_owned(),
                    data: serde_json::from_str(field("data").unwrap()).unwrap(),
                });
            }
        }
    }
}

/// A job that is accepted, in whatever state.
fn submit(app: &TestApp, class: u8, act: Act) -> String {
    let told = app.post("/jobs", &picture(class, act));
    assert_eq!(told.status, 202, "{}", told.json);
    told.header("x-job-id").to_owned()
}

/// A store in memory, and a server on it that runs nothing by itself.
fn idle_server(change: impl FnOnce(&mut Wanted)) -> TestApp {
    let mut wanted = Wanted {
        models: 0,
        ..Wanted::default()
    };
    wanted.settings.role = beagle::config::layer::Role::Web;
    change(&mut wanted);
    let store: Arc<dyn JobStore> = Arc::new(MemoryStore::new(StoreLimits::default()));
    TestApp::on(store, wanted)
}

#[test]
fn who_waits_for_a_job_is_answered_when_it_ends() {
    let app = TestApp::start();
    let job = submit(&app, 4, Act::Wait);
    app.stage.wait_for_batches(1);
    thread::scope(|scope| {
        let waits = || app.get(&format!("/jobs/{job}?wait=1h"));
        let waiting = [scope.spawn(waits), scope.spawn(waits)];
        let early = app.get(&format!("/jobs/{job}?wait=1ms"));
        assert_eq!(early.json["state"], "running", "the wait was over first");
        app.stage.open();
        for told in waiting.map(|waiting| waiting.join().unwrap()) {
            assert_eq!((told.status, &told.json["state"]), (200, &"done".into()));
            assert_eq!(told.json["predictions"][0]["label"], "class_4");
        }
    });
    let after = app.get(&format!("/jobs/{job}?wait=1h"));
    assert_eq!(after.json["state"], "done", "at once");
}

#[test]
fn a_wait_is_no_longer_than_the_server_lets_a_caller_wait() {
    let app =
        idle_server(|wanted| wanted.settings.times.request_timeout = Duration::from_millis(40));
    let job = submit(&app, 4, Act::Answer);
    let told = app.get(&format!("/jobs/{job}?wait=1h"));
    assert_eq!(told.json["state"], "queued");
    assert_eq!(told.json["position"], 1);
}

#[test]
fn a_wait_that_makes_no_sense_is_named() {
    let app = TestApp::start();
    let job = submit(&app, 4, Act::Answer);
    for (query, named) in [
        ("wait=30", "wait is '30'"),
        ("wait=soon", "soon"),
        ("wait", "wait"),
        ("wait=", "wait is ''"),
        ("weight=2s", "weight"),
    ] {
        let told = app.get(&format!("/jobs/{job}?{query}"));
        told.assert_error(400, "bad_request");
        let message = told.json["error"]["message"].as_str().unwrap();
        assert!(message.contains(named), "{query}: {message}");
    }
    app.get(&format!("/jobs/{NOBODY}?wait=1h"))
        .assert_error(404, "unknown_job");
    app.get("/jobs/nobody?wait=1h")
        .assert_error(404, "unknown_job");
}

#[test]
fn events_tell_every_state_that_is_seen_and_end_with_the_last() {
    let app = TestApp::with(|wanted| wanted.settings.batch.max_size = 1);
    let busy = submit(&app, 1, Act::Wait);
    app.stage.wait_for_batches(1);
    let job = submit(&app, 4, Act::Wait);
    let mut running = Events::open(&app, &busy, None);
    let first = running.next().unwrap();
    assert_eq!(
        (first.name.as_str(), first.id.as_str()),
        ("running", "1-running")
    );
    let mut events = Events::open(&app, &job, None);
    assert_eq!(events.status(), "200");
    for header in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-store\r\n",
        "x-accel-buffering: no\r\n",
        &format!("x-job-id: {job}\r\n"),
    ] {
        assert!(events.head.contains(header), "{}", events.head);
    }
    assert_eq!(events.chunk().unwrap(), "retry: 2000\n\n");
    let queued = events.next().unwrap();
    assert_eq!(
        (queued.name.as_str(), queued.id.as_str()),
        ("queued", "0-queued")
    );
    assert_eq!(queued.data["position"], 2);
    assert_eq!(queued.data["id"], job);
    app.stage.open();
    let names: Vec<String> = std::iter::from_fn(|| events.next())
        .inspect(|event| assert_eq!(event.data["state"], event.name))
        .map(|event| event.name)
        .collect();
    assert!(
        names.len() <= 2 && names.last().is_some_and(|last| last == "done"),
        "{names:?}"
    );
    let last = running.next().unwrap();
    assert_eq!(last.name, "done");
    assert_eq!(last.data["predictions"][0]["label"], "class_1");
    assert!(running.next().is_none(), "the stream ends");
}

#[test]
fn a_client_that_comes_again_is_told_what_is_new() {
    let app = TestApp::start();
    let job = submit(&app, 4, Act::Wait);
    app.stage.wait_for_batches(1);
    let mut events = Events::open(&app, &job, Some("1-running"));
    app.stage.open();
    let done = events.next().unwrap();
    assert_eq!(done.id, "1-done", "what it has is not told again");
    assert!(events.next().is_none());
    let mut late = Events::open(&app, &job, Some("1-running"));
    assert_eq!(late.next().unwrap().id, "1-done");
    let after = Events::open(&app, &job, Some("1-done"));
    assert_eq!(after.status(), "204", "it need not come again");
}

#[test]
fn a_job_that_is_taken_back_ends_its_events() {
    let app = idle_server(|_| {});
    let job = submit(&app, 4, Act::Answer);
    let mut events = Events::open(&app, &job, None);
    assert_eq!(events.next().unwrap().name, "queued");
    app.delete(&format!("/jobs/{job}"));
    let end = events.next().unwrap();
    assert_eq!(end.name, "cancelled");
    assert_eq!(end.data["error"]["code"], "cancelled");
    assert!(events.next().is_none());
    for unknown in [NOBODY, "nobody"] {
        app.get(&format!("/jobs/{unknown}/events"))
            .assert_error(404, "unknown_job");
    }
}

#[test]
fn no_more_watch_than_may_and_who_goes_makes_room() {
    let app = idle_server(|wanted| wanted.settings.watchers = 2);
    let job = submit(&app, 4, Act::Answer);
    let first = Events::open(&app, &job, None);
    let mut second = Events::open(&app, &job, None);
    assert_eq!(second.next().unwrap().name, "queued");
    for path in [
        format!("/jobs/{job}/events"),
        format!("/jobs/{job}?wait=1h"),
    ] {
        let full = app.get(&path);
        full.assert_error(503, "queue_full");
        assert!(full.headers.contains_key("retry-after"));
    }
    assert_eq!(
        app.get(&format!("/jobs/{job}")).status,
        200,
        "a look is free"
    );
    drop(first);
    let until = Instant::now() + GUARD;
    while app.get(&format!("/jobs/{job}?wait=1ms")).status != 200 {
        assert!(Instant::now() < until, "the place of who has gone is free");
        thread::yield_now();
    }
    app.delete(&format!("/jobs/{job}"));
    assert_eq!(second.next().unwrap().name, "cancelled");
}

#[test]
fn a_server_that_stops_lets_go_of_who_watches() {
    let mut app = idle_server(|wanted| wanted.settings.watchers = 2);
    let job = submit(&app, 4, Act::Answer);
    let mut events = Events::open(&app, &job, None);
    assert_eq!(events.next().unwrap().name, "queued");
    let wait = || {
        let mut client = TcpStream::connect(app.addr).unwrap();
        let request = format!("GET /jobs/{job}?wait=1h HTTP/1.1\r\nHost: b\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        client.set_nonblocking(true).unwrap();
        client
    };
    let mut waiting = wait();
    // It waits when there is no place left.
    let until = Instant::now() + GUARD;
    while app.get(&format!("/jobs/{job}?wait=1ms")).status != 503 {
        assert!(Instant::now() < until, "it does not wait");
        if waiting.peek(&mut [0]).is_ok() {
            // It was refused, because it came when this was asking.
            waiting = wait();
        }
        thread::yield_now();
    }
    waiting.set_nonblocking(false).unwrap();
    waiting.set_read_timeout(Some(GUARD)).unwrap();
    app.tell_to_stop();
    assert!(events.next().is_none(), "the stream ends in order");
    let mut told = String::new();
    waiting.read_to_string(&mut told).unwrap();
    assert!(
        told.starts_with("HTTP/1.1 200") && told.contains("\"queued\""),
        "{told}"
    );
}
