//! Redis dies, hangs, forgets, fills up, or cuts connections.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use beagle::store::{
    Completed, Enqueued, JobState, JobStore, NewJob, Start, StoreError, StoreLimits,
};
use bytes::Bytes;

use super::{open, until_it_works};
use crate::fixture::{
    accept, accept_many, claim_one, completion, finish_one, job, limits, run_one, soon, state,
};
use crate::redis_server::RedisServer;

/// Longer than any refusal may take: the answer's 2 s, the connection's 1 s, and a slow machine.
const FAST: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_jobs_survive_kill_9_of_redis() {
    let mut server = RedisServer::start();
    let store = open(&server, limits());
    let offered = accept_many(&store, 100).await;
    let done = finish_one(&store, "a dog").await;
    let running = run_one(&store).await;
    server.until_written();
    server.kill();
    server.restart();

    until_it_works(&store).await;
    assert_eq!(state(&store, done).await, Some(JobState::Done));
    // Who runs a job across the restart still has it.
    let result = store.complete(&[completion(running, "a cat")]).await;
    assert_eq!(result, Ok(vec![Completed::First]));
    let claimed = soon(store.claim(200)).await.unwrap();
    let came: Vec<_> = claimed.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, offered[2..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_redis_does_not_make_living_processes_look_dead() {
    let mut server = RedisServer::start();
    let store = open(&server, limits());
    accept(&store, job()).await;
    let lease = run_one(&store).await;
    store.tend().await.unwrap();
    server.kill();
    server.restart();

    until_it_works(&store).await;
    for key in server.run::<Vec<String>>("KEYS {beagle:0}:alive:*") {
        server.run::<()>(&format!("DEL {key}"));
    }
    assert_eq!(store.tend().await.unwrap().reclaimed, 0);
    assert_eq!(
        store.complete(&[completion(lease, "")]).await,
        Ok(vec![Completed::First])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_down_calls_fail_fast_and_work_again_when_it_is_back() {
    let mut server = RedisServer::start();
    let store = open(&server, limits());
    server.kill();
    for _ in 0..20 {
        let asked = Instant::now();
        unavailable(store.enqueue(job()).await);
        unavailable(store.claim(1).await);
        unavailable(store.stats().await);
        assert!(asked.elapsed() < FAST, "{:?}", asked.elapsed());
    }
    server.restart();
    until_it_works(&store).await;
    let id = accept(&store, job()).await;
    assert_eq!(finish_one(&store, "a dog").await, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_hangs_calls_fail_fast_and_what_a_claim_took_unheard_comes_back() {
    let server = RedisServer::start();
    // The lease never ends, so only the store's own care can bring the job back.
    let store = open(&server, limits());
    let id = accept(&store, job()).await;
    server.stop();
    let asked = Instant::now();
    unavailable(store.claim(1).await);
    assert!(asked.elapsed() < FAST, "{:?}", asked.elapsed());
    server.resume();

    until_it_works(&store).await;
    let claimed = claim_one(&store).await;
    assert_eq!((claimed.lease.id, claimed.attempts), (id, 0));
    assert_eq!(store.start(&[claimed.lease]).await, Ok(vec![Start::Run]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_dropped_with_jobs_in_hand_gives_them_back_long_before_the_lease() {
    let server = RedisServer::start();
    let store = open(&server, limits());
    let mut dropped_in_time = 0;
    while dropped_in_time < 20 {
        let id = accept(&store, job()).await;
        let mut claim = Box::pin(store.claim(1));
        let polled = poll_fn(|context| Poll::Ready(claim.as_mut().poll(context))).await;
        drop(claim);
        match polled {
            Poll::Pending => dropped_in_time += 1,
            // It was faster than this test, which has the job now.
            Poll::Ready(claimed) => {
                let lease = claimed.unwrap()[0].lease;
                store.release(&[lease]).await.unwrap();
            }
        }
        assert_eq!(finish_one(&store, "").await, id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_redis_is_an_empty_queue_that_works() {
    let server = RedisServer::start();
    let store = Arc::new(open(&server, limits()));
    accept_many(&*store, 5).await;
    let lost = run_one(&*store).await;
    let waiting = {
        let store = Arc::clone(&store);
        soon(store.claim(10)).await.unwrap();
        tokio::spawn(async move { claim_one(&*store).await.lease.id })
    };
    server.run::<()>("FLUSHALL");

    assert_eq!(
        store.complete(&[completion(lost, "")]).await,
        Ok(vec![Completed::Stale])
    );
    assert_eq!(store.start(&[lost]).await, Ok(vec![Start::Gone]));
    store.heartbeat(&[lost]).await.unwrap();
    store.tend().await.unwrap();
    let id = accept(&*store, job()).await;
    assert_eq!(soon(waiting).await.unwrap(), id);
    let next = accept(&*store, job()).await;
    assert_eq!(finish_one(&*store, "a dog").await, next);
    assert_eq!(store.stats().await.unwrap().bytes, 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgot_its_scripts_is_told_them_again() {
    let server = RedisServer::start();
    let store = open(&server, limits());
    let id = accept(&store, job()).await;
    server.run::<()>("SCRIPT FLUSH");
    assert_eq!(finish_one(&store, "a dog").await, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_somebody_destroyed_costs_no_job_and_gives_none_twice() {
    let server = RedisServer::start();
    let store = open(&server, limits());
    let offered = accept_many(&store, 4).await;
    let running = run_one(&store).await;
    let back = claim_one(&store).await.lease;
    store.release(&[back]).await.unwrap();
    server.run::<()>("XGROUP DESTROY {beagle:0}:s:normal beagle");

    let claimed = soon(store.claim(10)).await.unwrap();
    let came: Vec<_> = claimed.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, offered[1..]);
    assert_eq!(
        store.complete(&[completion(running, "")]).await,
        Ok(vec![Completed::First])
    );
    let pending: (u64, Option<String>, Option<String>, redis::Value) =
        server.run("XPENDING {beagle:0}:s:normal beagle");
    assert_eq!(pending.0, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_at_its_maxmemory_refuses_jobs_and_lets_the_queue_drain() {
    let server = RedisServer::start_with(&["--maxmemory", "12mb"]);
    let generous = StoreLimits {
        max_bytes: 1 << 30,
        ..limits()
    };
    let store = open(&server, generous);
    let large = || NewJob {
        pixels: Bytes::from(vec![7; 150_528]),
        ..job()
    };
    let mut accepted = 0;
    let refused = loop {
        match store.enqueue(large()).await {
            Ok(Enqueued::Accepted) => accepted += 1,
            other => break other,
        }
    };
    match refused {
        Err(StoreError::Unavailable(reason)) => assert!(reason.contains("maxmemory"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert!(accepted > 10, "{accepted}");

    store.tend().await.unwrap();
    for _ in 0..accepted {
        let claimed = claim_one(&store).await;
        assert_eq!(claimed.pixels.len(), 150_528);
        store.heartbeat(&[claimed.lease]).await.unwrap();
        assert_eq!(store.start(&[claimed.lease]).await, Ok(vec![Start::Run]));
        let done = store.complete(&[completion(claimed.lease, "a dog")]).await;
        assert_eq!(done, Ok(vec![Completed::First]));
    }
    assert_eq!(store.stats().await.unwrap().ended, accepted);
    accept(&store, large()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_are_made_again() {
    let server = RedisServer::start();
    let store = open(&server, limits());
    let mut ended = store.ended();
    for kind in ["normal", "pubsub", "normal"] {
        server.run::<()>(&format!("CLIENT KILL TYPE {kind}"));
        until_it_works(&store).await;
        let id = accept(&store, job()).await;
        assert_eq!(finish_one(&store, "a dog").await, id);
    }
    // News are lost while the subscription is made again, and come after that.
    soon(async {
        loop {
            let id = accept(&store, job()).await;
            store.cancel(id).await.unwrap();
            let told = async { while ended.recv().await != Ok(id) {} };
            if tokio::time::timeout(Duration::from_millis(100), told)
                .await
                .is_ok()
            {
                return;
            }
        }
    })
    .await;
}

#[track_caller]
fn unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    match answer {
        Err(StoreError::Unavailable(_)) => {}
        other => panic!("without Redis it said {other:?}"),
    }
}
