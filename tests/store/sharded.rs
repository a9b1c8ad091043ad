//! The store over several Redis servers under the contract, and what is its own: shards that die,
//! hang, come back, are added.

mod outages;
mod sharing;
mod three;
mod two;

use std::sync::Arc;

use async_trait::async_trait;
use beagle::store::sharded::ShardedStore;
use beagle::store::{Demand, JobStore, StoreLimits};

use crate::contract::Lab;
use crate::redis_server::RedisServer;

/// So many Redis servers for each test.
struct Shards<const COUNT: usize> {
    servers: Vec<RedisServer>,
}

impl<const COUNT: usize> Shards<COUNT> {
    async fn new() -> Self {
        let servers = (0..COUNT).map(|_| RedisServer::start()).collect();
        Self { servers }
    }
}

#[async_trait]
impl<const COUNT: usize> Lab for Shards<COUNT> {
    async fn open(&self, limits: StoreLimits) -> Arc<dyn JobStore> {
        Arc::new(open(&self.servers, limits))
    }
}

/// A process' store over these.
fn open(servers: &[RedisServer], limits: StoreLimits) -> ShardedStore {
    let urls: Vec<String> = servers.iter().map(RedisServer::url).collect();
    let anything: Demand = Arc::new(|_| Ok(()));
    ShardedStore::open(&urls, &limits, &anything).unwrap()
}
