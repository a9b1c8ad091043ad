//! Several processes share one queue, and some of them die.

use std::collections::HashSet;
use std::sync::Arc;

use beagle::store::redis::RedisStore;
use beagle::store::{Completed, JobId, JobStore, NewJob, Priority, Start, StoreLimits};
use bytes::Bytes;

use super::open;
use crate::fixture::{
    SHORT, accept, accept_many, claim_one, completion, job, limits, of, run_one, soon, tend_until,
};
use crate::redis_server::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_held_is_taken_back_as_soon_as_it_is_silent() {
    let server = RedisServer::start_with(&["--notify-keyspace-events", "Kx"]);
    // Leases never end here: it is the silence alone.
    let dying = open(&server, limits());
    let offered = accept_many(&dying, 3).await;
    let running = run_one(&dying).await;
    claim_one(&dying).await;
    let alive: Vec<String> = server.run("KEYS {beagle:0}:alive:*");
    let [alive] = &alive[..] else {
        panic!("{alive:?}");
    };
    let channel = format!("__keyspace@0__:{alive}");
    let mut watch = server.connect();
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut expiry = watch.as_pubsub();
        expiry.subscribe(channel).unwrap();
        let _ = tell.send(expiry.get_message().map(drop));
    });
    drop(dying);

    let living = open(&server, limits());
    soon(told).await.unwrap().unwrap();
    assert_eq!(living.tend().await.unwrap().reclaimed, 2);
    assert_eq!(living.tend().await.unwrap().reclaimed, 0);
    let claimed = soon(living.claim(10)).await.unwrap();
    let came: Vec<_> = claimed
        .iter()
        .map(|job| (job.lease.id, job.attempts))
        .collect();
    assert_eq!(came, [(offered[0], 1), (offered[1], 0), (offered[2], 0)]);
    let late = living.complete(&[completion(running, "")]).await;
    assert_eq!(late, Ok(vec![Completed::Stale]));
    // Nothing is left of the dead one.
    let consumers: Vec<std::collections::HashMap<String, redis::Value>> =
        server.run("XINFO CONSUMERS {beagle:0}:s:normal beagle");
    assert_eq!(consumers.len(), 1, "{consumers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_lost_its_lease_to_another_cannot_finish_or_keep_the_job() {
    let server = RedisServer::start();
    let short = StoreLimits {
        lease: SHORT,
        ..limits()
    };
    let (slow, other) = (open(&server, short.clone()), open(&server, short));
    accept(&slow, job()).await;
    let lost = run_one(&slow).await;
    tend_until(&other, |tended| tended.reclaimed > 0).await;
    let now = claim_one(&other).await.lease;
    assert!(now.fence > lost.fence);

    slow.heartbeat(&[lost]).await.unwrap();
    assert_eq!(slow.start(&[lost]).await, Ok(vec![Start::Gone]));
    assert_eq!(
        slow.complete(&[completion(lost, "a cat")]).await,
        Ok(vec![Completed::Stale])
    );
    assert_eq!(other.start(&[now]).await, Ok(vec![Start::Run]));
    assert_eq!(
        other.complete(&[completion(now, "a dog")]).await,
        Ok(vec![Completed::First])
    );
    let view = slow.job(now.id).await.unwrap().unwrap();
    assert_eq!(
        (view.result.as_deref(), view.attempts),
        (Some(&b"a dog"[..]), 2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_the_work_and_none_gets_what_another_has() {
    const JOBS: usize = 300;
    let server = RedisServer::start();
    let stores: Vec<Arc<RedisStore>> = (0..3).map(|_| Arc::new(open(&server, limits()))).collect();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    for store in &stores {
        let (store, tell) = (Arc::clone(store), tell.clone());
        tokio::spawn(async move {
            while let Ok(claimed) = store.claim(7).await {
                store.tend().await.unwrap();
                let leases: Vec<_> = claimed.iter().map(|job| job.lease).collect();
                assert_eq!(
                    store.start(&leases).await,
                    Ok(vec![Start::Run; leases.len()])
                );
                for job in claimed {
                    // What another process enqueued is the same here.
                    assert_eq!(&job.pixels[..], &job.lease.id.to_string().as_bytes()[24..]);
                    let done = store.complete(&[completion(job.lease, "")]).await;
                    assert_eq!(done, Ok(vec![Completed::First]));
                    let _ = tell.send(job.lease.id);
                }
            }
        });
    }
    let offered: HashSet<JobId> = accept_many(&*stores[0], JOBS).await.into_iter().collect();
    let mut came = HashSet::new();
    for _ in 0..JOBS {
        let id = soon(told.recv()).await.unwrap();
        assert!(came.insert(id), "{id} came twice");
    }
    assert_eq!(came, offered);
    let stats = stores[1].stats().await.unwrap();
    assert_eq!((stats.queued, stats.running, stats.bytes), (0, 0, 0));
    for priority in Priority::ALL {
        let left: u64 = server.run(&format!("XLEN {{beagle:0}}:s:{}", priority.name()));
        assert_eq!(left, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_told_to_other_processes() {
    let server = RedisServer::start();
    let (here, there) = (open(&server, limits()), open(&server, limits()));
    let mut ended = there.ended();
    let id = accept(&here, job()).await;
    here.cancel(id).await.unwrap();
    assert_eq!(soon(ended.recv()).await, Ok(id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_process_hands_its_jobs_to_a_waiting_one_at_once() {
    let server = RedisServer::start();
    let (closing, waiting) = (open(&server, limits()), Arc::new(open(&server, limits())));
    let id = accept(&closing, job()).await;
    claim_one(&closing).await;
    let claim = {
        let waiting = Arc::clone(&waiting);
        tokio::spawn(async move { claim_one(&*waiting).await })
    };
    closing.close().await.unwrap();
    let claimed = soon(claim).await.unwrap();
    assert_eq!((claimed.lease.id, claimed.attempts), (id, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pixels_of_any_size_arrive_whole_in_another_process() {
    let server = RedisServer::start();
    let (here, there) = (open(&server, limits()), open(&server, limits()));
    for size in [0, 1, 65_527, 65_528, 65_529, 150_528, 400_001] {
        let pixels: Vec<u8> = (0..size).map(|at: usize| (at % 251) as u8).collect();
        let offered = NewJob {
            pixels: Bytes::from(pixels),
            ..job()
        };
        accept(&here, offered.clone()).await;
        let claimed = claim_one(&there).await;
        assert_eq!(claimed.pixels, offered.pixels, "{size}");
        there
            .complete(&[completion(claimed.lease, "")])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_scales_by_lag_always_sees_a_number() {
    let server = RedisServer::start();
    let store = open(&server, limits());
    let lag = || -> Option<u64> {
        let groups: Vec<std::collections::HashMap<String, redis::Value>> =
            server.run("XINFO GROUPS {beagle:0}:s:normal");
        redis::from_redis_value(groups[0]["lag"].clone()).unwrap()
    };
    assert_eq!(lag(), Some(0));
    let offered = accept_many(&store, 6).await;
    assert_eq!(lag(), Some(6));
    for id in [offered[0], offered[3], offered[5]] {
        store.cancel(id).await.unwrap();
        assert!(lag().is_some());
    }
    let claimed = soon(store.claim(2)).await.unwrap();
    store.release(&[claimed[1].lease]).await.unwrap();
    assert!(lag().is_some());
    store.cancel(claimed[1].lease.id).await.unwrap();
    store
        .complete(&[completion(claimed[0].lease, "")])
        .await
        .unwrap();
    assert!(lag().is_some());
    soon(store.claim(10)).await.unwrap();
    assert_eq!(lag(), Some(0));
    // The cancelled ones have left the stream with those that were done.
    let left: u64 = server.run("XLEN {beagle:0}:s:normal");
    assert_eq!(left, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_cancelled_jobs_do_not_hide_the_next_one() {
    let server = RedisServer::start();
    let roomy = StoreLimits {
        max_jobs: 5_000,
        ..limits()
    };
    let store = open(&server, roomy);
    for _ in 0..2_500 {
        let id = accept(&store, job()).await;
        store.cancel(id).await.unwrap();
    }
    let low = accept(&store, of(Priority::Low)).await;
    assert_eq!(claim_one(&store).await.lease.id, low);
}
