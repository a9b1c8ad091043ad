//! Which shard has a job, as far as this process knows.
//!
//! Names of jobs carry nothing: who does not know asks all shards. So this may forget, and the
//! oldest go first. Must not know: Redis, what jobs are beyond their names.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::JobId;

/// Shards by job, bounded in number.
pub(super) struct Whereabouts {
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    shards: HashMap<JobId, usize>,
    order: VecDeque<JobId>,
}

impl Whereabouts {
    /// Remembers at most so many.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            inner: Mutex::default(),
        }
    }

    /// Remembers where a job is.
    pub(super) fn put(&self, id: JobId, shard: usize) {
        let mut inner = self.lock();
        if inner.shards.insert(id, shard).is_some() {
            return;
        }
        inner.order.push_back(id);
        if inner.order.len() > self.most
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.shards.remove(&oldest);
        }
    }

    /// Where a job is.
    pub(super) fn get(&self, id: JobId) -> Option<usize> {
        self.lock().shards.get(&id).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_youngest() {
        let known = Whereabouts::new(2);
        let ids: Vec<JobId> = (0..3).map(|_| JobId::new()).collect();
        for (at, id) in ids.iter().enumerate() {
            known.put(*id, at);
            known.put(*id, at);
        }
        let found: Vec<_> = ids.iter().map(|id| known.get(*id)).collect();
        assert_eq!(found, [None, Some(1), Some(2)]);
    }
}
