//! What is kept of ends that are to be told, and how many there may be.

use beagle::store::{JobState, Outcome, StoreError, StoreLimits, UnixMillis};

use super::Lab;
use super::deliveries::{due, ended, settle, wait_for_due};
use crate::fixture::{NEVER, SHORT, accept, called, die, finish_one, forgotten, job, limits, view};

pub(crate) async fn what_is_due_outlives_its_outcomes_time(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            result_ttl: SHORT,
            ..limits()
        })
        .await;
    let id = ended(&*store).await;
    let plain = accept(&*store, job()).await;
    store.cancel(plain).await.unwrap();
    forgotten(&*store, plain).await;
    let one = wait_for_due(&*store).await;
    assert_eq!(one.job, view(&*store, id).await);
    assert!(settle(&*store, one.turn, Outcome::Delivered).await);
    forgotten(&*store, id).await;
}

pub(crate) async fn what_is_due_takes_no_room_among_what_is_kept(lab: &dyn Lab) {
    let few = StoreLimits {
        max_results: 1,
        max_dead: 1,
        ..limits()
    };
    let store = lab.open(few).await;
    let (first, second) = (ended(&*store).await, ended(&*store).await);
    let dead = die(&*store, called(), "no").await;
    let other = die(&*store, called(), "no").await;
    let plain = accept(&*store, job()).await;
    store.cancel(plain).await.unwrap();
    for id in [first, second, dead, other, plain] {
        view(&*store, id).await;
    }
    let due = due(&*store).await;
    assert_eq!(due.len(), 4);
    for one in &due {
        assert!(settle(&*store, one.turn, Outcome::Delivered).await);
    }
    // The ends come in this order, and now they count.
    let mut kept = Vec::new();
    for id in [first, second, dead, other, plain] {
        kept.push(store.job(id).await.unwrap().is_some());
    }
    assert_eq!(kept, [false, false, false, true, true]);
}

pub(crate) async fn callbacks_are_bounded_until_they_have_ended(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            max_callbacks: 2,
            ..limits()
        })
        .await;
    let full = StoreError::TooManyCallbacks {
        callbacks: 2,
        limit: 2,
    };
    let first = ended(&*store).await;
    let known = called();
    accept(&*store, known.clone()).await;
    let refused = called();
    assert_eq!(store.enqueue(refused.clone()).await, Err(full));
    assert_eq!(store.job(refused.id).await, Ok(None));
    accept(&*store, known).await;
    accept(&*store, job()).await;

    let one = wait_for_due(&*store).await;
    assert_eq!(one.turn.id, first);
    assert!(settle(&*store, one.turn, Outcome::Delivered).await);
    accept(&*store, refused).await;
}

pub(crate) async fn a_retried_dead_letter_is_told_again(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    for delivered in [true, false] {
        let id = die(&*store, called(), "no").await;
        if delivered {
            let one = wait_for_due(&*store).await;
            assert!(settle(&*store, one.turn, Outcome::Delivered).await);
        }
        let deadline = UnixMillis::now().after(NEVER);
        assert_eq!(store.retry(id, deadline).await, Ok(true));
        assert_eq!(view(&*store, id).await.delivery, None);
        assert_eq!(due(&*store).await, []);
        assert_eq!(finish_one(&*store, "a dog").await, id);
        let one = wait_for_due(&*store).await;
        assert_eq!((one.turn.id, one.turn.tries), (id, 1));
        assert_eq!(one.job.state, JobState::Done);
        assert!(settle(&*store, one.turn, Outcome::Delivered).await);
    }
}

pub(crate) async fn what_came_of_an_earlier_end_says_nothing_of_a_later_one(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = die(&*store, called(), "no").await;
    let earlier = wait_for_due(&*store).await;
    // Ends are told apart by their milliseconds.
    while UnixMillis::now() <= earlier.turn.ended {
        std::thread::yield_now();
    }
    let deadline = UnixMillis::now().after(NEVER);
    assert_eq!(store.retry(id, deadline).await, Ok(true));
    assert_eq!(finish_one(&*store, "a dog").await, id);
    let later = wait_for_due(&*store).await;
    assert_eq!(later.turn.tries, earlier.turn.tries);
    assert!(!settle(&*store, earlier.turn, Outcome::Delivered).await);
    assert!(settle(&*store, later.turn, Outcome::Delivered).await);
}

pub(crate) async fn a_purge_forgets_what_is_due(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            max_callbacks: 2,
            ..limits()
        })
        .await;
    let cancelled = ended(&*store).await;
    let dead = die(&*store, called(), "no").await;
    assert_eq!(store.purge(JobState::Done).await, Ok(0));
    assert_eq!(store.purge(JobState::Cancelled).await, Ok(1));
    assert_eq!(store.purge(JobState::Dead).await, Ok(1));
    for id in [cancelled, dead] {
        assert_eq!(store.job(id).await, Ok(None));
    }
    assert_eq!(due(&*store).await, []);
    assert_eq!(store.stats().await.unwrap().due, 0);
    accept(&*store, called()).await;
    accept(&*store, called()).await;
}
