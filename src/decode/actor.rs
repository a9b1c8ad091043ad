//! The Decoder: an upload's bytes to pixels, on a thread that may block. CPU heavy.
//!
//! A pool of these shares one queue, which the edge bounds by places before it sends. Must not
//! know: HTTP, stores, networks, which stage comes next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use actix::dev::SendError;
use actix::{Actor, Handler, Recipient, SyncContext};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Limits, decode};
use crate::error::{ErrorCode, Refusal};
use crate::message::{Ask, Decoded, Upload};
use crate::observe::{Fact, Observer, Point, Span, Stage};
use crate::store::{Idempotency, NewJob, UnixMillis};

/// Turns uploads into pixels.
pub struct Decoder {
    limits: Limits,
    next: Recipient<Decoded>,
    observer: Arc<dyn Observer>,
}

impl Decoder {
    /// A Decoder that hands pixels to `next`.
    #[must_use]
    pub fn new(limits: Limits, next: Recipient<Decoded>, observer: Arc<dyn Observer>) -> Self {
        Self {
            limits,
            next,
            observer,
        }
    }
}

impl Actor for Decoder {
    type Context = SyncContext<Self>;
}

impl Handler<Upload> for Decoder {
    type Result = ();

    fn handle(&mut self, upload: Upload, _: &mut Self::Context) {
        let Upload {
            bytes,
            ask,
            mut ticket,
        } = upload;
        if ticket.is_abandoned() {
            return;
        }
        let started = Instant::now();
        let pixels = pixels(&bytes, &ask, &self.limits);
        ticket.decode = started.elapsed();
        if let Some(trace) = ticket.trace {
            let mut span = Span::ending(Stage::Decode, trace, ticket.id, ticket.decode);
            span.failure = pixels.as_ref().err().map(|refusal| refusal.message.clone());
            self.observer.spent(&span);
        }
        let pixels = match pixels {
            Ok(pixels) => pixels,
            Err(refusal) => return ticket.refuse(refusal),
        };
        self.observer.saw(Fact::Decoded(ticket.decode));
        self.observer.reached(Point::Decoded, ticket.id);
        let keep = ask.keep || ask.idempotency_key.is_some();
        let job = NewJob {
            id: ticket.id,
            pixels,
            profile: ask.profile.name.clone(),
            top: ask.top,
            priority: ask.priority,
            created: UnixMillis::now(),
            deadline: ask.deadline,
            callback: ask.callback.clone(),
            traceparent: ask.traceparent.clone(),
            idempotency: idempotency(&bytes, ask),
        };
        drop(bytes);
        // The place stays with the ticket until the next stage has counted the job as its own.
        let decoded = Decoded { job, keep, ticket };
        if let Err(SendError::Full(decoded) | SendError::Closed(decoded)) =
            self.next.try_send(decoded)
        {
            let message = "the server has as many uploads as it may: ask again";
            decoded
                .ticket
                .refuse(Refusal::new(ErrorCode::QueueFull, message));
        }
    }
}

/// The network's input; a panic of a decoder costs this upload alone.
fn pixels(bytes: &Bytes, ask: &Ask, limits: &Limits) -> Result<Bytes, Refusal> {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        decode(bytes, limits, &ask.profile.geometry)
    }));
    match decoded {
        Ok(Ok(pixels)) => Ok(Bytes::from(pixels.into_data())),
        Ok(Err(error)) => Err(Refusal::from(&error)),
        Err(_) => Err(Refusal::new(
            ErrorCode::DecoderPanicked,
            "the decoder failed on this image: send it in another format",
        )),
    }
}

/// The caller's key, bound to everything that was asked under it.
fn idempotency(bytes: &Bytes, ask: Ask) -> Option<Idempotency> {
    let key = ask.idempotency_key?;
    let mut digest = Sha256::new();
    digest.update(ask.profile.name.as_bytes());
    digest.update([0]);
    digest.update(ask.top.to_le_bytes());
    if let Some(callback) = &ask.callback {
        digest.update([1]);
        digest.update(callback.url.len().to_le_bytes());
        digest.update(&callback.url);
    }
    digest.update(bytes);
    let digest = digest.finalize();
    let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Idempotency { key, fingerprint })
}
