//! What `claim` promises: the right jobs in the right order, each to one claimer, and no hurry.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use beagle::store::{JobState, NewJob, Priority, StoreLimits};

use super::Lab;
use crate::fixture::{
    SHORT, accept, accept_many, claim_one, completion, job, late, limits, of, soon, state,
};

pub(crate) async fn a_claim_gives_everything_that_the_job_was_offered_with(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = NewJob {
        profile: "keras".to_owned(),
        top: 7,
        priority: Priority::Low,
        ..job()
    };
    accept(&*store, offered.clone()).await;

    let claimed = claim_one(&*store).await;
    assert_eq!(claimed.lease.id, offered.id);
    assert_eq!(claimed.pixels, offered.pixels);
    assert_eq!(claimed.profile, "keras");
    assert_eq!(claimed.top, 7);
    assert_eq!(claimed.priority, Priority::Low);
    assert_eq!(claimed.created, offered.created);
    assert_eq!(claimed.deadline, offered.deadline);
    assert_eq!(claimed.attempts, 0);
}

pub(crate) async fn jobs_come_by_priority_and_then_in_the_order_of_arrival(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let mut offered = Vec::new();
    for priority in [Priority::Low, Priority::Normal, Priority::High] {
        for _ in 0..2 {
            offered.push(accept(&*store, of(priority)).await);
        }
    }
    let [low1, low2, normal1, normal2, high1, high2] = offered[..] else {
        panic!("{offered:?}");
    };

    let first = soon(store.claim(3)).await.unwrap();
    let second = soon(store.claim(3)).await.unwrap();
    let came: Vec<_> = first
        .iter()
        .chain(&second)
        .map(|job| job.lease.id)
        .collect();
    assert_eq!(came, [high1, high2, normal1, normal2, low1, low2]);
}

pub(crate) async fn lower_priorities_have_their_share(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    for (priority, count) in [
        (Priority::High, 40),
        (Priority::Normal, 12),
        (Priority::Low, 4),
    ] {
        for _ in 0..count {
            accept(&*store, of(priority)).await;
        }
    }
    let mut came = Vec::new();
    for room in [1, 5, 2, 8, 16] {
        let claimed = soon(store.claim(room)).await.unwrap();
        assert_eq!(claimed.len(), room);
        came.extend(claimed.into_iter().map(|job| job.priority));
    }
    let count = |wanted| came.iter().filter(|came| **came == wanted).count();
    let counts = Priority::ALL.map(count);
    assert_eq!(counts, [24, 6, 2], "{came:?}");

    // Where nothing of a priority waits, its share is for the others.
    let rest = soon(store.claim(64)).await.unwrap();
    assert_eq!(rest.len(), 24);
    for _ in 0..20 {
        accept(&*store, of(Priority::High)).await;
    }
    assert_eq!(soon(store.claim(20)).await.unwrap().len(), 20);
}

pub(crate) async fn a_claim_takes_no_more_than_there_is_room(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = accept_many(&*store, 5).await;

    let claimed = soon(store.claim(2)).await.unwrap();
    let came: Vec<_> = claimed.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, offered[..2]);
}

pub(crate) async fn a_claim_takes_what_there_is_without_waiting_for_more(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept_many(&*store, 3).await;
    assert_eq!(soon(store.claim(64)).await.unwrap().len(), 3);
}

pub(crate) async fn a_claim_waits_for_a_job(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let mut waiting = pin!(store.claim(8));
    let early = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context))).await;
    assert!(early.is_pending(), "{early:?}");

    let id = accept(&*store, job()).await;
    let claimed = soon(waiting).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].lease.id, id);
}

pub(crate) async fn every_waiting_claim_is_woken_by_its_job(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let claims: Vec<_> = (0..8)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { claim_one(&*store).await.lease.id })
        })
        .collect();
    let offered: HashSet<_> = accept_many(&*store, 8).await.into_iter().collect();
    let mut came = HashSet::new();
    for claim in claims {
        came.insert(soon(claim).await.unwrap());
    }
    assert_eq!(came, offered);
}

pub(crate) async fn concurrent_claims_never_give_a_job_twice(lab: &dyn Lab) {
    const CLAIMERS: usize = 8;
    const JOBS: usize = 200;
    let store = lab.open(limits()).await;
    let offering = {
        let store = Arc::clone(&store);
        tokio::spawn(async move { accept_many(&*store, JOBS).await })
    };
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let claimers: Vec<_> = (0..CLAIMERS)
        .map(|_| {
            let (store, tell) = (Arc::clone(&store), tell.clone());
            tokio::spawn(async move {
                while let Ok(claimed) = store.claim(3).await {
                    for job in claimed {
                        let _ = tell.send(job.lease.id);
                    }
                }
            })
        })
        .collect();
    let mut came = HashSet::new();
    for _ in 0..JOBS {
        let id = soon(told.recv()).await.unwrap();
        assert!(came.insert(id), "{id} came twice");
    }
    let offered: HashSet<_> = offering.await.unwrap().into_iter().collect();
    assert_eq!(came, offered);
    // All are taken: whoever claims now waits, and is let go by the close.
    store.close().await.unwrap();
    for claimer in claimers {
        soon(claimer).await.unwrap();
    }
    assert_eq!(told.try_recv().ok(), None);
}

pub(crate) async fn a_claimed_job_is_still_queued_to_who_looks(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = accept(&*store, job()).await;
    claim_one(&*store).await;

    assert_eq!(state(&*store, id).await, Some(JobState::Queued));
    assert_eq!(store.stats().await.unwrap().queued, 1);
}

pub(crate) async fn an_expired_job_is_never_claimed(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, late()).await;
    let good = accept(&*store, job()).await;
    accept(&*store, late()).await;

    let claimed = soon(store.claim(10)).await.unwrap();
    let came: Vec<_> = claimed.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, [good]);
}

pub(crate) async fn a_cancelled_job_is_never_claimed(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = accept_many(&*store, 3).await;
    store.cancel(offered[0]).await.unwrap();
    store.cancel(offered[2]).await.unwrap();

    let claimed = soon(store.claim(10)).await.unwrap();
    let came: Vec<_> = claimed.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, [offered[1]]);
}

pub(crate) async fn dropped_claims_lose_nothing(lab: &dyn Lab) {
    const JOBS: usize = 40;
    let store = lab
        .open(StoreLimits {
            lease: SHORT,
            ..limits()
        })
        .await;
    // Each of these is dropped before, while or after it took something.
    let mut offered = HashSet::new();
    for _ in 0..JOBS {
        let mut dropped = Box::pin(store.claim(3));
        let early = poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context))).await;
        offered.insert(accept(&*store, job()).await);
        if early.is_pending() {
            let _ = poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context))).await;
        }
        drop(dropped);
    }
    let finished = async {
        let mut finished = HashSet::new();
        while finished.len() < JOBS {
            store.tend().await.unwrap();
            let Ok(claimed) = tokio::time::timeout(SHORT, store.claim(JOBS)).await else {
                continue;
            };
            let leases: Vec<_> = claimed.unwrap().iter().map(|job| job.lease).collect();
            store.start(&leases).await.unwrap();
            for lease in leases {
                store.complete(&[completion(lease, "")]).await.unwrap();
                if state(&*store, lease.id).await == Some(JobState::Done) {
                    finished.insert(lease.id);
                }
            }
        }
        finished
    };
    assert_eq!(soon(finished).await, offered);
}
