//! The end of a round: every job awaited until it has ended, the servers ended, the books closed.
//!
//! Must not know: what went wrong before.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use beagle::store::JobId;

use crate::GUARD;
use crate::ask::{agent, look};
use crate::history::{Asked, Job, Told, Verdict, check};
use crate::place::{Place, limits};
use crate::server::Server;

/// Waits until every job that anybody knows of has ended, stops the servers in order, the last
/// one of which is asked, and checks the history.
pub(crate) fn close(asked: &[Asked], place: &Place, servers: Vec<Server>) -> Verdict {
    let mut ids: BTreeSet<JobId> = asked.iter().flat_map(named).collect();
    ids.extend(servers.iter().flat_map(found));
    if place.is_shared() {
        ids.extend(place.jobs());
    }
    let addr = servers.last().expect("one still runs").addr;
    let jobs = ended(addr, &ids);
    servers.into_iter().for_each(finish);
    let mut verdict = check(asked, &jobs, limits().max_attempts);
    for id in place.jobs() {
        if !ids.contains(&id) {
            verdict.wrong.push(format!("job {id} was never heard of"));
        }
    }
    verdict
}

/// The jobs that were in the store when a server opened it.
fn found(server: &Server) -> impl Iterator<Item = JobId> {
    let lines = server.told.iter();
    lines.map(|line| line.trim_start_matches("job ").parse().unwrap())
}

/// SIGTERM, and waits for an end in order.
#[track_caller]
pub(crate) fn finish(mut server: Server) {
    server.terminate();
    assert_eq!(server.ended().code(), Some(0), "exit status after SIGTERM");
}

/// Every job that is known, once it has ended or the guard has had enough.
pub(crate) fn ended(addr: SocketAddr, ids: &BTreeSet<JobId>) -> Vec<Job> {
    let agent = agent();
    let until = Instant::now() + GUARD;
    let job = |id: &JobId| loop {
        let late = Instant::now() > until;
        match look(&agent, addr, *id) {
            Ok(None) => return None,
            Ok(Some(job)) if job.state.is_final() || late => return Some(job),
            Err(error) if late => panic!("nobody says how {id} stands: {error}"),
            _ => thread::yield_now(),
        }
    };
    ids.iter().filter_map(job).collect()
}

fn named(asked: &Asked) -> impl Iterator<Item = JobId> {
    asked.told.iter().filter_map(|told| match told {
        Told::Answered(job, _) | Told::Accepted(job) | Told::Dead(job) | Told::TimedOut(job) => {
            Some(*job)
        }
        Told::Refused(_) | Told::Broken | Told::Other(_) => None,
    })
}
