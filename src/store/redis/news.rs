//! What Redis tells unasked: jobs that ended, and that there may be work.
//!
//! One subscription on a connection of its own, renewed when it breaks. What is said meanwhile is
//! lost, so after each renewal waiting claims look once of themselves. Must not know: scripts,
//! what jobs are beyond their names.

use std::time::Duration;

use redis::{PushInfo, PushKind, RedisError, Value};
use tokio::sync::{broadcast, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::address::Server;
use super::connection::Backoff;
use super::keys;
use crate::store::JobId;

/// How often a silent connection is asked whether it still is one.
const PING: Duration = Duration::from_secs(1);

/// Hears the news and passes it on.
pub(super) struct News {
    pub(super) server: Server,
    pub(super) ended: broadcast::Sender<JobId>,
    pub(super) bell: watch::Sender<()>,
    /// Whether it has begun to hear.
    pub(super) hears: watch::Sender<bool>,
}

impl News {
    /// Hears; ends never.
    pub(super) async fn hear(self) {
        let mut backoff = Backoff::new();
        loop {
            if let Err(error) = self.subscription(&mut backoff).await {
                tracing::debug!(%error, "redis subscription lost");
            }
            sleep(backoff.next()).await;
        }
    }

    /// One connection's life.
    async fn subscription(&self, backoff: &mut Backoff) -> Result<(), RedisError> {
        let (mut connection, mut told) = self.server.connect().await?;
        connection.subscribe(&[keys::ended(), keys::work()]).await?;
        self.hears.send_replace(true);
        self.bell.send_replace(());
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                push = told.recv() => match push {
                    Some(push) if push.kind != PushKind::Disconnection => self.pass_on(&push),
                    _ => return Ok(()),
                },
                _ = pings.tick() => {
                    redis::cmd("PING").exec_async(&mut connection).await?;
                    *backoff = Backoff::new();
                }
            }
        }
    }

    fn pass_on(&self, push: &PushInfo) {
        if push.kind != PushKind::Message {
            return;
        }
        let [Value::BulkString(channel), Value::BulkString(message)] = &push.data[..] else {
            return;
        };
        if *channel == keys::work().as_bytes() {
            self.bell.send_replace(());
        } else if let Some(id) = std::str::from_utf8(message)
            .ok()
            .and_then(|id| id.parse().ok())
        {
            // An error says that nobody waits for anything.
            let _ = self.ended.send(id);
        }
    }
}
