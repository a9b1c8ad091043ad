//! `POST /v2/models/NAME/infer`: an inference request in, tensors out.
//!
//! Must not know: what is in a tensor, stages.

use actix_web::http::header::HeaderMap;
use actix_web::web::{self, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;

use super::answer::{self, JSON_LENGTH};
use super::asked::InferenceRequest;
use super::json;
use super::look::Named;
use super::said;
use crate::edge::{Edge, Image};
use crate::error::{ErrorCode, Refusal};
use crate::http::{access, ask, upload};
use crate::oip::error::OipError;
use crate::oip::infer::{self, Around, Inferred};
use crate::oip::model;
use crate::oip::plan::Plan;

/// Longer requests are read on a thread that may take its time.
const LONG: usize = 256 << 10;

/// Has images classified.
///
/// Each row is a job of its own; all are answered, or none. The body is JSON as shown, or the
/// binary extension: JSON, behind it the data of the inputs that say `binary_data_size` in place
/// of `data`, strings each behind its length (4 bytes, little endian), and
/// `Inference-Header-Content-Length`. A body with a Content-Encoding is refused.
#[utoipa::path(
    post,
    path = "/v2/models/{name}/infer",
    tag = "Open Inference Protocol",
    operation_id = "infer",
    params(
        ("name" = String, Path, description = "the model: a profile"),
        ("Idempotency-Key" = Option<String>, Header, nullable = false, min_length = 1,
            max_length = 200, pattern = "^[!-~]{1,200}$",
            description = "your own name for the request: under the same one it is the same jobs"),
        ("Inference-Header-Content-Length" = Option<u64>, Header, nullable = false, minimum = 1,
            description = "bytes of JSON before the binary data, if there is any")
    ),
    request_body(content = InferenceRequest, example = json!(super::asked::example())),
    responses(
        (status = 200, description = "the outputs: JSON, or JSON and behind it the data of those that are binary",
            content(
                (said::InferenceResponse<'static> = "application/json"),
                (said::WithBinaryData = "application/octet-stream")
            ),
            headers(
                ("X-Job-Id" = String, description = "the jobs, row by row, with commas between"),
                ("Inference-Header-Content-Length" = String,
                    description = "bytes of JSON before the binary data, if there is any")
            ))
    )
)]
pub(super) async fn infer(
    request: HttpRequest,
    named: Path<Named>,
    payload: Payload,
    edge: Data<Edge>,
) -> HttpResponse {
    match try_infer(&request, &named, payload, &edge).await {
        Ok((plan, inferred)) => answer::inferred(&plan, &inferred),
        Err(refusal) => answer::refused(&edge.with_retry_after(refusal)),
    }
}

async fn try_infer(
    request: &HttpRequest,
    named: &Named,
    payload: Payload,
    edge: &Edge,
) -> Result<(Plan, Inferred), Refusal> {
    edge.check_open()?;
    let headers = request.headers();
    let model = model::find(&edge.catalog, &named.name, &named.version)?.clone();
    let key = ask::idempotency_key(headers)?;
    let json_length = json_length(headers)?;
    let body = upload::body(headers, payload, &edge.body, &edge.admission).await?;
    let most = edge.body.images;
    let read = move |bytes: &Bytes| {
        let request = json::read(bytes, json_length)?;
        Plan::new(request, &model, most)
    };
    let Image { bytes, place } = body;
    let (read, place) = if bytes.len() > LONG {
        // The place goes where the bytes go: a caller that leaves meanwhile does not free it.
        let read = web::block(move || (read(&bytes), place)).await;
        read.map_err(|_| Refusal::new(ErrorCode::Lost, "the request was lost: ask again"))?
    } else {
        (read(&bytes), place)
    };
    let (plan, rows) = read?;
    let around = Around {
        caller: access::caller(request),
        traceparent: ask::traceparent(headers),
        key,
        timeout: None,
        place,
    };
    let inferred = infer::infer(edge, &plan, rows, around).await?;
    Ok((plan, inferred))
}

/// Where the binary data begins, if there is any.
fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Refusal> {
    let Some(length) = headers.get(JSON_LENGTH) else {
        return Ok(None);
    };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    match length {
        Some(length) if length > 0 => Ok(Some(length)),
        _ => {
            let reason = "Inference-Header-Content-Length is the number of bytes of JSON before the \
                          binary data, and there has to be JSON";
            Err(OipError::Unreadable(reason.to_owned()).into())
        }
    }
}
