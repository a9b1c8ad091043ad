//! Where a Redis is: at an address, where sentinels say, or where a cluster keeps the queue.
//!
//! All keys have one hash tag, so in a cluster the whole queue is on one node, and a plain
//! connection to that node does all there is to do. The client library's own cluster and sentinel
//! connections are not used: they send each command its own way, and a queue needs one connection
//! that it knows the end of. After each break it is asked anew where Redis is. Must not know:
//! scripts, jobs, how a connection is kept.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue,
    IntoConnectionInfo, ProtocolVersion, PushInfo, RedisError, RedisResult,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::keys::PREFIX;
use crate::store::StoreError;

/// Longest time to connect and sign in.
const CONNECT: Duration = Duration::from_secs(1);
/// Longest time for an answer. No blocking command runs on any of these connections.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// Where sentinels listen, if it is not said.
const SENTINEL_PORT: u16 = 26_379;
/// Where a cluster's nodes listen, if it is not said.
const PORT: u16 = 6_379;

/// A Redis and the way there.
#[derive(Clone)]
pub(in crate::store) struct Server {
    /// User, password, database; the address too if it is one.
    info: ConnectionInfo,
    way: Way,
    /// Without secrets: `127.0.0.1:6379/0`.
    pub(in crate::store) place: String,
}

#[derive(Clone)]
enum Way {
    Direct,
    /// Sentinels, asked one after the other for the primary of this name.
    Sentinel(Vec<ConnectionInfo>, String),
    /// Nodes, asked one after the other who has the queue's slot.
    Cluster(Vec<ConnectionInfo>),
}

impl Server {
    /// Reads `redis://`, `rediss://`, `redis+unix://` and `unix://` addresses, and those of
    /// sentinels and clusters.
    pub(in crate::store) fn parse(url: &str) -> Result<Self, StoreError> {
        // The text of the crate's error has no part of the address, which may hold a password.
        let wrong = |error: RedisError| {
            StoreError::Unusable(format!(
                "the address of Redis is wrong ({error}): give it as \
                 redis://[user:password@]host[:port][/db], unix:///path, \
                 redis+sentinel://[user:password@]host[:port],host../name[/db] or \
                 redis+cluster://[user:password@]host[:port],host.."
            ))
        };
        match url.split_once("://") {
            Some((scheme @ ("redis+sentinel" | "rediss+sentinel"), rest)) => {
                let plain = scheme.trim_end_matches("+sentinel");
                Self::behind_sentinels(plain, rest).map_err(wrong)
            }
            Some((scheme @ ("redis+cluster" | "rediss+cluster"), rest)) => {
                let plain = scheme.trim_end_matches("+cluster");
                Self::in_a_cluster(plain, rest).map_err(wrong)
            }
            _ => {
                let info = info(url).map_err(wrong)?;
                let db = info.redis_settings().db();
                let place = match info.addr() {
                    ConnectionAddr::Unix(path) => format!("{} db {db}", path.display()),
                    ConnectionAddr::TcpTls { host, port, .. } => {
                        format!("{host}:{port}/{db} (TLS)")
                    }
                    addr => format!("{addr}/{db}"),
                };
                Ok(Self {
                    info,
                    way: Way::Direct,
                    place,
                })
            }
        }
    }

    fn behind_sentinels(scheme: &str, rest: &str) -> RedisResult<Self> {
        let (credentials, hosts, path) = split(rest);
        let (name, db) = path.split_once('/').unwrap_or((path, "0"));
        if name.is_empty() {
            return Err(invalid("it names no primary"));
        }
        // The password is that of Redis; sentinels are asked without one.
        let sentinels = nodes(scheme, "", hosts, SENTINEL_PORT, "")?;
        Ok(Self {
            // The host is put in its place when it is known.
            info: info(&format!("{scheme}://{credentials}localhost/{db}"))?,
            way: Way::Sentinel(sentinels, name.to_owned()),
            place: format!("{name}/{db} behind sentinels {hosts}"),
        })
    }

    fn in_a_cluster(scheme: &str, rest: &str) -> RedisResult<Self> {
        let (credentials, hosts, path) = split(rest);
        if !matches!(path, "" | "0") {
            return Err(invalid("a cluster has one database"));
        }
        let nodes = nodes(scheme, credentials, hosts, PORT, "/0")?;
        let first = nodes.first().cloned();
        Ok(Self {
            info: first.ok_or_else(|| invalid("it names no node"))?,
            way: Way::Cluster(nodes),
            place: format!("cluster {hosts}"),
        })
    }

    /// What is not promised here that a Redis alone would.
    pub(super) fn caveat(&self) -> Option<&'static str> {
        match self.way {
            Way::Direct => None,
            Way::Sentinel(..) => Some(
                "behind sentinels: a failover loses what the replica had not copied, accepted jobs \
                 too, and what has ended since may run again",
            ),
            Way::Cluster(_) => Some(
                "in a cluster, the whole queue on one of its nodes: a failover loses what the \
                 replica had not copied, accepted jobs too, and what has ended since may run again",
            ),
        }
    }

    /// Whether it may be elsewhere after a while.
    pub(super) const fn moves(&self) -> bool {
        !matches!(self.way, Way::Direct)
    }

    /// A new connection, and what Redis says on it unasked.
    pub(super) async fn connect(
        &self,
    ) -> RedisResult<(MultiplexedConnection, mpsc::UnboundedReceiver<PushInfo>)> {
        let info = match &self.way {
            Way::Direct => self.info.clone(),
            Way::Sentinel(sentinels, name) => {
                self.first_of(sentinels, async |sentinel| primary(sentinel, name).await)
                    .await?
            }
            Way::Cluster(nodes) => self.first_of(nodes, owner).await?,
        };
        let (tell, told) = mpsc::unbounded_channel();
        let mut connection = open(&info, config().set_push_sender(tell)).await?;
        if matches!(self.way, Way::Sentinel(..)) {
            // A sentinel that has been cut off names who was the primary.
            let role: Vec<redis::Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
            if String::from_redis_value_ref(role.first().unwrap_or(&redis::Value::Nil))? != "master"
            {
                return Err(invalid("the sentinels name a server that is no primary"));
            }
        }
        Ok((connection, told))
    }

    /// Where the first says that Redis is; the last one's error if none does.
    async fn first_of(
        &self,
        asked: &[ConnectionInfo],
        ask: impl AsyncFn(&ConnectionInfo) -> RedisResult<(String, u16)>,
    ) -> RedisResult<ConnectionInfo> {
        let mut last = invalid("nobody is named who could be asked");
        for one in asked {
            match ask(one).await {
                Ok((host, port)) => {
                    let mut addr = self.info.addr().clone();
                    match &mut addr {
                        ConnectionAddr::TcpTls {
                            host: at, port: on, ..
                        }
                        | ConnectionAddr::Tcp(at, on) => (*at, *on) = (host, port),
                        ConnectionAddr::Unix(_) => {}
                        _ => {}
                    }
                    return Ok(self.info.clone().set_addr(addr));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Asks a sentinel for the primary.
async fn primary(sentinel: &ConnectionInfo, name: &str) -> RedisResult<(String, u16)> {
    let mut connection = open(sentinel, config()).await?;
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let known: Option<(String, u16)> = command.query_async(&mut connection).await?;
    known.ok_or_else(|| invalid("the sentinels know no primary of this name"))
}

/// Asks a node who has the queue.
async fn owner(node: &ConnectionInfo) -> RedisResult<(String, u16)> {
    let mut connection = open(node, config()).await?;
    let mut command = redis::cmd("CLUSTER");
    command.arg("KEYSLOT").arg(PREFIX);
    let slot: u16 = command.query_async(&mut connection).await?;
    let mut command = redis::cmd("CLUSTER");
    command.arg("SLOTS");
    let ranges: Vec<Vec<redis::Value>> = command.query_async(&mut connection).await?;
    for range in ranges {
        // First, last, the primary, its replicas.
        let [first, last, owner, ..] = &range[..] else {
            continue;
        };
        if !(u16::from_redis_value_ref(first)?..=u16::from_redis_value_ref(last)?).contains(&slot) {
            continue;
        }
        let owner: Vec<redis::Value> = FromRedisValue::from_redis_value_ref(owner)?;
        if let [host, port, ..] = &owner[..] {
            let host: Option<String> = FromRedisValue::from_redis_value_ref(host)?;
            // A node that does not know its own address leaves it out.
            let host = host.filter(|host| !host.is_empty() && host != "?");
            let host = host.unwrap_or_else(|| host_of(node));
            return Ok((host, u16::from_redis_value_ref(port)?));
        }
    }
    Err(invalid("no node of the cluster has the queue's slot"))
}

async fn open(
    info: &ConnectionInfo,
    config: AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    let client = Client::open(info.clone())?;
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    match timeout(CONNECT, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
}

/// An address as the library reads it. With its third protocol it says at once when a connection
/// breaks.
fn info(url: &str) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
        // Whether another part of the program has chosen one does not matter.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let settings = info.redis_settings().clone();
    Ok(info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3)))
}

/// `[credentials@]hosts[/path]`; the credentials with their `@`.
fn split(rest: &str) -> (&str, &str, &str) {
    let (credentials, rest) = rest.split_at(rest.rfind('@').map_or(0, |at| at + 1));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    (credentials, hosts, path)
}

fn nodes(
    scheme: &str,
    credentials: &str,
    hosts: &str,
    port: u16,
    db: &str,
) -> RedisResult<Vec<ConnectionInfo>> {
    let node = |host: &str| {
        // The colons of an IPv6 address stand before its bracket.
        let named = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let port = if named {
            String::new()
        } else {
            format!(":{port}")
        };
        info(&format!("{scheme}://{credentials}{host}{port}{db}"))
    };
    hosts.split(',').map(node).collect()
}

fn host_of(info: &ConnectionInfo) -> String {
    match info.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => "localhost".to_owned(),
    }
}

fn invalid(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_and_clusters_are_read_and_shown_without_secrets() {
        let place = |url: &str| Server::parse(url).map(|server| server.place);
        for (url, wanted) in [
            ("redis://:sesame@h:1/2", "h:1/2"),
            ("rediss://u:sesame@h", "h:6379/0 (TLS)"),
            (
                "redis+sentinel://:sesame@a,b:1/main/3",
                "main/3 behind sentinels a,b:1",
            ),
            ("redis+cluster://u:sesame@a:1,[::1]", "cluster a:1,[::1]"),
        ] {
            assert_eq!(place(url).unwrap(), wanted);
        }
        for url in [
            "redis+sentinel://:sesame@a:1",
            "redis+cluster://:sesame@a/1",
            "redis+cluster://:sesame@a:b",
        ] {
            let error = place(url).unwrap_err().to_string();
            assert!(
                !error.contains("sesame") && error.contains("redis+"),
                "{error}"
            );
        }
    }

    #[test]
    fn those_who_are_asked_have_their_ports_and_no_password_that_is_not_theirs() {
        let server = Server::parse("redis+sentinel://:sesame@a,[::1]:5/main").unwrap();
        let Way::Sentinel(sentinels, name) = &server.way else {
            panic!("these are sentinels");
        };
        let addresses: Vec<String> = sentinels.iter().map(|one| one.addr().to_string()).collect();
        assert_eq!(addresses, ["a:26379", "::1:5"]);
        assert!(
            sentinels
                .iter()
                .all(|one| one.redis_settings().password().is_none())
        );
        assert_eq!(name, "main");
        assert_eq!(server.info.redis_settings().password(), Some("sesame"));
    }
}
