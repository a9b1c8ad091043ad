//! Web and worker processes on one store: who does what, and what is asked of whom.

use std::sync::Arc;

use beagle::config::layer::Role;
use beagle::store::StoreLimits;
use beagle::store::memory::MemoryStore;

use crate::app::{TestApp, Wanted};
use crate::fake::{Act, picture};

/// A store that "processes" of this test share.
fn shared() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(StoreLimits::default()))
}

fn start(role: Role, store: &Arc<MemoryStore>) -> TestApp {
    let mut wanted = Wanted {
        models: usize::from(role != Role::Web),
        ..Wanted::default()
    };
    wanted.settings.role = role;
    TestApp::on(store.clone(), wanted)
}

#[test]
fn what_a_web_process_accepts_a_worker_answers() {
    let store = shared();
    let web = start(Role::Web, &store);
    let worker = start(Role::Worker, &store);
    for class in [3, 200] {
        web.classify(class, Act::Answer).assert_class(class);
    }
    assert!(web.stage.batches().is_empty());
    assert_eq!(worker.stage.batches().concat(), [3, 200]);
}

#[test]
fn a_worker_says_how_it_is_and_takes_no_images() {
    let worker = start(Role::Worker, &shared());
    assert_eq!(worker.get("/healthz").status, 200);
    assert_eq!(worker.get("/readyz").status, 200);
    let refused = worker.classify(1, Act::Answer);
    refused.assert_error(404, "not_found");
    let message = refused.json["error"]["message"].as_str().unwrap();
    assert!(message.contains("--role web"), "{message}");
    worker.get("/jobs/1").assert_error(404, "not_found");
}

#[test]
fn another_web_process_knows_the_job_and_its_key() {
    let store = shared();
    let (first, second) = (start(Role::Web, &store), start(Role::Web, &store));
    let keyed = [("Content-Type", "image/bmp"), ("Idempotency-Key", "k")];
    let asks = [keyed[0], keyed[1], ("Prefer", "respond-async")];
    let accepted = first.post_with("/predict", &picture(7, Act::Answer), &asks);
    assert_eq!(accepted.status, 202);
    let job = accepted.header("X-Job-Id").to_owned();

    let worker = start(Role::Worker, &store);
    let found = second.wait_for_state(&job, "done");
    assert_eq!(found.json["predictions"][0]["label"], "class_7");
    let again = second.post_with("/predict", &picture(7, Act::Answer), &keyed);
    again.assert_class(7);
    assert_eq!(again.header("X-Job-Id"), job);
    assert_eq!(worker.stage.batches(), [[7]], "it ran once");
}
