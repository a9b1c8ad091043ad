//! Seeded rounds: a thousand requests through nginx, three faults, and the history checked.
//!
//! Must not know: how a fault is done.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::clients::Clients;
use crate::fake::Act;
use crate::faults::Fault;
use crate::fleet::Fleet;
use crate::history::{Asked, Patience, Verdict};
use crate::load::Asking;
use crate::proxy::Proxy;
use crate::{gather, number, pass, say};

/// Clients at once.
const CLIENTS: usize = 24;
/// Requests of a round: as many as can be told apart by their number of labels.
const REQUESTS: u16 = 1000;
/// Faults of a round; a job survives being charged once by each.
const FAULTS: usize = 3;
/// Rounds when nothing is said.
const ROUNDS: usize = 5;

/// A machine that gives a thread no turn for so long stands still.
const STILL: Duration = Duration::from_secs(2);

/// Adds up how long the machine stood still, until it is told to stop.
fn watch(over: &AtomicBool) -> Duration {
    let (mut still, mut last) = (Duration::ZERO, Instant::now());
    while !over.load(Ordering::Relaxed) {
        pass(STILL / 20);
        let gap = last.elapsed();
        still += if gap > STILL { gap } else { Duration::ZERO };
        last = Instant::now();
    }
    still
}

/// What came of a round.
#[derive(Default)]
struct Outcome {
    faults: Vec<&'static str>,
    sent: usize,
    late: usize,
    /// How long the machine stood still: nobody's fault here.
    still: Duration,
    slowest: Duration,
    verdict: Verdict,
}

/// One round: two web processes, three workers, one of them by a way that can be cut.
fn run(seed: u64) -> Outcome {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut fleet = Fleet::start(2, 3);
    let proxy = behind_a_proxy(&mut fleet);
    let requests = (0..REQUESTS).map(|number| request(number, &mut rng));
    let clients = Clients::new(fleet.door(), requests.collect());
    // Each fault comes once in eleven thirds of a round, the order by chance.
    let mut faults: Vec<_> = (0..FAULTS)
        .map(|nth| Fault::ALL[(seed as usize * FAULTS + nth) % Fault::ALL.len()])
        .collect();
    rng.shuffle(&mut faults);
    let over = AtomicBool::new(false);
    let (late, still) = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&over));
        let ending = Asking(&over);
        let asking = clients.begin(CLIENTS, scope);
        let mut late = 0;
        for (fault, _) in &faults {
            clients.wait_for(clients.over() + rng.usize(50..200));
            late += fault.strike(&mut fleet, &proxy, &mut rng);
        }
        asking.into_iter().for_each(|client| client.join().unwrap());
        drop(ending);
        (late, watching.join().unwrap())
    });
    let (asked, sent, slowest) = clients.asked();
    let verdict = gather::close(&asked, fleet.store(), fleet.door());
    fleet.finish();
    Outcome {
        faults: faults.iter().map(|(_, name)| *name).collect(),
        sent,
        late,
        still,
        slowest,
        verdict,
    }
}

/// Starts one worker again with a way to the first shard that can be cut.
fn behind_a_proxy(fleet: &mut Fleet) -> Proxy {
    let url = fleet.shards[0].url();
    let place = url.trim_start_matches("redis://").trim_end_matches('/');
    let proxy = Proxy::to(place.to_socket_addrs().unwrap().next().unwrap());
    let at = fleet.places(false)[0];
    let member = &mut fleet.members[at];
    let direct = &member.orders.store;
    member.orders.store = direct.replacen(&url, &format!("redis://{}/", proxy.addr), 1);
    member.finish();
    member.start_again();
    proxy
}

/// A request of some kind; every one has a key, since it may be asked of more than one process.
fn request(number: u16, rng: &mut fastrand::Rng) -> Asked {
    let act = match number {
        90 => Act::Panic,
        220 => Act::Fail,
        _ => Act::Answer,
    };
    let patience = match rng.u8(..10) {
        0 => Patience::Hasty,
        1 | 2 => Patience::Async,
        _ => Patience::Waits,
    };
    Asked {
        number,
        act,
        keyed: true,
        patience,
        told: Vec::new(),
    }
}

#[test]
fn what_a_fleet_accepts_comes_to_one_end_whatever_fails() {
    let rounds = number("BEAGLE_FLEET_ROUNDS", ROUNDS) as u64;
    let first = number("BEAGLE_FLEET_SEED", 0) as u64;
    let begun = Instant::now();
    let mut all = Outcome::default();
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in first..first + rounds {
        let started = Instant::now();
        let outcome = run(seed);
        say(&format!(
            "round {seed}: {:.1} s ({:.0} s stood still), slowest request {:.1} s; {}; sent {}, late results refused {}; {}",
            started.elapsed().as_secs_f64(),
            outcome.still.as_secs_f64(),
            outcome.slowest.as_secs_f64(),
            outcome.faults.join(", "),
            outcome.sent,
            outcome.late,
            counts(&outcome.verdict),
        ));
        for wrong in &outcome.verdict.wrong {
            say(&format!("round {seed}: {wrong}"));
        }
        for name in outcome.faults {
            *times.entry(name).or_default() += 1;
        }
        all.sent += outcome.sent;
        all.late += outcome.late;
        all.verdict.add(&outcome.verdict);
    }
    for (name, times) in &times {
        say(&format!("{name:<32}{times:>6}"));
    }
    say(&format!(
        "{rounds} rounds in {:.0} s: {} requests, sent {} times; {} late results of zombies refused; {}",
        begun.elapsed().as_secs_f64(),
        rounds * u64::from(REQUESTS),
        all.sent,
        all.late,
        counts(&all.verdict),
    ));
    assert_eq!(all.verdict.wrong, [""; 0], "the promises are not kept");
    assert_eq!((all.verdict.lost, all.verdict.double), (0, 0));
    assert_eq!(all.verdict.accepted as u64, rounds * u64::from(REQUESTS));
}

fn counts(verdict: &Verdict) -> String {
    let Verdict {
        accepted,
        answered,
        dead,
        expired,
        cancelled,
        lost,
        double,
        ..
    } = verdict;
    format!(
        "accepted {accepted}, answered {answered}, dead {dead}, expired {expired}, cancelled {cancelled}, \
         lost {lost}, double {double}"
    )
}
