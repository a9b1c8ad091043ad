//! Connections for gRPC: through the gate that those of HTTP come through, at most so many at once.
//!
//! Must not know: what is spoken on them.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, future, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;

use crate::gate::stream::Guarded;
use crate::gate::{Gate, Turned};

/// How long to wait after a connection could not be taken, for lack of descriptors for one.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection, and one of the places there are for connections.
pub(super) struct Counted {
    stream: Guarded,
    _place: OwnedSemaphorePermit,
}

/// Who is at the other end of a request's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Connections as they come, the next one only when there is a place. One that is still in its
/// handshake holds up no other.
pub(super) fn connections(
    listener: TcpListener,
    gate: Gate,
    most: usize,
) -> impl Stream<Item = io::Result<Counted>> {
    let places = Arc::new(Semaphore::new(most));
    let accepted = stream::unfold((listener, places), |(listener, places)| async {
        let place = places.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some(((stream, place), (listener, places))),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    });
    let entered = accepted.map(move |(stream, place)| {
        let gate = gate.clone();
        async move {
            let stream = gate.enter(stream).await?;
            Ok::<Counted, Turned>(Counted {
                stream,
                _place: place,
            })
        }
    });
    let entered = entered.buffer_unordered(most);
    entered.filter_map(|entered| {
        future::ready(match entered {
            Ok(counted) => Some(Ok(counted)),
            Err(turned) => {
                tracing::debug!(%turned, "a connection was not taken");
                None
            }
        })
    })
}

impl Connected for Counted {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer(self.stream.peer().ip())
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
