//! Redis' clock jumps an hour, forward and back, while jobs wait, are claimed and run.
//!
//! Needs Debian's package `faketime`. Must not know: scripts.

use std::time::Duration;

use beagle::store::{
    Completed, JobId, JobState, JobStore, Lease, NewJob, Start, StoreLimits, UnixMillis,
};
use tempfile::TempDir;

use super::{WRITES_AT_ONCE, open, until_it_works};
use crate::fixture::{
    accept, accept_many, claim_one, completion, finish_one, forgotten, job, keyed, limits, run_one,
    soon, state, tend_until, view,
};
use crate::redis_server::RedisServer;

const HOUR: i64 = 3600;

/// Ends within the hour.
const MINUTES: Duration = Duration::from_secs(10 * 60);

/// The clock that a Redis sees: this machine's and so many seconds.
struct Clock {
    folder: TempDir,
}

impl Clock {
    fn right() -> Self {
        let clock = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        clock.write(0);
        clock
    }

    /// A Redis that goes by it.
    fn server(&self) -> RedisServer {
        // Its clock is wanted before jemalloc is ready, which asks for the time while it gets so;
        // libc's own memory does not.
        let preload = "LD_PRELOAD=/usr/$LIB/faketime/libfaketimeMT.so.1 libc.so.6";
        let file = self.folder.path().join("clock");
        let file = format!("FAKETIME_TIMESTAMP_FILE={}", file.display());
        let plain = ["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"];
        let server = RedisServer::start_under(
            &["env", preload, &file, plain[0], plain[1]],
            &WRITES_AT_ONCE,
        );
        tidy(&server);
        server
    }

    /// From now on, and checked.
    fn jump(&self, server: &RedisServer, seconds: i64) {
        self.write(seconds);
        let (says, _): (i64, i64) = server.run("TIME");
        let real = i64::try_from(UnixMillis::now().0 / 1000).unwrap();
        assert!(
            (says - real - seconds).abs() < HOUR / 4,
            "the clock is {} s off and not {seconds}: install faketime",
            says - real
        );
    }

    fn write(&self, seconds: i64) {
        let (new, file) = (
            self.folder.path().join("new"),
            self.folder.path().join("clock"),
        );
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        // Redis must never read half of it.
        std::fs::rename(new, file).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_forward_takes_back_what_is_held_once_and_ends_what_is_overdue() {
    let clock = Clock::right();
    let server = clock.server();
    let leased = StoreLimits {
        lease: MINUTES,
        ..limits()
    };
    let (holder, other) = (open(&server, leased.clone()), open(&server, leased));
    let hasty_running = accept(&holder, hasty()).await;
    let running_hastily = run_one(&holder).await;
    let kept = accept_many(&holder, 4).await;
    let running = run_one(&holder).await;
    let claimed = claim_one(&holder).await.lease;
    let hasty_queued = accept(&holder, hasty()).await;

    clock.jump(&server, HOUR);
    let tended = tend_until(&other, |all| all.reclaimed >= 3 && all.expired >= 2).await;
    assert_eq!((tended.reclaimed, tended.expired, tended.dead), (3, 2, 0));
    for id in [hasty_running, hasty_queued] {
        assert_eq!(state(&other, id).await, Some(JobState::Expired));
    }
    // Nothing that may still run is lost, and it comes in its old order.
    let again = soon(other.claim(10)).await.unwrap();
    let came: Vec<_> = again
        .iter()
        .map(|job| (job.lease.id, job.attempts))
        .collect();
    assert_eq!(
        came,
        [(kept[0], 1), (kept[1], 0), (kept[2], 0), (kept[3], 0)]
    );
    // The clock of the others who live is the same again: they are not taken for dead once more.
    assert_eq!(other.tend().await.unwrap().reclaimed, 0);
    assert_eq!(holder.start(&[claimed]).await, Ok(vec![Start::Gone]));
    let late = [running, running_hastily].map(|lease| completion(lease, "a cat"));
    assert_eq!(holder.complete(&late).await, Ok(vec![Completed::Stale; 2]));
    finish(
        &other,
        &again.iter().map(|job| job.lease).collect::<Vec<_>>(),
    )
    .await;
    let done = view(&other, kept[0]).await;
    assert_eq!(
        (done.result.as_deref(), done.attempts),
        (Some(&b"a dog"[..]), 2)
    );
    empty(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_first_after_an_hour_forward_keeps_what_it_runs_even_if_it_is_overdue() {
    let clock = Clock::right();
    let server = clock.server();
    let leased = StoreLimits {
        lease: MINUTES,
        ..limits()
    };
    let (holder, other) = (open(&server, leased.clone()), open(&server, leased));
    accept(&holder, hasty()).await;
    let overdue = run_one(&holder).await;
    accept(&holder, job()).await;
    let running = run_one(&holder).await;

    clock.jump(&server, HOUR);
    holder.heartbeat(&[overdue, running]).await.unwrap();
    for _ in 0..3 {
        let tended = other.tend().await.unwrap();
        assert_eq!((tended.reclaimed, tended.expired, tended.dead), (0, 0, 0));
    }
    let done = [overdue, running].map(|lease| completion(lease, "a dog"));
    assert_eq!(holder.complete(&done).await, Ok(vec![Completed::First; 2]));
    empty(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_forward_forgets_what_was_to_be_kept_for_less_and_nothing_else() {
    let clock = Clock::right();
    let server = clock.server();
    let forgetful = StoreLimits {
        result_ttl: MINUTES,
        ..limits()
    };
    let store = open(&server, forgetful);
    let plain = accept(&store, job()).await;
    assert_eq!(finish_one(&store, "a dog").await, plain);
    let named = accept(&store, keyed("order 1", "a")).await;
    assert_eq!(finish_one(&store, "a cat").await, named);

    clock.jump(&server, HOUR);
    forgotten(&store, plain).await;
    // The key is kept for a day, and its result no shorter.
    assert_eq!(
        view(&store, named).await.result.as_deref(),
        Some(&b"a cat"[..])
    );
    let id = accept(&store, job()).await;
    assert_eq!(finish_one(&store, "a dog").await, id);
    store.tend().await.unwrap();
    assert_eq!(state(&store, id).await, Some(JobState::Done));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_back_takes_nothing_from_who_lives_and_loses_nothing() {
    let clock = Clock::right();
    let server = clock.server();
    let forgetful = StoreLimits {
        lease: MINUTES,
        result_ttl: MINUTES,
        ..limits()
    };
    let (holder, other) = (open(&server, forgetful.clone()), open(&server, forgetful));
    let offered = accept_many(&holder, 4).await;
    let ended = finish_one(&holder, "a dog").await;
    let running = run_one(&holder).await;
    let claimed = claim_one(&holder).await.lease;
    let hasty = accept(&holder, hasty()).await;

    clock.jump(&server, -HOUR);
    holder.heartbeat(&[running, claimed]).await.unwrap();
    for _ in 0..3 {
        let tended = other.tend().await.unwrap();
        assert_eq!((tended.reclaimed, tended.expired, tended.dead), (0, 0, 0));
    }
    assert_eq!(state(&other, ended).await, Some(JobState::Done));
    assert_eq!(holder.start(&[claimed]).await, Ok(vec![Start::Run]));
    finish(&holder, &[running]).await;
    let done = holder.complete(&[completion(claimed, "a dog")]).await;
    assert_eq!(done, Ok(vec![Completed::First]));
    // What came before the jump comes before what comes after it.
    let new = accept(&other, job()).await;
    let rest = soon(other.claim(10)).await.unwrap();
    let came: Vec<JobId> = rest.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, [offered[3], hasty, new]);
    finish(
        &other,
        &rest.iter().map(|job| job.lease).collect::<Vec<_>>(),
    )
    .await;
    for id in offered.into_iter().chain([hasty, new]) {
        assert_eq!(
            view(&other, id).await.result.as_deref(),
            Some(&b"a dog"[..])
        );
    }
    empty(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_as_the_clock_goes_back_is_found_dead_in_seconds_and_not_after_an_hour() {
    let clock = Clock::right();
    let mut server = clock.server();
    // Leases never end here: it is the silence alone.
    let (dying, living) = (open(&server, limits()), open(&server, limits()));
    let offered = accept_many(&dying, 2).await;
    let running = run_one(&dying).await;
    claim_one(&dying).await;
    // Since a restart all have had time to speak, by the clock that goes back.
    server.kill();
    server.restart();
    tidy(&server);
    until_it_works(&dying).await;
    until_it_works(&living).await;
    living.tend().await.unwrap();
    drop(dying);
    clock.jump(&server, -HOUR);

    tend_until(&living, |all| all.reclaimed >= 2).await;
    let claimed = soon(living.claim(10)).await.unwrap();
    let came: Vec<_> = claimed
        .iter()
        .map(|job| (job.lease.id, job.attempts))
        .collect();
    assert_eq!(came, [(offered[0], 1), (offered[1], 0)]);
    let late = living.complete(&[completion(running, "a cat")]).await;
    assert_eq!(late, Ok(vec![Completed::Stale]));
    assert_eq!(living.tend().await.unwrap().reclaimed, 0);
}

/// A job that nobody waits for beyond some minutes.
fn hasty() -> NewJob {
    NewJob {
        deadline: UnixMillis::now().after(MINUTES),
        ..job()
    }
}

/// Starts what is not running yet and finishes it all, each for the first time.
async fn finish(store: &dyn JobStore, leases: &[Lease]) {
    let count = leases.len();
    assert_eq!(store.start(leases).await, Ok(vec![Start::Run; count]));
    let done: Vec<_> = leases
        .iter()
        .map(|lease| completion(*lease, "a dog"))
        .collect();
    assert_eq!(
        store.complete(&done).await,
        Ok(vec![Completed::First; count])
    );
    let twice = store.complete(&done).await;
    assert_eq!(twice, Ok(vec![Completed::Stale; count]));
}

/// Nothing waits, runs or takes room.
async fn empty(store: &dyn JobStore) {
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running, stats.bytes), (0, 0, 0));
}

/// Takes away what libfaketime leaves behind when its process is killed; it is not needed once
/// the process runs.
fn tidy(server: &RedisServer) {
    for kind in ["faketime_shm", "sem.faketime_sem"] {
        let _ = std::fs::remove_file(format!("/dev/shm/{kind}_{}", server.pid()));
    }
}
