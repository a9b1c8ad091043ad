//! The transitions: one Lua script each, run by digest.
//!
//! A script is its own file behind `job.lua`; the first line of the file says whether it may run
//! at `maxmemory`. Redis forgets scripts when it restarts; whoever finds one missing loads it.
//! Must not know: what replies mean.

use std::time::Duration;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind, ToRedisArgs};
use serde_json::json;

use super::connection::Link;
use super::keys::{PREFIX, SCHEMA};
use crate::store::{Lease, StoreError, StoreLimits};

/// Longest time a script reckons with, 100 years in ms: sums stay whole numbers in Lua.
const LONGEST: u128 = 100 * 365 * 24 * 3600 * 1000;

/// All of them, with the limits they obey.
pub(super) struct Scripts {
    limits: String,
    pub(super) open: Script,
    pub(super) alive: Script,
    pub(super) enqueue: Script,
    pub(super) claim: Script,
    pub(super) start: Script,
    pub(super) heartbeat: Script,
    pub(super) complete: Script,
    pub(super) fail: Script,
    pub(super) release: Script,
    pub(super) cancel: Script,
    pub(super) tend: Script,
    pub(super) stats: Script,
    pub(super) retry: Script,
    pub(super) purge: Script,
    pub(super) deliveries: Script,
    pub(super) settle: Script,
    pub(super) close: Script,
}

impl Scripts {
    pub(super) fn new(limits: &StoreLimits) -> Self {
        let limits = json!({
            "schema": SCHEMA,
            "max_jobs": limits.max_jobs,
            "max_bytes": limits.max_bytes,
            "max_dead": limits.max_dead,
            "max_results": limits.max_results,
            "max_callbacks": limits.max_callbacks,
            "callback_ttl": millis(limits.callback_ttl),
            "max_attempts": limits.max_attempts,
            "result_ttl": millis(limits.result_ttl),
            "key_ttl": millis(limits.key_ttl),
            "lease": millis(limits.lease),
        });
        Self {
            limits: limits.to_string(),
            open: script(include_str!("lua/open.lua")),
            alive: script(include_str!("lua/alive.lua")),
            enqueue: script(include_str!("lua/enqueue.lua")),
            claim: script(include_str!("lua/claim.lua")),
            start: script(include_str!("lua/start.lua")),
            heartbeat: script(include_str!("lua/heartbeat.lua")),
            complete: script(include_str!("lua/complete.lua")),
            fail: script(include_str!("lua/fail.lua")),
            release: script(include_str!("lua/release.lua")),
            cancel: script(include_str!("lua/cancel.lua")),
            tend: script(include_str!("lua/tend.lua")),
            stats: script(include_str!("lua/stats.lua")),
            retry: script(include_str!("lua/retry.lua")),
            purge: script(include_str!("lua/purge.lua")),
            deliveries: script(include_str!("lua/deliveries.lua")),
            settle: script(include_str!("lua/settle.lua")),
            close: script(include_str!("lua/close.lua")),
        }
    }

    /// A call of a script; more arguments follow, `ARGV[2]` the first.
    pub(super) fn call<'a>(&'a self, script: &'a Script) -> Call<'a> {
        let mut command = redis::cmd("EVALSHA");
        command
            .arg(script.get_hash())
            .arg(1)
            .arg(PREFIX)
            .arg(&self.limits);
        Call { script, command }
    }
}

/// A script and its arguments.
pub(super) struct Call<'a> {
    script: &'a Script,
    command: Cmd,
}

impl Call<'_> {
    pub(super) fn arg(mut self, value: impl ToRedisArgs) -> Self {
        self.command.arg(value);
        self
    }

    pub(super) fn leases(mut self, leases: &[Lease]) -> Self {
        for lease in leases {
            self = self.arg(lease.id.to_string()).arg(lease.fence);
        }
        self
    }

    /// Runs it, once; a script that Redis does not know has not run.
    pub(super) async fn run<T: FromRedisValue>(&self, link: &Link) -> Result<T, StoreError> {
        let mut line = link.line().await?;
        let mut reply = self.command.query_async(&mut line.connection).await;
        if is_missing(&reply) {
            reply = match self.script.load_async(&mut line.connection).await {
                Ok(_) => self.command.query_async(&mut line.connection).await,
                Err(error) => Err(error),
            };
        }
        reply.map_err(|error| line.lost(&error))
    }

    /// Runs it after other commands, all in one transaction. The commands may run twice.
    pub(super) async fn run_after<T: FromRedisValue>(
        self,
        commands: Vec<Cmd>,
        link: &Link,
    ) -> Result<T, StoreError> {
        let mut all = redis::pipe();
        all.atomic();
        for command in commands {
            all.add_command(command).ignore();
        }
        all.add_command(self.command);
        let mut line = link.line().await?;
        let mut reply = all.query_async(&mut line.connection).await;
        if is_missing(&reply) {
            reply = match self.script.load_async(&mut line.connection).await {
                Ok(_) => all.query_async(&mut line.connection).await,
                Err(error) => Err(error),
            };
        }
        let (reply,) = reply.map_err(|error| line.lost(&error))?;
        Ok(reply)
    }
}

/// A time for a script, at least 1 ms.
pub(super) fn millis(time: Duration) -> u64 {
    time.as_millis().clamp(1, LONGEST) as u64
}

fn is_missing<T>(reply: &RedisResult<T>) -> bool {
    let missing = ErrorKind::Server(ServerErrorKind::NoScript);
    matches!(reply, Err(error) if error.kind() == missing)
}

fn script(own: &str) -> Script {
    // The first line (`#!lua ..`) must stay the first.
    let (shebang, body) = own.split_once('\n').unwrap_or((own, ""));
    Script::new(&format!(
        "{shebang}\n{}\n{body}",
        include_str!("lua/job.lua")
    ))
}
