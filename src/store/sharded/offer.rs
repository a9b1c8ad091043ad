//! Taking jobs in: which shard is offered a job, and what a refusal means.
//!
//! A shard that does not answer an offer may have taken it, so no other is offered that job any
//! more: two of them would both run it. Must not know: how a shard decides.

use futures_util::future::join_all;

use super::ShardedStore;
use crate::store::{Enqueued, Idempotency, JobId, JobStore as _, NewJob, StoreError};

impl ShardedStore {
    /// See [`JobStore::enqueue`](crate::store::JobStore::enqueue).
    pub(super) async fn offer(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        if let Some(at) = self.known.get(job.id) {
            return self.offer_to(at, job).await;
        }
        let Some(named) = &job.idempotency else {
            return self.offer_in_order(job).await;
        };
        let order = self.order(named.key.as_bytes());
        // Before the others are asked, which would be for nothing.
        if let Some(down) = self.shards[order[0]].down_now() {
            return Err(down);
        }
        if let Some(other) = self.known_elsewhere(named, &order[1..]).await? {
            return Ok(Enqueued::Existing(other));
        }
        self.offer_to(order[0], job).await
    }

    async fn offer_in_order(&self, job: NewJob) -> Result<Enqueued, StoreError> {
        let mut full = None;
        for at in self.order(job.id.to_string().as_bytes()) {
            if self.shards[at].down_now().is_some() {
                continue;
            }
            match self.offer_to(at, job.clone()).await {
                Err(
                    error @ (StoreError::TooManyJobs { .. }
                    | StoreError::TooManyBytes { .. }
                    | StoreError::TooManyCallbacks { .. }),
                ) => full = Some(together(full, error)),
                answered => return answered,
            }
        }
        Err(full.unwrap_or_else(|| self.nobody()))
    }

    async fn offer_to(&self, at: usize, job: NewJob) -> Result<Enqueued, StoreError> {
        let (id, shard) = (job.id, &self.shards[at]);
        let answer = shard.call(shard.store.enqueue(job)).await;
        match &answer {
            // Whether it was taken is not known when there is no answer.
            Ok(Enqueued::Accepted) | Err(StoreError::ShardDown { .. }) => self.known.put(id, at),
            Ok(Enqueued::Existing(other)) => self.known.put(*other, at),
            Err(_) => {}
        }
        answer
    }

    /// The job that has a key in one of these shards.
    async fn known_elsewhere(
        &self,
        named: &Idempotency,
        others: &[usize],
    ) -> Result<Option<JobId>, StoreError> {
        let asked = others.iter().map(|at| async move {
            let shard = &self.shards[*at];
            (*at, shard.call(shard.store.keyed(named)).await)
        });
        for (at, answer) in join_all(asked).await {
            match answer {
                Ok(Some(id)) => {
                    self.known.put(id, at);
                    return Ok(Some(id));
                }
                Err(reused @ StoreError::KeyReused { .. }) => return Err(reused),
                // See the module's promise.
                Ok(None) | Err(_) => {}
            }
        }
        Ok(None)
    }
}

/// Two shards that are full are one queue that is.
fn together(full: Option<StoreError>, error: StoreError) -> StoreError {
    use StoreError::{TooManyBytes, TooManyCallbacks, TooManyJobs};
    match (full, error) {
        (
            Some(TooManyJobs { jobs, limit }),
            TooManyJobs {
                jobs: more,
                limit: part,
            },
        ) => TooManyJobs {
            jobs: jobs + more,
            limit: limit + part,
        },
        (
            Some(TooManyBytes { bytes, limit }),
            TooManyBytes {
                bytes: more,
                limit: part,
            },
        ) => TooManyBytes {
            bytes: bytes + more,
            limit: limit + part,
        },
        (
            Some(TooManyCallbacks { callbacks, limit }),
            TooManyCallbacks {
                callbacks: more,
                limit: part,
            },
        ) => TooManyCallbacks {
            callbacks: callbacks + more,
            limit: limit + part,
        },
        (_, error) => error,
    }
}
