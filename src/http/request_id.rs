//! `X-Request-Id`: taken from the request if it is a sound one, made otherwise, always answered;
//! and one line in the log a request.
//!
//! Must not know: what is asked.

use std::time::Instant;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use uuid::Uuid;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest name taken from a caller, in bytes.
const LONGEST: usize = 128;

pub(super) async fn name(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let given = request
        .headers()
        .get(REQUEST_ID)
        .filter(|id| is_sound(id))
        .cloned();
    let id = given.or_else(|| HeaderValue::from_str(&Uuid::now_v7().to_string()).ok());
    let line = format!("{} {}", request.method(), request.path());
    let mut response = next.call(request).await?;
    if let Some(id) = id {
        tracing::debug!(
            request.id = id.to_str().unwrap_or_default(),
            request.line = line,
            response.status = response.status().as_u16(),
            request.duration_ms = started.elapsed().as_secs_f64() * 1e3,
            "request answered"
        );
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// Letters, digits and a few marks: safe in any log.
fn is_sound(id: &HeaderValue) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(plain)
}
