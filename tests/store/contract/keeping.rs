//! What is kept of ended jobs, and for how long: nothing grows without bound.

use beagle::store::{JobState, StoreLimits};

use super::Lab;
use crate::fixture::{
    PIXELS, SHORT, accept, accept_many, die, finish_one, forgotten, job, keyed, late, limits,
    run_one, soon, state, tend_until,
};

pub(crate) async fn an_outcome_is_forgotten_after_its_time(lab: &dyn Lab) {
    let store = lab.open(short_results()).await;
    let done = accept(&*store, job()).await;
    finish_one(&*store, "a dog").await;
    let gone = accept(&*store, job()).await;
    store.cancel(gone).await.unwrap();
    let expired = accept(&*store, late()).await;
    tend_until(&*store, |tended| tended.expired > 0).await;
    let dead = die(&*store, job(), "no").await;

    for id in [done, gone, expired] {
        forgotten(&*store, id).await;
    }
    assert_eq!(store.cancel(done).await, Ok(None));
    // What the clock has hidden is also really gone.
    soon(async {
        while store.stats().await.unwrap().ended > 0 {
            store.tend().await.unwrap();
        }
    })
    .await;
    // Dead letters wait for somebody to look at them.
    assert_eq!(state(&*store, dead).await, Some(JobState::Dead));
}

pub(crate) async fn an_outcome_with_a_key_lives_as_long_as_the_key(lab: &dyn Lab) {
    let store = lab.open(short_results()).await;
    let with = accept(&*store, keyed("order 1", "a")).await;
    finish_one(&*store, "a dog").await;
    let without = accept(&*store, job()).await;
    finish_one(&*store, "a cat").await;

    forgotten(&*store, without).await;
    assert_eq!(state(&*store, with).await, Some(JobState::Done));
}

pub(crate) async fn the_oldest_outcome_goes_when_there_are_too_many(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            max_results: 2,
            ..limits()
        })
        .await;
    let offered = accept_many(&*store, 3).await;
    for _ in 0..3 {
        finish_one(&*store, "a dog").await;
    }
    store.tend().await.unwrap();

    assert_eq!(state(&*store, offered[0]).await, None);
    assert_eq!(state(&*store, offered[1]).await, Some(JobState::Done));
    assert_eq!(state(&*store, offered[2]).await, Some(JobState::Done));
    assert_eq!(store.stats().await.unwrap().ended, 2);
}

pub(crate) async fn the_oldest_dead_letter_goes_when_there_are_too_many(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            max_dead: 2,
            ..limits()
        })
        .await;
    let mut died = Vec::new();
    for _ in 0..3 {
        died.push(die(&*store, job(), "no").await);
    }
    store.tend().await.unwrap();

    assert_eq!(state(&*store, died[0]).await, None);
    assert_eq!(state(&*store, died[1]).await, Some(JobState::Dead));
    assert_eq!(state(&*store, died[2]).await, Some(JobState::Dead));
    assert_eq!(store.stats().await.unwrap().dead, 2);
}

pub(crate) async fn dead_letters_do_not_count_as_outcomes(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            max_results: 1,
            max_dead: 1,
            ..limits()
        })
        .await;
    let dead = die(&*store, job(), "no").await;
    let done = accept(&*store, job()).await;
    finish_one(&*store, "a dog").await;
    store.tend().await.unwrap();

    assert_eq!(state(&*store, dead).await, Some(JobState::Dead));
    assert_eq!(state(&*store, done).await, Some(JobState::Done));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.dead, stats.ended), (1, 1));
}

pub(crate) async fn dead_letters_take_no_room_in_the_queue(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            max_jobs: 1,
            max_bytes: PIXELS,
            ..limits()
        })
        .await;
    die(&*store, job(), "no").await;
    assert_eq!(store.stats().await.unwrap().bytes, 0);
    accept(&*store, job()).await;
}

pub(crate) async fn a_purge_forgets_one_state_alone(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let done = accept(&*store, job()).await;
    finish_one(&*store, "a dog").await;
    let mut dead = Vec::new();
    for _ in 0..2 {
        dead.push(die(&*store, job(), "no").await);
    }
    let gone = accept(&*store, job()).await;
    store.cancel(gone).await.unwrap();

    assert_eq!(store.purge(JobState::Dead).await, Ok(2));
    assert_eq!(store.purge(JobState::Dead).await, Ok(0));
    assert_eq!(state(&*store, dead[0]).await, None);
    assert_eq!(state(&*store, done).await, Some(JobState::Done));
    assert_eq!(state(&*store, gone).await, Some(JobState::Cancelled));
    assert_eq!(store.purge(JobState::Done).await, Ok(1));
    assert_eq!(store.purge(JobState::Expired).await, Ok(0));
    assert_eq!(store.purge(JobState::Cancelled).await, Ok(1));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.dead, stats.ended), (0, 0));
}

pub(crate) async fn a_purge_leaves_what_is_queued_or_running(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept_many(&*store, 2).await;
    run_one(&*store).await;

    assert_eq!(store.purge(JobState::Queued).await, Ok(0));
    assert_eq!(store.purge(JobState::Running).await, Ok(0));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running), (1, 1));
}

pub(crate) async fn a_purged_key_is_free(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, keyed("order 1", "a")).await;
    finish_one(&*store, "a dog").await;
    store.purge(JobState::Done).await.unwrap();

    // The answer it would name is gone, so the work is done again.
    let again = accept(&*store, keyed("order 1", "b")).await;
    assert_eq!(state(&*store, again).await, Some(JobState::Queued));
}

fn short_results() -> StoreLimits {
    StoreLimits {
        result_ttl: SHORT,
        ..limits()
    }
}
