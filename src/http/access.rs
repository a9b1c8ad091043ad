//! Keys over HTTP: where they stand in a request, which pages need none, whose jobs are whose.
//!
//! Must not know: how a key is checked, pages.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _, HttpRequest};

use super::answer;
use crate::access::caller::Caller;
use crate::access::key;
use crate::edge::door::Door;
use crate::error::Refusal;
use crate::respond::outcome;

/// Pages for balancers and supervisors, who have no keys, and those about the interface, which a
/// browser asks for without any: they tell nothing of anybody's work.
const OPEN: [&str; 7] = [
    "/",
    "/healthz",
    "/readyz",
    "/v2/health/live",
    "/v2/health/ready",
    "/openapi.json",
    "/docs",
];
/// The beginnings of such pages.
const OPEN_BELOW: [&str; 2] = ["/docs/", "/page/"];
/// The page that may be open.
const METRICS: &str = "/metrics";
/// The beginning of a job's pages.
const JOBS: &str = "/jobs/";

/// Who asks. In every request that came past [`guard`].
pub(super) fn caller(request: &HttpRequest) -> Caller {
    found(&request.extensions())
}

/// The same of a request that no page has taken yet.
pub(super) fn caller_of(request: &ServiceRequest) -> Caller {
    found(&request.extensions())
}

fn found(extensions: &Extensions) -> Caller {
    let caller = extensions.get::<Caller>().cloned();
    caller.unwrap_or_else(Caller::anyone)
}

/// Lets a request in, or answers why not.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    match enter(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(refusal) => {
            let response = answer::refused_at(request.path(), &refusal);
            Ok(request.into_response(response).map_into_right_body())
        }
    }
}

fn enter(request: &ServiceRequest) -> Result<Caller, Refusal> {
    let Some(door) = request.app_data::<Data<Door>>() else {
        return Ok(Caller::anyone());
    };
    // As the pages are found: what was escaped without need is not any more.
    let path = request.match_info().as_str();
    if is_open(path, door.open_metrics) {
        return Ok(Caller::anyone());
    }
    let from = request.peer_addr().map(|peer| peer.ip());
    let caller = door.access.enter(shown(request.headers()), from)?;
    match job(path) {
        // Another's job looks as if there were none.
        Some(name) if !caller.made(name) => Err(outcome::forgotten()),
        _ => Ok(caller),
    }
}

/// Whether a page asks for no key.
pub(super) fn is_open(path: &str, metrics: bool) -> bool {
    OPEN.contains(&path)
        || OPEN_BELOW.iter().any(|start| path.starts_with(start))
        || (metrics && path == METRICS)
}

/// The job that a page is about.
fn job(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(JOBS)?;
    rest.split('/').next()
}

/// What is shown as a key.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let value = |name: &str| headers.get(name).map(HeaderValue::as_bytes);
    key::shown(value(key::API_KEY), value(key::AUTHORIZATION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_tell_nothing_are_open() {
        for open in [
            "/healthz",
            "/readyz",
            "/docs",
            "/docs/a.js",
            "/",
            "/page/page.js",
            "/openapi.json",
            "/v2/health/live",
        ] {
            assert!(is_open(open, false), "{open}");
        }
        for closed in [
            "/page",
            "/healthz/",
            "/docsx",
            "/predict",
            "/jobs",
            "/v2",
            "/metrics",
            "/v2/health",
        ] {
            assert!(!is_open(closed, false), "{closed}");
        }
        assert!(is_open("/metrics", true));
        assert!(!is_open("/metrics/", true));
    }

    #[test]
    fn a_jobs_pages_name_it() {
        assert_eq!(job("/jobs/a"), Some("a"));
        assert_eq!(job("/jobs/a/events"), Some("a"));
        assert_eq!(job("/jobs/"), Some(""));
        assert_eq!(job("/jobs"), None);
        assert_eq!(job("/predict"), None);
    }
}
