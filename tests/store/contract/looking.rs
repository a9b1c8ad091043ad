//! What people see of a queue: counts, lists, findings.

use beagle::store::{JobState, NewJob, Severity, Stats, UnixMillis};

use super::Lab;
use crate::fixture::{
    PIXELS, accept, accept_many, claim_one, die, finish_one, job, late, limits, of, run_one, soon,
    tend_until,
};

pub(crate) async fn an_empty_queue_has_nothing_to_show(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    assert_eq!(store.stats().await, Ok(Stats::default()));
    assert_eq!(store.list(None, 10).await, Ok(vec![]));
    assert_eq!(store.tend().await, Ok(beagle::store::Tended::default()));
}

pub(crate) async fn stats_count_every_state(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    die(&*store, job(), "no").await;
    accept(&*store, job()).await;
    finish_one(&*store, "a dog").await;
    let gone = accept(&*store, job()).await;
    store.cancel(gone).await.unwrap();
    accept(&*store, late()).await;
    tend_until(&*store, |tended| tended.expired > 0).await;
    accept_many(&*store, 3).await;
    run_one(&*store).await;
    claim_one(&*store).await;

    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running), (2, 1));
    assert_eq!(stats.bytes, 3 * PIXELS);
    assert_eq!((stats.dead, stats.ended), (1, 3));
}

pub(crate) async fn a_job_that_has_ended_has_none_before_it(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let done = accept(&*store, job()).await;
    assert_eq!(store.ahead(done).await, Ok(Some(0)));
    finish_one(&*store, "a dog").await;
    assert_eq!(store.ahead(done).await, Ok(None));
    let gone = accept(&*store, job()).await;
    store.cancel(gone).await.unwrap();
    assert_eq!(store.ahead(gone).await, Ok(None));
    assert_eq!(store.ahead(beagle::store::JobId::new()).await, Ok(None));
}

pub(crate) async fn a_job_has_those_before_it_that_came_earlier_and_have_not_ended(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let mut offered = accept_many(&*store, 3).await;
    offered.push(accept(&*store, of(beagle::store::Priority::High)).await);
    let ahead = async |at: usize| store.ahead(offered[at]).await.unwrap();
    assert_eq!(
        (ahead(0).await, ahead(2).await, ahead(3).await),
        (Some(0), Some(2), Some(3)),
        "by arrival, whatever the priority"
    );
    // The high one runs: it has not ended, but neither did it come before the others.
    run_one(&*store).await;
    assert_eq!((ahead(0).await, ahead(3).await), (Some(0), Some(3)));
    store.cancel(offered[1]).await.unwrap();
    assert_eq!(
        (ahead(1).await, ahead(2).await, ahead(3).await),
        (None, Some(1), Some(2))
    );
}

pub(crate) async fn stats_know_the_oldest_arrival(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let at = |created: u64| NewJob {
        created: UnixMillis(created),
        ..job()
    };
    accept(&*store, at(1_000)).await;
    accept(&*store, at(2_000)).await;
    accept(
        &*store,
        NewJob {
            created: UnixMillis(3_000),
            ..of(beagle::store::Priority::High)
        },
    )
    .await;

    let oldest = |stats: Stats| stats.oldest;
    let stats = store.stats().await.unwrap();
    assert_eq!(oldest(stats), Some(UnixMillis(1_000)));
    // The high one, then the oldest; a running job is still in the queue.
    finish_one(&*store, "a dog").await;
    run_one(&*store).await;
    let stats = store.stats().await.unwrap();
    assert_eq!(oldest(stats), Some(UnixMillis(1_000)));
    for job in store.list(Some(JobState::Running), 1).await.unwrap() {
        store.cancel(job.id).await.unwrap();
    }
    let stats = store.stats().await.unwrap();
    assert_eq!(oldest(stats), Some(UnixMillis(2_000)));
}

pub(crate) async fn a_list_is_by_state_oldest_first_and_bounded(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    // The places in the list are by arrival, whatever the priority.
    let mut offered = accept_many(&*store, 2).await;
    offered.push(accept(&*store, of(beagle::store::Priority::High)).await);
    let high = soon(store.claim(1)).await.unwrap()[0].lease;
    store.start(&[high]).await.unwrap();

    let ids = |views: Vec<beagle::store::JobView>| views.into_iter().map(|view| view.id).collect();
    let all: Vec<_> = ids(store.list(None, 10).await.unwrap());
    assert_eq!(all, offered);
    let queued: Vec<_> = ids(store.list(Some(JobState::Queued), 10).await.unwrap());
    assert_eq!(queued, offered[..2]);
    let running: Vec<_> = ids(store.list(Some(JobState::Running), 10).await.unwrap());
    assert_eq!(running, offered[2..]);
    let dead: Vec<_> = ids(store.list(Some(JobState::Dead), 10).await.unwrap());
    assert_eq!(dead, []);
    let two: Vec<_> = ids(store.list(None, 2).await.unwrap());
    assert_eq!(two, offered[..2]);
    assert_eq!(store.list(None, 0).await, Ok(vec![]));
}

pub(crate) async fn a_list_has_no_results(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let done = accept(&*store, job()).await;
    finish_one(&*store, "a dog").await;
    let dead = die(&*store, job(), "the model panicked").await;

    let views = store.list(Some(JobState::Done), 10).await.unwrap();
    assert_eq!(views.len(), 1);
    assert_eq!((views[0].id, &views[0].result), (done, &None));
    assert!(views[0].finished.is_some());
    let views = store.list(Some(JobState::Dead), 10).await.unwrap();
    assert_eq!(views.len(), 1);
    assert_eq!((views[0].id, views[0].attempts), (dead, 3));
    assert_eq!(views[0].reason.as_deref(), Some("the model panicked"));
}

pub(crate) async fn a_healthy_store_has_no_danger(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    accept(&*store, job()).await;
    let findings = store.doctor().await.unwrap();
    assert!(!findings.is_empty());
    for finding in &findings {
        assert!(!finding.check.is_empty() && !finding.message.is_empty());
        assert_ne!(finding.severity, Severity::Danger, "{finding:?}");
    }
}

pub(crate) async fn a_store_says_where_it_is_and_what_it_promises(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let description = store.description();
    assert!(!description.place.is_empty());
    assert!(!description.durability.is_empty());
}
