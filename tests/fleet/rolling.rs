//! A rolling restart of every process under load, through nginx and by readiness: nobody notices.

use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::Fleet;
use crate::load::Load;
use crate::say;

/// Clients at once.
const CLIENTS: u16 = 8;
/// Answers between two restarts.
const BETWEEN: usize = 100;

/// Restarts one process after the other under load, and gives how many requests were answered.
fn roll(fleet: &mut Fleet, load: &Load) -> usize {
    let begun = Instant::now();
    thread::scope(|scope| {
        let _asking = load.begin(CLIENTS, scope);
        for member in &mut fleet.members {
            load.wait_for_more(BETWEEN);
            member.finish();
            // The others serve on meanwhile.
            load.wait_for_more(BETWEEN);
            member.start_again();
        }
        load.wait_for_more(BETWEEN);
    });
    say(&format!(
        "rolling restart of {} processes in {:.1} s: {} answered, {} failed",
        fleet.members.len(),
        begun.elapsed().as_secs_f64(),
        load.answered(),
        load.failed().len()
    ));
    load.answered()
}

#[test]
fn a_rolling_restart_of_all_processes_under_load_fails_no_request() {
    let mut fleet = Fleet::start(2, 3);
    let load = Load::on(fleet.door());
    assert!(roll(&mut fleet, &load) > 0);
    assert_eq!(load.failed_by_reason(), []);
    fleet.finish();
}

#[test]
fn who_asks_for_readiness_first_needs_no_second_attempt() {
    // Longer than anybody takes from the one question to the other.
    let mut fleet = Fleet::with(2, 2, |_, orders| {
        orders.drain_delay = Duration::from_secs(2)
    });
    let webs = fleet.places(true).into_iter();
    let webs = webs.map(|at| fleet.members[at].server.addr).collect();
    let load = Load::on_ready(webs);
    assert!(roll(&mut fleet, &load) > 0);
    assert_eq!(load.failed_by_reason(), []);
    fleet.finish();
}
