//! A connection from the moment it is accepted to its first bytes: room for it, TLS, and a stream
//! that ends with a peer that dawdles.
//!
//! For every protocol over TCP. Must not know: HTTP, gRPC, keys.

pub mod addresses;
mod head;
pub mod pace;
pub mod stream;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::tls::{Speaks, Tls};
use addresses::Addresses;
use stream::{Guarded, Transport};

/// Bounds on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one address at once.
    pub per_address: usize,
    /// TLS handshakes at once.
    pub handshakes: usize,
    /// How long a handshake may take.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take, each on its connection and not only the first.
    pub head_timeout: Duration,
    /// Most bytes of a head.
    pub head_bytes: usize,
    /// How long a peer may take for a part of what it is sent.
    pub write_timeout: Duration,
    /// How long a connection stays open between two requests.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_address: 1024,
            handshakes: 256,
            handshake_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(5),
            head_bytes: 32 << 10,
            write_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(5),
        }
    }
}

/// Why a connection is closed before it has begun.
#[derive(Debug, Error)]
pub enum Turned {
    /// Its address has as many as it may.
    #[error("{0} has as many connections as it may")]
    AddressFull(IpAddr),
    /// The handshake failed.
    #[error("no TLS with {0}: {1}")]
    Handshake(IpAddr, io::Error),
    /// The handshake took too long.
    #[error("no TLS with {0} in time")]
    HandshakeTooSlow(IpAddr),
    /// The peer has gone.
    #[error("the peer has gone: {0}")]
    Gone(#[from] io::Error),
}

/// Where connections come in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate {
    limits: Limits,
    addresses: Addresses,
    handshakes: Arc<Semaphore>,
    speaks: Speaks,
    tls: Option<Arc<Tls>>,
}

impl Gate {
    /// A gate without connections, for one protocol.
    #[must_use]
    pub fn new(limits: Limits, speaks: Speaks, tls: Option<Arc<Tls>>) -> Self {
        Self {
            limits,
            addresses: Addresses::new(limits.per_address),
            handshakes: Arc::new(Semaphore::new(limits.handshakes)),
            speaks,
            tls,
        }
    }

    /// Its bounds.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes a connection that was accepted.
    ///
    /// # Errors
    /// [`Turned`]: the connection is closed.
    pub async fn enter(&self, stream: TcpStream) -> Result<Guarded, Turned> {
        let peer = stream.peer_addr()?;
        let from = peer.ip();
        let place = self
            .addresses
            .enter(from)
            .ok_or(Turned::AddressFull(from))?;
        // Answers are whole: nothing is gained by waiting for more to send.
        stream.set_nodelay(true)?;
        let transport = match &self.tls {
            None => Transport::Plain(stream),
            Some(tls) => {
                let acceptor = TlsAcceptor::from(tls.config(self.speaks));
                let handshake = async {
                    // Whoever waits for its turn waits within its time.
                    let _turn = self.handshakes.acquire().await;
                    acceptor.accept(stream).await
                };
                let stream = timeout(self.limits.handshake_timeout, handshake)
                    .await
                    .map_err(|_| Turned::HandshakeTooSlow(from))?
                    .map_err(|error| Turned::Handshake(from, error))?;
                Transport::Tls(Box::new(stream))
            }
        };
        let has_heads = self.speaks == Speaks::Http1;
        Ok(Guarded::new(
            transport,
            peer,
            place,
            &self.limits,
            has_heads,
        ))
    }
}
