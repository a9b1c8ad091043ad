//! Headers for browsers: what every answer says, and which other origins may read it.
//!
//! Must not know: pages, keys.

use actix_cors::Cors;
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, LOCATION, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::{Condition, Next};

use super::answer::{JOB_ID, SERVER_TIMING};

/// How long a browser may keep the answer to a preflight, in seconds.
const PREFLIGHT: usize = 3600;
/// What a page that is none may load or be shown in: nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// Adds what an answer does not say itself: it is what it says it is, nobody keeps it, and it is
/// no page. What is one says itself what it may load.
pub(super) async fn add(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    let is_page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let mut unless_said = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    unless_said(X_CONTENT_TYPE_OPTIONS, "nosniff");
    unless_said(CACHE_CONTROL, "no-store");
    if !is_page {
        unless_said(CONTENT_SECURITY_POLICY, NOTHING);
    }
    Ok(response)
}

/// Lets pages of these origins ask; without any, no browser lets a foreign page read an answer.
pub(super) fn cors(origins: &[String]) -> Condition<Cors> {
    let mut cors = Cors::default()
        .allowed_methods(["GET", "POST", "DELETE"])
        .allowed_headers([AUTHORIZATION, ACCEPT, CONTENT_TYPE])
        .allowed_headers([
            "idempotency-key",
            "last-event-id",
            "prefer",
            "traceparent",
            "tracestate",
            "x-api-key",
            "x-request-id",
            "x-request-timeout",
        ])
        .expose_headers([LOCATION, RETRY_AFTER])
        .expose_headers([JOB_ID, SERVER_TIMING, "X-Request-Id"])
        .max_age(PREFLIGHT);
    for origin in origins {
        cors = cors.allowed_origin(origin);
    }
    Condition::new(!origins.is_empty(), cors)
}
