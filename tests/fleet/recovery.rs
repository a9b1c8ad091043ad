//! How soon the jobs of a worker that dies or stops are answered by others.
//!
//! `BEAGLE_FLEET_KILLS` and `BEAGLE_FLEET_STOPS` say how often; without them a few times.

use std::thread;
use std::time::{Duration, Instant};

use beagle::store::StoreLimits;

use crate::fleet::Fleet;
use crate::insight::{ends, have_ended, held_by};
use crate::load::Load;
use crate::{GUARD, number, pass, say};

/// Clients at once.
const CLIENTS: u16 = 16;
/// The last job of a dead worker is answered within this; the promise is 10 s, and a busy machine is
/// slower.
const RECOVERY: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(40);

/// A fleet with the times of the program's own defaults.
fn fleet() -> Fleet {
    Fleet::with(2, 3, |_, orders| {
        orders.lease = StoreLimits::default().lease
    })
}

/// Stops a worker that holds jobs, and gives them.
fn catch(fleet: &Fleet, at: usize, load: &Load) -> Vec<String> {
    let server = &fleet.members[at].server;
    let until = Instant::now() + GUARD;
    loop {
        server.stop();
        let held = held_by(&fleet.shards, server.pid(), false);
        if !held_by(&fleet.shards, server.pid(), true).is_empty() {
            return held;
        }
        server.resume();
        assert!(Instant::now() < until, "this worker gets no jobs");
        // It gets some only while it runs.
        load.wait_for_more(10);
    }
}

/// Waits until these jobs have ended, and gives how long it took.
fn recover(fleet: &Fleet, held: &[String]) -> Duration {
    let begun = Instant::now();
    while !have_ended(&fleet.shards, held) {
        assert!(begun.elapsed() < GUARD, "{held:?} never end");
        pass(LOOK);
    }
    begun.elapsed()
}

fn report(what: &str, jobs: usize, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent).div_ceil(100) - 1].as_secs_f64();
    say(&format!(
        "{} workers {what}: their {jobs} jobs answered, the last of each after p50 {:.2} s, p99 {:.2} s, most \
         {:.2} s",
        took.len(),
        at(50),
        at(99),
        at(100)
    ));
    assert!(took.iter().all(|took| *took < RECOVERY), "{took:.1?}");
}

#[test]
fn the_jobs_of_a_killed_worker_are_answered_soon() {
    let mut fleet = fleet();
    let load = Load::on(fleet.door());
    let workers = fleet.places(false);
    let kills = number("BEAGLE_FLEET_KILLS", 2);
    let (mut took, mut jobs) = (Vec::new(), 0);
    thread::scope(|scope| {
        let _asking = load.begin(CLIENTS, scope);
        for kill in 0..kills {
            load.wait_for_more(20);
            let at = workers[kill % workers.len()];
            let held = catch(&fleet, at, &load);
            fleet.members[at].server.kill();
            took.push(recover(&fleet, &held));
            jobs += held.len();
            fleet.members[at].start_again();
        }
    });
    report("killed", jobs, took);
    assert_eq!(load.failed(), []);
    fleet.finish();
}

#[test]
fn the_jobs_of_a_stopped_worker_are_answered_soon_and_its_late_results_refused() {
    let fleet = fleet();
    let load = Load::on(fleet.door());
    let workers = fleet.places(false);
    let stops = number("BEAGLE_FLEET_STOPS", 1);
    let (mut took, mut jobs) = (Vec::new(), 0);
    thread::scope(|scope| {
        let _asking = load.begin(CLIENTS, scope);
        for stop in 0..stops {
            load.wait_for_more(20);
            let at = workers[stop % workers.len()];
            let held = catch(&fleet, at, &load);
            took.push(recover(&fleet, &held));
            jobs += held.len();
            let before = ends(&fleet.shards, &held);
            let server = &fleet.members[at].server;
            server.resume();
            // When it claims anew it has told what it had, and nothing of it was taken.
            let until = Instant::now() + GUARD;
            while held_by(&fleet.shards, server.pid(), true).is_empty() {
                assert!(Instant::now() < until, "it does not go on");
                thread::yield_now();
            }
            assert_eq!(ends(&fleet.shards, &held), before);
        }
    });
    report("stopped", jobs, took);
    assert_eq!(load.failed(), []);
    fleet.finish();
}
