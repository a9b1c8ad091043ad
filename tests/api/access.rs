//! Keys: who may ask, how much, and whose jobs are whose.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use beagle::access::Access;
use beagle::access::secret::Secret;
use tempfile::TempDir;

use crate::GUARD;
use crate::app::TestApp;
use crate::fake::{Act, picture};
use crate::raw::{self, Raw};

/// A server with keys, and their secrets.
pub(crate) struct Locked {
    pub(crate) app: TestApp,
    access: Arc<Access>,
    folder: TempDir,
    pub(crate) secrets: Vec<String>,
}

impl Locked {
    /// Keys `a`, `b`, ... with these settings each.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::with(settings, false)
    }

    fn with(settings: &[&str], open_metrics: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets: Vec<Secret> = settings.iter().map(|_| Secret::new().unwrap()).collect();
        let tables: String = secrets
            .iter()
            .zip(settings)
            .zip('a'..)
            .map(|((secret, settings), id)| {
                format!("[{id}]\nsha256 = \"{}\"\n{settings}\n", secret.digest())
            })
            .collect();
        let path = folder.path().join("keys.toml");
        fs::write(&path, tables).unwrap();
        let access = Arc::new(Access::with_keys(path).unwrap());
        let door = access.clone();
        let app = TestApp::with(|wanted| {
            wanted.settings.door.access = door;
            wanted.settings.door.open_metrics = open_metrics;
        });
        Self {
            app,
            access,
            folder,
            secrets: secrets
                .iter()
                .map(|secret| secret.as_str().to_owned())
                .collect(),
        }
    }

    pub(crate) fn bearer(&self, key: usize) -> String {
        format!("Bearer {}", self.secrets[key])
    }

    fn ask(&self, key: usize, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Raw {
        let bearer = self.bearer(key);
        let mut all = vec![("Authorization", bearer.as_str())];
        all.extend(headers);
        raw::ask(self.app.addr, line, &all, body)
    }

    fn post(&self, key: usize, line: &str, act: Act, more: &[(&str, &str)]) -> Raw {
        let mut headers = vec![("Content-Type", "image/bmp")];
        headers.extend(more);
        self.ask(key, line, &headers, &picture(7, act))
    }
}

#[track_caller]
fn assert_told(raw: &Raw, status: u16, code: &str) {
    assert_eq!(
        (raw.status, raw.code().as_str()),
        (status, code),
        "{}",
        raw.text()
    );
}

#[test]
fn without_a_key_nothing_is_answered_but_how_the_server_is() {
    let locked = Locked::start(&[""]);
    let addr = locked.app.addr;
    for line in ["GET /healthz", "GET /readyz", "GET /", "GET /page/page.js"] {
        assert_eq!(raw::ask(addr, line, &[], &[]).status, 200, "{line}");
    }
    for line in [
        "POST /predict",
        "GET /metrics",
        "GET /jobs/1",
        "DELETE /jobs/1",
        "GET /nowhere",
        "PUT /x",
    ] {
        let told = raw::ask(addr, line, &[], &[]);
        assert_told(&told, 401, "unauthorized");
        let challenge = told.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
    }
    let own = raw::ask(
        addr,
        "GET /metrics",
        &[("X-API-Key", &locked.secrets[0])],
        &[],
    );
    assert_eq!(own.status, 200);
    let refused = "beagle_requests_refused_total{code=\"unauthorized\"} 6";
    assert!(own.text().contains(refused), "{}", own.text());
}

#[test]
fn either_header_opens_and_a_wrong_key_does_not() {
    let locked = Locked::start(&[""]);
    let answered = locked.post(0, "POST /predict", Act::Answer, &[]);
    assert_eq!(answered.status, 200, "{}", answered.text());
    for wrong in ["", "Bearer", "Bearer nothing", "Basic YTpi"] {
        let told = raw::ask(
            locked.app.addr,
            "GET /jobs/1",
            &[("Authorization", wrong)],
            &[],
        );
        assert_told(&told, 401, "unauthorized");
    }
}

#[test]
fn metrics_can_be_open() {
    let locked = Locked::with(&[""], true);
    let addr = locked.app.addr;
    assert_eq!(raw::ask(addr, "GET /metrics", &[], &[]).status, 200);
    assert_eq!(raw::ask(addr, "GET /jobs/1", &[], &[]).status, 401);
}

#[test]
fn a_job_is_its_keys_alone() {
    let locked = Locked::start(&["", ""]);
    let made = locked.post(
        0,
        "POST /predict",
        Act::Answer,
        &[("Prefer", "respond-async")],
    );
    let job = made.header("x-job-id").unwrap().to_owned();
    for path in [
        format!("/jobs/{job}"),
        format!("/%6aobs/{job}"),
        format!("/jobs/{job}/events"),
    ] {
        let told = locked.ask(1, &format!("GET {path}"), &[], &[]);
        assert_told(&told, 404, "unknown_job");
    }
    let taken = locked.ask(1, &format!("DELETE /jobs/{job}"), &[], &[]);
    assert_told(&taken, 404, "unknown_job");
    for path in [format!("/jobs/{job}"), format!("/%6aobs/{job}")] {
        let own = locked.ask(0, &format!("GET {path}"), &[], &[]);
        assert_eq!(own.status, 200, "{path}: {}", own.text());
    }
}

#[test]
fn two_keys_with_the_same_idempotency_key_have_two_jobs() {
    let locked = Locked::start(&["", ""]);
    let key = [("Idempotency-Key", "order-1")];
    let ask = |who: usize| {
        let told = locked.post(who, "POST /predict", Act::Answer, &key);
        assert_eq!(told.status, 200, "{}", told.text());
        told.header("x-job-id").unwrap().to_owned()
    };
    let (a, b) = (ask(0), ask(1));
    assert_ne!(a, b);
    assert_eq!((ask(0), ask(1)), (a, b), "each finds its own again");
}

#[test]
fn a_priority_above_the_keys_is_forbidden() {
    let locked = Locked::start(&["priority = \"high\"", "", "priority = \"low\""]);
    for (key, query, status) in [
        (0, "?priority=high", 200),
        (1, "?priority=high", 403),
        (1, "?priority=normal", 200),
        (2, "?priority=normal", 403),
        (2, "", 200),
    ] {
        let told = locked.post(key, &format!("POST /predict{query}"), Act::Answer, &[]);
        assert_eq!(told.status, status, "{key}{query}: {}", told.text());
        if status == 403 {
            assert_told(&told, 403, "forbidden");
        }
    }
}

#[test]
fn a_key_that_is_too_fast_is_a_429_that_says_when() {
    let locked = Locked::start(&["requests-per-second = 1\nburst = 2", ""]);
    // No machine takes a second for each.
    let refused = (0..200)
        .map(|_| locked.ask(0, "GET /metrics", &[], &[]))
        .find(|told| told.status != 200)
        .unwrap();
    assert_told(&refused, 429, "rate_limited");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(locked.ask(1, "GET /metrics", &[], &[]).status, 200);
}

#[test]
fn images_in_flight_are_bounded_and_free_when_their_caller_has_gone() {
    let locked = Locked::start(&["in-flight = 1", ""]);
    let mut stream = raw::connect(locked.app.addr);
    let bearer = locked.bearer(0);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "image/bmp"),
    ];
    let waits = picture(1, Act::Wait);
    stream
        .write_all(&raw::request("POST /predict", &headers, &waits))
        .unwrap();
    locked.app.stage.wait_for_batches(1);
    let refused = locked.post(0, "POST /predict", Act::Answer, &[]);
    assert_told(&refused, 429, "too_many_in_flight");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(locked.ask(0, "GET /metrics", &[], &[]).status, 200);

    drop(stream);
    let until = Instant::now() + GUARD;
    loop {
        let wait = [("Prefer", "respond-async")];
        let told = locked.post(0, "POST /predict", Act::Answer, &wait);
        if told.status == 202 {
            break;
        }
        assert_told(&told, 429, "too_many_in_flight");
        assert!(Instant::now() < until, "its place is never free");
        thread::yield_now();
    }
    locked.app.stage.open();
}

#[test]
fn who_guesses_is_told_to_wait_and_who_has_a_key_is_not() {
    let locked = Locked::start(&["requests-per-second = 100000"]);
    let guess = |number: usize| {
        let key = format!("bgl_guess{number}");
        raw::ask(locked.app.addr, "GET /metrics", &[("X-API-Key", &key)], &[])
    };
    let told: Vec<Raw> = (0..200).map(guess).collect();
    assert_told(&told[0], 401, "unauthorized");
    let waits = told.iter().find(|told| told.status != 401).unwrap();
    assert_told(waits, 429, "rate_limited");
    assert_eq!(waits.header("retry-after"), Some("1"));
    assert_eq!(locked.ask(0, "GET /metrics", &[], &[]).status, 200);
}

#[test]
fn keys_come_and_go_while_the_server_runs() {
    let locked = Locked::start(&["", ""]);
    let path = locked.folder.path().join("keys.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (_, without_first) = text.split_at(text.find("[b]").unwrap());
    fs::write(&path, without_first).unwrap();
    assert_eq!(locked.access.reload().unwrap(), 1);
    assert_eq!(locked.ask(0, "GET /metrics", &[], &[]).status, 401);
    assert_eq!(locked.ask(1, "GET /metrics", &[], &[]).status, 200);
    fs::write(&path, "[").unwrap();
    assert!(locked.access.reload().is_err());
    assert_eq!(locked.ask(1, "GET /metrics", &[], &[]).status, 200);
}
