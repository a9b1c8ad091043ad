//! How jobs lie among the shards: order, bounds, turns, and a shard that is added.

use std::collections::HashSet;

use beagle::store::sharded::ShardedStore;
use beagle::store::{
    Cancelled, Completed, Enqueued, JobId, JobState, JobStore, NewJob, Priority, Start, StoreError,
    StoreLimits, UnixMillis,
};

use super::open;
use crate::fixture::{
    NEVER, PIXELS, accept, accept_many, claim_one, completion, die, finish_one, job, keyed, limits,
    of, soon, state,
};
use crate::redis_server::RedisServer;

fn two() -> [RedisServer; 2] {
    [RedisServer::start(), RedisServer::start()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_in_order_and_takes_no_more_than_its_room() {
    let servers = two();
    let store = open(&servers, limits());
    let mut offered = Vec::new();
    for priority in [Priority::Low, Priority::High, Priority::Normal] {
        for _ in 0..8 {
            offered.push((priority, accept(&store, of(priority)).await));
        }
    }
    let mut came = Vec::new();
    while came.len() < offered.len() {
        let claimed = soon(store.claim(5)).await.unwrap();
        assert!((1..=5).contains(&claimed.len()), "{}", claimed.len());
        let one: Vec<_> = claimed
            .iter()
            .map(|job| (job.priority, job.lease.id))
            .collect();
        assert!(one.is_sorted(), "{one:?}");
        came.extend(one);
    }
    // In each shard those of one priority come as they arrived; the shares of the lower ones let a few
    // of them go before the last of the higher.
    offered.sort_unstable();
    came.sort_by_key(|(priority, _)| *priority);
    for shard in 0..2 {
        let of_shard = |all: &[(Priority, JobId)]| -> Vec<JobId> {
            let ids = all.iter().map(|(_, id)| *id);
            ids.filter(|id| store.place_of(*id) == shard).collect()
        };
        assert!(!of_shard(&offered).is_empty());
        assert_eq!(of_shard(&came), of_shard(&offered), "shard {shard}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_shard_starves_while_another_always_has_work() {
    let servers = two();
    let store = open(&servers, limits());
    let mut waiting = HashSet::new();
    while waiting.len() < 5 {
        let id = accept(&store, job()).await;
        if store.place_of(id) == 0 {
            waiting.insert(id);
        }
    }
    // The other has more, all the time, and of a higher priority.
    let mut claims = 0;
    while !waiting.is_empty() {
        for _ in 0..4 {
            let id = accept(&store, of(Priority::High)).await;
            if store.place_of(id) == 0 {
                store.cancel(id).await.unwrap();
            }
        }
        for job in soon(store.claim(1)).await.unwrap() {
            waiting.remove(&job.lease.id);
        }
        claims += 1;
        assert!(claims <= 100, "{} still wait", waiting.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_is_for_the_whole_and_no_shard_passes_its_part() {
    let servers = two();
    let few = StoreLimits {
        max_jobs: 7,
        ..limits()
    };
    let stores = [open(&servers, few.clone()), open(&servers, few)];
    for number in 0..7 {
        accept(&stores[number % 2], job()).await;
    }
    let full = StoreError::TooManyJobs { jobs: 7, limit: 7 };
    assert_eq!(stores[0].enqueue(job()).await, Err(full));
    let held = |server: &RedisServer| server.run::<u64>("ZCARD {beagle:0}:live");
    let mut parts = servers.each_ref().map(held);
    parts.sort_unstable();
    assert_eq!(parts, [3, 4]);
    // A key's shard is full by itself.
    finish_one(&stores[1], "a dog").await;
    let mut refused = 0;
    for number in 0..20 {
        if let Err(error) = stores[0].enqueue(keyed(&number.to_string(), "a")).await {
            assert!(matches!(error, StoreError::TooManyJobs { .. }), "{error}");
            refused += 1;
        }
    }
    assert_eq!(refused, 19);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_bounded_likewise() {
    let servers = two();
    let few = StoreLimits {
        max_bytes: 4 * PIXELS,
        ..limits()
    };
    let store = open(&servers, few);
    accept_many(&store, 4).await;
    let full = StoreError::TooManyBytes {
        bytes: 4 * PIXELS,
        limit: 4 * PIXELS,
    };
    assert_eq!(store.enqueue(job()).await, Err(full));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adding_a_shard_moves_nothing_and_nothing_is_lost_or_done_twice() {
    let mut servers = vec![RedisServer::start(), RedisServer::start()];
    let old = open(&servers, limits());
    let offered = accept_many(&old, 30).await;
    let mut named = Vec::new();
    for number in 0..20 {
        let key = format!("order {number}");
        named.push((key.clone(), accept(&old, keyed(&key, "a")).await));
    }
    let done = {
        let lease = claim_one(&old).await.lease;
        old.start(&[lease]).await.unwrap();
        old.complete(&[completion(lease, "a dog")]).await.unwrap();
        lease.id
    };
    let running = claim_one(&old).await.lease;
    old.start(&[running]).await.unwrap();

    servers.push(RedisServer::start());
    let new = open(&servers, limits());
    for id in &offered {
        let wanted = match *id {
            id if id == done => JobState::Done,
            id if id == running.id => JobState::Running,
            _ => JobState::Queued,
        };
        assert_eq!(state(&new, *id).await, Some(wanted));
    }
    // A key whose shard would be the new one is known where it was.
    for (key, id) in &named {
        let again = new.enqueue(keyed(key, "a")).await;
        assert_eq!(again, Ok(Enqueued::Existing(*id)));
    }
    // A process that has never seen the lease finds whose it is.
    let finished = new.complete(&[completion(running, "a cat")]).await;
    assert_eq!(finished, Ok(vec![Completed::First]));
    let late = old.complete(&[completion(running, "a dog")]).await;
    assert_eq!(late, Ok(vec![Completed::Stale]));
    // Old and new work together on what there is.
    let more = accept_many(&new, 30).await;
    assert!(more.iter().any(|id| new.place_of(*id) == 2));
    let mut came = HashSet::new();
    let mut take = |claimed: Vec<beagle::store::Claimed>| {
        for job in claimed {
            assert!(came.insert(job.lease.id), "{} came twice", job.lease.id);
        }
        came.len()
    };
    take(soon(old.claim(10)).await.unwrap());
    while take(soon(new.claim(10)).await.unwrap()) < 30 + 20 + 30 - 2 {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_knows_nothing_finds_everything_by_name() {
    let servers = [
        RedisServer::start(),
        RedisServer::start(),
        RedisServer::start(),
    ];
    let (here, there) = (open(&servers, limits()), open(&servers, limits()));
    let dead = die(&here, keyed("poison", "a"), "no").await;
    let deadline = UnixMillis::now().after(NEVER);
    assert_eq!(there.retry(dead, deadline).await, Ok(true));
    assert_eq!(there.cancel(dead).await, Ok(Some(Cancelled::Now)));
    for _ in 0..6 {
        accept(&here, keyed(&JobId::new().to_string(), "a")).await;
    }
    let leases: Vec<_> = claim(&here, 6).await;
    there.heartbeat(&leases).await.unwrap();
    assert_eq!(there.start(&leases).await, Ok(vec![Start::Run; 6]));
    there.release(&leases).await.unwrap();
    let done: Vec<_> = leases.iter().map(|one| completion(*one, "")).collect();
    assert_eq!(there.complete(&done).await, Ok(vec![Completed::First; 6]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_all_shards_are_one_list() {
    let servers = two();
    let store = open(&servers, limits());
    let at = |created: u64| NewJob {
        created: UnixMillis(created),
        ..job()
    };
    let mut offered = Vec::new();
    for created in [3_000, 1_000, 2_000, 4_000] {
        offered.push(accept(&store, at(created)).await);
    }
    assert_eq!(ids(store.list(None, 3).await.unwrap()), offered[..3]);
    assert_eq!(
        store
            .stats()
            .await
            .unwrap()
            .oldest
            .map(|oldest| oldest.0 <= 3_000),
        Some(true)
    );
    // By their ends, which are not in the order of their arrival.
    for id in offered.iter().rev() {
        store.cancel(*id).await.unwrap();
        let after = UnixMillis::now();
        while UnixMillis::now() == after {
            tokio::task::yield_now().await;
        }
    }
    offered.reverse();
    let ended = store.list(Some(JobState::Cancelled), 10).await.unwrap();
    assert_eq!(ids(ended), offered);
    assert_eq!(store.purge(JobState::Cancelled).await, Ok(4));
}

#[test]
fn the_same_shard_twice_is_refused() {
    let server = RedisServer::start();
    let urls = [server.url(), server.url()];
    let anything: beagle::store::Demand = std::sync::Arc::new(|_| Ok(()));
    match ShardedStore::open(&urls, &limits(), &anything) {
        Err(StoreError::Unusable(text)) => assert!(text.contains("another"), "{text}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
}

async fn claim(store: &ShardedStore, count: usize) -> Vec<beagle::store::Lease> {
    let mut leases = Vec::new();
    while leases.len() < count {
        let claimed = soon(store.claim(count - leases.len())).await.unwrap();
        leases.extend(claimed.into_iter().map(|job| job.lease));
    }
    leases
}

fn ids(views: Vec<beagle::store::JobView>) -> Vec<JobId> {
    views.into_iter().map(|view| view.id).collect()
}
