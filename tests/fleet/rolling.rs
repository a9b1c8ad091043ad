//! A rolling restart of every process under load, through nginx: nobody notices.

use std::thread;
use std::time::Instant;

use crate::fleet::Fleet;
use crate::load::Load;
use crate::say;

/// Clients at once.
const CLIENTS: u16 = 8;
/// Answers between two restarts.
const BETWEEN: usize = 100;

#[test]
fn a_rolling_restart_of_all_processes_under_load_fails_no_request() {
    let mut fleet = Fleet::start(2, 3);
    let load = Load::on(fleet.door());
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
    let answered = load.answered();
    let failed = load.failed();
    say(&format!(
        "rolling restart of {} processes in {:.1} s: {answered} answered, {} failed",
        fleet.members.len(),
        begun.elapsed().as_secs_f64(),
        failed.len()
    ));
    assert_eq!(failed, []);
    fleet.finish();
}
