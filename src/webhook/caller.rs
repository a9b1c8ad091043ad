//! One call over HTTP: a name is looked up, every address checked, and nothing else connected to.
//!
//! No redirect is followed, no proxy of the environment is used, no answer's body is read. Must
//! not know: jobs, signatures, when to call again.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use thiserror::Error;
use ureq::Agent;
use ureq::config::{AutoHeaderValue, Config};
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Connector, NextTimeout, RustlsConnector, TcpConnector};

use super::guard::{Guard, Refused};
use super::target::{self, BadUrl, Target};

/// Most bytes of an answer's headers.
const HEADERS: usize = 16 << 10;
/// Most addresses of a name that are looked at; ureq holds no more.
const ADDRESSES: usize = 16;

/// Finds out where a name leads.
pub trait Names: Debug + Send + Sync + 'static {
    /// Its addresses, with the port.
    ///
    /// # Errors
    /// When there are none, or nobody says.
    fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's own way.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl Names for SystemNames {
    fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host, port).to_socket_addrs()?.collect())
    }
}

/// Certificates of authorities that may vouch for a receiver.
#[derive(Clone, Debug)]
pub struct Certificates(RootCerts);

impl Certificates {
    /// Reads a PEM file's text. `None` if there is no certificate in it, or something else.
    #[must_use]
    pub fn parse(pem: &[u8]) -> Option<Self> {
        let mut found: Vec<Certificate<'static>> = Vec::new();
        for item in parse_pem(pem) {
            match item.ok()? {
                PemItem::Certificate(certificate) => found.push(certificate),
                _ => return None,
            }
        }
        let some = !found.is_empty();
        some.then(|| Self(RootCerts::new_with_certs(&found)))
    }
}

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// For the name, and for the connection.
    pub connect: Duration,
    /// For everything.
    pub whole: Duration,
}

/// What a receiver said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// Why a receiver said nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// The URL is not one that is called.
    #[error("its URL is not called any more: {0}")]
    Url(#[from] BadUrl),
    /// It leads where nobody is called.
    #[error("{0}")]
    Address(#[from] Refused),
    /// Its name leads nowhere.
    #[error("its name cannot be looked up")]
    Name,
    /// It took too long.
    #[error("it did not answer in time")]
    Timeout,
    /// The connection failed.
    #[error("it cannot be reached: {0}")]
    Connection(String),
}

/// Calls.
#[derive(Debug)]
pub struct Caller {
    agent: Agent,
    guard: Arc<Guard>,
}

impl Caller {
    /// A caller that looks names up by `names`.
    pub fn new(
        names: Arc<dyn Names>,
        guard: Arc<Guard>,
        times: Times,
        certificates: Option<Certificates>,
    ) -> Self {
        let connector = ().chain(TcpConnector::default()).chain(RustlsConnector::default());
        Self::with(names, guard, times, certificates, connector)
    }

    /// The same with another way to connect.
    pub fn with(
        names: Arc<dyn Names>,
        guard: Arc<Guard>,
        times: Times,
        certificates: Option<Certificates>,
        connector: impl Connector,
    ) -> Self {
        let roots = certificates.map_or(RootCerts::WebPki, |Certificates(roots)| roots);
        let config = Agent::config_builder()
            .user_agent(concat!("beagle/", env!("CARGO_PKG_VERSION")))
            // No answer's body is read.
            .accept_encoding(AutoHeaderValue::None)
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A connection is for one call, so that each goes to an address that was just checked.
            .max_idle_connections(0)
            .max_response_header_size(HEADERS)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_resolve(Some(times.connect))
            .timeout_connect(Some(times.connect))
            .timeout_global(Some(times.whole))
            .build();
        let checked = Checked {
            names,
            guard: guard.clone(),
        };
        Self {
            agent: Agent::with_parts(config, connector, checked),
            guard,
        }
    }

    /// Posts a JSON text.
    ///
    /// # Errors
    /// [`Failure`] if no answer came.
    pub fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Failure> {
        // The rules may be others than when it was accepted.
        target::check(url, &self.guard)?;
        let mut request = self.agent.post(url).content_type("application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send(body).map_err(failure)?;
        // The rest of the answer is not read: the connection is closed.
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: retry_after(response.headers(), SystemTime::now()),
        })
    }
}

/// Looks names up and gives checked addresses alone: what ureq connects to is exactly these.
#[derive(Debug)]
struct Checked {
    names: Arc<dyn Names>,
    guard: Arc<Guard>,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let Target {
            encrypted,
            host,
            port,
        } = target::check(&uri.to_string(), &self.guard).map_err(other)?;
        let found = match host.parse() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => within(*timeout.after, Arc::clone(&self.names), host, port)
                .ok_or(ureq::Error::Timeout(timeout.reason))?
                .map_err(|_| ureq::Error::HostNotFound)?,
        };
        if found.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        let mut checked = self.empty();
        // One address that may not be called is enough: the name is not what it seems.
        for address in found.iter().take(ADDRESSES) {
            self.guard.check(encrypted, *address).map_err(other)?;
            checked.push(*address);
        }
        Ok(checked)
    }
}

/// The system's own look-up cannot be interrupted, so it is left behind when it takes too long.
fn within(
    time: Duration,
    names: Arc<dyn Names>,
    host: String,
    port: u16,
) -> Option<io::Result<Vec<SocketAddr>>> {
    let (tell, told) = mpsc::sync_channel(1);
    thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = tell.send(names.look_up(&host, port));
    });
    told.recv_timeout(time).ok()
}

fn other(refused: impl std::error::Error + Send + Sync + 'static) -> ureq::Error {
    ureq::Error::Other(Box::new(refused))
}

fn failure(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::Timeout,
        ureq::Error::HostNotFound => Failure::Name,
        ureq::Error::Other(error) => match error.downcast::<Refused>() {
            Ok(refused) => Failure::Address(*refused),
            Err(error) => match error.downcast::<BadUrl>() {
                Ok(bad) => Failure::Url(*bad),
                Err(error) => Failure::Connection(error.to_string()),
            },
        },
        error => Failure::Connection(error.to_string()),
    }
}

/// RFC 9110: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_asks_for_time_in_seconds_or_until_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 60);
        let asks = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(asks("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            asks("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(asks("Sun, 06 Nov 1994 08:00:00 GMT"), None);
        assert_eq!(asks("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
