//! The disk under Redis' append-only file is full.
//!
//! A limit on the size of Redis' files stands for it: a write comes back short and the next one
//! fails, as on a full disk, and no file system need be mounted. Must not know: scripts.

use std::process::Command;

use beagle::store::{
    Completed, Enqueued, JobId, JobState, JobStore, Lease, NewJob, Severity, Start, StoreError,
    StoreLimits,
};
use bytes::Bytes;

use super::{WRITES_AT_ONCE, open, until_it_works};
use crate::fixture::{accept, completion, job, limits, run_one, soon, state};
use crate::redis_server::RedisServer;

/// Bytes of pixels of a job here.
const PIXELS: usize = 150_528;

/// Bytes of each file of Redis.
const ROOM: &str = "3000000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_changes_and_loses_nothing_once_there_is_room() {
    let mut server = with_limits();
    let store = open(&server, roomy());
    let running = running(&store).await;
    fill(&server, ROOM);
    let mut accepted = fill_up(&store).await;

    // Neither a result nor a claim is taken, and what is there can be seen.
    let result = [completion(running, "a dog")];
    full(store.complete(&result).await);
    full(store.claim(1).await);
    full(store.tend().await);
    assert_eq!(state(&store, running.id).await, Some(JobState::Running));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running), (accepted.len() as u64, 1));
    let findings = store.doctor().await.unwrap();
    let danger = findings
        .iter()
        .find(|one| one.check == "last-write")
        .unwrap();
    assert_eq!(danger.severity, Severity::Danger, "{danger:?}");

    fill(&server, "unlimited");
    until_it_works(&store).await;
    assert_eq!(store.complete(&result).await, Ok(vec![Completed::First]));
    accepted.push(accept(&store, large()).await);
    server.kill();
    server.restart();
    until_it_works(&store).await;
    assert_eq!(state(&store, running.id).await, Some(JobState::Done));
    run_all(&store, &accepted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_while_its_disk_is_full_loses_at_most_its_last_answer() {
    let mut server = with_limits();
    let store = open(&server, roomy());
    let running = running(&store).await;
    fill(&server, ROOM);
    let accepted = fill_up(&store).await;
    // The new process has no limit: there is room.
    server.kill();
    server.restart();

    until_it_works(&store).await;
    let result = store.complete(&[completion(running, "a dog")]).await;
    assert_eq!(result, Ok(vec![Completed::First]));
    // Redis answers what it could not write any more, and refuses from then on.
    let (last, before) = accepted.split_last().unwrap();
    let there = match state(&store, *last).await {
        Some(JobState::Queued) => &accepted[..],
        other => {
            assert_eq!(other, None);
            before
        }
    };
    run_all(&store, there).await;
}

/// Its files may be limited, and it hears of a limit as of a full disk.
fn with_limits() -> RedisServer {
    RedisServer::start_under(&["env", "--ignore-signal=XFSZ"], &WRITES_AT_ONCE)
}

/// Leaves Redis so much room for each file.
fn fill(server: &RedisServer, bytes: &str) {
    let status = Command::new("prlimit")
        .arg(format!("--fsize={bytes}:unlimited"))
        .args(["--pid", &server.pid().to_string()])
        .status()
        .expect("prlimit is needed for these tests: install util-linux");
    assert!(status.success());
}

fn roomy() -> StoreLimits {
    StoreLimits {
        max_bytes: 1 << 30,
        ..limits()
    }
}

fn large() -> NewJob {
    NewJob {
        pixels: Bytes::from(vec![7; PIXELS]),
        ..job()
    }
}

async fn running(store: &dyn JobStore) -> Lease {
    accept(store, large()).await;
    run_one(store).await
}

/// Offers jobs until Redis can write no more, and again: they are refused, every one.
async fn fill_up(store: &dyn JobStore) -> Vec<JobId> {
    let mut accepted = Vec::new();
    loop {
        let offered = large();
        let id = offered.id;
        match store.enqueue(offered).await {
            Ok(Enqueued::Accepted) => accepted.push(id),
            refused => {
                full(refused);
                break;
            }
        }
        assert!(accepted.len() < 100, "the disk does not fill up");
    }
    assert!(accepted.len() > 10, "{accepted:?}");
    for _ in 0..5 {
        full(store.enqueue(large()).await);
        full(store.enqueue(job()).await);
    }
    accepted
}

/// Claims, runs and finishes exactly these.
async fn run_all(store: &dyn JobStore, expected: &[JobId]) {
    let mut came = Vec::new();
    while came.len() < expected.len() {
        for claimed in soon(store.claim(10)).await.unwrap() {
            assert_eq!(claimed.pixels.len(), PIXELS);
            assert_eq!(store.start(&[claimed.lease]).await, Ok(vec![Start::Run]));
            let done = store.complete(&[completion(claimed.lease, "a dog")]).await;
            assert_eq!(done, Ok(vec![Completed::First]));
            came.push(claimed.lease.id);
        }
    }
    assert_eq!(came, expected);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running, stats.bytes), (0, 0, 0));
}

#[track_caller]
fn full<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    match answer {
        Err(StoreError::Unavailable(reason)) => assert!(reason.contains("disk"), "{reason}"),
        other => panic!("on a full disk it said {other:?}"),
    }
}
