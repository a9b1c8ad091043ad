//! What opening finds, refuses and says; what the doctor finds.

use std::sync::Arc;

use beagle::store::redis::RedisStore;
use beagle::store::{Demand, JobStore, Severity, StoreError};

use super::{open, usable};
use crate::fixture::{NEVER, accept, called, finish_one, job, keyed, limits, soon};
use crate::redis_server::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_opens_and_is_never_said() {
    let server = RedisServer::start_with(&["--requirepass", "sesame"]);
    let url = |password: &str| server.url().replace("//", &format!("//:{password}@"));
    let store = RedisStore::open(&format!("{}3", url("sesame")), limits()).unwrap();
    let place = store.description().place;
    assert!(
        place.ends_with("/3") && !place.contains("sesame"),
        "{place}"
    );
    accept(&store, job()).await;

    match RedisStore::open(&url("wrong-one"), limits()) {
        Err(StoreError::Unavailable(reason)) => {
            assert!(
                reason.contains("password") && !reason.contains("wrong-one"),
                "{reason}"
            );
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("a wrong password opened it"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_a_way_there() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let socket = socket.to_str().unwrap();
    let _server = RedisServer::start_with(&["--unixsocket", socket]);
    for scheme in ["unix", "redis+unix"] {
        let store = RedisStore::open(&format!("{scheme}://{socket}?db=2"), limits()).unwrap();
        let id = accept(&store, job()).await;
        assert_eq!(finish_one(&store, "a dog").await, id);
        assert!(store.description().place.contains(socket));
    }
}

#[test]
fn a_wrong_address_is_refused_without_repeating_it() {
    for url in [
        "",
        "127.0.0.1",
        "http://:sesame@host/",
        "redis://:sesame@host:port/",
    ] {
        match RedisStore::open(url, limits()) {
            Err(StoreError::Unusable(reason)) => {
                assert!(
                    reason.contains("redis://") && !reason.contains("sesame"),
                    "{reason}"
                );
            }
            Err(other) => panic!("{url}: {other:?}"),
            Ok(_) => panic!("{url} opened"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_down_at_the_start_is_used_when_it_comes() {
    let mut server = RedisServer::start();
    server.kill();
    let store = open(&server, limits());
    let [place] = &store.places()[..] else {
        panic!("it has one place");
    };
    assert!(
        place
            .trouble
            .as_ref()
            .is_some_and(|why| why.contains("listens"))
    );
    for answer in [
        store.enqueue(job()).await.map(drop),
        store.claim(1).await.map(drop),
    ] {
        match answer {
            Err(StoreError::Unavailable(reason)) => assert!(reason.contains("listens"), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    server.restart();
    usable(&store).await;
    let id = accept(&store, job()).await;
    assert_eq!(finish_one(&store, "a dog").await, id);
    assert!(store.description().durability.contains("survive"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_of_a_redis_is_asked_when_it_comes_and_until_it_is_so() {
    let mut server = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    server.kill();
    let demand: Demand = Arc::new(|findings| {
        let policy = findings
            .iter()
            .find(|found| found.check == "maxmemory-policy");
        match policy {
            Some(found) if found.severity == Severity::Fine => Ok(()),
            other => Err(format!("not as asked: {other:?}")),
        }
    });
    let store = RedisStore::open_on(&server.url(), limits(), demand).unwrap();
    server.restart();
    let refused = soon(async {
        loop {
            match store.enqueue(job()).await {
                Err(StoreError::Unusable(text)) => return text,
                Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
    });
    assert!(refused.await.contains("not as asked"));
    assert!(store.places()[0].trouble.is_some());
    assert_eq!(server.run::<Vec<String>>("KEYS *"), Vec::<String>::new());

    server.run::<()>("CONFIG SET maxmemory-policy noeviction");
    usable(&store).await;
    accept(&store, job()).await;
}

#[test]
fn a_queue_of_another_schema_is_not_touched() {
    let server = RedisServer::start();
    server.run::<()>("HSET {beagle:0}:meta schema 999");
    match RedisStore::open(&server.url(), limits()) {
        Err(StoreError::Unusable(reason)) => assert!(reason.contains("999"), "{reason}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it opened"),
    }
    let keys: Vec<String> = server.run("KEYS *");
    assert_eq!(keys, ["{beagle:0}:meta"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_an_older_schema_becomes_one_of_this_with_its_jobs() {
    let server = RedisServer::start();
    let id = {
        let store = open(&server, limits());
        accept(&store, job()).await
    };
    // The same jobs in the same fields; those of the first version have no more.
    server.run::<()>("HSET {beagle:0}:meta schema 1");
    let store = open(&server, limits());
    let schema: String = server.run("HGET {beagle:0}:meta schema");
    assert_eq!(schema, "2");
    assert_eq!(finish_one(&store, "a dog").await, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_recorded_by_a_process_without_deliveries_is_due_all_the_same() {
    let server = RedisServer::start();
    let store = open(&server, limits());
    let (ended, forgotten) = (
        accept(&store, called()).await,
        accept(&store, called()).await,
    );
    for id in [ended, forgotten] {
        store.cancel(id).await.unwrap();
        // As an older process leaves it.
        server.run::<()>(&format!("HDEL {{beagle:0}}:j:{id} told tries"));
        server.run::<()>(&format!("ZADD {{beagle:0}}:calls +inf {id}"));
        server.run::<()>(&format!("ZREM {{beagle:0}}:untold:done {id}"));
        server.run::<()>(&format!("ZADD {{beagle:0}}:done 1 {id}"));
        server.run::<()>(&format!("PEXPIRE {{beagle:0}}:j:{id} 3600000"));
    }
    server.run::<()>(&format!("DEL {{beagle:0}}:j:{forgotten}"));
    store.tend().await.unwrap();
    let due = store.claim_deliveries(10, NEVER).await.unwrap();
    let came: Vec<_> = due.iter().map(|one| one.turn.id).collect();
    assert_eq!(came, [ended]);
    let ttl: i64 = server.run(&format!("PTTL {{beagle:0}}:j:{ended}"));
    assert_eq!(ttl, -1);
    assert_eq!(server.run::<u64>("ZCARD {beagle:0}:calls"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_what_loses_jobs() {
    let server = RedisServer::start();
    server.run::<()>("CONFIG SET appendonly no");
    server.run::<()>("CONFIG SET maxmemory-policy allkeys-lru");
    server.run::<()>("CONFIG SET maxmemory 1000000000");
    let store = open(&server, beagle::store::StoreLimits::default());
    assert!(store.description().durability.contains("not of Redis"));
    let severity = |findings: &[beagle::store::Finding], check: &str| {
        let one = findings.iter().find(|finding| finding.check == check);
        one.unwrap_or_else(|| panic!("no {check}")).severity
    };
    let sick = store.doctor().await.unwrap();
    assert_eq!(severity(&sick, "appendonly"), Severity::Danger);
    assert_eq!(severity(&sick, "maxmemory-policy"), Severity::Danger);
    assert_eq!(severity(&sick, "maxmemory"), Severity::Warning);
    assert_eq!(severity(&sick, "group"), Severity::Fine);

    server.run::<()>("DEL {beagle:0}:s:low");
    assert_eq!(
        severity(&store.doctor().await.unwrap(), "group"),
        Severity::Warning
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hides_its_configuration_is_a_warning() {
    let server = RedisServer::start_with(&["--rename-command", "CONFIG", ""]);
    let store = open(&server, limits());
    let findings = store.doctor().await.unwrap();
    let hidden = findings
        .iter()
        .find(|finding| finding.check == "config")
        .unwrap();
    assert_eq!(hidden.severity, Severity::Warning);
    assert!(hidden.message.contains("noeviction"));
    accept(&store, job()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_or_known_leaves_no_pixels_behind() {
    let server = RedisServer::start();
    let small = beagle::store::StoreLimits {
        max_jobs: 1,
        ..limits()
    };
    let store = open(&server, small);
    let first = keyed("order 1", "a");
    accept(&store, first.clone()).await;
    accept(&store, first.clone()).await;
    store.enqueue(keyed("order 1", "a")).await.unwrap();
    store.enqueue(keyed("order 1", "b")).await.unwrap_err();
    store.enqueue(job()).await.unwrap_err();
    let pixels = format!("{{beagle:0}}:p:{}", first.id);
    assert_eq!(
        server.run::<Vec<String>>("KEYS {beagle:0}:up:*"),
        Vec::<String>::new()
    );
    assert_eq!(
        server.run::<Vec<String>>("KEYS {beagle:0}:p:*"),
        vec![pixels.clone()]
    );
    assert_eq!(server.run::<i64>(&format!("TTL {pixels}")), -1);

    finish_one(&store, "a dog").await;
    assert_eq!(
        server.run::<Vec<String>>("KEYS {beagle:0}:p:*"),
        Vec::<String>::new()
    );
}
