//! Taking deliveries that are due from all shards.
//!
//! One shard after the other, each time from another one on, until there is no more room. Must
//! not know: how a shard knows what is due.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::ShardedStore;
use crate::store::{DueDelivery, JobStore as _, StoreError};

impl ShardedStore {
    /// See [`JobStore::claim_deliveries`](crate::store::JobStore::claim_deliveries).
    pub(super) async fn due(
        &self,
        room: usize,
        lease: Duration,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let shards = self.shards.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut due = Vec::new();
        let mut answered = false;
        for at in (0..shards).map(|at| (first + at) % shards) {
            let (shard, left) = (&self.shards[at], room - due.len());
            if left == 0 {
                break;
            }
            // What one that is down has waits for it.
            if let Ok(more) = shard.call(shard.store.claim_deliveries(left, lease)).await {
                answered = true;
                more.iter().for_each(|one| self.known.put(one.turn.id, at));
                due.extend(more);
            }
        }
        if answered || room == 0 {
            Ok(due)
        } else {
            Err(self.nobody())
        }
    }
}
