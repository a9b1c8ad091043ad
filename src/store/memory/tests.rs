//! The rules at the very moment: what is still, and what is no longer.

use std::time::Duration;

use bytes::Bytes;

use super::core::Core;
use crate::store::{
    Claimed, Completion, Enqueued, Idempotency, JobId, JobState, NewJob, Priority, Start,
    StoreError, StoreLimits, UnixMillis,
};

const KEY_TTL: u64 = 1_000;
const RESULT_TTL: u64 = 100;
const LEASE: u64 = 10;

fn core() -> Core {
    Core::new(StoreLimits {
        key_ttl: Duration::from_millis(KEY_TTL),
        result_ttl: Duration::from_millis(RESULT_TTL),
        lease: Duration::from_millis(LEASE),
        max_attempts: 1,
        ..StoreLimits::default()
    })
}

fn at(millis: u64) -> UnixMillis {
    UnixMillis(millis)
}

fn job(deadline: u64) -> NewJob {
    NewJob {
        id: JobId::new(),
        pixels: Bytes::from_static(b"pixels"),
        profile: "imagenet".to_owned(),
        top: 5,
        priority: Priority::Normal,
        created: at(0),
        deadline: at(deadline),
        idempotency: None,
        callback: None,
        traceparent: None,
    }
}

fn keyed(fingerprint: &str) -> NewJob {
    NewJob {
        idempotency: Some(Idempotency {
            key: "order 1".to_owned(),
            fingerprint: fingerprint.to_owned(),
        }),
        ..job(u64::MAX)
    }
}

fn claim_one(core: &mut Core, now: u64) -> Claimed {
    let mut claimed = core.claim(1, at(now));
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

#[test]
fn a_deadline_is_the_first_moment_that_is_too_late() {
    for (now, state) in [(49, JobState::Queued), (50, JobState::Expired)] {
        let (mut claimed, mut tended) = (core(), core());
        let offered = job(50);
        claimed.enqueue(offered.clone(), at(0)).unwrap();
        tended.enqueue(offered.clone(), at(0)).unwrap();
        let came = claimed.claim(1, at(now)).len();
        assert_eq!(came, usize::from(state == JobState::Queued), "at {now}");
        let expired = tended.tend(at(now)).expired;
        assert_eq!(expired, u64::from(state == JobState::Expired), "at {now}");
        assert_eq!(claimed.job(offered.id, at(now)).unwrap().state, state);
        assert_eq!(tended.job(offered.id, at(now)).unwrap().state, state);
    }
    for (now, wanted) in [(49, Start::Run), (50, Start::Gone)] {
        let mut core = core();
        core.enqueue(job(50), at(0)).unwrap();
        let lease = claim_one(&mut core, 45).lease;
        assert_eq!(core.start(&lease, at(now)), wanted, "at {now}");
    }
}

#[test]
fn a_lease_ends_at_its_moment_and_is_full_again_after_start_and_heartbeat() {
    let mut core = core();
    core.enqueue(job(u64::MAX), at(0)).unwrap();
    let lease = claim_one(&mut core, 0).lease;
    assert_eq!(core.tend(at(LEASE - 1)).reclaimed, 0);
    core.heartbeat(&lease, at(LEASE - 1));
    assert_eq!(core.tend(at(2 * LEASE - 2)).reclaimed, 0);
    assert_eq!(core.tend(at(2 * LEASE - 1)).reclaimed, 1);

    let lease = claim_one(&mut core, 100).lease;
    assert_eq!(core.start(&lease, at(105)), Start::Run);
    assert_eq!(core.tend(at(114)).dead, 0);
    assert_eq!(core.tend(at(115)).dead, 1);
    let dead = core.job(lease.id, at(115)).unwrap();
    assert_eq!(dead.state, JobState::Dead);
    assert!(dead.reason.unwrap().contains("each of 1 attempts"));
}

#[test]
fn an_outcome_is_hidden_at_its_moment_and_forgotten_by_the_next_tending() {
    let mut core = core();
    let offered = job(u64::MAX);
    core.enqueue(offered.clone(), at(0)).unwrap();
    core.cancel(offered.id, at(7));
    assert!(core.job(offered.id, at(7 + RESULT_TTL - 1)).is_some());
    assert_eq!(core.job(offered.id, at(7 + RESULT_TTL)), None);
    assert_eq!(core.cancel(offered.id, at(7 + RESULT_TTL)), None);
    core.tend(at(7 + RESULT_TTL - 1));
    assert_eq!(core.stats().ended, 1);
    core.tend(at(7 + RESULT_TTL));
    assert_eq!(core.stats().ended, 0);
}

#[test]
fn a_key_is_free_at_its_moment_and_goes_to_the_next_job() {
    let mut core = core();
    let first = keyed("a");
    core.enqueue(first.clone(), at(0)).unwrap();
    let reused = Err(StoreError::KeyReused { job: first.id });
    assert_eq!(core.enqueue(keyed("b"), at(KEY_TTL - 1)), reused);

    // The first job still waits; its key has been lost to the second.
    let second = keyed("b");
    let taken = core.enqueue(second.clone(), at(KEY_TTL));
    assert_eq!(taken, Ok(Enqueued::Accepted));
    core.cancel(first.id, at(KEY_TTL));
    core.purge(JobState::Cancelled);
    let existing = Ok(Enqueued::Existing(second.id));
    assert_eq!(core.enqueue(keyed("b"), at(KEY_TTL + 1)), existing);
}

#[test]
fn an_outcome_outlives_its_time_with_its_key() {
    let mut core = core();
    let offered = keyed("a");
    core.enqueue(offered.clone(), at(0)).unwrap();
    let lease = claim_one(&mut core, 1).lease;
    core.start(&lease, at(2));
    let result = Bytes::from_static(b"a dog");
    core.complete(&Completion { lease, result }, at(3));
    assert!(core.job(offered.id, at(KEY_TTL - 1)).is_some());
    assert_eq!(core.job(offered.id, at(KEY_TTL)), None);
}
