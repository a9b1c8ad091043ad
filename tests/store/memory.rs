//! The store in memory under the contract.

use std::sync::Arc;

use async_trait::async_trait;
use beagle::store::memory::MemoryStore;
use beagle::store::{JobStore, StoreLimits};

use crate::contract::{Lab, every_store, one_place_store, rules};

every_store!(MemoryLab);
one_place_store!(MemoryLab);
rules! { MemoryLab: entering::a_lone_job_is_started_with_its_offer, }

/// Makes stores in memory; each is a queue of its own.
struct MemoryLab;

impl MemoryLab {
    async fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Lab for MemoryLab {
    async fn open(&self, limits: StoreLimits) -> Arc<dyn JobStore> {
        Arc::new(MemoryStore::new(limits))
    }
}
