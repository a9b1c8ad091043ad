//! What `enqueue_and_start` promises: a job is accepted as any other and, if it was started with
//! that, is held and charged as if it had been claimed.

use beagle::store::{
    Claimed, Completed, Enqueued, Entered, Failed, JobState, JobStore, NewJob, Priority, Start,
    StoreError, StoreLimits,
};

use super::Lab;
use crate::fixture::{
    accept, claim_one, completion, failure, job, keyed, late, limits, soon, state, tend_until, view,
};

/// The job as who runs it has it, whether it was started with its offer or not.
pub(super) async fn enter(store: &dyn JobStore, job: NewJob) -> Claimed {
    match store.enqueue_and_start(job).await.unwrap() {
        Entered::Started(job) => job,
        Entered::Queued(Enqueued::Accepted) => {
            let claimed = claim_one(store).await;
            let started = store.start(&[claimed.lease]).await;
            assert_eq!(started, Ok(vec![Start::Run]));
            claimed
        }
        other => panic!("{other:?}"),
    }
}

/// Of those that say so.
pub(crate) async fn a_lone_job_is_started_with_its_offer(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    for _ in 0..2 {
        let entered = store.enqueue_and_start(job()).await;
        assert!(matches!(entered, Ok(Entered::Started(_))), "{entered:?}");
    }
    // One that is claimed and not yet started is nobody to wait for.
    accept(&*store, job()).await;
    claim_one(&*store).await;
    let entered = store.enqueue_and_start(job()).await;
    assert!(matches!(entered, Ok(Entered::Started(_))), "{entered:?}");
}

pub(crate) async fn an_entered_job_runs_with_everything_it_was_offered_with(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = NewJob {
        profile: "keras".to_owned(),
        top: 7,
        priority: Priority::Low,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ..job()
    };
    let entered = enter(&*store, offered.clone()).await;
    let wanted = Claimed {
        lease: entered.lease,
        pixels: offered.pixels,
        profile: offered.profile,
        top: offered.top,
        priority: offered.priority,
        created: offered.created,
        deadline: offered.deadline,
        attempts: 0,
        traceparent: offered.traceparent,
    };
    assert_eq!(entered, wanted);
    assert_eq!(entered.lease.id, offered.id);

    let view = view(&*store, offered.id).await;
    assert_eq!((view.state, view.attempts), (JobState::Running, 1));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running), (0, 1));
}

pub(crate) async fn an_entered_job_is_nobody_elses_and_ends_once(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let lease = enter(&*store, job()).await.lease;
    let other = accept(&*store, job()).await;
    let claimed = soon(store.claim(2)).await.unwrap();
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    assert_eq!(claimed[0].lease.id, other);

    let done = completion(lease, "a dog");
    let first = store.complete(std::slice::from_ref(&done)).await;
    assert_eq!(first, Ok(vec![Completed::First]));
    assert_eq!(state(&*store, lease.id).await, Some(JobState::Done));
    let again = store.complete(&[done]).await;
    assert_eq!(again, Ok(vec![Completed::Stale]));
}

pub(crate) async fn an_entered_job_that_fails_comes_again_with_its_attempt(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let entered = enter(&*store, job()).await;
    // It was started, so there is nothing to hand back.
    store.release(&[entered.lease]).await.unwrap();
    assert_eq!(
        state(&*store, entered.lease.id).await,
        Some(JobState::Running)
    );

    let failed = store.fail(&[failure(entered.lease, "a fault")]).await;
    assert_eq!(failed, Ok(vec![Failed::Again]));
    let again = claim_one(&*store).await;
    assert_eq!(again.lease.id, entered.lease.id);
    assert!(again.lease.fence > entered.lease.fence);
    assert_eq!((again.attempts, again.pixels), (1, entered.pixels));
}

pub(crate) async fn an_entered_job_overtakes_nobody(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let first = accept(&*store, job()).await;
    let second = job();
    let entered = store.enqueue_and_start(second.clone()).await;
    assert_eq!(entered, Ok(Entered::Queued(Enqueued::Accepted)));
    assert_eq!(claim_one(&*store).await.lease.id, first);
    assert_eq!(claim_one(&*store).await.lease.id, second.id);
}

pub(crate) async fn a_job_entered_twice_is_one_job(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = job();
    enter(&*store, offered.clone()).await;
    let again = store.enqueue_and_start(offered).await;
    assert_eq!(again, Ok(Entered::Queued(Enqueued::Accepted)));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running), (0, 1));
}

pub(crate) async fn a_job_entered_under_a_known_key_is_the_first_one(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let first = keyed("order 1", "a dog");
    enter(&*store, first.clone()).await;
    let same = store.enqueue_and_start(keyed("order 1", "a dog")).await;
    assert_eq!(same, Ok(Entered::Queued(Enqueued::Existing(first.id))));
    let other = store.enqueue_and_start(keyed("order 1", "a cat")).await;
    assert_eq!(other, Err(StoreError::KeyReused { job: first.id }));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running), (0, 1));
}

pub(crate) async fn a_full_queue_refuses_an_entered_job(lab: &dyn Lab) {
    let limits = StoreLimits {
        max_jobs: 1,
        ..limits()
    };
    let store = lab.open(limits).await;
    enter(&*store, job()).await;
    let refused = job();
    assert_eq!(
        store.enqueue_and_start(refused.clone()).await,
        Err(StoreError::TooManyJobs { jobs: 1, limit: 1 })
    );
    assert_eq!(state(&*store, refused.id).await, None);
}

pub(crate) async fn a_job_entered_after_its_deadline_expires(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let late = late();
    let entered = store.enqueue_and_start(late.clone()).await;
    assert_eq!(entered, Ok(Entered::Queued(Enqueued::Accepted)));
    if state(&*store, late.id).await != Some(JobState::Expired) {
        tend_until(&*store, |tended| tended.expired == 1).await;
    }
    assert_eq!(state(&*store, late.id).await, Some(JobState::Expired));
}
