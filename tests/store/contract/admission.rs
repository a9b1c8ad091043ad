//! What `enqueue` promises: durable, bounded, once for each job and each key.

use std::sync::Arc;

use beagle::store::{Enqueued, JobId, JobState, NewJob, Priority, StoreError, StoreLimits};
use bytes::Bytes;

use super::Lab;
use crate::fixture::{
    PIXELS, SHORT, accept, accept_many, called, finish_one, forgotten, job, keyed, limits, run_one,
    soon, state, view,
};

pub(crate) async fn an_accepted_job_is_queued_with_everything_it_was_offered_with(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = NewJob {
        profile: "keras".to_owned(),
        top: 7,
        priority: Priority::High,
        ..job()
    };
    let id = accept(&*store, offered.clone()).await;

    let view = view(&*store, id).await;
    assert_eq!(view.id, id);
    assert_eq!(view.state, JobState::Queued);
    assert_eq!(view.profile, "keras");
    assert_eq!(view.top, 7);
    assert_eq!(view.priority, Priority::High);
    assert_eq!(view.created, offered.created);
    assert_eq!(view.deadline, offered.deadline);
    assert_eq!(view.attempts, 0);
    assert_eq!(
        (view.finished, view.result, view.reason),
        (None, None, None)
    );
}

pub(crate) async fn a_job_keeps_its_callback_and_its_span(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let plain = accept(&*store, job()).await;
    let offered = called();
    let id = accept(&*store, offered.clone()).await;

    let seen = view(&*store, id).await;
    assert_eq!(seen.callback, offered.callback);
    assert_eq!(seen.traceparent, offered.traceparent);
    let seen = view(&*store, plain).await;
    assert_eq!((seen.callback, seen.traceparent), (None, None));
    let mut spans = Vec::new();
    while spans.len() < 2 {
        let claimed = soon(store.claim(2)).await.unwrap();
        spans.extend(
            claimed
                .into_iter()
                .map(|job| (job.lease.id, job.traceparent)),
        );
    }
    assert!(spans.contains(&(id, offered.traceparent.clone())));
    assert!(spans.contains(&(plain, None)));
    let all = store.list(None, 10).await.unwrap();
    let listed = all.iter().find(|seen| seen.id == id).unwrap();
    assert_eq!(listed.callback, offered.callback);
}

pub(crate) async fn a_full_queue_refuses_and_says_so(lab: &dyn Lab) {
    let store = lab.open(at_most(2)).await;
    accept_many(&*store, 2).await;

    let full = StoreError::TooManyJobs { jobs: 2, limit: 2 };
    assert_eq!(store.enqueue(job()).await, Err(full));
}

pub(crate) async fn a_queue_full_of_bytes_refuses_and_says_so(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            max_bytes: 3 * PIXELS,
            ..limits()
        })
        .await;
    accept_many(&*store, 2).await;

    let large = NewJob {
        pixels: Bytes::from(vec![0; PIXELS as usize + 1]),
        ..job()
    };
    let full = StoreError::TooManyBytes {
        bytes: 2 * PIXELS,
        limit: 3 * PIXELS,
    };
    assert_eq!(store.enqueue(large).await, Err(full));
    // One that fits is still welcome, to the last byte.
    accept(&*store, job()).await;
    assert_eq!(store.stats().await.unwrap().bytes, 3 * PIXELS);
}

pub(crate) async fn claimed_and_running_jobs_count_and_ended_ones_make_room(lab: &dyn Lab) {
    let store = lab.open(at_most(2)).await;
    accept(&*store, job()).await;
    run_one(&*store).await;
    let claimed = accept(&*store, job()).await;
    soon(store.claim(1)).await.unwrap();

    let full = StoreError::TooManyJobs { jobs: 2, limit: 2 };
    assert_eq!(store.enqueue(job()).await, Err(full));
    store.cancel(claimed).await.unwrap();
    accept(&*store, job()).await;
}

pub(crate) async fn the_same_job_offered_twice_is_one_job(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let first = job();
    accept(&*store, first.clone()).await;
    let changed = NewJob {
        profile: "other".to_owned(),
        pixels: Bytes::from_static(b"other"),
        ..first.clone()
    };
    accept(&*store, changed).await;

    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.bytes), (1, PIXELS));
    let claimed = soon(store.claim(10)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].profile, first.profile);
    assert_eq!(claimed[0].pixels, first.pixels);
}

pub(crate) async fn the_same_job_offered_twice_is_accepted_by_a_full_queue_too(lab: &dyn Lab) {
    let store = lab.open(at_most(1)).await;
    let only = job();
    accept(&*store, only.clone()).await;
    accept(&*store, only).await;
    assert_eq!(store.stats().await.unwrap().queued, 1);
}

pub(crate) async fn a_job_offered_again_after_its_end_stays_ended(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let once = job();
    accept(&*store, once.clone()).await;
    finish_one(&*store, "a dog").await;

    accept(&*store, once.clone()).await;
    let view = view(&*store, once.id).await;
    assert_eq!(view.state, JobState::Done);
    assert_eq!(view.result.as_deref(), Some(&b"a dog"[..]));
    assert_eq!(store.stats().await.unwrap().queued, 0);
}

pub(crate) async fn a_refused_job_leaves_no_trace_and_may_come_again(lab: &dyn Lab) {
    let store = lab.open(at_most(1)).await;
    let first = accept(&*store, job()).await;
    let second = job();
    store.enqueue(second.clone()).await.unwrap_err();

    assert_eq!(state(&*store, second.id).await, None);
    assert_eq!(store.list(None, 10).await.unwrap().len(), 1);
    store.cancel(first).await.unwrap();
    accept(&*store, second.clone()).await;
    assert_eq!(state(&*store, second.id).await, Some(JobState::Queued));
}

pub(crate) async fn a_known_key_names_the_first_job_even_when_full(lab: &dyn Lab) {
    let store = lab.open(at_most(1)).await;
    let first = accept(&*store, keyed("order 1", "a")).await;

    let again = keyed("order 1", "a");
    let existing = Ok(Enqueued::Existing(first));
    assert_eq!(store.enqueue(again.clone()).await, existing);
    assert_eq!(state(&*store, again.id).await, None);
    finish_one(&*store, "a dog").await;
    assert_eq!(store.enqueue(again).await, existing);
}

pub(crate) async fn a_known_key_for_another_request_is_refused(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let first = accept(&*store, keyed("order 1", "a")).await;

    let other = keyed("order 1", "b");
    let reused = StoreError::KeyReused { job: first };
    assert_eq!(store.enqueue(other.clone()).await, Err(reused));
    assert_eq!(state(&*store, other.id).await, None);
    // A key is its bytes, whatever they are.
    accept(&*store, keyed("order 1 ", "b")).await;
    accept(&*store, keyed("ORDER 1", "b")).await;
}

pub(crate) async fn a_job_with_a_key_offered_twice_is_accepted_twice(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = keyed("order 1", "a");
    accept(&*store, offered.clone()).await;
    accept(&*store, offered).await;
    assert_eq!(store.stats().await.unwrap().queued, 1);
}

pub(crate) async fn a_refused_job_does_not_take_its_key(lab: &dyn Lab) {
    let store = lab.open(at_most(1)).await;
    let first = accept(&*store, job()).await;
    store.enqueue(keyed("order 1", "a")).await.unwrap_err();
    store.cancel(first).await.unwrap();
    accept(&*store, keyed("order 1", "b")).await;
}

pub(crate) async fn a_key_is_free_again_after_its_time(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            key_ttl: SHORT,
            result_ttl: SHORT,
            ..limits()
        })
        .await;
    let first = accept(&*store, keyed("order 1", "a")).await;
    finish_one(&*store, "a dog").await;
    forgotten(&*store, first).await;

    let second = accept(&*store, keyed("order 1", "b")).await;
    assert_eq!(state(&*store, second).await, Some(JobState::Queued));
}

pub(crate) async fn many_callers_with_one_key_get_one_job(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let job = keyed("order 1", "a");
                (job.id, store.enqueue(job).await.unwrap())
            })
        })
        .collect();
    let mut accepted: Vec<JobId> = Vec::new();
    let mut existing: Vec<JobId> = Vec::new();
    for caller in callers {
        match caller.await.unwrap() {
            (id, Enqueued::Accepted) => accepted.push(id),
            (_, Enqueued::Existing(id)) => existing.push(id),
        }
    }
    assert_eq!(accepted.len(), 1);
    assert_eq!(existing, vec![accepted[0]; 31]);
    assert_eq!(store.stats().await.unwrap().queued, 1);
}

pub(crate) async fn many_callers_do_not_pass_the_bound(lab: &dyn Lab) {
    let store = lab.open(at_most(10)).await;
    let callers: Vec<_> = (0..40)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.enqueue(job()).await })
        })
        .collect();
    let mut accepted = 0;
    for caller in callers {
        match caller.await.unwrap() {
            Ok(Enqueued::Accepted) => accepted += 1,
            Err(error) => {
                let full = StoreError::TooManyJobs {
                    jobs: 10,
                    limit: 10,
                };
                assert_eq!(error, full);
            }
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, 10);
    assert_eq!(store.stats().await.unwrap().queued, 10);
}

fn at_most(max_jobs: u64) -> StoreLimits {
    StoreLimits {
        max_jobs,
        ..limits()
    }
}
