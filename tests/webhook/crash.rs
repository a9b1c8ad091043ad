//! Rounds: a server process killed between acceptance and delivery, and every callback heard.

use std::collections::BTreeMap;
use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Instant;

use beagle::observe::Point;
use beagle::store::JobId;
use ureq::Agent;

use crate::child::Orders;
use crate::fake::{Act, picture};
use crate::place::{Kind, Place};
use crate::receiver::{Answer, Heard, Receiver};
use crate::server::Server;
use crate::{GUARD, keys, say, url};

/// Jobs of a round.
const JOBS: u32 = 8;

/// What came of a round or of many.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    rounds: usize,
    accepted: usize,
    told: usize,
    lost: usize,
    heard: usize,
    unsigned: usize,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.rounds += other.rounds;
        self.accepted += other.accepted;
        self.told += other.told;
        self.lost += other.lost;
        self.heard += other.heard;
        self.unsigned += other.unsigned;
    }
}

/// A server that dies when the n-th job comes to a point, and its Redis after it; another one; and
/// all who were promised a callback.
fn run(kind: Kind, point: Point, seed: u64) -> Count {
    let mut rng = fastrand::Rng::with_seed(seed);
    // Every third call fails, so that a delivery has more than one try.
    let receiver = Receiver::answering(|call, _| match call % 3 {
        2 => Answer::Status(503, String::new()),
        _ => Answer::Status(204, String::new()),
    });
    let mut place = Place::new(kind);
    let mut orders = Orders {
        store: place.address(),
        fuse: Some((point.name().to_owned(), rng.u32(1..=JOBS))),
    };
    let mut first = Server::start(&orders);
    let before = first.addr;
    let mut accepted: Vec<Option<JobId>> = (0..JOBS)
        .map(|number| ask(before, &receiver, number))
        .collect();
    assert_eq!(first.ended().signal(), Some(9), "{kind:?}, {point:?}");
    if place.is_shared() {
        // What was answered is in the append-only file.
        let redis = place.redis();
        redis.until_written();
        redis.kill();
        redis.restart();
    }
    orders.fuse = None;
    let second = Server::start(&orders);
    // Who got no answer asks again, under the same key.
    for (number, job) in (0..JOBS).zip(&mut accepted) {
        let again = || ask(second.addr, &receiver, number).expect("the second server answers");
        job.get_or_insert_with(again);
    }
    let accepted: Vec<JobId> = accepted.into_iter().flatten().collect();
    let told = |heard: &[Heard]| {
        let ids = heard.iter().map(id);
        let mut all = BTreeMap::new();
        ids.for_each(|id| *all.entry(id).or_insert(0) += 1);
        accepted.iter().filter(|id| all.contains_key(id)).count()
    };
    let heard = receiver.heard_by_then(|heard| told(heard) == accepted.len());
    let told = told(&heard);
    let keys = keys();
    let unsigned = heard.iter().filter(|heard| heard.verify(&keys).is_err());
    Count {
        rounds: 1,
        accepted: accepted.len(),
        told,
        lost: accepted.len() - told,
        heard: heard.len(),
        unsigned: unsigned.count(),
    }
}

fn id(heard: &Heard) -> JobId {
    heard.json()["id"].as_str().unwrap().parse().unwrap()
}

/// Offers a job; nothing if the server is not there to answer.
fn ask(server: std::net::SocketAddr, receiver: &Receiver, number: u32) -> Option<JobId> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(GUARD))
        .build()
        .into();
    let callback = url(receiver.addr, &format!("job-{number}"));
    let response = agent
        .post(format!("http://{server}/predict?callback={callback}"))
        .header("Content-Type", "image/bmp")
        .header("Prefer", "respond-async")
        .header("Idempotency-Key", format!("key-{number}"))
        .send(&picture(number as u8, Act::Answer)[..]);
    let response = response.ok()?;
    // A key that is known is answered with the job's end if it has one.
    assert!(
        matches!(response.status().as_u16(), 200 | 202),
        "{response:?}"
    );
    let id = response.headers().get("x-job-id")?.to_str().unwrap();
    Some(id.parse().unwrap())
}

#[test]
fn every_accepted_callback_comes_whatever_is_killed() {
    // Acceptance is the store's word; before it nothing was promised.
    let points = Point::ALL
        .into_iter()
        .filter(|point| *point != Point::Decoded);
    let plan: Vec<(Kind, Point)> = points
        .flat_map(|point| [(Kind::Redis, point), (Kind::Sqlite, point)])
        .collect();
    let rounds = env::var("BEAGLE_WEBHOOK_ROUNDS").map_or(plan.len(), |rounds| {
        rounds.parse().expect("BEAGLE_WEBHOOK_ROUNDS is a number")
    });
    let begun = Instant::now();
    let mut rows = vec![Count::default(); plan.len()];
    for (seed, row) in (0..rounds).zip((0..plan.len()).cycle()) {
        let (kind, point) = plan[row];
        let count = run(kind, point, seed as u64);
        if count.lost + count.unsigned > 0 {
            say(&format!(
                "round {seed}, {kind:?}, {}: {count:?}",
                point.name()
            ));
        }
        rows[row].add(count);
    }
    say("store   killed when         rounds  accepted  told  lost  heard  unsigned");
    let mut all = Count::default();
    for ((kind, point), count) in plan.iter().zip(&rows) {
        line(&format!("{kind:?}").to_lowercase(), point.name(), count);
        all.add(*count);
    }
    line("all", "", &all);
    say(&format!("{:.1} s", begun.elapsed().as_secs_f64()));
    assert_eq!(
        (all.lost, all.unsigned),
        (0, 0),
        "a callback is lost or not signed"
    );
    assert_eq!(all.told, all.accepted);
}

fn line(store: &str, point: &str, count: &Count) {
    let Count {
        rounds,
        accepted,
        told,
        lost,
        heard,
        unsigned,
    } = count;
    say(&format!(
        "{store:<8}{point:<20}{rounds:>6}{accepted:>10}{told:>6}{lost:>6}{heard:>7}{unsigned:>10}"
    ));
}
