//! Seeded rounds: real requests in flight, one fault, and the history checked afterwards.
//!
//! Must not know: how a fault is done.

use std::env;
use std::thread;
use std::time::Instant;

use crate::client::Clients;
use crate::fake::Act;
use crate::faults::Fault;
use crate::history::{Asked, Patience, Verdict};
use crate::place::{Kind, Place};
use crate::server::Server;
use crate::{gather, say};

/// Clients at once.
const CLIENTS: usize = 6;
/// Requests of a round, beside one that may be held in the model.
const REQUESTS: u16 = 40;

/// One round.
fn run(kind: Kind, fault: Fault, seed: u64) -> Verdict {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut place = Place::new(kind);
    let orders = fault.orders(&place, &mut rng);
    let served = rng.usize(1..=8);
    let requests = (0..REQUESTS).map(|number| request(number, &mut rng));
    let server = Server::start(&orders);
    let clients = Clients::new(server.addr, requests.collect());
    let (servers, held) = thread::scope(|scope| {
        clients.begin(CLIENTS, scope);
        fault.strike(server, &mut place, clients.scene(), (served, REQUESTS))
    });
    let mut asked = clients.asked();
    asked.extend(held);
    gather::close(&asked, &place, servers)
}

/// A request of some kind. So few fail that the fuse of any point burns down: at least twenty
/// have a result.
fn request(number: u16, rng: &mut fastrand::Rng) -> Asked {
    let hasty = number % 13 == 6;
    let act = match number {
        9 => Act::Panic,
        22 => Act::Fail,
        _ => Act::Answer,
    };
    let patience = if hasty {
        Patience::Hasty
    } else if rng.u8(..3) == 0 {
        Patience::Async
    } else {
        Patience::Waits
    };
    Asked {
        number,
        act,
        keyed: !hasty && rng.bool(),
        patience,
        told: Vec::new(),
    }
}

/// Every store with every fault, in turn.
fn plan() -> Vec<(Kind, Fault)> {
    let of = |kind| Fault::of(kind).into_iter().map(move |fault| (kind, fault));
    let (sqlite, redis): (Vec<_>, Vec<_>) = (of(Kind::Sqlite).collect(), of(Kind::Redis).collect());
    redis.into_iter().chain(sqlite).collect()
}

#[test]
fn what_is_accepted_comes_to_one_end_whatever_is_killed() {
    let plan = plan();
    let rounds = env::var("BEAGLE_CRASH_ROUNDS").map_or(plan.len(), |rounds| {
        rounds.parse().expect("BEAGLE_CRASH_ROUNDS is a number")
    });
    let mut rows: Vec<(usize, Verdict)> = vec![(0, Verdict::default()); plan.len()];
    let begun = Instant::now();
    for (seed, place) in (0..rounds).zip((0..plan.len()).cycle()) {
        let (kind, fault) = plan[place];
        let verdict = run(kind, fault, seed as u64);
        for wrong in &verdict.wrong {
            say(&format!(
                "round {seed}, {kind:?}, {}: {wrong}",
                fault.name()
            ));
        }
        rows[place].0 += 1;
        rows[place].1.add(&verdict);
    }
    let mut all = (0, Verdict::default());
    say(&row([
        "store",
        "fault",
        "rounds",
        "accepted",
        "answered",
        "dead",
        "expired",
        "cancelled",
        "lost",
        "double",
    ]
    .map(str::to_owned)));
    for ((kind, fault), (rounds, verdict)) in plan.iter().zip(&rows) {
        say(&counted(
            &format!("{kind:?}"),
            &fault.name(),
            *rounds,
            verdict,
        ));
        all.0 += rounds;
        all.1.add(verdict);
    }
    say(&counted("all", "", all.0, &all.1));
    say(&format!("{:.1} s", begun.elapsed().as_secs_f64()));
    let sum = |v: &Verdict| v.answered + v.dead + v.expired + v.cancelled;
    assert_eq!(all.1.wrong, [""; 0], "the promises are not kept");
    assert_eq!((all.1.lost, all.1.double), (0, 0));
    assert_eq!(all.1.accepted, sum(&all.1));
}

#[test]
fn sigterm_under_load_answers_or_keeps_what_is_accepted_on_sqlite() {
    assert_eq!(run(Kind::Sqlite, Fault::Terminated, 1).wrong, [""; 0]);
}

#[test]
fn sigterm_under_load_answers_or_keeps_what_is_accepted_on_redis() {
    assert_eq!(run(Kind::Redis, Fault::Terminated, 1).wrong, [""; 0]);
}

fn counted(store: &str, fault: &str, rounds: usize, verdict: &Verdict) -> String {
    let numbers = [
        rounds,
        verdict.accepted,
        verdict.answered,
        verdict.dead,
        verdict.expired,
        verdict.cancelled,
        verdict.lost,
        verdict.double,
    ];
    let [a, b, c, d, e, f, g, h] = numbers.map(|number| number.to_string());
    row([
        store.to_lowercase(),
        fault.to_owned(),
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
    ])
}

fn row(cells: [String; 10]) -> String {
    let [store, fault, numbers @ ..] = &cells;
    let numbers: String = numbers.iter().map(|cell| format!("{cell:>10}")).collect();
    format!("{store:<7}{fault:<22}{numbers}")
}
