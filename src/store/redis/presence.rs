//! The store's own thread: what must go on whatever the rest of the process does.
//!
//! It keeps the connections, hears the news, and says every second that this process lives, so
//! that neither inference nor a full executor makes the others take its jobs. It also hands back
//! what claims took whose answers never arrived. Must not know: what jobs are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{Notify, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use super::connection::{Keeper, Link};
use super::greeting::Greeter;
use super::news::News;
use super::scripts::Scripts;
use crate::store::StoreError;

/// How often a process says that it lives; what it says holds for five of these.
const TICK: Duration = Duration::from_secs(1);

/// Claims that are under way or whose answers were lost.
#[derive(Default)]
pub(super) struct Claims {
    next: AtomicU64,
    lost: Mutex<Vec<u64>>,
    one_was_lost: Notify,
}

/// One claim call. Lost unless it is said to have arrived: dropped half way, or failed.
pub(super) struct Claim<'a> {
    /// Its name, new in this process.
    pub(super) name: u64,
    claims: &'a Claims,
    arrived: bool,
}

/// Ends the thread when dropped.
pub(super) struct Thread {
    _stop: oneshot::Sender<()>,
}

/// What the thread does.
pub(super) struct Work {
    pub(super) keepers: [Keeper; 2],
    pub(super) news: News,
    pub(super) link: Link,
    pub(super) scripts: Arc<Scripts>,
    pub(super) claims: Arc<Claims>,
    pub(super) consumer: String,
    pub(super) greeter: Greeter,
}

impl Claims {
    /// A new claim.
    pub(super) fn begin(&self) -> Claim<'_> {
        Claim {
            name: self.next.fetch_add(1, Ordering::Relaxed),
            claims: self,
            arrived: false,
        }
    }

    fn take_lost(&self) -> Vec<u64> {
        std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add_lost(&self, names: &[u64]) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.extend_from_slice(names);
    }
}

impl Claim<'_> {
    /// Who claimed has it all.
    pub(super) fn arrived(mut self) {
        self.arrived = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.arrived {
            self.claims.add_lost(&[self.name]);
            self.claims.one_was_lost.notify_one();
        }
    }
}

impl Work {
    /// Runs it in a thread of its own until the [`Thread`] is dropped.
    pub(super) fn begin(self) -> Result<Thread, StoreError> {
        let failed = |error: std::io::Error| {
            StoreError::Unavailable(format!("its thread does not start: {error}"))
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new()
            .name("beagle-redis".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = self.go_on() => {}
                    }
                });
                // A name that cannot be looked up any more must not keep the thread.
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Thread { _stop: stop })
    }

    async fn go_on(self) {
        let live = async {
            self.greeter.meet().await;
            say_alive(&self.link, &self.scripts, &self.claims, &self.consumer).await;
        };
        let [first, second] = self.keepers;
        tokio::join!(first.keep(), second.keep(), self.news.hear(), live);
    }
}

async fn say_alive(link: &Link, scripts: &Scripts, claims: &Claims, consumer: &str) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = claims.one_was_lost.notified() => {}
        }
        let lost = claims.take_lost();
        let call = scripts.call(&scripts.alive).arg(consumer).arg(&lost);
        if let Err(error) = call.run::<()>(link).await {
            claims.add_lost(&lost);
            tracing::debug!(%error, "could not say that this process lives");
        }
    }
}
