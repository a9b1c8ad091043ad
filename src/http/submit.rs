//! Images of a request on their way, and what their caller is told: the one way in for
//! `POST /predict` and `POST /jobs`, which differ in what they do for who says nothing.
//!
//! It reads, sends each image on its way and waits; it decides nothing. Must not know: stages
//! other than by their messages.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join_all;

use super::access;
use super::answer::{self, Told};
use super::ask::{self, Manner};
use super::said::Standing;
use super::upload;
use crate::edge::{Edge, Patience, Pending};
use crate::error::Refusal;
use crate::store::JobState;
use crate::ticket::Reply;

/// Images on their way.
struct Sent {
    pending: Vec<Pending>,
    ids: Vec<Option<String>>,
    is_list: bool,
    patience: Patience,
}

pub(super) async fn submit(
    request: &HttpRequest,
    payload: Payload,
    edge: &Edge,
    manner: Manner,
) -> HttpResponse {
    let sent = match accept(request, payload, edge, manner).await {
        Ok(sent) => sent,
        Err(refusal) => return answer::refused(&edge.with_retry_after(refusal), None),
    };
    let replies = edge.replies(sent.pending, sent.patience).await;
    let told = replies
        .into_iter()
        .zip(sent.ids)
        .map(|(reply, id)| async move {
            let standing = match (&reply, manner) {
                (Reply::Accepted(job, JobState::Queued), Manner::Name) => edge.standing(*job).await,
                _ => None,
            };
            Told {
                reply,
                id,
                standing: standing.map(Standing::from).unwrap_or_default(),
            }
        });
    let told = join_all(told).await;
    match told.as_slice() {
        [told] if !sent.is_list => answer::one(told),
        told => answer::many(told),
    }
}

/// Reads a request and sends its images on their way.
async fn accept(
    request: &HttpRequest,
    payload: Payload,
    edge: &Edge,
    manner: Manner,
) -> Result<Sent, Refusal> {
    edge.check_open()?;
    let (ask, patience) = ask::read(
        access::caller(request),
        request.query_string(),
        request.headers(),
        &edge.catalog,
        &edge.times,
        &edge.callbacks,
        manner,
    )?;
    let body = upload::read(request.headers(), payload, &edge.body, &edge.admission).await?;
    Ok(Sent {
        pending: edge.submit(body.images, &ask, patience)?,
        ids: body.ids,
        is_list: body.is_list,
        patience,
    })
}
