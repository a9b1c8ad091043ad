//! The end of a round: every job awaited until it has ended, and the books closed.
//!
//! Must not know: what went wrong before.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use beagle::store::{JobId, StoreLimits};

use crate::GUARD;
use crate::ask::{agent, look};
use crate::fleet::{LEASE, open};
use crate::history::{Asked, Job, Told, Verdict, check};

/// More jobs than there ever are here.
const MOST: usize = 1_000_000;
/// Who look at jobs at once.
const LOOKERS: usize = 4;

/// Waits until every job that anybody knows of has ended, and checks the history.
pub(crate) fn close(asked: &[Asked], store: &str, door: SocketAddr) -> Verdict {
    let mut ids: BTreeSet<JobId> = asked.iter().flat_map(named).collect();
    ids.extend(listed(store));
    let jobs = ended(door, &ids);
    let mut verdict = check(asked, &jobs, StoreLimits::default().max_attempts);
    for id in listed(store).difference(&ids) {
        verdict.wrong.push(format!("job {id} was never heard of"));
    }
    verdict
}

/// The names of all jobs that the store knows of.
fn listed(store: &str) -> BTreeSet<JobId> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = open(store, LEASE);
        let jobs = store.list(None, MOST).await.unwrap();
        store.close().await.unwrap();
        jobs.into_iter().map(|job| job.id).collect()
    })
}

/// Every job that is known, once it has ended or the guard has had enough.
pub(crate) fn ended(door: SocketAddr, ids: &BTreeSet<JobId>) -> Vec<Job> {
    let ids: Vec<JobId> = ids.iter().copied().collect();
    let until = Instant::now() + GUARD;
    let job = |agent: &ureq::Agent, id: &JobId| loop {
        let late = Instant::now() > until;
        match look(agent, door, *id) {
            Ok(None) => return None,
            Ok(Some(job)) if job.state.is_final() || late => return Some(job),
            Err(error) if late => panic!("nobody says how {id} stands: {error}"),
            _ => thread::yield_now(),
        }
    };
    thread::scope(|scope| {
        let parts = ids.chunks(ids.len().div_ceil(LOOKERS).max(1));
        let looking = parts.map(|part| {
            scope.spawn(move || {
                let agent = agent();
                let jobs = part.iter().filter_map(|id| job(&agent, id));
                jobs.collect::<Vec<Job>>()
            })
        });
        let looking: Vec<_> = looking.collect();
        let found = looking.into_iter().flat_map(|part| part.join().unwrap());
        found.collect()
    })
}

fn named(asked: &Asked) -> impl Iterator<Item = JobId> {
    asked.told.iter().filter_map(|told| match told {
        Told::Answered(job, _) | Told::Accepted(job) | Told::Dead(job) | Told::TimedOut(job) => {
            Some(*job)
        }
        Told::Refused(_) | Told::Broken | Told::Other(_) => None,
    })
}
