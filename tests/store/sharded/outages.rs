//! A shard dies, hangs, comes back, or is not there at the start; the others go on.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use beagle::store::sharded::ShardedStore;
use beagle::store::{
    Completed, Demand, Enqueued, JobId, JobState, JobStore, Start, StoreError, StoreLimits,
};

use super::open;
use crate::fixture::{
    accept, accept_many, completion, failure, finish_one, job, keyed, limits, soon, state, view,
};
use crate::redis_server::RedisServer;

/// Longer than any call may take: an answer's 2 s, a connection's 2 s, and a slow machine.
const FAST: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shard_down_under_load_costs_the_others_nothing_and_its_own_work_waits() {
    let mut servers = [RedisServer::start(), RedisServer::start()];
    let roomy = StoreLimits {
        max_jobs: 100_000,
        max_bytes: 1 << 30,
        max_results: 100_000,
        ..limits()
    };
    let store = Arc::new(open(&servers, roomy));
    let stop = Arc::new(AtomicBool::new(false));
    let offering: Vec<_> = (0..4).map(|_| offer(&store, &stop)).collect();
    let working = work(&store);

    until(async || done(&store).await > 200).await;
    servers[0].kill();
    until(async || down(&store).len() == 1).await;
    let before = done(&store).await;
    for _ in 0..50 {
        accept(&*store, job()).await;
    }
    until(async || done(&store).await >= before + 300).await;
    servers[0].restart();
    until(async || down(&store).is_empty()).await;

    stop.store(true, Ordering::Release);
    let mut accepted: HashSet<JobId> = HashSet::new();
    for offering in offering {
        accepted.extend(soon(offering).await.unwrap());
    }
    until(async || {
        let stats = store.stats().await.unwrap();
        stats.queued + stats.running == 0
    })
    .await;
    for id in accepted {
        assert_eq!(state(&*store, id).await, Some(JobState::Done), "{id}");
    }
    working.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_shard_is_found_out_once_and_asked_no_more() {
    let servers = [RedisServer::start(), RedisServer::start()];
    let store = open(&servers, limits());
    let offered = accept_many(&store, 20).await;
    let claimed = claim_all(&store, 20).await;
    servers[0].stop();
    let (hung, others): (Vec<_>, Vec<_>) = claimed.iter().partition(|lease| {
        let place = store.place_of(lease.id);
        assert!(place < 2, "a claimed job's shard is known");
        place == 0
    });
    assert!(!hung.is_empty() && !others.is_empty(), "{offered:?}");

    // Whatever comes first finds out, in a bounded time; who has jobs elsewhere gets on.
    let asked = Instant::now();
    store.heartbeat(&claimed).await.unwrap();
    let started = store.start(&claimed).await.unwrap();
    assert!(asked.elapsed() < FAST, "{:?}", asked.elapsed());
    for (lease, start) in claimed.iter().zip(&started) {
        let wanted = if store.place_of(lease.id) == 0 {
            Start::Gone
        } else {
            Start::Run
        };
        assert_eq!(*start, wanted);
    }
    assert_eq!(down(&store).len(), 1);
    // From then on nothing waits for it, many times over.
    let asked = Instant::now();
    for _ in 0..200 {
        let id = accept(&store, job()).await;
        store.heartbeat(&others).await.unwrap();
        store.tend().await.unwrap();
        assert_eq!(finish_one(&store, "a dog").await, id);
    }
    assert!(asked.elapsed() < FAST, "{:?}", asked.elapsed());

    servers[0].resume();
    until(async || down(&store).is_empty()).await;
    // What could not be started was handed back, long before the lease, and uncharged unless the
    // start had arrived unheard.
    until(async || {
        store.tend().await.unwrap();
        let listed = store.list(Some(JobState::Queued), 100).await.unwrap();
        let running = store.list(Some(JobState::Running), 100).await.unwrap();
        listed.len() + running.len() == 20
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_shard_that_died_could_not_start_is_there_again_at_its_return() {
    let mut servers = [RedisServer::start(), RedisServer::start()];
    let store = open(&servers, limits());
    accept_many(&store, 20).await;
    let claimed = claim_all(&store, 20).await;
    servers[0].kill();
    until(async || down(&store).len() == 1).await;
    let started = store.start(&claimed).await.unwrap();
    let gone: HashSet<JobId> = (claimed.iter().zip(&started))
        .filter(|(_, start)| **start == Start::Gone)
        .map(|(lease, _)| lease.id)
        .collect();
    assert!(!gone.is_empty());
    servers[0].restart();
    until(async || down(&store).is_empty()).await;

    // The leases never end here: they were handed back.
    let mut again = HashSet::new();
    while again.len() < gone.len() {
        store.tend().await.unwrap();
        for job in soon(store.claim(20)).await.unwrap() {
            assert_eq!(job.attempts, 0);
            again.insert(job.lease.id);
        }
    }
    assert_eq!(again, gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_for_a_shard_that_is_down_is_refused_and_recorded_at_its_return() {
    let mut servers = [RedisServer::start(), RedisServer::start()];
    let store = open(&servers, limits());
    accept_many(&store, 20).await;
    let leases = claim_all(&store, 20).await;
    store.start(&leases).await.unwrap();
    servers[0].kill();
    until(async || down(&store).len() == 1).await;
    let (there, here): (Vec<_>, Vec<_>) = (leases.iter())
        .map(|lease| completion(*lease, "a dog"))
        .partition(|done| store.place_of(done.lease.id) == 0);

    assert_eq!(
        store.complete(&here).await,
        Ok(vec![Completed::First; here.len()])
    );
    assert!(matches!(
        store.complete(&there).await,
        Err(StoreError::ShardDown { .. })
    ));
    assert!(matches!(
        store.fail(&[failure(there[0].lease, "no")]).await,
        Err(StoreError::ShardDown { .. })
    ));
    let lost = there[0].lease.id;
    assert!(matches!(
        store.job(lost).await,
        Err(StoreError::ShardDown { .. })
    ));
    assert!(matches!(
        store.cancel(lost).await,
        Err(StoreError::ShardDown { .. })
    ));
    servers[0].restart();
    until(async || down(&store).is_empty()).await;
    assert_eq!(
        store.complete(&there).await,
        Ok(vec![Completed::First; there.len()])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_decided_by_its_shard_alone_and_waits_for_it() {
    let mut servers = [RedisServer::start(), RedisServer::start()];
    let store = open(&servers, limits());
    let mut named = Vec::new();
    for number in 0..20 {
        let key = format!("order {number}");
        let id = accept(&store, keyed(&key, "a")).await;
        named.push((key, id, store.place_of(id)));
    }
    servers[0].kill();
    until(async || down(&store).len() == 1).await;
    let mut refused = 0;
    for (key, id, place) in &named {
        match store.enqueue(keyed(key, "a")).await {
            Ok(again) => assert_eq!((again, *place), (Enqueued::Existing(*id), 1)),
            Err(StoreError::ShardDown { shard, .. }) => {
                assert_eq!(*place, 0);
                assert_eq!(shard, store.places()[0].name);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(0 < refused && refused < 20, "{refused}");
    store.close().await.unwrap();

    // After a restart of both it is as it was.
    servers[0].restart();
    let store = open(&servers, limits());
    for (key, id, _) in &named {
        let again = store.enqueue(keyed(key, "a")).await;
        assert_eq!(again, Ok(Enqueued::Existing(*id)));
        let reused = StoreError::KeyReused { job: *id };
        assert_eq!(store.enqueue(keyed(key, "b")).await, Err(reused));
    }
    assert_eq!(store.stats().await.unwrap().queued, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_is_down_at_the_start_is_used_when_it_comes() {
    let mut servers = [RedisServer::start(), RedisServer::start()];
    servers[1].kill();
    let store = open(&servers, limits());
    let [here, there] = &store.places()[..] else {
        panic!("there are two places");
    };
    assert_eq!(here.trouble, None);
    assert!(
        there
            .trouble
            .as_ref()
            .is_some_and(|why| why.contains("listens"))
    );
    let first = accept_many(&store, 10).await;
    assert!(first.iter().all(|id| store.place_of(*id) == 0));
    let findings = store.doctor().await.unwrap();
    let absent = findings
        .iter()
        .find(|found| found.check == "shard")
        .unwrap();
    assert!(absent.message.contains(&there.name), "{}", absent.message);

    servers[1].restart();
    until(async || down(&store).is_empty()).await;
    let then = accept_many(&store, 20).await;
    assert!(then.iter().any(|id| store.place_of(*id) == 1));
    assert_eq!(claim_all(&store, 30).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_shard_at_all_is_an_unavailable_store_that_names_them() {
    let mut servers = [RedisServer::start(), RedisServer::start()];
    servers.iter_mut().for_each(RedisServer::kill);
    let store = open(&servers, limits());
    let names = store.places().into_iter().map(|place| place.name);
    let all: Vec<String> = names.collect();
    for answer in [
        store.enqueue(job()).await.map(drop),
        store.enqueue(keyed("a", "b")).await.map(drop),
        store.claim(1).await.map(drop),
        store.tend().await.map(drop),
        store.stats().await.map(drop),
        store.job(JobId::new()).await.map(drop),
    ] {
        match answer {
            Err(StoreError::Unavailable(text)) => {
                assert!(all.iter().all(|name| text.contains(name)), "{text}");
            }
            // A key's shard speaks for itself.
            Err(StoreError::ShardDown { shard, .. }) => assert!(all.contains(&shard)),
            other => panic!("{other:?}"),
        }
    }
    let waiting = {
        servers.iter_mut().for_each(RedisServer::restart);
        until(async || down(&store).is_empty()).await;
        accept(&store, job()).await
    };
    assert_eq!(finish_one(&store, "a dog").await, waiting);
    assert_eq!(view(&store, waiting).await.state, JobState::Done);
}

#[test]
fn a_shard_that_does_not_keep_what_is_asked_is_refused_by_name() {
    let servers = [RedisServer::start(), RedisServer::start()];
    servers[1].run::<()>("CONFIG SET appendonly no");
    let demand: Demand = Arc::new(|findings| {
        let bad = findings.iter().find(|found| found.check == "appendonly");
        match bad.filter(|found| found.severity > beagle::store::Severity::Fine) {
            Some(found) => Err(found.message.clone()),
            None => Ok(()),
        }
    });
    let urls: Vec<String> = servers.iter().map(RedisServer::url).collect();
    let Err(StoreError::Unusable(text)) = ShardedStore::open(&urls, &limits(), &demand) else {
        panic!("it was not refused");
    };
    let place = urls[1].trim_start_matches("redis://");
    assert!(
        text.starts_with(place) && text.contains("appendonly"),
        "{text}"
    );
    // It has not been written to.
    assert_eq!(
        servers[1].run::<Vec<String>>("KEYS *"),
        Vec::<String>::new()
    );
}

/// Offers jobs until told to stop; gives those that were accepted.
fn offer(store: &Arc<ShardedStore>, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<JobId>> {
    let (store, stop) = (Arc::clone(store), Arc::clone(stop));
    tokio::spawn(async move {
        let mut accepted = Vec::new();
        while !stop.load(Ordering::Acquire) {
            let offered = job();
            let id = offered.id;
            match store.enqueue(offered).await {
                Ok(_) => accepted.push(id),
                // On its way when the shard died: whether it was taken is not known.
                Err(StoreError::ShardDown { .. }) => {}
                Err(other) => panic!("{other}"),
            }
            tokio::task::yield_now().await;
        }
        accepted
    })
}

/// Runs whatever there is, as a server does: results are offered until they are taken.
fn work(store: &Arc<ShardedStore>) -> tokio::task::JoinHandle<()> {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        loop {
            let claimed = store.claim(16).await.unwrap();
            let leases: Vec<_> = claimed.iter().map(|job| job.lease).collect();
            let started = store.start(&leases).await.unwrap();
            for (lease, start) in leases.into_iter().zip(started) {
                if start == Start::Run {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move {
                        while store.complete(&[completion(lease, "a dog")]).await.is_err() {
                            tokio::task::yield_now().await;
                        }
                    });
                }
            }
            store.tend().await.unwrap();
        }
    })
}

async fn claim_all(store: &ShardedStore, count: usize) -> Vec<beagle::store::Lease> {
    let mut leases = Vec::new();
    while leases.len() < count {
        let claimed = soon(store.claim(count - leases.len())).await.unwrap();
        leases.extend(claimed.into_iter().map(|job| job.lease));
    }
    leases
}

async fn done(store: &ShardedStore) -> u64 {
    store.stats().await.unwrap().ended
}

fn down(store: &ShardedStore) -> Vec<String> {
    let places = store.places().into_iter();
    places
        .filter(|place| place.trouble.is_some())
        .map(|place| place.name)
        .collect()
}

async fn until(wanted: impl AsyncFn() -> bool) {
    soon(async {
        while !wanted().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
