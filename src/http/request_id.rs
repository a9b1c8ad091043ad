//! What a request is called: `X-Request-Id`, taken from the request if it is a sound one, made
//! otherwise, always answered; `traceparent`, its place in a trace; and one line in the log.
//!
//! Must not know: what is asked.

use std::time::Instant;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use uuid::Uuid;

use super::answer::JOB_ID;
use super::ask::TRACEPARENT;
use super::signs::Signs;
use crate::traceparent::TraceParent;
use crate::traces::Entered;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Pages that machines look at all day: traced only if the caller has begun a trace.
const PROBED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// Longest name taken from a caller, in bytes.
const LONGEST: usize = 128;

pub(super) async fn name(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let given = request
        .headers()
        .get(REQUEST_ID)
        .filter(|id| is_sound(id))
        .cloned();
    let id = given.or_else(|| HeaderValue::from_str(&Uuid::now_v7().to_string()).ok());
    let method = request.method().clone();
    let path = request.path().to_owned();
    let mut span = enter(&mut request);
    let mut response = next.call(request).await?;
    let status = response.status();
    let parent = span.as_ref().map(Entered::parent);
    if let Some(span) = &mut span {
        let pattern = response.request().match_pattern();
        span.note("http.route", pattern.unwrap_or_default());
        span.note("http.response.status_code", i64::from(status.as_u16()));
        if status.is_server_error() {
            span.fail(status.to_string());
        }
    }
    if let Some(id) = id {
        let text = id.to_str().unwrap_or_default();
        if let Some(span) = &mut span {
            span.note("beagle.request.id", text.to_owned());
        }
        tracing::debug!(
            request.id = text,
            request.line = format!("{method} {path}"),
            response.status = status.as_u16(),
            request.duration_ms = started.elapsed().as_secs_f64() * 1e3,
            job.id = text_of(response.headers(), JOB_ID),
            trace.id = parent.map(|parent| format!("{:032x}", parent.trace)),
            "request answered"
        );
        response.headers_mut().insert(REQUEST_ID, id);
    }
    if let Some(value) = parent.and_then(|parent| value(&parent)) {
        response
            .headers_mut()
            .insert(HeaderName::from_static(TRACEPARENT), value);
    }
    Ok(response)
}

/// Begins the request's span; whoever reads its headers from then on finds the span's place there
/// instead of the caller's.
fn enter(request: &mut ServiceRequest) -> Option<Entered> {
    let caller = text_of(request.headers(), TRACEPARENT);
    let caller = TraceParent::of(caller);
    let traces = &request.app_data::<Data<Signs>>()?.traces;
    // Names of spans are few: the route's pattern, not what callers put into it.
    let pattern = request.match_pattern();
    let pattern = pattern.as_deref().unwrap_or("*");
    if caller.is_none() && PROBED.contains(&pattern) {
        return None;
    }
    let name = format!("{} {pattern}", request.method());
    let mut span = traces.enter(name, caller)?;
    span.note("http.request.method", request.method().to_string());
    span.note("url.path", request.path().to_owned());
    let value = value(&span.parent())?;
    request
        .headers_mut()
        .insert(HeaderName::from_static(TRACEPARENT), value);
    Some(span)
}

fn value(parent: &TraceParent) -> Option<HeaderValue> {
    HeaderValue::from_str(&parent.to_string()).ok()
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Letters, digits and a few marks: safe in any log.
fn is_sound(id: &HeaderValue) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(plain)
}
