//! A body on its way in: no slower and no larger than it may be, in no encoding, and within its
//! client's share of what is under way.
//!
//! Encodings are refused, not undone: an image does not get smaller, and what inflates is a way to
//! make a server work. Must not know: what the body is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _};
use bytes::Bytes;
use futures_util::Stream;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep_until};

use super::access;
use super::answer::refused_at;
use crate::edge::Edge;
use crate::edge::door::Door;
use crate::edge::shares::{Client, Share};
use crate::error::{ErrorCode, Refusal};
use crate::gate::pace::{Pace, Tempo};
use crate::gate::stream::Watch;

/// The encoding that is none.
const IDENTITY: &str = "identity";

/// Tells the connection that a request is worked on, whoever answers it.
pub(super) async fn begin(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let payload = request.take_payload();
    let has_body = !matches!(payload, Payload::None);
    request.set_payload(payload);
    let watch = request.conn_data::<Watch>();
    let _working = watch.map(|watch| watch.begin(has_body));
    // One request, then another connection's turn: whoever sends a thousand at once would have the
    // thread for all of them.
    yield_now().await;
    next.call(request).await
}

/// Refuses encodings, and sees to the pace of what is read.
pub(super) async fn watch(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    if let Err(refusal) = check_encoding(request.headers()) {
        let mut response = refused_at(request.path(), &refusal);
        let known = HeaderValue::from_static(IDENTITY);
        response.headers_mut().insert(ACCEPT_ENCODING, known);
        return Ok(request.into_response(response).map_into_right_body());
    }
    let payload = request.take_payload();
    let edge = request.app_data::<Data<Edge>>().cloned();
    if let (Some(edge), true) = (edge, !matches!(payload, Payload::None)) {
        let from = request.peer_addr().map(|peer| peer.ip());
        let client = Client::of(&access::caller_of(&request), from);
        let share = match edge.shares.enter(client) {
            Ok(share) => share,
            Err(refusal) => {
                let response = refused_at(request.path(), &refusal);
                return Ok(request.into_response(response).map_into_right_body());
            }
        };
        let tempo = request.app_data::<Data<Door>>().map(|door| door.upload);
        let mut body = Paced::new(payload, share, edge.body.bytes, tempo.unwrap_or_default());
        body.watch = request.conn_data::<Watch>().cloned();
        request.set_payload(Payload::Stream {
            payload: Box::pin(body),
        });
    }
    Ok(next.call(request).await?.map_into_left_body())
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut encodings = headers.get_all(CONTENT_ENCODING);
    if encodings.all(|encoding| {
        encoding
            .as_bytes()
            .eq_ignore_ascii_case(IDENTITY.as_bytes())
    }) {
        return Ok(());
    }
    let message = "the body has a Content-Encoding: send it as it is, images do not get smaller";
    Err(Refusal::new(ErrorCode::UnsupportedMediaType, message))
}

/// What is wrong with a body that could not be read.
pub(super) fn refuse(error: &PayloadError) -> Refusal {
    match error {
        PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            let message = "the body came too slowly: send it faster, or a smaller image";
            Refusal::new(ErrorCode::UploadTooSlow, message)
        }
        PayloadError::Io(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
            Refusal::new(ErrorCode::TooManyInFlight, error.to_string())
                .with_retry_after(Duration::from_secs(1))
        }
        PayloadError::Overflow => {
            let message = "the body, or what is in it beside images, is too large: send less";
            Refusal::new(ErrorCode::BodyTooLarge, message)
        }
        error => Refusal::new(
            ErrorCode::BadRequest,
            format!("the body cannot be read ({error}): check that it is complete"),
        ),
    }
}

/// A body that fails when it is too slow, too large or too much for its client.
struct Paced {
    body: Payload,
    share: Share,
    left: usize,
    pace: Pace,
    timer: Pin<Box<Sleep>>,
    watch: Option<Watch>,
}

impl Paced {
    fn new(body: Payload, share: Share, most: usize, tempo: Tempo) -> Self {
        let pace = Pace::new(tempo, Instant::now());
        Self {
            body,
            share,
            left: most,
            timer: Box::pin(sleep_until(pace.deadline().into())),
            pace,
            watch: None,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), PayloadError> {
        self.pace.moved(bytes, Instant::now());
        self.left = self.left.checked_sub(bytes).ok_or(PayloadError::Overflow)?;
        self.share.add(bytes).map_err(|refusal| {
            PayloadError::Io(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                refusal.message,
            ))
        })
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.body).poll_next(cx);
        if let Poll::Ready(Some(Ok(chunk))) = &next {
            self.take(chunk.len())?;
        }
        if matches!(next, Poll::Ready(None)) {
            if let Some(watch) = &self.watch {
                watch.body_is_read();
            }
            return next;
        }
        // An endless body is over in time even if it never pauses.
        let deadline = self.pace.deadline().into();
        if self.timer.deadline() != deadline {
            self.timer.as_mut().reset(deadline);
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            let late = io::Error::from(io::ErrorKind::TimedOut);
            return Poll::Ready(Some(Err(PayloadError::Io(late))));
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;
    use futures_util::{StreamExt as _, stream};

    use super::*;
    use crate::edge::BodyLimits;
    use crate::edge::admission::AdmissionLimits;
    use crate::edge::shares::Shares;

    const TEMPO: Tempo = Tempo {
        part: 10,
        window: Duration::from_secs(10),
        whole: Some(Duration::from_secs(60)),
    };

    fn paced(body: impl Stream<Item = Result<Bytes, PayloadError>> + 'static) -> Paced {
        let payload: Pin<Box<dyn Stream<Item = _>>> = Box::pin(body);
        let limits = AdmissionLimits {
            uploads: 2,
            bytes: 40,
        };
        let body = BodyLimits {
            bytes: 0,
            images: 1,
        };
        let shares = Shares::new(limits, &body);
        let share = shares.enter(Client::Address(None)).unwrap();
        Paced::new(Payload::Stream { payload }, share, 30, TEMPO)
    }

    #[actix_web::test]
    async fn a_body_that_stops_is_too_slow() {
        tokio::time::pause();
        let some = stream::iter([Ok(Bytes::from_static(b"some"))]);
        let mut body = paced(some.chain(stream::pending()));
        assert!(body.next().await.unwrap().is_ok());
        let error = body.next().await.unwrap().unwrap_err();
        assert_eq!(refuse(&error).code, ErrorCode::UploadTooSlow);
    }

    #[actix_web::test]
    async fn a_body_that_ends_is_not() {
        let whole = stream::iter([Ok(Bytes::from_static(b"all of it"))]);
        let mut body = paced(whole);
        assert!(body.next().await.unwrap().is_ok());
        assert!(body.next().await.is_none());
    }

    #[actix_web::test]
    async fn a_body_that_is_too_large_or_more_than_a_share_is_refused() {
        for (chunk, code) in [
            (31, ErrorCode::BodyTooLarge),
            (21, ErrorCode::TooManyInFlight),
        ] {
            let mut body = paced(stream::iter([Ok(Bytes::from(vec![0; chunk]))]));
            let error = body.next().await.unwrap().unwrap_err();
            assert_eq!(refuse(&error).code, code);
        }
    }

    #[test]
    fn what_is_cut_short_is_a_bad_request() {
        let refusal = refuse(&PayloadError::Incomplete(None));
        assert_eq!(refusal.code, ErrorCode::BadRequest);
    }

    #[test]
    fn every_encoding_but_none_is_refused() {
        for (values, allowed) in [
            (&[][..], true),
            (&["identity"], true),
            (&["gzip"], false),
            (&["gzip, gzip, gzip"], false),
            (&["identity", "br"], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let name = HeaderName::from_static("content-encoding");
                headers.append(name, HeaderValue::from_static(value));
            }
            assert_eq!(check_encoding(&headers).is_ok(), allowed, "{values:?}");
        }
    }
}
