//! What each role does, what becomes of a job whose process dies or differs, and who gets the work.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use beagle::store::JobState;
use serde_json::Value;

use crate::ask::{agent, keyed, look, send};
use crate::child::{LOADED, WEDGED};
use crate::clients::Clients;
use crate::fake::{Act, picture};
use crate::fleet::{Fleet, LEASE};
use crate::gather;
use crate::history::{Asked, Patience, Told};
use crate::insight::held_by;
use crate::{GUARD, say};

fn answered(told: &Told) -> beagle::store::JobId {
    match told {
        Told::Answered(job, _) => *job,
        told => panic!("not answered: {told:?}"),
    }
}

/// The address of the first web process.
fn web(fleet: &Fleet) -> SocketAddr {
    fleet.members[0].server.addr
}

#[test]
fn the_model_is_loaded_once_a_worker_and_never_by_a_web_process() {
    let fleet = Fleet::start(2, 2);
    for number in 0..8 {
        let told = send(
            &agent(),
            fleet.door(),
            &keyed(number, Act::Answer, Patience::Waits),
        );
        answered(&told);
    }
    for member in &fleet.members {
        let loaded = member.server.told.iter().filter(|line| *line == LOADED);
        let wanted = usize::from(!member.is_web());
        assert_eq!(loaded.count(), wanted, "{:?}", member.orders.role);
    }
    fleet.finish();
}

#[test]
fn the_answer_of_a_web_process_that_died_is_at_another_one() {
    let mut fleet = Fleet::with(2, 1, |_, orders| orders.gate_open = false);
    let asked = keyed(5, Act::Wait, Patience::Waits);
    let (dying, other) = (web(&fleet), fleet.members[1].server.addr);
    let held = thread::scope(|scope| {
        let asks = scope.spawn(|| send(&agent(), dying, &asked));
        fleet.members[2].server.wait_until_it_holds();
        let held = held_by(&fleet.shards, fleet.members[2].server.pid(), true);
        fleet.members[0].server.kill();
        assert_eq!(asks.join().unwrap(), Told::Broken);
        held
    });
    fleet.members[2].server.open_gate();
    let job = held[0].parse().unwrap();
    let ended = gather::ended(other, &[job].into());
    assert_eq!(ended[0].state, JobState::Done);
    assert_eq!(answered(&send(&agent(), other, &asked)), job);
    fleet.members[0].start_again();
    fleet.finish();
}

#[test]
fn a_job_that_no_worker_has_a_network_for_is_a_dead_letter_that_says_so() {
    let fleet = Fleet::with(1, 1, |number, orders| orders.other = number == 0);
    let response = agent()
        .post(format!("http://{}/predict?profile=other", web(&fleet)))
        .header("Content-Type", "image/bmp")
        .send(&picture(1, Act::Answer)[..]);
    let mut response = response.unwrap();
    let told: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(told["error"]["code"], "dead_letter", "{told}");
    let message = told["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("no process serves the profile 'other'"),
        "{message}"
    );
    answered(&send(
        &agent(),
        web(&fleet),
        &keyed(1, Act::Answer, Patience::Waits),
    ));
    fleet.finish();
}

#[test]
fn a_slow_worker_leaves_the_work_to_a_fast_one() {
    // Half a second an image: four within two seconds.
    const SLOW: usize = 2;
    let fleet = Fleet::with(1, 2, |number, orders| {
        orders.batch = Duration::from_millis(1);
        orders.image = Duration::from_millis(if number == SLOW { 500 } else { 1 });
        orders.max_batch = 32;
    });
    let requests = (0..400).map(|number| keyed(number, Act::Answer, Patience::Async));
    let clients = Clients::new(fleet.door(), requests.collect());
    thread::scope(|scope| {
        clients.begin(8, scope);
    });
    let (slow, fast) = (&fleet.members[SLOW].server, &fleet.members[1].server);
    let begun = Instant::now();
    let (mut most, mut idle) = (0, 0);
    loop {
        let held = held_by(&fleet.shards, slow.pid(), false).len();
        most = most.max(held);
        let others = held_by(&fleet.shards, fast.pid(), false).len();
        idle += usize::from(others == 0);
        if held + others == 0 {
            break;
        }
        assert!(begun.elapsed() < GUARD, "they never end");
    }
    let (asked, ..) = clients.asked();
    let verdict = gather::close(&asked, fleet.store(), fleet.door());
    assert_eq!(verdict.wrong, [""; 0]);
    assert_eq!(verdict.answered, 400);
    say(&format!(
        "the slow worker held {most} jobs at most; {idle} looks found the fast one idle"
    ));
    // What runs and what is next: four each.
    assert!(most <= 8, "the slow worker held {most} jobs");
    fleet.finish();
}

#[test]
fn a_batch_that_outlasts_its_lease_keeps_its_jobs() {
    let fleet = Fleet::with(1, 2, |_, orders| orders.batch = LEASE * 3);
    let told = send(
        &agent(),
        fleet.door(),
        &keyed(1, Act::Answer, Patience::Waits),
    );
    let job = look(&agent(), fleet.door(), answered(&told))
        .unwrap()
        .unwrap();
    assert_eq!(job.attempts, 1, "nobody took it from who had it");
    fleet.finish();
}

#[test]
fn a_worker_whose_model_hangs_hands_its_jobs_back_and_ends_with_a_code_of_its_own() {
    const HANGS: usize = 1;
    let mut fleet = Fleet::with(1, 2, |number, orders| {
        orders.gate_open = number != HANGS;
        orders.wedge = Duration::from_secs(2);
    });
    let requests = (0..200).map(|number| keyed(number, Act::Wait, Patience::Waits));
    let clients = Clients::new(fleet.door(), requests.collect());
    thread::scope(|scope| {
        clients.begin(8, scope);
        assert_eq!(fleet.members[HANGS].server.ended().code(), Some(WEDGED));
    });
    let (asked, ..) = clients.asked();
    let answers = |asked: &Asked| matches!(asked.told[..], [Told::Answered(..)]);
    assert!(asked.iter().all(answers), "somebody noticed");
    assert_eq!(
        gather::close(&asked, fleet.store(), fleet.door()).wrong,
        [""; 0]
    );
    fleet.members[HANGS].orders.gate_open = true;
    fleet.members[HANGS].start_again();
    fleet.finish();
}
