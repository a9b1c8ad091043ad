//! What a queued job costs in Redis.

use beagle::store::{JobStore, NewJob, StoreLimits};
use bytes::Bytes;

use super::open;
use crate::fixture::{accept, job, limits};
use crate::redis_server::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queued_image_costs_little_more_than_its_pixels() {
    const JOBS: u64 = 200;
    let server = RedisServer::start();
    let roomy = StoreLimits {
        max_bytes: 1 << 30,
        ..limits()
    };
    let store = open(&server, roomy);
    let used = || -> u64 {
        let info: String = server.run("INFO memory");
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory_dataset:"));
        line.unwrap().trim().parse().unwrap()
    };
    let before = used();
    for _ in 0..JOBS {
        let pixels = Bytes::from(vec![7; 150_528]);
        accept(&store, NewJob { pixels, ..job() }).await;
    }
    let each = (used() - before) / JOBS;
    assert_eq!(store.stats().await.unwrap().queued, JOBS);
    assert!((150_528..160_000).contains(&each), "{each} bytes a job");
}
