//! The first look at a Redis: whether it can be used, and what it promises.
//!
//! A store may be opened while its Redis is down; then the look is taken when it answers, and
//! every call is refused until then. Must not know: how jobs move.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::connection::{Backoff, Link, Welcome};
use super::doctor::Facts;
use super::keys::SCHEMA;
use super::scripts::Scripts;
use crate::store::{Demand, StoreError, StoreLimits};

/// Longest wait for the news; whoever waits for a job looks for itself now and then.
const HEARS: Duration = Duration::from_secs(1);

/// Takes the first look.
pub(super) struct Greeter {
    /// One that may be used before anybody is welcome.
    pub(super) link: Link,
    /// The other one.
    pub(super) bulk: Link,
    pub(super) scripts: Arc<Scripts>,
    pub(super) consumer: String,
    pub(super) limits: StoreLimits,
    /// Says no to a Redis that does not keep what is asked of it.
    pub(super) demand: Demand,
    /// Where calls see whether they may be made.
    pub(super) welcome: watch::Sender<Welcome>,
    /// Whether the news is heard.
    pub(super) hears: watch::Receiver<bool>,
    /// Rung when they may.
    pub(super) bell: watch::Sender<()>,
    /// Hears once how the first attempt ended.
    pub(super) first: SyncSender<Result<(), StoreError>>,
}

impl Greeter {
    /// Looks until this Redis can be used.
    pub(super) async fn meet(&self) {
        let mut backoff = Backoff::new();
        loop {
            let looked = self.look().await;
            let (welcome, outcome) = match looked {
                Ok(durability) => (Welcome::Yes(durability), Ok(())),
                Err(error @ StoreError::Unavailable(_)) => (Welcome::NotYet, Err(error)),
                Err(error) => (Welcome::No(error.clone()), Err(error)),
            };
            let done = outcome.is_ok();
            if done {
                // One of several that still connects would be taken for down.
                let _ = self.bulk.connected().await;
                // So that no end of a job is missed from the first call on.
                let mut hears = self.hears.clone();
                let _ = timeout(HEARS, hears.wait_for(|hears| *hears)).await;
            }
            self.welcome.send_replace(welcome);
            // Nobody hears it but `open`, once.
            let _ = self.first.try_send(outcome);
            if done {
                self.bell.send_replace(());
                return;
            }
            sleep(backoff.next()).await;
        }
    }

    /// Gives what an accepted job survives. Writes nothing unless all is well.
    async fn look(&self) -> Result<String, StoreError> {
        let facts = Facts::read(&self.link).await?;
        facts.check_version()?;
        (self.demand)(&facts.findings(&self.limits)).map_err(StoreError::Unusable)?;
        let call = self.scripts.call(&self.scripts.open).arg(&self.consumer);
        let schema: String = call.run(&self.link).await?;
        if schema != SCHEMA.to_string() {
            return Err(StoreError::Unusable(format!(
                "the queue in Redis has schema {schema}, this Beagle knows {SCHEMA}: use the \
                 Beagle that wrote it, or another database"
            )));
        }
        Ok(facts.durability())
    }
}
