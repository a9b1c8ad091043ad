//! Whether this process can do its work: what readiness is answered from.
//!
//! Written by stages, read by the edge. Must not know: HTTP, which store it is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::store::{Place, StoreError};

/// Why a process is not ready whose store does not answer.
const NO_STORE: &str = "the job store does not answer";

/// What is known of this process' health.
#[derive(Debug, Default)]
pub struct Health {
    warm: AtomicBool,
    draining: AtomicBool,
    hangs: AtomicBool,
    store_down: AtomicBool,
    store_error: Mutex<String>,
}

impl Health {
    /// Every model is loaded and has run once at every batch size.
    pub fn models_are_warm(&self) {
        self.warm.store(true, Ordering::Release);
    }

    /// Whether the models are loaded and have run.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.warm.load(Ordering::Acquire)
    }

    /// The process is about to end.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// A batch does not come out of a model: the process is about to end. Says whether that is
    /// news.
    pub fn model_hangs(&self) -> bool {
        !self.hangs.swap(true, Ordering::AcqRel)
    }

    /// Whether the process is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// The store did what was asked.
    pub fn store_answers(&self) {
        if self.store_down.swap(false, Ordering::AcqRel) {
            tracing::info!("the job store answers again");
        }
    }

    /// The store did not. One shard of several is not the store.
    pub fn store_fails(&self, error: &StoreError) {
        if matches!(error, StoreError::ShardDown { .. }) {
            return;
        }
        if let Ok(mut text) = self.store_error.lock() {
            *text = error.to_string();
        }
        if !self.store_down.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "the job store does not answer");
        }
    }

    /// Whether the store failed when it was last asked.
    #[must_use]
    pub fn store_is_down(&self) -> bool {
        self.store_down.load(Ordering::Acquire)
    }

    /// Why the process is not ready; nothing if it is.
    #[must_use]
    pub fn reasons(&self) -> Vec<&'static str> {
        let mut reasons = Vec::new();
        if !self.is_warm() {
            reasons.push("the model is not warm yet");
        }
        if self.is_draining() {
            reasons.push("the server is about to stop");
        }
        if self.hangs.load(Ordering::Acquire) {
            reasons.push("the model hangs");
        }
        if self.store_is_down() {
            reasons.push(NO_STORE);
        }
        reasons
    }

    /// The same, the places of the store asked too.
    #[must_use]
    pub fn reasons_with(&self, places: &[Place]) -> Vec<&'static str> {
        let mut reasons = self.reasons();
        let none_answers = !places.is_empty() && places.iter().all(|place| place.trouble.is_some());
        if none_answers && !reasons.contains(&NO_STORE) {
            reasons.push(NO_STORE);
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_it_is_warm_has_a_store_and_stays() {
        let health = Health::default();
        assert_eq!(health.reasons(), ["the model is not warm yet"]);
        health.models_are_warm();
        assert!(health.reasons().is_empty());
        health.store_fails(&StoreError::Unavailable("refused".to_owned()));
        assert_eq!(health.reasons(), ["the job store does not answer"]);
        health.store_answers();
        health.store_fails(&StoreError::ShardDown {
            shard: "a:1/0".to_owned(),
            reason: "refused".to_owned(),
        });
        assert!(health.reasons().is_empty());
        health.begin_drain();
        assert_eq!(health.reasons(), ["the server is about to stop"]);
        assert!(health.model_hangs() && !health.model_hangs());
        let both = ["the server is about to stop", "the model hangs"];
        assert_eq!(health.reasons(), both);
    }
}
