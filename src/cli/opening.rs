//! What several commands need first: the configuration, and the store it names.

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context as _;
use etcetera::BaseStrategy as _;

use crate::admin::socket::{self, Door};
use crate::config::layer::{Durability, Layer};
use crate::config::store_url::StoreUrl;
use crate::config::{self, Config, Surroundings};
use crate::store::JobStore;
use crate::store::memory::MemoryStore;
use crate::store::redis::RedisStore;
use crate::store::sqlite::{SqliteStore, Synchronous};

/// Flags and environment over the file over the defaults.
pub(crate) fn config(file: Option<&Path>, said: &Layer) -> anyhow::Result<Config> {
    let data = etcetera::choose_base_strategy().map(|base| base.data_dir().join("beagle"));
    let around = Surroundings {
        cores: available_parallelism().map_or(1, Into::into),
        redis_url: std::env::var("REDIS_URL").ok(),
        data: data.ok(),
    };
    let file = file.map(config::read).transpose()?.unwrap_or_default();
    Ok(Config::new(&[&file, said], &around)?)
}

/// Opens the store for serving.
pub(crate) async fn store(config: &Config) -> anyhow::Result<Arc<dyn JobStore>> {
    let limits = config.limits.clone();
    Ok(match &config.store {
        StoreUrl::Memory => Arc::new(MemoryStore::new(limits)),
        StoreUrl::Sqlite(path) => {
            if let Some(folder) = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
            {
                std::fs::create_dir_all(folder).map_err(|error| {
                    anyhow::anyhow!("{}: {error}: say another --data", folder.display())
                })?;
            }
            let synchronous = if config.durability == Durability::Power {
                Synchronous::Full
            } else {
                Synchronous::Normal
            };
            Arc::new(SqliteStore::open(path, limits, synchronous)?)
        }
        StoreUrl::Redis(url) => Arc::new(RedisStore::open(url, limits)?),
    })
}

/// The door for `beagle queue`, where the store is this process' alone.
pub(crate) fn door(config: &Config, store: &Arc<dyn JobStore>) -> anyhow::Result<Option<Door>> {
    let StoreUrl::Sqlite(path) = &config.store else {
        return Ok(None);
    };
    let path = socket::beside(path);
    let door = socket::listen(&path, store.clone());
    Ok(Some(door.with_context(|| path.display().to_string())?))
}
