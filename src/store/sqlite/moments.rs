//! The rules in SQL at the very moment: what is still, and what is no longer.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;

use super::schema::{MIGRATIONS, migrate};
use super::session::Session;
use crate::store::recent::Recent;
use crate::store::{
    Callback, Claimed, Enqueued, Idempotency, JobId, JobState, NewJob, Priority, Start,
    StoreLimits, UnixMillis,
};

const KEY_TTL: u64 = 1_000;
const RESULT_TTL: u64 = 100;
const LEASE: u64 = 10;
const CALLBACK_TTL: u64 = 500;

/// A queue without a thread and without a clock.
struct Bench {
    conn: Connection,
    limits: StoreLimits,
    recent: Recent,
    claimed: u64,
}

impl Bench {
    fn new() -> Self {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, MIGRATIONS).unwrap();
        let limits = StoreLimits {
            key_ttl: Duration::from_millis(KEY_TTL),
            result_ttl: Duration::from_millis(RESULT_TTL),
            lease: Duration::from_millis(LEASE),
            callback_ttl: Duration::from_millis(CALLBACK_TTL),
            max_attempts: 1,
            max_results: 2,
            ..StoreLimits::default()
        };
        let recent = Recent::new(100);
        Self {
            conn,
            limits,
            recent,
            claimed: 0,
        }
    }

    fn at(&mut self, now: u64) -> Session<'_> {
        Session {
            conn: &self.conn,
            limits: &self.limits,
            now: UnixMillis(now),
            recent: &mut self.recent,
            claimed: &mut self.claimed,
            ended: Vec::new(),
            wrote: 0,
        }
    }

    fn claim_one(&mut self, now: u64) -> Claimed {
        let mut claimed = self.at(now).claim(1).unwrap();
        assert_eq!(claimed.len(), 1);
        claimed.remove(0)
    }
}

fn job(deadline: u64) -> NewJob {
    NewJob {
        id: JobId::new(),
        pixels: Bytes::from_static(b"pixels"),
        profile: "imagenet".to_owned(),
        top: 5,
        priority: Priority::Normal,
        created: UnixMillis(0),
        deadline: UnixMillis(deadline),
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

#[test]
fn a_deadline_is_the_first_moment_that_is_too_late() {
    for (now, state) in [(49, JobState::Queued), (50, JobState::Expired)] {
        let (mut claimed, mut tended) = (Bench::new(), Bench::new());
        let offered = job(50);
        claimed.at(0).enqueue(&offered).unwrap();
        tended.at(0).enqueue(&offered).unwrap();
        let came = claimed.at(now).claim(1).unwrap().len();
        assert_eq!(came, usize::from(state == JobState::Queued), "at {now}");
        let expired = tended.at(now).tend().unwrap().expired;
        assert_eq!(expired, u64::from(state == JobState::Expired), "at {now}");
        for bench in [&mut claimed, &mut tended] {
            let view = bench.at(now).job(offered.id).unwrap();
            assert_eq!(view.unwrap().state, state);
        }
    }
    for (now, wanted) in [(49, Start::Run), (50, Start::Gone)] {
        let mut bench = Bench::new();
        bench.at(0).enqueue(&job(50)).unwrap();
        let lease = bench.claim_one(45).lease;
        assert_eq!(bench.at(now).start(&lease), Ok(wanted), "at {now}");
    }
}

#[test]
fn a_lease_ends_at_its_moment_and_is_full_again_after_start_and_heartbeat() {
    let mut bench = Bench::new();
    bench.at(0).enqueue(&job(u64::MAX)).unwrap();
    let lease = bench.claim_one(0).lease;
    assert_eq!(bench.at(LEASE - 1).tend().unwrap().reclaimed, 0);
    bench.at(LEASE - 1).heartbeat(&lease).unwrap();
    assert_eq!(bench.at(2 * LEASE - 2).tend().unwrap().reclaimed, 0);
    assert_eq!(bench.at(2 * LEASE - 1).tend().unwrap().reclaimed, 1);

    let lease = bench.claim_one(100).lease;
    assert_eq!(bench.at(105).start(&lease), Ok(Start::Run));
    assert_eq!(bench.at(114).tend().unwrap().dead, 0);
    assert_eq!(bench.at(115).tend().unwrap().dead, 1);
    let dead = bench.at(115).job(lease.id).unwrap().unwrap();
    assert_eq!(dead.state, JobState::Dead);
    assert!(dead.reason.unwrap().contains("each of 1 attempts"));
}

#[test]
fn an_outcome_is_hidden_at_its_moment_and_forgotten_by_the_next_tending() {
    let mut bench = Bench::new();
    let id = job(u64::MAX).id;
    bench
        .at(0)
        .enqueue(&NewJob {
            id,
            ..job(u64::MAX)
        })
        .unwrap();
    bench.at(7).cancel(id).unwrap();
    let end = 7 + RESULT_TTL;
    assert!(bench.at(end - 1).job(id).unwrap().is_some());
    assert_eq!(bench.at(end).job(id), Ok(None));
    assert_eq!(bench.at(end).cancel(id), Ok(None));
    bench.at(end - 1).tend().unwrap();
    assert_eq!(bench.at(end).stats().unwrap().ended, 1);
    bench.at(end).tend().unwrap();
    assert_eq!(bench.at(end).stats().unwrap().ended, 0);
}

#[test]
fn a_key_is_free_at_its_moment_and_goes_to_the_next_job() {
    let mut bench = Bench::new();
    let first = keyed("a");
    bench.at(0).enqueue(&first).unwrap();
    bench.at(KEY_TTL - 1).enqueue(&keyed("b")).unwrap_err();

    // The first job still waits; its key has been lost to the second.
    let second = keyed("b");
    let taken = bench.at(KEY_TTL).enqueue(&second).unwrap();
    assert_eq!(taken, Enqueued::Accepted);
    bench.at(KEY_TTL).cancel(first.id).unwrap();
    bench.at(KEY_TTL).purge(JobState::Cancelled).unwrap();
    let existing = bench.at(KEY_TTL + 1).enqueue(&keyed("b")).unwrap();
    assert_eq!(existing, Enqueued::Existing(second.id));
}

#[test]
fn what_ended_first_goes_first_whatever_came_first() {
    let mut bench = Bench::new();
    let offered: Vec<NewJob> = (0..3).map(|_| job(u64::MAX)).collect();
    for one in &offered {
        bench.at(0).enqueue(one).unwrap();
    }
    for (now, at) in [(1, 2), (2, 0), (3, 1)] {
        bench.at(now).cancel(offered[at].id).unwrap();
        bench.at(now).trim().unwrap();
    }
    let kept: Vec<bool> = offered
        .iter()
        .map(|one| bench.at(4).job(one.id).unwrap().is_some())
        .collect();
    assert_eq!(kept, [true, true, false]);
}

#[test]
fn what_is_tried_is_not_given_up_before_its_lease_ends() {
    let mut bench = Bench::new();
    let offered = NewJob {
        callback: Some(Callback {
            url: "https://example.net/".to_owned(),
        }),
        ..job(u64::MAX)
    };
    bench.at(0).enqueue(&offered).unwrap();
    bench.at(10).cancel(offered.id).unwrap();
    let end = 10 + CALLBACK_TTL;
    let lease = Duration::from_millis(20);
    let claimed = bench.at(end - 1).claim_deliveries(9, lease).unwrap();
    assert_eq!(claimed.len(), 1);
    let lost = end - 1 + 20;
    assert_eq!(bench.at(lost - 1).tend().unwrap().given_up, 0);
    assert!(
        bench
            .at(lost)
            .claim_deliveries(9, lease)
            .unwrap()
            .is_empty()
    );
    assert_eq!(bench.at(lost).tend().unwrap().given_up, 1);
}

#[test]
fn every_search_by_state_or_time_has_an_index() {
    let bench = Bench::new();
    for search in [
        "SELECT seq FROM job WHERE state = 0 AND lease IS NULL AND priority = 1 ORDER BY seq LIMIT 8",
        "SELECT 1 FROM job INDEXED BY job_ready WHERE state = 0 AND lease IS NULL LIMIT 1",
        "SELECT seq FROM job WHERE state = 0 AND deadline <= 7",
        "SELECT min(created) FROM job WHERE state < 2",
        "SELECT seq FROM job WHERE lease <= 7",
        "SELECT seq FROM job WHERE lease IS NOT NULL",
        "SELECT seq FROM job WHERE state = 2 AND owed = 0 ORDER BY finished, seq LIMIT 8",
        "SELECT seq FROM job WHERE state > 2 AND owed = 0 ORDER BY finished, seq LIMIT 8",
        "SELECT id FROM job WHERE call_next <= 7 AND finished > 7 ORDER BY call_next, seq LIMIT 8",
        "SELECT seq FROM job WHERE call_next IS NOT NULL AND finished <= 7 AND call_next <= 9",
        "DELETE FROM job WHERE keep_until <= 7",
        "SELECT id FROM job WHERE key = 'a' AND key_until > 7",
        "SELECT seq FROM job WHERE id = 'a' AND fence = 7 AND lease IS NOT NULL",
    ] {
        let explain = format!("EXPLAIN QUERY PLAN {search}");
        let mut plan = bench.conn.prepare(&explain).unwrap();
        let steps = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        assert!(
            steps[0].contains("USING") && steps[0].contains("INDEX"),
            "{steps:?}"
        );
        assert!(
            !steps.iter().any(|step| step.contains("TEMP B-TREE")),
            "{search}: {steps:?}"
        );
    }
}
