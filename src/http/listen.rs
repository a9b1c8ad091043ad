//! HTTP on a listener: each connection through the [`Gate`], then the pages.
//!
//! What actix-web's own server does, and two things that it cannot: the stream is the gate's, and
//! a refused connection never becomes one. HTTP/1.1 only: its bounds are known one by one, and
//! clients of HTTP/2 have gRPC. Must not know: pages, what is asked.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::Server;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;

use crate::error::ErrorCode;
use crate::gate::stream::Guarded;
use crate::gate::{Gate, Turned};
use crate::observe::{Fact, Observer};

/// How long the end of a connection may take: a client that is still sending a body that was
/// refused hears why if it is done by then.
const FAREWELL: Duration = Duration::from_secs(5);

/// How the server runs.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// Its threads.
    pub threads: usize,
    /// Connections at once.
    pub connections: usize,
    /// How long its end may take.
    pub grace: Duration,
}

/// Serves what `pages` makes, once a thread, until it is stopped.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve<F, I, S, B>(
    listener: TcpListener,
    gate: Gate,
    running: Running,
    observer: Arc<dyn Observer>,
    pages: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let builder = Server::build()
        .workers(running.threads)
        // Each thread has its part, and no listener goes on when all are full.
        .max_concurrent_connections(running.connections.div_ceil(running.threads))
        .shutdown_timeout(running.grace.as_secs())
        .disable_signals();
    let drained = builder.graceful_shutdown_signal();
    let factory = move || {
        let limits = *gate.limits();
        let (gate, observer, drained) = (gate.clone(), observer.clone(), drained.clone());
        let pages = pages()
            .into_factory()
            .map_err(|error| error.into().error_response());
        let http = HttpService::<Guarded, _, _>::build()
            .graceful_shutdown_signal(move || {
                let drained = drained.clone();
                async move { drained.notified().await }
            })
            .keep_alive(KeepAlive::Timeout(limits.keep_alive))
            .client_request_timeout(limits.head_timeout)
            .client_disconnect_timeout(FAREWELL)
            // A client that closes its side has gone: its work is dropped, not done for nobody.
            .h1_allow_half_closed(false)
            .on_connect_ext(|io: &Guarded, connection: &mut Extensions| {
                connection.insert(io.watch());
            })
            .finish(map_config(pages, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let (gate, observer) = (gate.clone(), observer.clone());
            async move {
                match gate.enter(stream).await {
                    Ok(stream) => {
                        let peer = stream.peer();
                        Ok((stream, Protocol::Http1, Some(peer)))
                    }
                    Err(turned) => Err(turn_away(&turned, &*observer)),
                }
            }
        })
        .and_then(http)
    };
    Ok(builder.listen("http", listener, factory)?.run())
}

fn turn_away(turned: &Turned, observer: &dyn Observer) -> DispatchError {
    tracing::debug!(error = %turned, "a connection is closed before it has begun");
    if matches!(turned, Turned::AddressFull(_)) {
        observer.saw(Fact::Refused(ErrorCode::TooManyConnections));
    }
    DispatchError::Io(io::Error::other(turned.to_string()))
}
