//! What several commands need first: the configuration, and the store it names.

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;

use anyhow::Context as _;
use etcetera::BaseStrategy as _;

use super::terminal;
use crate::access::Access;
use crate::admin::socket::{self, Door};
use crate::config::layer::{Durability, Layer};
use crate::config::store_url::StoreUrl;
use crate::config::{self, Config, Surroundings};
use crate::edge::door::Door as FrontDoor;
use crate::store::memory::MemoryStore;
use crate::store::sharded;
use crate::store::sqlite::{SqliteStore, Synchronous};
use crate::store::{Demand, JobStore, Severity};
use crate::tls::Tls;

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

/// Opens the store for serving, and holds it to what `--durability` asks: a file at once, a Redis
/// when it first answers.
pub(crate) async fn serving(config: &Config) -> anyhow::Result<Arc<dyn JobStore>> {
    let demand = demand(config.durability);
    let store = store(config, &demand)?;
    if !matches!(config.store, StoreUrl::Redis(_)) {
        demand(&store.doctor().await?).map_err(anyhow::Error::msg)?;
    }
    Ok(store)
}

/// Opens the store as it is.
pub(crate) fn looking(config: &Config) -> anyhow::Result<Arc<dyn JobStore>> {
    let anything: Demand = Arc::new(|_| Ok(()));
    store(config, &anything)
}

fn store(config: &Config, demand: &Demand) -> anyhow::Result<Arc<dyn JobStore>> {
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
        StoreUrl::Redis(urls) => sharded::open(urls, limits, demand)?,
    })
}

/// Says no to a store that promises less.
fn demand(durability: Durability) -> Demand {
    Arc::new(move |findings| {
        let mut short = Vec::new();
        for finding in findings {
            match finding.severity {
                Severity::Fine => {}
                Severity::Warning if durability == Durability::Power => {
                    short.push(finding.message.as_str());
                }
                // Less than that was not asked for; the line on the store says what is promised.
                Severity::Warning => {
                    tracing::debug!(store.check = finding.check, "{}", finding.message);
                }
                Severity::Danger => {
                    tracing::warn!(store.check = finding.check, "{}", finding.message);
                    short.push(finding.message.as_str());
                }
            }
        }
        if durability > Durability::None && !short.is_empty() {
            return Err(format!(
                "the store does not promise what --durability asks: {}. Mend it, or say \
                 --durability none",
                short.join("; ")
            ));
        }
        Ok(())
    })
}

/// What stands before the edge: keys and TLS read from their files, and a warning where everybody
/// in reach may ask.
pub(crate) fn front_door(config: &Config) -> anyhow::Result<FrontDoor> {
    let access = match &config.keys {
        None => Access::open(),
        Some(path) => Access::with_keys(path.clone())?,
    };
    let doors = [("--bind", Some(config.bind)), ("--grpc-bind", config.grpc)];
    for (flag, address) in doors {
        let Some(address) = address.filter(|address| !address.ip().is_loopback()) else {
            continue;
        };
        if !access.is_locked() {
            terminal::note(&format!(
                "warning  {address} can be reached from other machines, and everybody there may \
                 ask: say --keys FILE, which beagle keys new makes, or {flag} 127.0.0.1:PORT"
            ));
            tracing::warn!(bind = %address, "no keys are asked for, and others can reach this");
        } else if config.tls.is_none() {
            tracing::warn!(bind = %address, "keys travel in the clear unless a proxy speaks TLS");
        }
    }
    let tls = config.tls.clone().map(Tls::open).transpose()?;
    Ok(FrontDoor {
        access: Arc::new(access),
        tls: tls.map(Arc::new),
        ..config.settings.door.clone()
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
