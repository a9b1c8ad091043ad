//! The store in Redis under the contract, and what is Redis' own: it dies, forgets, fills up, and
//! is shared by many processes.
//!
//! Each store value stands for a process: it has a consumer, a thread and connections of its own.

#[cfg(target_os = "linux")]
mod clock;
mod cluster;
mod faults;
#[cfg(target_os = "linux")]
mod full_disk;
mod memory_use;
mod opening;
mod sentinel;
mod sharing;
mod tls;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use beagle::store::redis::RedisStore;
use beagle::store::{JobStore, StoreError, StoreLimits};

use crate::contract::{Lab, durable_one_place_store, durable_store, every_store, one_place_store};
use crate::fixture::{GUARD, job, soon};
use crate::redis_server::RedisServer;

every_store!(RedisLab);
one_place_store!(RedisLab);
durable_store!(RedisLab);
durable_one_place_store!(RedisLab);

/// Makes Redis write before it answers. With `everysec` it writes up to 2 s later while a sync takes
/// long, and kill -9 then takes what was never promised.
#[cfg(target_os = "linux")]
const WRITES_AT_ONCE: [&str; 2] = ["--appendfsync", "no"];

/// A Redis for each test.
struct RedisLab {
    server: RedisServer,
}

impl RedisLab {
    async fn new() -> Self {
        Self {
            server: RedisServer::start(),
        }
    }
}

#[async_trait]
impl Lab for RedisLab {
    async fn open(&self, limits: StoreLimits) -> Arc<dyn JobStore> {
        Arc::new(open(&self.server, limits))
    }
}

/// A process' store in this Redis.
fn open(server: &RedisServer, limits: StoreLimits) -> RedisStore {
    RedisStore::open(&server.url(), limits).unwrap()
}

/// Waits until calls succeed again, on both connections that calls take.
async fn until_it_works(store: &RedisStore) {
    let asked = Instant::now();
    let witness = job();
    loop {
        let offered = store.enqueue(witness.clone()).await;
        let answer = match offered {
            Ok(_) => store.cancel(witness.id).await.map(drop),
            Err(error) => Err(error),
        };
        match answer {
            Ok(()) => return,
            Err(error) => assert!(asked.elapsed() < GUARD, "still {error}"),
        }
        tokio::task::yield_now().await;
    }
}

/// Offers one job until it is taken, over a failover.
async fn until_it_takes_a_job(store: &RedisStore) {
    soon(async {
        loop {
            match store.enqueue(job()).await {
                Ok(_) => return,
                Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await;
}

/// Waits until the store makes its calls.
async fn usable(store: &RedisStore) {
    soon(async {
        while store.places().iter().any(|place| place.trouble.is_some()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
