//! Connections that are kept and used again, and one request over one of them.
//!
//! As many are opened as requests are on their way at once; who sends bounds that. Must not know: what
//! requests are for.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};

use super::TargetError;
use crate::load::ended::Ended;

/// Longest answer that is read.
const LONGEST: usize = 4 << 20;
/// Letters of an answer that a person is shown.
const SHOWN: usize = 200;

/// A request as it is sent.
pub(super) type Sent = Request<Full<Bytes>>;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Answer {
    /// Its status and how it begins, for people.
    pub(super) fn told(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let shown: String = text
            .chars()
            .filter(|letter| !letter.is_control())
            .take(SHOWN)
            .collect();
        format!("status {}, {shown}", self.status)
    }
}

/// Why nothing came back.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) ended: Ended,
    /// For people.
    pub(super) reason: String,
}

impl Fault {
    fn new(ended: Ended, reason: impl ToString) -> Self {
        Self {
            ended,
            reason: reason.to_string(),
        }
    }

    fn from_hyper(error: &hyper::Error) -> Self {
        let garbled = error.is_parse() || error.is_parse_too_large();
        let ended = if garbled {
            Ended::Garbled
        } else {
            Ended::Broken
        };
        Self::new(ended, error)
    }
}

/// The connections to one server.
#[derive(Debug)]
pub(super) struct Connections {
    addresses: Vec<SocketAddr>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Connections {
    /// Looks the host up, once.
    pub(super) async fn find(base: &Uri) -> Result<Self, TargetError> {
        let host = base.host().unwrap_or_default();
        let port = base.port_u16().unwrap_or(80);
        let unknown = |reason: io::Error| TargetError::UnknownHost {
            host: host.to_owned(),
            reason: reason.to_string(),
        };
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = lookup_host((plain, port)).await.map_err(unknown)?;
        Ok(Self {
            addresses: addresses.collect(),
            idle: Mutex::default(),
        })
    }

    /// One request and its whole answer. A kept connection that turns out to be closed before anything
    /// was written to it is replaced; once a byte may have been seen, nothing is sent twice.
    pub(super) async fn exchange(&self, mut request: Sent) -> Result<Answer, Fault> {
        loop {
            let (mut connection, kept) = match self.kept().await {
                Some(connection) => (connection, true),
                None => (self.open().await?, false),
            };
            let response = match connection.try_send_request(request).await {
                Ok(response) => response,
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if kept => {
                        request = unsent;
                        continue;
                    }
                    _ => return Err(Fault::from_hyper(failed.error())),
                },
            };
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| match error.downcast_ref::<hyper::Error>() {
                Some(error) => Fault::from_hyper(error),
                None => Fault::new(Ended::Garbled, error),
            })?;
            self.keep(connection);
            return Ok(Answer {
                status,
                body: body.to_bytes(),
            });
        }
    }

    /// The connection that was used last, if it is still good.
    async fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let mut connection = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()?;
            if connection.ready().await.is_ok() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: SendRequest<Full<Bytes>>) {
        if !connection.is_closed() {
            self.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
        }
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, Fault> {
        let none = |error: io::Error| Fault::new(Ended::NoConnection, error);
        let stream = TcpStream::connect(&self.addresses[..])
            .await
            .map_err(none)?;
        stream.set_nodelay(true).map_err(none)?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| Fault::from_hyper(&error))?;
        // Its errors come to whoever sends.
        tokio::spawn(connection);
        Ok(sender)
    }
}
