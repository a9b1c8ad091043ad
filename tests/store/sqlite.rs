//! The embedded store under the contract, and what only it promises of one life of it.

use std::fs;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use beagle::store::sqlite::{SqliteStore, Synchronous};
use beagle::store::{JobStore, NewJob, Severity, StoreError, StoreLimits};
use bytes::Bytes;
use tempfile::TempDir;

use crate::contract::{
    Lab, durable_one_place_store, durable_store, every_store, one_place_store, rules,
};
use crate::fixture::{accept, claim_one, finish_one, job, limits, soon};

every_store!(SqliteLab);
one_place_store!(SqliteLab);
durable_store!(SqliteLab);
durable_one_place_store!(SqliteLab);
rules! { SqliteLab: entering::a_lone_job_is_started_with_its_offer, }

/// A folder with a queue of its own.
pub(crate) struct SqliteLab {
    folder: TempDir,
}

impl SqliteLab {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("queue.db")
    }

    /// The write-ahead log beside it.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("queue.db-wal")
    }

    pub(crate) fn try_open(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open(&self.path(), limits(), Synchronous::Normal)
    }
}

#[async_trait]
impl Lab for SqliteLab {
    async fn open(&self, limits: StoreLimits) -> Arc<dyn JobStore> {
        Arc::new(SqliteStore::open(&self.path(), limits, Synchronous::Normal).unwrap())
    }
}

#[tokio::test]
async fn a_claim_dropped_with_its_jobs_gives_them_back_at_once() {
    let lab = SqliteLab::new().await;
    // Leases last longer than the test waits.
    let store = lab.open(limits()).await;
    for _ in 0..10 {
        let mut dropped = Box::pin(store.claim(1));
        let early = poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context))).await;
        assert!(early.is_pending());
        // When this is committed the claim has its job, and nobody has looked.
        let id = accept(&*store, job()).await;
        drop(dropped);
        assert_eq!(finish_one(&*store, "a dog").await, id);
    }
}

#[tokio::test]
async fn the_file_does_not_grow_with_the_jobs_that_went_through_it() {
    let lab = SqliteLab::new().await;
    let store = lab
        .open(StoreLimits {
            max_bytes: 1 << 30,
            ..limits()
        })
        .await;
    for _ in 0..20 {
        for _ in 0..10 {
            let pixels = Bytes::from(vec![7; 100_000]);
            accept(&*store, NewJob { pixels, ..job() }).await;
        }
        for _ in 0..10 {
            finish_one(&*store, "a dog").await;
        }
    }
    store.close().await.unwrap();
    let file = fs::metadata(lab.path()).unwrap().len();
    assert!(
        file < 3_000_000,
        "{file} bytes for 1,000,000 bytes at a time"
    );
    assert!(!lab.log().exists(), "a closed queue is one file");
}

#[tokio::test]
async fn a_dropped_store_has_let_go_of_its_file() {
    let lab = SqliteLab::new().await;
    for _ in 0..5 {
        let store = lab.try_open().unwrap();
        accept(&store, job()).await;
        drop(store);
    }
    assert_eq!(lab.try_open().unwrap().stats().await.unwrap().queued, 5);
}

#[tokio::test]
async fn a_value_dropped_without_a_close_leaves_nothing_held() {
    let lab = SqliteLab::new().await;
    let store = lab.try_open().unwrap();
    let id = accept(&store, job()).await;
    claim_one(&store).await;
    drop(store);
    let store = lab.try_open().unwrap();
    assert_eq!(claim_one(&store).await.lease.id, id);
}

#[tokio::test]
async fn full_synchronous_is_what_survives_power_loss() {
    let lab = SqliteLab::new().await;
    for (synchronous, severity, promise) in [
        (Synchronous::Normal, Severity::Warning, "may be lost"),
        (Synchronous::Full, Severity::Fine, "and power loss"),
    ] {
        let store = SqliteStore::open(&lab.path(), limits(), synchronous).unwrap();
        let findings = store.doctor().await.unwrap();
        let found = findings.iter().find(|one| one.check == "synchronous");
        assert_eq!(found.unwrap().severity, severity);
        let durability = store.description().durability;
        assert!(durability.contains(promise), "{durability}");
        soon(store.close()).await.unwrap();
    }
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let lab = SqliteLab::new().await;
    let path = lab.path().join("nowhere").join("queue.db");
    let error = SqliteStore::open(&path, limits(), Synchronous::Normal)
        .err()
        .unwrap();
    let StoreError::Unavailable(text) = &error else {
        panic!("{error:?}");
    };
    assert!(text.contains(path.to_str().unwrap()), "{text}");
}
