//! What is promised of telling ends: due with the end itself, one at a time, kept until it is over.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use beagle::store::{
    Delivery, DeliveryState, DueDelivery, JobId, JobState, JobStore, NewJob, Outcome, StoreLimits,
    Tried, Turn, UnixMillis,
};

use super::Lab;
use super::reopening::reopen;
use crate::fixture::{
    NEVER, SHORT, accept, called, die, finish_one, job, limits, run_one, soon, tend_until, view,
};

pub(crate) async fn a_delivery_is_due_with_the_end_and_not_before(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let offered = called();
    let id = accept(&*store, offered.clone()).await;
    run_one(&*store).await;
    assert_eq!(due(&*store).await, []);
    assert_eq!(view(&*store, id).await.delivery, None);
    store.cancel(id).await.unwrap();
    assert_eq!(store.stats().await.unwrap().due, 1);
    assert_eq!(stands(&*store, id).await, told(DeliveryState::Due, 0));

    let [one] = &due(&*store).await[..] else {
        panic!("one is due");
    };
    assert_eq!((one.turn.id, one.turn.tries), (id, 1));
    assert_eq!(one.job.callback, offered.callback);
    assert_eq!(one.job.traceparent, offered.traceparent);
    assert_eq!(one.job, view(&*store, id).await);
    assert_eq!(stands(&*store, id).await, told(DeliveryState::Due, 1));
}

pub(crate) async fn every_end_is_due_with_what_is_known_of_it(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let done = accept(&*store, called()).await;
    assert_eq!(finish_one(&*store, "a dog").await, done);
    let dead = die(&*store, called(), "no").await;
    let cancelled = accept(&*store, called()).await;
    store.cancel(cancelled).await.unwrap();
    let late = NewJob {
        deadline: UnixMillis::now(),
        ..called()
    };
    let expired = accept(&*store, late).await;
    tend_until(&*store, |tended| tended.expired == 1).await;
    // Nobody is told of this one.
    let plain = accept(&*store, job()).await;
    store.cancel(plain).await.unwrap();

    let due = due(&*store).await;
    let ends: HashSet<(JobId, JobState)> =
        due.iter().map(|one| (one.turn.id, one.job.state)).collect();
    let wanted = [
        (done, JobState::Done),
        (dead, JobState::Dead),
        (cancelled, JobState::Cancelled),
        (expired, JobState::Expired),
    ];
    assert_eq!(ends, HashSet::from(wanted));
    let of = |id| due.iter().find(|one| one.turn.id == id).unwrap();
    assert_eq!(of(done).job.result.as_deref(), Some(&b"a dog"[..]));
    assert_eq!(of(dead).job.reason.as_deref(), Some("no"));
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.due, stats.dead, stats.ended), (4, 1, 4));
    let listed = store.list(Some(JobState::Dead), 10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(store.list(None, 10).await.unwrap().len(), 5);
}

pub(crate) async fn a_delivery_that_is_tried_is_nobody_elses_until_the_lease_ends(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = ended(&*store).await;
    let held = soon(store.claim_deliveries(10, SHORT)).await.unwrap();
    assert_eq!(held.len(), 1);
    let again = wait_for_due(&*store).await;
    assert_eq!((again.turn.id, again.turn.tries), (id, 2));
    assert_eq!(due(&*store).await, []);

    // Too late: the turn is another's.
    let late = settle(&*store, held[0].turn, Outcome::Delivered).await;
    assert!(!late);
    assert_eq!(stands(&*store, id).await, told(DeliveryState::Due, 2));
    assert!(settle(&*store, again.turn, Outcome::Delivered).await);
    assert_eq!(stands(&*store, id).await, told(DeliveryState::Delivered, 2));
}

pub(crate) async fn concurrent_claims_never_give_a_delivery_twice(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let mut ids = HashSet::new();
    for _ in 0..40 {
        ids.insert(ended(&*store).await);
    }
    let claims = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.claim_deliveries(10, NEVER).await.unwrap() })
    });
    let claims: Vec<_> = claims.collect();
    let mut came = Vec::new();
    for claim in claims {
        let some = claim.await.unwrap();
        assert!(some.len() <= 10);
        came.extend(some.into_iter().map(|one| one.turn.id));
    }
    assert_eq!(came.len(), 40);
    assert_eq!(came.into_iter().collect::<HashSet<_>>(), ids);
}

pub(crate) async fn a_delivered_end_is_told_no_more(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = ended(&*store).await;
    let one = wait_for_due(&*store).await;
    assert!(settle(&*store, one.turn, Outcome::Delivered).await);
    assert_eq!(stands(&*store, id).await, told(DeliveryState::Delivered, 1));
    assert_eq!(store.stats().await.unwrap().due, 0);
    assert_eq!(store.stats().await.unwrap().ended, 1);
    assert_eq!(due(&*store).await, []);
    let twice = settle(&*store, one.turn, again(Duration::ZERO)).await;
    assert!(!twice);
}

pub(crate) async fn a_failed_delivery_comes_again_after_its_wait(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = ended(&*store).await;
    let first = wait_for_due(&*store).await;
    assert!(settle(&*store, first.turn, again(Duration::from_millis(1))).await);
    let failed = Delivery {
        reason: Some("nobody is there".to_owned()),
        ..told(DeliveryState::Due, 1)
    };
    assert_eq!(stands(&*store, id).await, failed);
    let second = wait_for_due(&*store).await;
    assert_eq!((second.turn.id, second.turn.tries), (id, 2));
    assert!(settle(&*store, second.turn, again(NEVER)).await);
    assert_eq!(due(&*store).await, []);
    assert_eq!(store.stats().await.unwrap().due, 1);
}

pub(crate) async fn a_postponed_delivery_was_not_tried(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = ended(&*store).await;
    let first = wait_for_due(&*store).await;
    let after = Duration::from_millis(1);
    assert!(settle(&*store, first.turn, Outcome::Postponed { after }).await);
    assert_eq!(stands(&*store, id).await, told(DeliveryState::Due, 0));
    let second = wait_for_due(&*store).await;
    assert_eq!((second.turn.id, second.turn.tries), (id, 1));
    let after = NEVER;
    assert!(settle(&*store, second.turn, Outcome::Postponed { after }).await);
    assert_eq!(due(&*store).await, []);
}

pub(crate) async fn a_delivery_is_given_up_by_who_tries(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let id = ended(&*store).await;
    let one = wait_for_due(&*store).await;
    let reason = "it is gone".to_owned();
    assert!(settle(&*store, one.turn, Outcome::GivenUp { reason }).await);
    let given_up = Delivery {
        reason: Some("it is gone".to_owned()),
        ..told(DeliveryState::GivenUp, 1)
    };
    assert_eq!(stands(&*store, id).await, given_up);
    assert_eq!(store.stats().await.unwrap().due, 0);
}

pub(crate) async fn a_delivery_is_given_up_after_its_time(lab: &dyn Lab) {
    let store = lab
        .open(StoreLimits {
            callback_ttl: SHORT,
            ..limits()
        })
        .await;
    let dead = die(&*store, called(), "no").await;
    let done = ended(&*store).await;
    let tended = tend_until(&*store, |tended| tended.given_up >= 2).await;
    assert_eq!(tended.given_up, 2);
    assert_eq!(due(&*store).await, []);
    for id in [dead, done] {
        let stands = stands(&*store, id).await;
        assert_eq!(stands, told(DeliveryState::GivenUp, 0));
    }
    assert_eq!(store.tend().await.unwrap().given_up, 0);
}

pub(crate) async fn those_that_wait_longest_come_first(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ended(&*store).await);
        let now = UnixMillis::now();
        while UnixMillis::now() == now {
            tokio::task::yield_now().await;
        }
    }
    let first = store.claim_deliveries(2, NEVER).await.unwrap();
    let rest = store.claim_deliveries(2, NEVER).await.unwrap();
    let came: Vec<JobId> = first.iter().chain(&rest).map(|one| one.turn.id).collect();
    assert_eq!(came, ids);
    assert_eq!(first.len(), 2);
}

pub(crate) async fn deliveries_are_there_again(lab: &dyn Lab) {
    let store = lab.open(limits()).await;
    let waits = accept(&*store, called()).await;
    let due_one = ended(&*store).await;
    let tried = wait_for_due(&*store).await;
    assert!(settle(&*store, tried.turn, again(Duration::from_millis(1))).await);
    let delivered = ended(&*store).await;
    soon(async {
        loop {
            for one in due(&*store).await {
                let outcome = match one.turn.id == delivered {
                    true => Outcome::Delivered,
                    false => again(Duration::from_millis(1)),
                };
                assert!(settle(&*store, one.turn, outcome).await);
            }
            if stands(&*store, delivered).await.state == DeliveryState::Delivered {
                return;
            }
        }
    })
    .await;
    let before = stands(&*store, due_one).await;

    let store = reopen(lab, store, limits()).await;
    assert_eq!(stands(&*store, due_one).await, before);
    assert_eq!(
        stands(&*store, delivered).await.state,
        DeliveryState::Delivered
    );
    assert_eq!(store.stats().await.unwrap().due, 1);
    let one = wait_for_due(&*store).await;
    let tries = before.tries + 1;
    let id = due_one;
    assert_eq!((one.turn.id, one.turn.tries), (id, tries));
    store.cancel(waits).await.unwrap();
    assert_eq!(wait_for_due(&*store).await.turn.id, waits);
}

/// A job with a callback that has come to its end.
pub(super) async fn ended(store: &dyn JobStore) -> JobId {
    let id = accept(store, called()).await;
    store.cancel(id).await.unwrap();
    id
}

/// What is due now, held for ever.
pub(super) async fn due(store: &dyn JobStore) -> Vec<DueDelivery> {
    soon(store.claim_deliveries(100, NEVER)).await.unwrap()
}

/// The one delivery that is due now or soon.
pub(super) async fn wait_for_due(store: &dyn JobStore) -> DueDelivery {
    soon(async {
        loop {
            let mut due = due(store).await;
            assert!(due.len() <= 1, "{due:?}");
            if let Some(one) = due.pop() {
                return one;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

pub(super) async fn settle(store: &dyn JobStore, turn: Turn, outcome: Outcome) -> bool {
    let settled = store.settle_deliveries(&[Tried { turn, outcome }]).await;
    settled.unwrap()[0]
}

async fn stands(store: &dyn JobStore, id: JobId) -> Delivery {
    view(store, id).await.delivery.expect("it has ended")
}

fn told(state: DeliveryState, tries: u32) -> Delivery {
    Delivery {
        state,
        tries,
        reason: None,
    }
}

fn again(after: Duration) -> Outcome {
    Outcome::Again {
        after,
        reason: "nobody is there".to_owned(),
    }
}
