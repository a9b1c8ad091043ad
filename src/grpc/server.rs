//! The server: a runtime of its own, started and stopped by the composition root.
//!
//! Its own, because the root's is the one on which the Batcher and the Responder run, and messages
//! of many megabytes are taken apart here. Must not know: stages, other listeners.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::{FutureExt as _, Stream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::transport::Server;

use super::admit::{Admit, Busy};
use super::listen::{self, Counted};
use super::proto::grpc_inference_service_server::GrpcInferenceServiceServer;
use super::service::Inference;
use crate::access::Access;
use crate::edge::Edge;
use crate::edge::door::Door;
use crate::gate::Gate;
use crate::tls::Speaks;

/// A connection on which nothing was heard for so long is asked whether it is still there.
const SILENCE: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const SIGN: Duration = Duration::from_secs(10);
/// How long a last answer may take to be sent, and a client that is not asking anything to close its
/// connection.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Bytes of a request's headers.
const HEADERS: u32 = 16 << 10;

/// Bounds on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Threads of the runtime.
    pub threads: usize,
    /// Connections at once.
    pub connections: usize,
    /// Requests at once on each.
    pub streams: usize,
}

/// A server that listens.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<Duration>,
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Running {
    /// Listens.
    ///
    /// # Errors
    /// When the listener or a thread cannot be used.
    pub fn start(
        listener: TcpListener,
        edge: Arc<Edge>,
        door: &Door,
        bounds: Bounds,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(bounds.threads)
            .thread_name("grpc")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let gate = Gate::new(door.connections, Speaks::Http2, door.tls.clone());
        let access = door.access.clone();
        let run = move || {
            let outcome = runtime.block_on(run(listener, gate, access, edge, bounds, stopped));
            runtime.shutdown_background();
            // Nobody asks for it after a stop that ran out of time.
            let _ = end.send(outcome);
        };
        thread::Builder::new().name("grpc".to_owned()).spawn(run)?;
        Ok(Self {
            address,
            stop,
            ended,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Ready when it has ended by itself, which it should not.
    pub async fn ended(&mut self) -> io::Error {
        match (&mut self.ended).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => io::Error::other("the gRPC server has ended by itself"),
        }
    }

    /// Takes no more connections and requests; those there are have so long to get their answers.
    pub async fn stop(self, patience: Duration) {
        // If it has ended before, that is known already.
        let _ = self.stop.send(patience);
        let _ = self.ended.await;
    }
}

async fn run(
    listener: TcpListener,
    gate: Gate,
    access: Arc<Access>,
    edge: Arc<Edge>,
    bounds: Bounds,
    stopped: oneshot::Receiver<Duration>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = listen::connections(listener, gate, bounds.connections);
    // Whoever drops the other end stops it at once.
    let stopped = stopped.map(Result::unwrap_or_default).shared();
    let patience = stopped.clone();
    let busy = Busy::new();
    let answering = busy.clone();
    let over = async move {
        // When nobody waits for an answer any more, or the time is over.
        let _ = timeout(patience.await, answering.quiet(LAST_WORD)).await;
    };
    tokio::select! {
        served = serve(connections, edge, access, bounds, busy, stopped.map(drop)) => served,
        () = over => Ok(()),
    }
}

/// Serves connections of any kind, until `stop` is ready and those there are have their answers.
///
/// # Errors
/// When the server cannot go on.
async fn serve(
    connections: impl Stream<Item = io::Result<Counted>>,
    edge: Arc<Edge>,
    access: Arc<Access>,
    bounds: Bounds,
    busy: Busy,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let service = GrpcInferenceServiceServer::new(Inference::new(edge.clone()))
        .max_decoding_message_size(edge.body.bytes);
    Server::builder()
        .max_concurrent_streams(u32::try_from(bounds.streams).unwrap_or(u32::MAX))
        .http2_keepalive_interval(Some(SILENCE))
        .http2_keepalive_timeout(Some(SIGN))
        .http2_max_header_list_size(HEADERS)
        .add_service(Admit::new(service, edge, access, busy))
        .serve_with_incoming_shutdown(connections, stop)
        .await
        .map_err(io::Error::other)
}
