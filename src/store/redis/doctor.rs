//! Looks at everything in a Redis that durability depends on, and says what to change.
//!
//! Must not know: how jobs move.

use std::collections::HashMap;

use redis::{Cmd, FromRedisValue};

use super::connection::Link;
use super::keys;
use super::look;
use super::scripts::Scripts;
use crate::store::{Finding, Priority, Severity, StoreError, StoreLimits, UnixMillis};

/// Oldest version that has what is used: scripts that run at `maxmemory`, lag of a group.
const OLDEST: (u32, u32) = (7, 0);

/// What a Redis says of itself.
pub(super) struct Facts {
    info: HashMap<String, String>,
    /// `None` where `CONFIG` is not permitted, as with most managed ones.
    config: Option<HashMap<String, String>>,
}

impl Facts {
    /// Asks for them.
    pub(super) async fn read(link: &Link) -> Result<Self, StoreError> {
        let info: String = ask(link, &redis::cmd("INFO")).await?;
        let info = info.lines().filter_map(|line| line.split_once(':'));
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("appendonly").arg("appendfsync");
        command.arg("maxmemory").arg("maxmemory-policy");
        let mut line = link.line().await?;
        let config = match command.query_async(&mut line.connection).await {
            Ok(config) => Some(config),
            Err(error) if error.is_io_error() => return Err(line.lost(&error)),
            Err(_) => None,
        };
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.trim().to_owned());
        Ok(Self {
            info: info.map(owned).collect(),
            config,
        })
    }

    /// Refuses a version that lacks what is needed.
    pub(super) fn check_version(&self) -> Result<(), StoreError> {
        if self.version() >= OLDEST {
            return Ok(());
        }
        Err(StoreError::Unusable(format!(
            "Redis {} is too old: 7.0 or newer is needed, or any Valkey",
            self.info("redis_version")
        )))
    }

    /// What an accepted job survives, in one sentence.
    pub(super) fn durability(&self) -> String {
        let text = match (self.config("appendonly"), self.config("appendfsync")) {
            (None, _) => {
                "Redis does not show its configuration: what a job survives is for whoever runs it \
                 to say"
            }
            (Some("yes"), Some("always")) => {
                "accepted jobs survive kill -9 of Beagle and of Redis, and loss of power; not a \
                 failover to a replica"
            }
            (Some("yes"), _) => {
                "accepted jobs survive kill -9 of Beagle and of Redis; loss of power costs the \
                 last second or so, and a failover to a replica what was not copied"
            }
            _ => {
                "accepted jobs survive kill -9 of Beagle, but not of Redis, which has no \
                 append-only file"
            }
        };
        text.to_owned()
    }

    fn version(&self) -> (u32, u32) {
        let mut parts = self
            .info("redis_version")
            .split('.')
            .map(|part| part.parse().ok());
        let mut next = || parts.next().flatten().unwrap_or(0);
        (next(), next())
    }

    fn info(&self, name: &str) -> &str {
        self.info.get(name).map_or("", String::as_str)
    }

    fn config(&self, name: &str) -> Option<&str> {
        self.config.as_ref()?.get(name).map(String::as_str)
    }

    /// What is found, job counts left out.
    pub(super) fn findings(&self, limits: &StoreLimits) -> Vec<Finding> {
        let mut all = vec![self.of_version(), self.of_role()];
        if self.config.is_some() {
            all.extend([
                self.of_appendonly(),
                self.of_appendfsync(),
                self.of_policy(),
            ]);
            all.push(self.of_maxmemory(limits));
        } else {
            all.push(finding(
                "config",
                Severity::Warning,
                "CONFIG GET is not permitted, so appendonly, appendfsync, maxmemory and \
                 maxmemory-policy could not be checked: see to it that they are yes, everysec or \
                 always, more than the queue's bytes, and noeviction"
                    .to_owned(),
            ));
        }
        all.push(self.of_last_write());
        all
    }

    fn of_version(&self) -> Finding {
        let name = match self.info("valkey_version") {
            "" => format!("Redis {}", self.info("redis_version")),
            version => format!("Valkey {version}"),
        };
        match self.check_version() {
            Ok(()) => finding("version", Severity::Fine, name),
            Err(error) => finding("version", Severity::Danger, error.to_string()),
        }
    }

    fn of_role(&self) -> Finding {
        match (self.info("role"), self.info("connected_slaves")) {
            ("master", "0" | "") => finding("role", Severity::Fine, "a primary alone".to_owned()),
            ("master", replicas) => finding(
                "role",
                Severity::Warning,
                format!(
                    "a primary with {replicas} replicas: a failover loses what was not copied yet, \
                     so accepted jobs may be gone after one"
                ),
            ),
            (role, _) => finding(
                "role",
                Severity::Danger,
                format!("this Redis is a {role}: give the address of the primary"),
            ),
        }
    }

    fn of_appendonly(&self) -> Finding {
        match self.config("appendonly") {
            Some("yes") => finding("appendonly", Severity::Fine, "yes".to_owned()),
            _ => finding(
                "appendonly",
                Severity::Danger,
                "no: accepted jobs are lost when Redis stops. CONFIG SET appendonly yes, and in \
                 its configuration file"
                    .to_owned(),
            ),
        }
    }

    fn of_appendfsync(&self) -> Finding {
        let (severity, message) = match self.config("appendfsync") {
            Some("always") => (Severity::Fine, "always: survives loss of power"),
            Some("everysec") => (
                Severity::Fine,
                "everysec: survives kill -9 of Redis; loss of power costs the last second or so \
                 (`always` survives that too, at a third of the speed)",
            ),
            _ => (
                Severity::Warning,
                "no: loss of power costs whatever the system had not written, up to half a minute: \
                 CONFIG SET appendfsync everysec",
            ),
        };
        finding("appendfsync", severity, message.to_owned())
    }

    fn of_policy(&self) -> Finding {
        match self.config("maxmemory-policy") {
            Some("noeviction") => {
                finding("maxmemory-policy", Severity::Fine, "noeviction".to_owned())
            }
            other => finding(
                "maxmemory-policy",
                Severity::Danger,
                format!(
                    "{}: a Redis that is full throws accepted jobs away. CONFIG SET \
                     maxmemory-policy noeviction",
                    other.unwrap_or("unknown")
                ),
            ),
        }
    }

    fn of_maxmemory(&self, limits: &StoreLimits) -> Finding {
        const CHECK: &str = "maxmemory";
        let most: u64 = self
            .config(CHECK)
            .and_then(|most| most.parse().ok())
            .unwrap_or(0);
        // Pixels cost a little more than themselves, and outcomes and dead letters come on top.
        let wanted = limits.max_bytes.saturating_add(limits.max_bytes / 8);
        if most == 0 {
            let message = format!(
                "none: Redis takes what it needs, so the machine must have more than {wanted} \
                 bytes to spare"
            );
            return finding(CHECK, Severity::Fine, message);
        }
        if most < wanted {
            let message = format!(
                "{most} bytes, and the queue may hold {} bytes of pixels: Redis would refuse jobs \
                 before the queue is full. Raise it to {wanted} or more, or lower the queue's \
                 bound",
                limits.max_bytes
            );
            return finding(CHECK, Severity::Warning, message);
        }
        finding(CHECK, Severity::Fine, format!("{most} bytes"))
    }

    fn of_last_write(&self) -> Finding {
        let aof = self.info("aof_last_write_status");
        let dump = self.info("rdb_last_bgsave_status");
        let fine = |status: &str| status.is_empty() || status == "ok";
        let (severity, message) = if fine(aof) && fine(dump) {
            (Severity::Fine, "ok".to_owned())
        } else {
            let message = format!(
                "append-only file {aof}, snapshot {dump}: Redis cannot write to its disk; see \
                 whether it is full"
            );
            (Severity::Danger, message)
        };
        finding("last-write", severity, message)
    }
}

/// See [`JobStore::doctor`](crate::store::JobStore::doctor).
pub(super) async fn examine(
    link: &Link,
    scripts: &Scripts,
    limits: &StoreLimits,
) -> Result<Vec<Finding>, StoreError> {
    let mut all = Facts::read(link).await?.findings(limits);
    all.push(of_groups(link).await?);
    let stats = look::stats(link, scripts).await?;
    let age = stats
        .oldest
        .map_or(0, |oldest| UnixMillis::now().since(oldest).as_secs());
    let depth = format!(
        "{} queued, {} running, {} bytes; the oldest arrived {age} s ago",
        stats.queued, stats.running, stats.bytes
    );
    all.push(finding("depth", Severity::Fine, depth));
    Ok(all)
}

async fn of_groups(link: &Link) -> Result<Finding, StoreError> {
    let mut absent = Vec::new();
    for priority in Priority::ALL {
        let mut command = redis::cmd("XINFO");
        command.arg("GROUPS").arg(keys::stream(priority.name()));
        let mut line = link.line().await?;
        match command
            .query_async::<Vec<HashMap<String, redis::Value>>>(&mut line.connection)
            .await
        {
            Ok(groups) if groups.iter().any(is_ours) => {}
            Err(error) if error.is_io_error() => return Err(line.lost(&error)),
            Ok(_) | Err(_) => absent.push(priority.name()),
        }
    }
    if absent.is_empty() {
        return Ok(finding(
            "group",
            Severity::Fine,
            "there for every priority".to_owned(),
        ));
    }
    let message = format!(
        "absent for {}: data were lost (FLUSHALL, or a restart without a file); it is made again \
         by the next claim",
        absent.join(", ")
    );
    Ok(finding("group", Severity::Warning, message))
}

fn is_ours(group: &HashMap<String, redis::Value>) -> bool {
    matches!(group.get("name"), Some(redis::Value::BulkString(name)) if *name == keys::GROUP.as_bytes())
}

async fn ask<T: FromRedisValue>(link: &Link, command: &Cmd) -> Result<T, StoreError> {
    let mut line = link.line().await?;
    let reply = command.query_async(&mut line.connection).await;
    reply.map_err(|error| line.lost(&error))
}

fn finding(check: &str, severity: Severity, message: String) -> Finding {
    Finding {
        check: check.to_owned(),
        severity,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(info: &[(&str, &str)], config: &[(&str, &str)]) -> Facts {
        let owned = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()));
            pairs.collect::<HashMap<_, _>>()
        };
        Facts {
            info: owned(info),
            config: (!config.is_empty()).then(|| owned(config)),
        }
    }

    fn severity(facts: &Facts, check: &str) -> Severity {
        let all = facts.findings(&StoreLimits::default());
        let one = all.iter().find(|finding| finding.check == check);
        one.unwrap_or_else(|| panic!("{check} is not among {all:?}"))
            .severity
    }

    #[test]
    fn a_redis_without_lag_and_flags_is_refused() {
        for (version, usable) in [
            ("6.2.14", false),
            ("7.0.0", true),
            ("10.1", true),
            ("", false),
        ] {
            let facts = facts(&[("redis_version", version)], &[]);
            assert_eq!(facts.check_version().is_ok(), usable, "{version}");
        }
    }

    #[test]
    fn what_can_lose_jobs_is_a_danger() {
        let bad = facts(
            &[("role", "slave"), ("aof_last_write_status", "err")],
            &[("appendonly", "no"), ("maxmemory-policy", "allkeys-lru")],
        );
        for check in [
            "version",
            "role",
            "appendonly",
            "maxmemory-policy",
            "last-write",
        ] {
            assert_eq!(severity(&bad, check), Severity::Danger, "{check}");
        }
    }

    #[test]
    fn a_maxmemory_below_the_queues_bytes_is_a_warning() {
        let small = facts(&[], &[("maxmemory", "1000000")]);
        assert_eq!(severity(&small, "maxmemory"), Severity::Warning);
        let large = facts(&[], &[("maxmemory", "8589934592")]);
        assert_eq!(severity(&large, "maxmemory"), Severity::Fine);
    }

    #[test]
    fn a_hidden_configuration_is_a_warning_that_names_what_is_unknown() {
        let managed = facts(&[("role", "master")], &[]);
        assert_eq!(severity(&managed, "config"), Severity::Warning);
        assert!(managed.durability().contains("does not show"));
    }

    #[test]
    fn durability_follows_the_append_only_file() {
        let said = |appendonly, appendfsync| {
            let config = [("appendonly", appendonly), ("appendfsync", appendfsync)];
            facts(&[], &config).durability()
        };
        assert!(said("no", "always").contains("but not of Redis"));
        assert!(said("yes", "everysec").contains("last second"));
        assert!(said("yes", "always").contains("and loss of power"));
    }
}
