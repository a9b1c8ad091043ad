//! Asking each shard about its own, and putting the answers together.
//!
//! All are asked at once. What is known to be in one shard is asked there alone; what is not, of
//! all, and whoever has it says so. Must not know: what is asked.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};

use super::ShardedStore;
use super::shard::{Shard, nobody};
use crate::store::redis::RedisStore;
use crate::store::{JobId, StoreError};

/// What shards said of some things.
pub(super) struct Said<R> {
    /// Of each thing, what those said that were asked of it.
    pub(super) answers: Vec<Vec<R>>,
    /// Shards that did not answer, and the things they were asked of.
    failed: Vec<(usize, Vec<usize>, StoreError)>,
}

/// What every shard said.
pub(super) struct Everywhere<R> {
    pub(super) given: Vec<R>,
    pub(super) failed: Vec<StoreError>,
}

impl<R> Said<R> {
    /// Things that a shard was asked of in vain, with the shard.
    pub(super) fn missed<T: Copy>(&self, things: &[T]) -> Vec<(usize, T)> {
        let of = |(at, missed, _): &(usize, Vec<usize>, StoreError)| {
            let at = *at;
            let pairs: Vec<_> = missed.iter().map(|thing| (at, things[*thing])).collect();
            pairs
        };
        self.failed.iter().flat_map(of).collect()
    }

    /// One answer for each thing: the one that counts; if there is none, `other`, unless a shard
    /// that did not answer might have given one.
    pub(super) fn each(
        self,
        counts: impl Fn(Vec<R>) -> Option<R>,
        other: R,
    ) -> Result<Vec<R>, StoreError>
    where
        R: Clone,
    {
        let mut all = Vec::with_capacity(self.answers.len());
        for (thing, answers) in self.answers.into_iter().enumerate() {
            let missed = self.failed.iter().find(|(_, of, _)| of.contains(&thing));
            match (counts(answers), missed) {
                (Some(answer), _) => all.push(answer),
                (None, None) => all.push(other.clone()),
                (None, Some((_, _, error))) => return Err(error.clone()),
            }
        }
        Ok(all)
    }
}

impl ShardedStore {
    /// Asks about things by their jobs.
    ///
    /// # Errors
    /// If no shard is up.
    pub(super) async fn spread<T: Clone, R: Clone>(
        &self,
        things: &[T],
        id: impl Fn(&T) -> JobId,
        ask: impl for<'a> Fn(&'a RedisStore, Vec<T>) -> BoxFuture<'a, Result<Vec<R>, StoreError>>,
    ) -> Result<Said<R>, StoreError> {
        let mut groups: Vec<Vec<usize>> = vec![Vec::new(); self.shards.len()];
        for (thing, one) in things.iter().enumerate() {
            match self.known.get(id(one)) {
                Some(at) => groups[at].push(thing),
                None => groups.iter_mut().for_each(|group| group.push(thing)),
            }
        }
        if self.shards.iter().all(|shard| !shard.is_up()) {
            return Err(self.nobody());
        }
        let groups = groups.into_iter().enumerate();
        let asked = groups
            .filter(|(_, group)| !group.is_empty())
            .map(|(at, group)| {
                let some = group.iter().map(|thing| things[*thing].clone()).collect();
                let answer = ask(&self.shards[at].store, some);
                async move { (at, group, self.shards[at].call(answer).await) }
            });
        let asked: Vec<_> = asked.collect();
        let mut said = Said {
            answers: vec![Vec::new(); things.len()],
            failed: Vec::new(),
        };
        for (at, group, answer) in join_all(asked).await {
            match answer {
                Ok(answers) => {
                    for (thing, answer) in group.into_iter().zip(answers) {
                        said.answers[thing].push(answer);
                    }
                }
                Err(error) => said.failed.push((at, group, error)),
            }
        }
        Ok(said)
    }

    /// Asks all shards the same.
    ///
    /// # Errors
    /// If none has answered.
    pub(super) async fn everywhere<R>(
        &self,
        ask: impl Fn(Arc<Shard>) -> BoxFuture<'static, Result<R, StoreError>>,
    ) -> Result<Everywhere<R>, StoreError> {
        let asked: Vec<_> = self
            .shards
            .iter()
            .map(|shard| ask(Arc::clone(shard)))
            .collect();
        let mut all = Everywhere {
            given: Vec::new(),
            failed: Vec::new(),
        };
        for answer in join_all(asked).await {
            match answer {
                Ok(given) => all.given.push(given),
                Err(error) => all.failed.push(error),
            }
        }
        if all.given.is_empty() {
            return Err(self.nobody());
        }
        Ok(all)
    }

    /// Looks for a job: where it is known to be, else in its order until a shard has it.
    pub(super) async fn find<'a, R>(
        &'a self,
        id: JobId,
        ask: impl Fn(&'a RedisStore) -> BoxFuture<'a, Result<Option<R>, StoreError>>,
    ) -> Result<Option<R>, StoreError> {
        let order = match self.known.get(id) {
            Some(at) => vec![at],
            None => self.order(id.to_string().as_bytes()),
        };
        let mut failed = None;
        for at in order {
            let shard = &self.shards[at];
            match shard.call(ask(&shard.store)).await {
                Ok(Some(found)) => {
                    self.known.put(id, at);
                    return Ok(Some(found));
                }
                Ok(None) => {}
                Err(error @ StoreError::ShardDown { .. }) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        match failed {
            Some(_) if self.shards.iter().all(|shard| !shard.is_up()) => Err(self.nobody()),
            Some(error) => Err(error),
            None => Ok(None),
        }
    }

    /// That no shard answers, and why.
    pub(super) fn nobody(&self) -> StoreError {
        nobody(&self.shards)
    }
}
