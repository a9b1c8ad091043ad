//! `GET /metrics`: values after known traffic, in every role, while the store is away; and the
//! table of the documentation.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use beagle::config::layer::Role;
use beagle::store::memory::MemoryStore;
use beagle::store::{Demand, JobStore, StoreLimits, sharded};
use beagle::webhook;
use beagle::webhook::caller::SystemNames;
use beagle::webhook::guard::Guard;
use beagle::webhook::policy::Waits;
use beagle::webhook::sign::Keyring;

use crate::GUARD;
use crate::app::{TestApp, Wanted};
use crate::fake::{Act, picture};

/// The table of the documentation.
const TABLE: &str = include_str!("../../docs/metrics.md");

const BMP: (&str, &str) = ("Content-Type", "image/bmp");

/// What a page of metrics says.
struct Page {
    /// Family by family, its kind.
    kinds: BTreeMap<String, String>,
    /// Series by series, name and labels as written.
    values: BTreeMap<String, f64>,
}

impl Page {
    fn of(app: &TestApp) -> Self {
        let text = app.text("/metrics");
        let lines = || text.lines();
        let kinds = lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let series = lines().filter(|line| !line.starts_with('#'));
        Self {
            kinds: kinds
                .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
                .collect(),
            values: series
                .map(|line| {
                    let (name, value) = line.rsplit_once(' ').unwrap();
                    (name.to_owned(), value.parse().unwrap())
                })
                .collect(),
        }
    }

    #[track_caller]
    fn assert(&self, wanted: &[(&str, f64)]) {
        let found: Vec<(&str, f64)> = wanted
            .iter()
            .map(|(name, _)| (*name, self.values.get(*name).copied().unwrap_or(f64::NAN)))
            .collect();
        assert_eq!(found, wanted, "{:#?}", self.values);
    }

    /// Asks until a series has this value.
    #[track_caller]
    fn wait_for(app: &TestApp, name: &str, value: f64) -> Self {
        let until = Instant::now() + GUARD;
        loop {
            let page = Self::of(app);
            if page.values.get(name) == Some(&value) {
                return page;
            }
            assert!(
                Instant::now() < until,
                "{name}: {:?}",
                page.values.get(name)
            );
            thread::yield_now();
        }
    }
}

#[test]
fn what_happened_is_counted_and_timed() {
    let app = TestApp::start();
    let before = Page::of(&app);
    before.assert(&[
        ("beagle_jobs_accepted_total", 0.0),
        ("beagle_requests_refused_total{code=\"queue_full\"}", 0.0),
        ("beagle_ready", 1.0),
        ("beagle_models_warm", 1.0),
        ("beagle_store_up", 1.0),
        ("beagle_queue_oldest_age_seconds", 0.0),
    ]);
    for class in 1..=3 {
        app.classify(class, Act::Answer).assert_class(class);
    }
    // Runs four times, alone each time, and is a dead letter then.
    app.classify(7, Act::Panic).assert_error(500, "dead_letter");
    app.post("/predict", b"no image")
        .assert_error(415, "unsupported_format");
    app.post("/predict?top=0", &picture(1, Act::Answer))
        .assert_error(400, "bad_request");
    app.get("/nowhere").assert_error(404, "not_found");
    let parts = [picture(4, Act::Answer), b"GIF89a".to_vec()];
    assert_eq!(app.post_parts("/predict", &parts).status, 207);

    let page = Page::of(&app);
    page.assert(&[
        ("beagle_jobs_accepted_total", 5.0),
        ("beagle_jobs_answered_total", 4.0),
        ("beagle_jobs_completed_total", 4.0),
        ("beagle_jobs_redelivered_total", 3.0),
        ("beagle_jobs_dead_total", 1.0),
        ("beagle_jobs_cancelled_total", 0.0),
        ("beagle_requests_refused_total{code=\"dead_letter\"}", 1.0),
        (
            "beagle_requests_refused_total{code=\"unsupported_format\"}",
            1.0,
        ),
        ("beagle_requests_refused_total{code=\"bad_request\"}", 1.0),
        ("beagle_requests_refused_total{code=\"not_found\"}", 1.0),
        (
            "beagle_requests_refused_total{code=\"malformed_image\"}",
            1.0,
        ),
        ("beagle_decode_duration_seconds_count", 5.0),
        ("beagle_queue_duration_seconds_count", 8.0),
        ("beagle_batch_wait_duration_seconds_count", 8.0),
        ("beagle_inference_duration_seconds_count", 8.0),
        ("beagle_batch_size_images_count", 8.0),
        ("beagle_batch_size_images_sum", 8.0),
        ("beagle_batch_size_images_bucket{le=\"1\"}", 8.0),
        ("beagle_job_duration_seconds_count", 4.0),
        ("beagle_answer_duration_seconds_count", 4.0),
        ("beagle_queue_jobs{state=\"queued\"}", 0.0),
        ("beagle_queue_jobs{state=\"running\"}", 0.0),
        ("beagle_queue_bytes", 0.0),
        ("beagle_queue_dead_letters", 1.0),
        ("beagle_queue_results", 4.0),
        ("beagle_queue_callbacks_due", 0.0),
    ]);
    let (answer, inference) = (
        page.values["beagle_answer_duration_seconds_sum"],
        page.values["beagle_inference_duration_seconds_sum"],
    );
    assert!(answer > 0.0 && inference > 0.0 && answer < GUARD.as_secs_f64());
}

#[test]
fn the_queue_is_seen_while_it_is_full_and_what_is_taken_back_is_counted() {
    let app = TestApp::start();
    let not_waiting = [BMP, ("Prefer", "respond-async")];
    let busy = app.post_with("/predict", &picture(1, Act::Wait), &not_waiting);
    app.stage.wait_for_batches(1);
    let second = app.post_with("/predict", &picture(2, Act::Answer), &not_waiting);
    let page = Page::of(&app);
    page.assert(&[
        ("beagle_queue_jobs{state=\"queued\"}", 1.0),
        ("beagle_queue_jobs{state=\"running\"}", 1.0),
        ("beagle_queue_bytes", 2.0 * crate::fake::BYTES as f64),
    ]);
    for _ in 0..2 {
        let told = app.delete(&format!("/jobs/{}", second.header("x-job-id")));
        assert_eq!(
            (told.status, &told.json["state"]),
            (200, &"cancelled".into())
        );
    }
    app.stage.open();
    app.wait_for_state(busy.header("x-job-id"), "done");
    Page::of(&app).assert(&[
        ("beagle_jobs_cancelled_total", 1.0),
        ("beagle_queue_results", 2.0),
        ("beagle_queue_jobs{state=\"queued\"}", 0.0),
    ]);
}

/// A server that runs nothing.
fn web(change: impl FnOnce(&mut Wanted)) -> TestApp {
    TestApp::with(|wanted| {
        wanted.models = 0;
        wanted.settings.role = Role::Web;
        change(wanted);
    })
}

#[test]
fn a_job_taken_back_from_a_process_that_died_is_counted() {
    let app = web(|wanted| wanted.store.lease = Duration::from_millis(30));
    let not_waiting = [BMP, ("Prefer", "respond-async")];
    let accepted = app.post_with("/predict", &picture(1, Act::Answer), &not_waiting);
    assert_eq!(accepted.status, 202);
    // As a process that dies then.
    let claimed = futures_executor::block_on(app.store.claim(1)).unwrap();
    assert_eq!(claimed.len(), 1);
    Page::wait_for(&app, "beagle_jobs_recovered_total", 1.0);
}

#[test]
fn a_job_past_its_deadline_is_counted() {
    let app = web(|wanted| wanted.settings.times.keep_for = Duration::from_millis(1));
    let not_waiting = [BMP, ("Prefer", "respond-async")];
    app.post_with("/predict", &picture(1, Act::Answer), &not_waiting);
    Page::wait_for(&app, "beagle_jobs_expired_total", 1.0);
}

#[test]
fn callbacks_that_nobody_takes_are_counted() {
    let secret = "key:AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    let app = TestApp::with(|wanted| {
        wanted.store.callback_ttl = Duration::from_secs(1);
        wanted.settings.webhook = Some(webhook::Settings {
            keys: Arc::new(Keyring::parse(secret).unwrap()),
            guard: Arc::new(Guard::new(vec!["127.0.0.1".parse().unwrap()])),
            names: Arc::new(SystemNames),
            callers: 1,
            connect_timeout: GUARD,
            timeout: GUARD,
            waits: Waits::default(),
            certificates: None,
        });
    });
    // Nobody listens on this port: see below.
    let asked = app.post(
        "/predict?callback=http://127.0.0.1:1/",
        &picture(1, Act::Answer),
    );
    asked.assert_class(1);
    let page = Page::wait_for(&app, "beagle_callback_tries_failed_total", 1.0);
    page.assert(&[("beagle_callbacks_delivered_total", 0.0)]);
    let page = Page::wait_for(&app, "beagle_callbacks_given_up_total", 1.0);
    page.assert(&[
        ("beagle_callback_tries_failed_total", 1.0),
        ("beagle_queue_callbacks_due", 0.0),
    ]);
}

#[test]
fn every_role_shows_the_names_of_the_table() {
    let rows = TABLE
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("_"));
    let table: BTreeMap<String, String> = rows
        .map(|row| {
            let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`'));
            let name = cells.nth(1).unwrap().split('{').next().unwrap();
            (name.to_owned(), cells.next().unwrap().to_owned())
        })
        // What only a store of Redis servers has is asked of one below.
        .filter(|(name, _)| name != "beagle_shard_up")
        .collect();
    assert!(table.len() > 20, "{table:?}");
    for role in [Role::All, Role::Web, Role::Worker] {
        let mut wanted = Wanted {
            models: usize::from(role != Role::Web),
            ..Wanted::default()
        };
        wanted.settings.role = role;
        let store = Arc::new(MemoryStore::new(StoreLimits::default()));
        let app = TestApp::on(store, wanted);
        let page = Page::of(&app);
        assert_eq!(page.kinds, table, "{role:?}");
        let version = env!("CARGO_PKG_VERSION");
        let info = format!(
            "beagle_build_info{{role=\"{}\",version=\"{version}\"}}",
            role.name()
        );
        let models = if role == Role::Web { 0.0 } else { 1.0 };
        page.assert(&[(&info, 1.0), ("beagle_models_warm", models)]);
    }
}

#[test]
fn the_process_itself_is_measured() {
    let app = TestApp::start();
    let page = Page::of(&app);
    let value = |name: &str| page.values[name];
    assert!(value("process_open_fds") >= 3.0 && value("process_max_fds") >= 3.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
    assert!(value("process_threads") >= 2.0);
    assert!(value("process_start_time_seconds") > 1.6e9);
}

#[test]
fn promtool_has_nothing_to_say_against_the_page() {
    let app = TestApp::start();
    app.classify(1, Act::Answer).assert_class(1);
    app.get("/nowhere").assert_error(404, "not_found");
    let check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut check = check.expect("promtool: install Debian's package prometheus");
    let page = app.text("/metrics");
    check
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let checked = check.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

#[test]
fn a_store_that_is_away_is_said_and_its_figures_are_left_out() {
    let anything: Demand = Arc::new(|_| Ok(()));
    // Nobody listens on these ports: they belong to no service and are below those given out.
    let urls = [
        "redis://127.0.0.1:1".to_owned(),
        "redis://127.0.0.1:2".to_owned(),
    ];
    let open = async { sharded::open(&urls, StoreLimits::default(), &anything) };
    let store: Arc<dyn JobStore> = futures_executor::block_on(open).unwrap();
    let app = TestApp::on(store, Wanted::default());
    for path in ["/readyz", "/v2/health/ready", "/v2/models/plain/ready"] {
        let told = app.get(path);
        assert_eq!(
            (told.status, told.header("retry-after")),
            (503, "1"),
            "{path}"
        );
    }
    let page = Page::of(&app);
    page.assert(&[
        ("beagle_store_up", 0.0),
        ("beagle_ready", 0.0),
        ("beagle_shard_up{shard=\"127.0.0.1:1/0\"}", 0.0),
        ("beagle_shard_up{shard=\"127.0.0.1:2/0\"}", 0.0),
        ("beagle_jobs_accepted_total", 0.0),
    ]);
    assert!(
        !page
            .values
            .keys()
            .any(|name| name.starts_with("beagle_queue_jobs"))
    );
}
