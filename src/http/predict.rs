//! `POST /predict`: images in, the article's JSON out.
//!
//! The handler reads, sends each image on its way and waits; it decides nothing. Must not know:
//! stages other than by their messages.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::{answer, ask, upload};
use crate::edge::{Edge, Patience, Pending};
use crate::error::Refusal;

pub(super) async fn predict(
    request: HttpRequest,
    payload: Payload,
    edge: Data<Edge>,
) -> HttpResponse {
    match accept(&request, payload, &edge).await {
        Err(refusal) => answer::refused(&edge.with_retry_after(refusal), None),
        Ok((pending, patience)) => {
            let several = pending.len() > 1;
            let replies = edge.replies(pending, patience).await;
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
        &edge.callbacks,
    )?;
    let images = upload::read(request.headers(), payload, &edge.body, &edge.admission).await?;
    Ok((edge.submit(images, &ask, patience)?, patience))
}
