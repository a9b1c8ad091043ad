//! Outcomes into the store, however long it takes.
//!
//! Must not know: actors, who waits, HTTP.

use std::sync::Arc;
use std::time::Instant;

use super::record::Record;
use crate::batch::backoff::Backoff;
use crate::health::Health;
use crate::observe::{Fact, Observer, Span, Stage};
use crate::store::{Completed, Completion, Failed, Failure, JobId, JobStore, Lease, StoreError};
use crate::traceparent::TraceParent;

/// What became of a batch's jobs, as far as one place of the store has them.
#[derive(Default)]
pub(super) struct Outcomes {
    pub(super) done: Vec<(Completion, Record)>,
    pub(super) failures: Vec<Failure>,
    /// Those of either that belong to a trace.
    pub(super) traced: Vec<(JobId, TraceParent)>,
}

/// What the store said to a batch's outcomes.
pub(super) struct Recorded {
    pub(super) completed: Vec<(Lease, Completed)>,
    pub(super) failed: Vec<(Lease, Failed)>,
    /// One for each of `completed`.
    pub(super) records: Vec<Record>,
}

/// Records outcomes, again and again while the store does not answer: results are not thrown
/// away, and no more work is claimed meanwhile than the mirror has room for.
pub(super) async fn record(
    store: Arc<dyn JobStore>,
    health: Arc<Health>,
    observer: Arc<dyn Observer>,
    outcomes: Outcomes,
) -> Recorded {
    let Outcomes {
        done,
        failures,
        traced,
    } = outcomes;
    let began = Instant::now();
    let (completions, records): (Vec<Completion>, Vec<Record>) = done.into_iter().unzip();
    let completed = match completions.as_slice() {
        [] => Vec::new(),
        some => persist(&health, async || store.complete(some).await).await,
    };
    let recorded = began.elapsed();
    for (completed, record) in completed.iter().zip(&records) {
        if *completed == Completed::First {
            observer.saw(Fact::Completed(record.took() + recorded));
        }
    }
    // Asked about nothing, the store would still be asked, before anybody is answered.
    let failed = match failures.as_slice() {
        [] => Vec::new(),
        some => persist(&health, async || store.fail(some).await).await,
    };
    for (job, trace) in traced {
        observer.spent(&Span::ending(Stage::Record, trace, job, began.elapsed()));
    }
    Recorded {
        completed: completions
            .iter()
            .map(|done| done.lease)
            .zip(completed)
            .collect(),
        failed: failures
            .iter()
            .map(|failure| failure.lease)
            .zip(failed)
            .collect(),
        records,
    }
}

async fn persist<T>(health: &Health, ask: impl AsyncFn() -> Result<Vec<T>, StoreError>) -> Vec<T> {
    let mut backoff = Backoff::default();
    loop {
        match ask().await {
            Ok(said) => return said,
            Err(error) => {
                health.store_fails(&error);
                let wait = backoff.failed();
                tracing::warn!(%error, retry_after_ms = wait.as_millis() as u64, "cannot record outcomes");
                tokio::time::sleep(wait).await;
            }
        }
    }
}
