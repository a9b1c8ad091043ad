//! A server over two Redis servers, one of which is away for a while under load.
//!
//! Must not know: SQLite.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use beagle::store::JobId;
use serde_json::Value;

use crate::ask::{agent, keyed, send};
use crate::child::Orders;
use crate::fake::Act;
use crate::history::{Asked, Patience, Told};
use crate::redis_server::RedisServer;
use crate::server::Server;
use crate::{GUARD, gather, say};

/// How long the shard is away.
const OUTAGE: Duration = Duration::from_secs(30);
/// Clients that ask all the time.
const CLIENTS: usize = 4;
/// Jobs that both have when one goes away.
const BEFORE: u16 = 30;

/// Whether it is ready, and which of its shards are in trouble.
fn ready(server: &Server) -> (u16, Vec<String>) {
    let url = format!("http://{}/readyz", server.addr);
    let mut reply = agent().get(url).call().unwrap();
    let text = reply.body_mut().read_to_string().unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let shards = json["shards"].as_array().unwrap().iter();
    let troubled = shards.filter(|shard| !shard["trouble"].is_null());
    let names = troubled.map(|shard| shard["name"].as_str().unwrap().to_owned());
    (reply.status().as_u16(), names.collect())
}

/// Waits until so many shards are in trouble.
fn until_in_trouble(server: &Server, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let (status, troubled) = ready(server);
        assert_eq!(status, 200, "one of two is enough");
        if troubled.len() == count {
            return troubled;
        }
        assert!(begun.elapsed() < GUARD, "{troubled:?}");
    }
}

#[test]
fn one_shard_of_two_away_under_load_fails_no_new_request_and_all_it_accepted_is_answered() {
    let mut shards = [RedisServer::start(), RedisServer::start()];
    let mut server = Server::start(&Orders {
        store: shards.each_ref().map(RedisServer::url).join(","),
        fuse: None,
        gate_open: false,
    });
    let (agent, addr) = (agent(), server.addr);
    let mut accepted: BTreeSet<JobId> = BTreeSet::new();
    for number in 0..BEFORE {
        match send(&agent, addr, &keyed(number, Act::Wait, Patience::Async)) {
            Told::Accepted(id) => accepted.insert(id),
            told => panic!("{told:?}"),
        };
    }
    let waiting: Vec<u64> = (shards.iter())
        .map(|shard| shard.run("ZCARD {beagle:0}:live"))
        .collect();
    assert!(waiting.iter().all(|jobs| *jobs > 0), "{waiting:?}");
    shards[0].until_written();
    shards[0].kill();
    let left = Instant::now();
    let troubled = until_in_trouble(&server, 1);
    assert!(
        shards[0]
            .url()
            .contains(troubled[0].split('/').next().unwrap())
    );
    let noticed = left.elapsed();
    server.open_gate();

    let next = AtomicU16::new(BEFORE);
    let served: Mutex<Vec<Duration>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let agent = crate::ask::agent();
                while left.elapsed() < OUTAGE {
                    let asked = Asked {
                        keyed: false,
                        ..keyed(
                            next.fetch_add(1, Ordering::Relaxed) % 900,
                            Act::Answer,
                            Patience::Waits,
                        )
                    };
                    let sent = Instant::now();
                    let told = send(&agent, addr, &asked);
                    assert!(matches!(told, Told::Answered(..)), "{told:?}");
                    served.lock().unwrap().push(sent.elapsed());
                }
            });
        }
    });
    // A key belongs to one shard: refused while that one is away, and else as ever.
    let named = |number| keyed(number, Act::Answer, Patience::Waits);
    let told: Vec<Told> = (950..970)
        .map(|number| send(&agent, addr, &named(number)))
        .collect();
    let refused = told
        .iter()
        .filter(|told| matches!(told, Told::Refused(_)))
        .count();
    assert!(0 < refused && refused < told.len(), "{told:?}");
    shards[0].restart();
    let back = Instant::now();
    until_in_trouble(&server, 0);

    let jobs = gather::ended(addr, &accepted);
    let recovered = back.elapsed();
    assert_eq!(jobs.len(), accepted.len());
    assert!(jobs.iter().all(|job| job.predictions.is_some()), "{jobs:?}");
    for (number, before) in (950..970).zip(&told) {
        match (before, send(&agent, addr, &named(number))) {
            (Told::Answered(id, _), Told::Answered(again, _)) => assert_eq!(*id, again),
            (Told::Refused(_), Told::Answered(..)) => {}
            other => panic!("{other:?}"),
        }
    }
    let served = served.into_inner().unwrap();
    say(&format!(
        "one shard of two gone for {OUTAGE:?}: noticed after {noticed:.1?}; {} new requests served, 0 \
         refused, the slowest {:.1?}; {} jobs accepted before ({waiting:?} a shard) all answered \
         {recovered:.1?} after its return; of 20 with a key {refused} refused meanwhile",
        served.len(),
        served.iter().max().unwrap(),
        accepted.len(),
    ));
    gather::finish(server);
}
