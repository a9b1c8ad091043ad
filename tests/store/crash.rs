//! What the embedded store promises across processes: kills, and files that are not as they
//! should be.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use beagle::store::sqlite::SqliteStore;
use beagle::store::{JobId, JobState, JobStore, StoreError};
use rusqlite::Connection;

use crate::child::{Child, own_job, own_pixels};
use crate::fixture::{accept, accept_many, claim_one, finish_one, soon, state, view};
use crate::sqlite::SqliteLab;

#[tokio::test]
async fn a_second_process_is_refused_by_name() {
    let lab = SqliteLab::new().await;
    let store = lab.try_open().unwrap();
    let said = Child::start("hold", &lab.path()).line();
    let name = lab.path().display().to_string();
    assert!(said.starts_with("failed") && said.contains(&name), "{said}");
    assert!(said.contains("in use"), "{said}");

    store.close().await.unwrap();
    let child = Child::start("hold", &lab.path());
    assert_eq!(child.line(), "opened");
    let StoreError::InUse(text) = refusal(&lab) else {
        panic!("not refused as in use");
    };
    assert!(text.contains(&name), "{text}");
    // A lock dies with its process.
    child.kill();
    lab.try_open().unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    const ROUNDS: usize = 4;
    let lab = SqliteLab::new().await;
    let mut acknowledged = HashSet::new();
    for round in 1..=ROUNDS {
        let child = Child::start("offer", &lab.path());
        while acknowledged.len() < 40 * round {
            acknowledged.insert(id(&child.line()));
        }
        acknowledged.extend(child.kill().iter().map(|line| id(line)));
    }

    let store = lab.try_open().unwrap();
    let queued = store.stats().await.unwrap().queued as usize;
    assert!(queued >= acknowledged.len(), "{queued} jobs are there");
    let claimed = soon(store.claim(queued)).await.unwrap();
    assert_eq!(claimed.len(), queued);
    for job in claimed {
        assert_eq!(job.pixels, own_pixels(job.lease.id));
        acknowledged.remove(&job.lease.id);
    }
    assert_eq!(acknowledged, HashSet::new(), "acknowledged and lost");
}

#[tokio::test]
async fn results_that_were_acknowledged_survive_a_kill() {
    let lab = SqliteLab::new().await;
    let child = Child::start("work", &lab.path());
    let mut done: Vec<JobId> = (0..50).map(|_| id(&child.line())).collect();
    done.extend(child.kill().iter().map(|line| id(line)));

    let store = lab.try_open().unwrap();
    // The bound on outcomes holds: the youngest are there.
    for id in done.iter().rev().take(50) {
        let view = view(&store, *id).await;
        assert_eq!(view.state, JobState::Done);
        assert_eq!(view.result.as_deref(), Some(&b"a dog"[..]));
    }
}

#[tokio::test]
async fn what_a_killed_process_held_is_there_at_once() {
    let lab = SqliteLab::new().await;
    let store = lab.try_open().unwrap();
    let offered = [own_job(), own_job()];
    for job in offered.clone() {
        accept(&store, job).await;
    }
    store.close().await.unwrap();
    let child = Child::start("take", &lab.path());
    let fences = child.line();
    let fences: Vec<u64> = fences.split(' ').map(|one| one.parse().unwrap()).collect();
    child.kill();

    // The lease lasts a day, and nobody tends.
    let store = lab.try_open().unwrap();
    let claimed = soon(store.claim(2)).await.unwrap();
    for (at, attempts) in [(0, 1), (1, 0)] {
        assert_eq!(claimed[at].lease.id, offered[at].id);
        assert_eq!(claimed[at].pixels, offered[at].pixels);
        assert_eq!(claimed[at].attempts, attempts);
        assert!(claimed[at].lease.fence > fences[at]);
    }
}

#[tokio::test]
async fn a_job_that_kills_its_process_each_time_becomes_a_dead_letter() {
    let lab = SqliteLab::new().await;
    let store = lab.try_open().unwrap();
    let poison = accept(&store, own_job()).await;
    let good = accept(&store, own_job()).await;
    store.close().await.unwrap();
    for _ in 0..3 {
        let child = Child::start("run", &lab.path());
        assert_eq!(child.line(), "running");
        child.kill();
    }

    let store = lab.try_open().unwrap();
    assert_eq!(claim_one(&store).await.lease.id, good);
    let dead = view(&store, poison).await;
    assert_eq!((dead.state, dead.attempts), (JobState::Dead, 3));
    assert!(dead.reason.unwrap().contains("died"));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let lab = SqliteLab::new().await;
    fs::write(lab.path(), "these are my notes\n".repeat(1_000)).unwrap();
    let text = refused_untouched(&lab);
    assert!(text.contains("not a database"), "{text}");
    // A few bytes are no database either.
    fs::write(lab.path(), "notes").unwrap();
    refused_untouched(&lab);
}

#[tokio::test]
async fn another_programs_database_is_refused_and_not_touched() {
    let lab = SqliteLab::new().await;
    let other = Connection::open(lab.path()).unwrap();
    other
        .execute_batch("CREATE TABLE notes (text TEXT)")
        .unwrap();
    drop(other);
    let text = refused_untouched(&lab);
    assert!(text.contains("another program"), "{text}");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_not_touched() {
    let lab = SqliteLab::new().await;
    filled(&lab).await;
    let newer = Connection::open(lab.path()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let text = refused_untouched(&lab);
    assert!(text.contains("version 99"), "{text}");
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_not_touched() {
    let lab = SqliteLab::new().await;
    filled(&lab).await;
    let sound = fs::read(lab.path()).unwrap();
    let page = usize::from(u16::from_be_bytes([sound[16], sound[17]]));
    // The header of each page but the first, from which tables and indexes hang.
    for at in (page..sound.len()).step_by(page).take(8) {
        let mut damaged = sound.clone();
        damaged[at..at + 64].fill(0xa5);
        fs::write(lab.path(), damaged).unwrap();
        let text = refused_untouched(&lab);
        assert!(text.contains("damaged"), "at {at}: {text}");
    }
    let mut damaged = sound.clone();
    damaged[100..200].fill(0xa5);
    fs::write(lab.path(), damaged).unwrap();
    refused_untouched(&lab);
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused_and_not_touched() {
    let lab = SqliteLab::new().await;
    filled(&lab).await;
    let sound = fs::read(lab.path()).unwrap();
    for length in [sound.len() / 2, 5_000, 512, 100, 30] {
        fs::write(lab.path(), &sound[..length]).unwrap();
        refused_untouched(&lab);
    }
    // Nothing was lost by trying.
    fs::write(lab.path(), &sound).unwrap();
    assert_eq!(lab.try_open().unwrap().stats().await.unwrap().queued, 20);
}

#[tokio::test]
async fn the_log_of_a_killed_process_is_not_written_into_a_damaged_file() {
    let lab = SqliteLab::new().await;
    filled(&lab).await;
    let child = Child::start("offer", &lab.path());
    child.line();
    child.kill();
    let mut file = fs::read(lab.path()).unwrap();
    let page = usize::from(u16::from_be_bytes([file[16], file[17]]));
    for at in (page..file.len()).step_by(page) {
        file[at..at + 64].fill(0xa5);
    }
    fs::write(lab.path(), file).unwrap();
    let log = fs::read(lab.log()).unwrap();
    assert!(!log.is_empty());

    refused_untouched(&lab);
    assert!(fs::read(lab.log()).unwrap() == log, "the log was changed");
}

#[tokio::test]
async fn a_log_without_its_file_is_not_thrown_away() {
    let lab = SqliteLab::new().await;
    let child = Child::start("offer", &lab.path());
    child.line();
    child.kill();
    let log = fs::read(lab.log()).unwrap();
    fs::remove_file(lab.path()).unwrap();
    assert!(matches!(refusal(&lab), StoreError::Unusable(_)));
    fs::write(lab.path(), "").unwrap();
    assert!(matches!(refusal(&lab), StoreError::Unusable(_)));
    assert!(fs::read(lab.log()).unwrap() == log, "the log was changed");
}

#[tokio::test]
async fn an_empty_file_becomes_a_queue() {
    let lab = SqliteLab::new().await;
    fs::write(lab.path(), "").unwrap();
    let store = lab.try_open().unwrap();
    let offered = accept(&store, own_job()).await;
    assert_eq!(state(&store, offered).await, Some(JobState::Queued));
}

/// A closed queue of some pages: twenty queued jobs and an outcome.
async fn filled(lab: &SqliteLab) {
    let store: SqliteStore = lab.try_open().unwrap();
    accept(&store, own_job()).await;
    finish_one(&store, "a dog").await;
    accept_many(&store, 10).await;
    for _ in 0..10 {
        accept(&store, own_job()).await;
    }
    store.close().await.unwrap();
}

fn refusal(lab: &SqliteLab) -> StoreError {
    lab.try_open().err().unwrap()
}

/// Why the file is unusable; its name is in it, and its bytes are what they were.
#[track_caller]
fn refused_untouched(lab: &SqliteLab) -> String {
    let path = lab.path();
    let path: &Path = &path;
    let before = fs::read(path).unwrap();
    match lab.try_open().err() {
        Some(StoreError::Unusable(text)) => {
            assert!(text.contains(path.to_str().unwrap()), "{text}");
            assert!(fs::read(path).unwrap() == before, "the file was changed");
            text
        }
        other => panic!("{other:?}"),
    }
}

fn id(line: &str) -> JobId {
    line.parse()
        .unwrap_or_else(|_| panic!("`{line}` is no job"))
}
