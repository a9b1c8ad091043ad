//! Where the jobs of a round are kept, and looking at them from outside.
//!
//! Must not know: servers, clients.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use beagle::store::sharded;
use beagle::store::sqlite::{SqliteStore, Synchronous};
use beagle::store::{Demand, JobId, JobStore, StoreLimits};
use tempfile::TempDir;

use crate::redis_server::RedisServer;

/// Short, so that what a dead process held comes back soon; long enough for three heartbeats on
/// a busy machine.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// More jobs than there ever are here.
pub(crate) const MOST: usize = 100_000;

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Sqlite,
    Redis,
}

/// A store of a round's own.
pub(crate) enum Place {
    Sqlite(TempDir),
    Redis(RedisServer),
}

impl Place {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::Sqlite(tempfile::tempdir().unwrap()),
            Kind::Redis => Self::Redis(RedisServer::start()),
        }
    }

    /// What [`open`] takes.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Sqlite(folder) => folder.path().join("queue.db").display().to_string(),
            Self::Redis(server) => server.url(),
        }
    }

    #[track_caller]
    pub(crate) fn redis(&mut self) -> &mut RedisServer {
        match self {
            Self::Redis(server) => server,
            Self::Sqlite(_) => panic!("this store is no Redis"),
        }
    }

    /// Whether it can be looked at while a server has it.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Redis(_))
    }

    /// The names of all jobs that it knows of.
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = open(&self.address());
            let jobs = store.list(None, MOST).await.unwrap();
            store.close().await.unwrap();
            jobs.into_iter().map(|job| job.id).collect()
        })
    }
}

/// Bounds and times of every store here.
pub(crate) fn limits() -> StoreLimits {
    StoreLimits {
        lease: LEASE,
        ..StoreLimits::default()
    }
}

/// Opens the store at a Redis' address, at several with commas between, or in a file.
pub(crate) fn open(address: &str) -> Arc<dyn JobStore> {
    if address.starts_with("redis://") {
        let urls: Vec<String> = address.split(',').map(str::to_owned).collect();
        let anything: Demand = Arc::new(|_| Ok(()));
        return sharded::open(&urls, limits(), &anything).unwrap();
    }
    Arc::new(SqliteStore::open(Path::new(address), limits(), Synchronous::Normal).unwrap())
}
