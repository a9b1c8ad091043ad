//! Jobs to offer, and ways to wait for the store itself instead of the clock.
//!
//! Must not know: any particular store.

use std::time::Duration;

use beagle::store::{
    Callback, Claimed, Completion, Enqueued, Failure, Idempotency, JobId, JobState, JobStore,
    JobView, Lease, NewJob, Priority, Start, StoreLimits, Tended, UnixMillis,
};
use bytes::Bytes;

/// After this a test that waits has failed; nothing waits for it when all is well.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// Long enough to pass never while a test runs.
pub(crate) const NEVER: Duration = Duration::from_secs(24 * 3600);

/// So short that a test may wait for its end.
pub(crate) const SHORT: Duration = Duration::from_millis(50);

/// Bytes of [`job`]'s pixels.
pub(crate) const PIXELS: u64 = 12;

/// Limits that no rule runs into by accident.
pub(crate) fn limits() -> StoreLimits {
    StoreLimits {
        max_jobs: 1_000,
        max_bytes: 1 << 20,
        max_dead: 100,
        max_results: 100,
        max_callbacks: 100,
        callback_ttl: NEVER,
        result_ttl: NEVER,
        key_ttl: NEVER,
        lease: NEVER,
        max_attempts: 3,
    }
}

/// A job with all the time it needs; pixels differ from job to job.
pub(crate) fn job() -> NewJob {
    let id = JobId::new();
    let pixels = Bytes::copy_from_slice(&id.to_string().as_bytes()[24..]);
    NewJob {
        id,
        pixels,
        profile: "imagenet".to_owned(),
        top: 5,
        priority: Priority::Normal,
        created: UnixMillis::now(),
        deadline: UnixMillis::now().after(NEVER),
        idempotency: None,
        callback: None,
        traceparent: None,
    }
}

/// A job that a caller gave a name, asking for `fingerprint`.
pub(crate) fn keyed(key: &str, fingerprint: &str) -> NewJob {
    NewJob {
        idempotency: Some(Idempotency {
            key: key.to_owned(),
            fingerprint: fingerprint.to_owned(),
        }),
        ..job()
    }
}

/// A job whose end somebody wants to be told, of a request with a span.
pub(crate) fn called() -> NewJob {
    let id = JobId::new();
    NewJob {
        callback: Some(Callback {
            url: format!("https://example.net/jobs?of={id}"),
        }),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        ..job()
    }
}

/// A job whose deadline is now.
pub(crate) fn late() -> NewJob {
    NewJob {
        deadline: UnixMillis::now(),
        ..job()
    }
}

/// A job of this priority.
pub(crate) fn of(priority: Priority) -> NewJob {
    NewJob { priority, ..job() }
}

/// Waits for what must come soon.
#[track_caller]
pub(crate) fn soon<F: Future>(wanted: F) -> impl Future<Output = F::Output> {
    let at = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(GUARD, wanted).await {
            Ok(value) => value,
            Err(_) => panic!("{at}: still waiting after {GUARD:?}"),
        }
    }
}

/// Offers a job that must be accepted.
pub(crate) async fn accept(store: &dyn JobStore, job: NewJob) -> JobId {
    let id = job.id;
    assert_eq!(store.enqueue(job).await, Ok(Enqueued::Accepted));
    id
}

/// Offers so many plain jobs.
pub(crate) async fn accept_many(store: &dyn JobStore, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(accept(store, job()).await);
    }
    ids
}

/// Claims one job, which must be there.
pub(crate) async fn claim_one(store: &dyn JobStore) -> Claimed {
    let mut claimed = soon(store.claim(1)).await.unwrap();
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    claimed.remove(0)
}

/// Claims and starts one job, which must be there.
pub(crate) async fn run_one(store: &dyn JobStore) -> Lease {
    let lease = claim_one(store).await.lease;
    assert_eq!(store.start(&[lease]).await, Ok(vec![Start::Run]));
    lease
}

/// Claims, starts and finishes one job, which must be there.
pub(crate) async fn finish_one(store: &dyn JobStore, result: &'static str) -> JobId {
    let lease = run_one(store).await;
    let done = store.complete(&[completion(lease, result)]).await;
    assert_eq!(done, Ok(vec![beagle::store::Completed::First]));
    lease.id
}

/// Offers a job and lets it fail until it is a dead letter.
pub(crate) async fn die(store: &dyn JobStore, job: NewJob, reason: &str) -> JobId {
    use beagle::store::Failed;
    let id = accept(store, job).await;
    loop {
        let lease = run_one(store).await;
        assert_eq!(lease.id, id, "another job came in between");
        match store.fail(&[failure(lease, reason)]).await.unwrap()[..] {
            [Failed::Dead] => return id,
            [Failed::Again] => {}
            ref other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn completion(lease: Lease, result: &'static str) -> Completion {
    Completion {
        lease,
        result: Bytes::from_static(result.as_bytes()),
    }
}

pub(crate) fn failure(lease: Lease, reason: &str) -> Failure {
    Failure {
        lease,
        reason: reason.to_owned(),
    }
}

/// What is known of a job, which must be something.
pub(crate) async fn view(store: &dyn JobStore, id: JobId) -> JobView {
    let view = store.job(id).await.unwrap();
    view.unwrap_or_else(|| panic!("{id} is not known"))
}

/// Where a job stands, if it is known.
pub(crate) async fn state(store: &dyn JobStore, id: JobId) -> Option<JobState> {
    store.job(id).await.unwrap().map(|view| view.state)
}

/// Tends until what was done in all is enough.
pub(crate) async fn tend_until(store: &dyn JobStore, enough: impl Fn(&Tended) -> bool) -> Tended {
    let mut all = Tended::default();
    let tending = async {
        while !enough(&all) {
            let tended = store.tend().await.unwrap();
            all.reclaimed += tended.reclaimed;
            all.expired += tended.expired;
            all.dead += tended.dead;
            all.given_up += tended.given_up;
            tokio::task::yield_now().await;
        }
    };
    soon(tending).await;
    all
}

/// Tends until nothing is known of a job any more.
pub(crate) async fn forgotten(store: &dyn JobStore, id: JobId) {
    soon(async {
        while store.job(id).await.unwrap().is_some() {
            store.tend().await.unwrap();
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A job that was claimed before its deadline, which has passed now. However slow the machine
/// is, one of the growing margins is wide enough for the claim.
pub(crate) async fn claimed_before_its_deadline(store: &dyn JobStore) -> Lease {
    let mut margin = SHORT;
    loop {
        let deadline = UnixMillis::now().after(margin);
        let id = accept(store, NewJob { deadline, ..job() }).await;
        // Comes alone if the other was too late, so that the claim never waits in vain.
        let witness = accept(store, job()).await;
        let claimed = soon(store.claim(2)).await.unwrap();
        store.cancel(witness).await.unwrap();
        if let Some(own) = claimed.iter().find(|job| job.lease.id == id) {
            let lease = own.lease;
            while UnixMillis::now() < deadline {
                tokio::task::yield_now().await;
            }
            return lease;
        }
        store.cancel(id).await.unwrap();
        margin *= 4;
        assert!(margin < GUARD, "no claim is fast enough");
    }
}
