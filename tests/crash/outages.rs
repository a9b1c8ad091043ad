//! What a server does while Redis is away, full or emptied, and after that.
//!
//! Must not know: SQLite.

use std::thread;
use std::time::{Duration, Instant};

use crate::ask::{agent, keyed, look, send};
use crate::child::Orders;
use crate::client::Clients;
use crate::fake::Act;
use crate::history::{Asked, Patience, Told};
use crate::place::{Kind, Place};
use crate::redis_server::RedisServer;
use crate::server::Server;
use crate::{GUARD, gather, say};

/// How long Redis is away.
const OUTAGE: Duration = Duration::from_secs(10);
/// A new request is refused within this.
const REFUSAL: Duration = Duration::from_secs(3);
/// Serving again after Redis is back; the promise is 2 s, and a busy machine is slower.
const RECOVERY: Duration = Duration::from_secs(10);
/// Jobs that a Redis takes before its memory has a bound.
const ROOMY: u16 = 100;
/// Bytes that it has left then.
const SPARE: u64 = 64 << 10;
/// Requests while Redis comes and goes: more than are answered before it goes.
const REQUESTS: u16 = 900;

fn server(place: &Place, gate_open: bool) -> Server {
    Server::start(&Orders {
        store: place.address(),
        fuse: None,
        gate_open,
    })
}

/// Redis goes away under load and comes back after [`OUTAGE`].
fn outage(name: &str, leave: impl Fn(&mut RedisServer), come_back: impl Fn(&mut RedisServer)) {
    let mut place = Place::new(Kind::Redis);
    let server = server(&place, true);
    let asked = (0..REQUESTS).map(|number| keyed(number, Act::Answer, Patience::Waits));
    let clients = Clients::new(server.addr, asked.collect());
    let probe = keyed(REQUESTS, Act::Answer, Patience::Waits);
    let scene = clients.scene();
    scene.settle(server.addr);
    let (left, back) = thread::scope(|scope| {
        clients.begin(4, scope);
        scene.wait_for_served(50);
        leave(place.redis());
        let left = Instant::now();
        // The clients wait for what they asked before; this one asks when it has just gone.
        let told = send(&agent(), server.addr, &probe);
        assert!(matches!(told, Told::Refused(_)), "{told:?}");
        scene.hear(left, false);
        scene.never_within(OUTAGE, |heard| heard.sent >= left && heard.served);
        // Taken before, so that nothing which is answered can have been sent earlier.
        let back = Instant::now();
        come_back(place.redis());
        scene.wait_until("an answer after the outage", |heard| {
            heard.iter().any(|heard| heard.over > back && heard.served)
        });
        (left, back)
    });
    let heard = scene.heard();
    let meanwhile = heard
        .iter()
        .filter(|heard| heard.sent >= left && heard.sent < back);
    let slowest = meanwhile.clone().map(|heard| heard.over - heard.sent).max();
    let refused = meanwhile.filter(|heard| !heard.served).count();
    let first = heard
        .iter()
        .filter(|heard| heard.served && heard.over > back)
        .map(|heard| heard.over - back)
        .min();
    let (slowest, first) = (slowest.unwrap(), first.unwrap());
    let mut asked = clients.asked();
    let told = vec![send(&agent(), server.addr, &probe)];
    asked.push(Asked { told, ..probe });
    let verdict = gather::close(&asked, &place, vec![server]);
    say(&format!(
        "redis {name} for {OUTAGE:?}: {refused} refused, the slowest after {slowest:.1?}; served \
         again {first:.1?} after its return; accepted {}, lost {}, double {}",
        verdict.accepted, verdict.lost, verdict.double
    ));
    assert_eq!(verdict.wrong, [""; 0]);
    assert!(refused > 0 && slowest < REFUSAL, "{refused} {slowest:?}");
    assert!(first < RECOVERY, "{first:?}");
}

#[test]
fn while_redis_is_stopped_requests_fail_fast_and_nothing_is_lost() {
    outage("stopped", |redis| redis.stop(), |redis| redis.resume());
}

#[test]
fn while_redis_is_gone_requests_fail_fast_and_nothing_is_lost() {
    outage("gone", RedisServer::kill, RedisServer::restart);
}

#[test]
fn after_flushall_old_jobs_are_unknown_and_new_ones_are_served() {
    let mut place = Place::new(Kind::Redis);
    let mut server = server(&place, false);
    let (agent, addr) = (agent(), server.addr);
    let held = keyed(0, Act::Wait, Patience::Waits);
    let queued = keyed(1, Act::Answer, Patience::Async);
    thread::scope(|scope| {
        let waits = scope.spawn(|| send(&agent, addr, &held));
        server.wait_until_it_holds();
        let Told::Accepted(queued) = send(&agent, addr, &queued) else {
            panic!("not accepted");
        };
        place.redis().run::<()>("FLUSHALL");
        server.open_gate();
        // What was accepted is gone with the data, and whoever waits for it is told so.
        let told = waits.join().unwrap();
        assert!(
            matches!(&told, Told::Other(text) if text.starts_with("404") && text.contains("unknown_job")),
            "{told:?}"
        );
        assert!(look(&agent, addr, queued).unwrap().is_none());
    });
    for number in 2..20 {
        let told = send(&agent, addr, &keyed(number, Act::Answer, Patience::Waits));
        assert!(matches!(told, Told::Answered(..)), "{told:?}");
    }
    gather::finish(server);
}

#[test]
fn a_full_redis_refuses_new_requests_and_answers_those_it_accepted() {
    let mut place = Place::new(Kind::Redis);
    let mut server = server(&place, false);
    let (agent, addr) = (agent(), server.addr);
    let mut asked: Vec<Asked> = Vec::new();
    let mut extra = loop {
        let number = u16::try_from(asked.len()).unwrap();
        assert!(number < REQUESTS, "it is never full");
        if number == ROOMY {
            fill(place.redis());
        }
        let mut next = keyed(number, Act::Wait, Patience::Async);
        match send(&agent, addr, &next) {
            Told::Refused(_) if number >= ROOMY => break next,
            told @ Told::Accepted(_) => next.told.push(told),
            told => panic!("{told:?}"),
        }
        asked.push(next);
    };
    server.open_gate();
    let promised = asked.iter().flat_map(|asked| &asked.told);
    let ids = promised.filter_map(|told| match told {
        Told::Accepted(id) => Some(*id),
        _ => None,
    });
    let jobs = gather::ended(addr, &ids.collect());
    assert!(jobs.iter().all(|job| job.predictions.is_some()), "{jobs:?}");
    place.redis().run::<()>("CONFIG SET maxmemory 0");
    // Serving resumes by itself.
    let begun = Instant::now();
    while !matches!(extra.told.last(), Some(Told::Accepted(_))) {
        assert!(begun.elapsed() < GUARD, "{extra:?}");
        extra.told = vec![send(&agent, addr, &extra)];
    }
    say(&format!(
        "redis full after {} jobs: all answered; served again {:.1?} after memory was free",
        asked.len(),
        begun.elapsed()
    ));
    asked.push(extra);
    assert_eq!(gather::close(&asked, &place, vec![server]).wrong, [""; 0]);
}

/// Gives Redis a bound a little above what it has now.
fn fill(redis: &RedisServer) {
    let memory: String = redis.run("INFO memory");
    let mut used = memory
        .lines()
        .filter_map(|line| line.strip_prefix("used_memory:"));
    let used: u64 = used.next().unwrap().trim().parse().unwrap();
    redis.run::<()>("CONFIG SET maxmemory-policy noeviction");
    redis.run::<()>(&format!("CONFIG SET maxmemory {}", used + SPARE));
}
