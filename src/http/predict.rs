//! `POST /predict`: images in, the article's JSON out.
//!
//! The handler reads, sends each image on its way and waits; it decides nothing. Must not know:
//! stages other than by their messages.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;

use super::answer;
use super::ask::{self, Patience};
use super::edge::Edge;
use super::pending::Pending;
use super::upload::{self, Image};
use crate::error::{ErrorCode, Refusal};
use crate::message::{Ask, Upload};
use crate::ticket::{Reply, Ticket};

pub(super) async fn predict(
    request: HttpRequest,
    payload: Payload,
    edge: Data<Edge>,
) -> HttpResponse {
    match accept(&request, payload, &edge).await {
        Err(refusal) => answer::refused(&edge.with_retry_after(refusal), None),
        Ok((pending, patience)) => {
            let several = pending.len() > 1;
            let wait = pending
                .into_iter()
                .map(|pending| pending.reply(patience.wait, patience.respond_async));
            let replies: Vec<Reply> = join_all(wait)
                .await
                .into_iter()
                .map(|reply| edge.timed(reply))
                .collect();
            match replies.as_slice() {
                [reply] if !several => answer::one(reply),
                replies => answer::many(replies),
            }
        }
    }
}

/// Reads a request and sends its images on their way.
async fn accept(
    request: &HttpRequest,
    payload: Payload,
    edge: &Edge,
) -> Result<(Vec<Pending>, Patience), Refusal> {
    edge.check_open()?;
    let (ask, patience) = ask::read(
        request.query_string(),
        request.headers(),
        &edge.catalog,
        &edge.times,
    )?;
    let images = upload::read(request.headers(), payload, &edge.body, &edge.admission).await?;
    let several = images.len() > 1;
    let mut pending = Vec::with_capacity(images.len());
    for (number, Image { bytes, place }) in images.into_iter().enumerate() {
        // Without patience the job's name is enough, once it is durable.
        let (ticket, receiver) = Ticket::open(place, patience.wait.is_zero());
        let ask = Ask {
            idempotency_key: key(&ask, number, several),
            ..ask.clone()
        };
        pending.push(Pending::new(
            &ticket,
            receiver,
            edge.abandoned.clone(),
            ask.keep,
        ));
        if edge
            .uploads
            .try_send(Upload { bytes, ask, ticket })
            .is_err()
        {
            let message = "the server is about to stop: ask another one, or this one later";
            return Err(Refusal::new(ErrorCode::ShuttingDown, message));
        }
    }
    let wait = if patience.wait.is_zero() {
        // Acceptance itself takes a moment.
        edge.times.request_timeout
    } else {
        patience.wait
    };
    Ok((pending, Patience { wait, ..patience }))
}

/// The caller's key, a key for each image if there are several.
fn key(ask: &Ask, number: usize, several: bool) -> Option<String> {
    let key = ask.idempotency_key.as_ref()?;
    Some(if several {
        format!("{key}#{number}")
    } else {
        key.clone()
    })
}
