//! A request's bytes, paid for as they arrive, before they become a message.
//!
//! The library that speaks gRPC would keep as much as a message may have, for each stream there is.
//! Here an inference holds a place from its first byte on, as over HTTP; other requests are small. The
//! caller's own deadline counts from here, too. Must not know: what a request asks.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::codegen::{Body as _, BoxFuture, Service};
use tonic::server::NamedService;
use tonic::service::AxumBody;

use super::listen::Peer;
use super::{scan, status};
use crate::access::caller::Caller;
use crate::access::{Access, key};
use crate::edge::Edge;
use crate::edge::shares::Client;
use crate::error::{ErrorCode, Refusal};
use crate::observe::Fact;
use crate::ticket::Place;

/// The request that carries images.
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Requests of balancers and supervisors, who have no keys.
const OPEN: [&str; 2] = [
    "/inference.GRPCInferenceService/ServerLive",
    "/inference.GRPCInferenceService/ServerReady",
];
/// Bytes of any other request.
const SMALL: usize = 16 << 10;
/// Bytes before a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// What a request holds while the server works on its bytes, for who answers it.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<Mutex<Option<Place>>>);

impl Held {
    /// Takes it.
    pub(super) fn take(&self) -> Place {
        let place = self.0.lock().ok().and_then(|mut place| place.take());
        place.unwrap_or_default()
    }
}

/// How long the caller is ready to wait, if it says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(pub(super) Instant);

/// How many requests are being answered.
#[derive(Clone, Debug)]
pub(super) struct Busy(Arc<watch::Sender<usize>>);

impl Busy {
    /// None are.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Ready when none have been for so long.
    pub(super) async fn quiet(&self, long: Duration) {
        let mut count = self.0.subscribe();
        // It cannot be closed, for one end is held here.
        while count.wait_for(|count| *count == 0).await.is_ok() {
            if timeout(long, count.wait_for(|count| *count > 0))
                .await
                .is_err()
            {
                return;
            }
        }
    }

    fn enter(&self) -> Entered {
        self.0.send_modify(|count| *count += 1);
        Entered(self.0.clone())
    }
}

/// One request that is being answered.
struct Entered(Arc<watch::Sender<usize>>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Admits requests to a service.
#[derive(Clone)]
pub(super) struct Admit<S> {
    inner: S,
    edge: Arc<Edge>,
    access: Arc<Access>,
    busy: Busy,
}

impl<S> Admit<S> {
    pub(super) const fn new(inner: S, edge: Arc<Edge>, access: Arc<Access>, busy: Busy) -> Self {
        Self {
            inner,
            edge,
            access,
            busy,
        }
    }
}

impl<S: NamedService> NamedService for Admit<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Admit<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let (mut inner, edge) = (self.inner.clone(), self.edge.clone());
        let patience = patience(request.headers());
        let deadline = patience.map(|patience| Instant::now() + patience);
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(Deadline(deadline));
        }
        let (entered, counting) = (self.busy.enter(), edge.clone());
        let caller = caller(&request, &self.access);
        let answer = async move {
            let _entered = entered;
            let admitted = match caller {
                Ok(caller) => admitted(request, caller, &edge).await,
                Err(refusal) => Err(refusal),
            };
            match admitted {
                Ok(request) => inner.call(request).await,
                Err(refusal) => {
                    edge.observer.saw(Fact::Refused(refusal.code));
                    Ok(status::of(&edge.with_retry_after(refusal)).into_http())
                }
            }
        };
        Box::pin(async move {
            let Some(deadline) = deadline else {
                return answer.await;
            };
            // Dropped, it takes back what it asked for.
            let answer = timeout_at(deadline, answer).await;
            answer.unwrap_or_else(|_| {
                let patience = patience.unwrap_or_default();
                let message = format!("no answer within the {patience:?} that the caller gave");
                let refusal = Refusal::new(ErrorCode::TimedOut, message);
                counting.observer.saw(Fact::Refused(refusal.code));
                Ok(status::of(&refusal).into_http())
            })
        })
    }
}

/// Reads a request whole.
async fn admitted(
    request: Request<Body>,
    caller: Caller,
    edge: &Edge,
) -> Result<Request<Body>, Refusal> {
    if is_packed(request.headers()) {
        // The library refuses it by its head alone.
        return Ok(request);
    }
    let (mut head, body) = request.into_parts();
    let wait = edge.times.request_timeout;
    let read = async {
        if head.uri.path() != INFER {
            return whole(body, SMALL, |_| Ok(())).await;
        }
        edge.check_open()?;
        let from = head.extensions.get::<Peer>().map(|Peer(from)| *from);
        let mut share = edge.shares.enter(Client::of(&caller, from))?;
        let mut place = edge.admission.enter()?;
        let pay = |bytes| {
            share.add(bytes)?;
            edge.admission.add_bytes(&mut place, bytes)
        };
        let bytes = whole(body, edge.body.bytes, pay).await?;
        let grown = scan::check(bytes.get(HEAD..).unwrap_or_default(), edge.body.images)?;
        edge.admission.add_bytes(&mut place, grown)?;
        head.extensions
            .insert(Held(Arc::new(Mutex::new(Some(place)))));
        head.extensions.insert(caller);
        Ok(bytes)
    };
    let read = timeout(wait, read).await;
    let bytes = read.unwrap_or_else(|_| {
        let message = format!("the request did not arrive within {wait:?}");
        Err(Refusal::new(ErrorCode::UploadTooSlow, message))
    })?;
    Ok(Request::from_parts(head, Body::new(AxumBody::from(bytes))))
}

/// Who asks, by what it shows as a key.
fn caller(request: &Request<Body>, access: &Access) -> Result<Caller, Refusal> {
    if OPEN.contains(&request.uri().path()) {
        return Ok(Caller::anyone());
    }
    let shown = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    let shown = key::shown(shown(key::API_KEY), shown(key::AUTHORIZATION));
    let from = request.extensions().get::<Peer>().map(|Peer(from)| *from);
    access.enter(shown, from)
}

/// Whether the messages are compressed.
fn is_packed(headers: &HeaderMap) -> bool {
    let encoding = headers.get("grpc-encoding");
    encoding.is_some_and(|encoding| encoding != "identity")
}

/// Reads a body to its end; one that says that it is too long is refused at once.
async fn whole(
    mut body: Body,
    limit: usize,
    mut pay: impl FnMut(usize) -> Result<(), Refusal>,
) -> Result<Bytes, Refusal> {
    let mut read = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|status| {
            let message = format!(
                "the request cannot be read ({}): ask again",
                status.message()
            );
            Refusal::new(ErrorCode::BadRequest, message)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        pay(data.len())?;
        read.extend_from_slice(&data);
        if said(&read).max(read.len().saturating_sub(HEAD)) > limit {
            let message = format!("the message has more than {limit} bytes: send fewer images");
            return Err(Refusal::new(ErrorCode::BodyTooLarge, message));
        }
    }
    Ok(read.freeze())
}

/// How long the message says that it is.
fn said(read: &[u8]) -> usize {
    let length = read.get(1..HEAD).and_then(|length| length.try_into().ok());
    let length = length.map(u32::from_be_bytes);
    length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX))
}

/// The header `grpc-timeout`: at most eight digits and a unit.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let said = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = said.split_at_checked(said.len().checked_sub(1)?)?;
    if number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_patience_is_a_number_and_a_unit() {
        for (said, meant) in [
            ("2S", Some(Duration::from_secs(2))),
            ("1500m", Some(Duration::from_millis(1500))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("123456789S", None),
            ("5", None),
            ("-5S", None),
            ("5é", None),
        ] {
            let headers = [("grpc-timeout", said)];
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(name, value.parse().unwrap());
            }
            assert_eq!(patience(&map), meant, "{said}");
        }
    }

    #[test]
    fn a_message_says_how_long_it_is() {
        assert_eq!(said(&[0, 0, 0, 1, 2, 9, 9]), 258);
        assert_eq!(said(&[0, 0, 0, 1]), 0);
    }
}
