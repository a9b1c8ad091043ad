//! One shard: a Redis, and what this process owes it and has of it.
//!
//! Must not know: the other shards.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::redis::RedisStore;
use crate::store::{Claimed, JobStore as _, Lease, StoreError, Tended};

/// Most leases that wait to be handed back; the others run out.
const OWED: usize = 10_000;

/// A shard.
pub(super) struct Shard {
    pub(super) name: String,
    pub(super) store: RedisStore,
    /// Whether it is being asked for jobs.
    pub(super) busy: AtomicBool,
    /// Whether somebody would have asked it for jobs meanwhile.
    pub(super) wanted: AtomicBool,
    /// Jobs it gave when nobody waited for them any more: for the next claim.
    pub(super) arrived: Mutex<VecDeque<Claimed>>,
    /// Leases that could not be handed back while it was down.
    owed: Mutex<Vec<Lease>>,
}

impl Shard {
    pub(super) fn new(store: RedisStore) -> Self {
        Self {
            name: store.name().to_owned(),
            store,
            busy: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            arrived: Mutex::default(),
            owed: Mutex::default(),
        }
    }

    /// Whether calls would be made and not refused.
    pub(super) fn is_up(&self) -> bool {
        self.store.trouble().is_none()
    }

    /// What a call would be refused with now.
    pub(super) fn down_now(&self) -> Option<StoreError> {
        self.store.trouble().map(|reason| self.down(reason))
    }

    /// Makes a call, unless the shard is known to be down: a call waits for an answer, at most 2 s,
    /// and never for a connection.
    pub(super) async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match self.down_now() {
            Some(down) => Err(down),
            None => call.await.map_err(|error| match error {
                StoreError::Unavailable(reason) => self.down(reason),
                other => other,
            }),
        }
    }

    /// Takes the next of the jobs that came for nobody.
    pub(super) fn next_arrived(&self) -> Option<Claimed> {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.pop_front()
    }

    /// Keeps jobs for the next claim.
    pub(super) fn keep(&self, claimed: Vec<Claimed>) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.extend(claimed);
    }

    /// Hands leases back when the shard can be reached again.
    pub(super) fn owe(&self, leases: impl IntoIterator<Item = Lease>) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OWED.saturating_sub(owed.len());
        owed.extend(leases.into_iter().take(room));
    }

    /// Hands back what is owed, and tends.
    pub(super) async fn tend(&self) -> Result<Tended, StoreError> {
        let owed = {
            let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *owed)
        };
        if !owed.is_empty()
            && let Err(error) = self.store.release(&owed).await
        {
            self.owe(owed);
            return Err(error);
        }
        self.store.tend().await
    }

    fn down(&self, reason: String) -> StoreError {
        StoreError::ShardDown {
            shard: self.name.clone(),
            reason,
        }
    }
}

/// That no shard answers, and why.
pub(super) fn nobody(shards: &[Arc<Shard>]) -> StoreError {
    let reason = |shard: &Arc<Shard>| {
        let reason = shard.store.trouble();
        reason.map(|reason| format!("{}: {reason}", shard.name))
    };
    let reasons: Vec<String> = shards.iter().filter_map(reason).collect();
    StoreError::Unavailable(reasons.join("; "))
}
