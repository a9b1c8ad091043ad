//! The Decoder: an upload's bytes to pixels, on a thread that may block. CPU heavy. Pixels that came
//! as such only become a job here, so that there is one place where uploads do.
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
use crate::message::{Ask, Decoded, Form, Upload};
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
            form,
            ask,
            mut ticket,
        } = upload;
        if ticket.is_abandoned() {
            return;
        }
        let started = Instant::now();
        let pixels = match form {
            Form::File => pixels(&bytes, &ask, &self.limits),
            Form::Pixels => as_they_are(&bytes, &ask),
        };
        if form == Form::File {
            ticket.decode = started.elapsed();
        }
        if let Some(trace) = ticket.trace {
            let mut span = Span::ending(Stage::Decode, trace, ticket.id, ticket.decode);
            span.failure = pixels.as_ref().err().map(|refusal| refusal.message.clone());
            self.observer.spent(&span);
        }
        let pixels = match pixels {
            Ok(pixels) => pixels,
            Err(refusal) => return ticket.refuse(refusal),
        };
        if form == Form::File {
            self.observer.saw(Fact::Decoded(ticket.decode));
        }
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
            idempotency: idempotency(&bytes, form, ask),
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

/// Pixels that came as such.
fn as_they_are(bytes: &Bytes, ask: &Ask) -> Result<Bytes, Refusal> {
    let wanted = ask.profile.geometry.pixel_bytes();
    if bytes.len() == wanted {
        return Ok(bytes.clone());
    }
    let message = format!(
        "these pixels are {} bytes: profile {} takes {wanted}",
        bytes.len(),
        ask.profile.name
    );
    Err(Refusal::new(ErrorCode::BadRequest, message))
}

/// The caller's key, bound to everything that was asked under it.
fn idempotency(bytes: &Bytes, form: Form, ask: Ask) -> Option<Idempotency> {
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
    if form == Form::Pixels {
        digest.update(b"pixels");
    }
    digest.update(bytes);
    let digest = digest.finalize();
    let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Idempotency { key, fingerprint })
}
