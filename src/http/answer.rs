//! Replies as HTTP: the one table from code to status, and the headers of every answer.
//!
//! Must not know: how a reply came about.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::oip;
use super::said::{Accepted, ErrorBody, Failure, Item, Items, Job, Standing, Success};
use crate::error::{ErrorCode, Refusal};
use crate::respond::outcome;
use crate::store::{JobId, JobState, JobView};
use crate::ticket::{Reply, Timing};

/// Header with the job's name.
pub(super) const JOB_ID: &str = "X-Job-Id";
/// Header with the time of each stage (W3C Server Timing), in milliseconds.
pub(super) const SERVER_TIMING: &str = "Server-Timing";

/// How to show a key (RFC 6750).
pub(super) const CHALLENGE: &str = "Bearer realm=\"beagle\"";

/// The status of each code: the one place that knows.
pub(super) const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest
        | ErrorCode::BadCallback
        | ErrorCode::CallbacksOff
        | ErrorCode::UnknownProfile => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::RateLimited | ErrorCode::TooManyInFlight | ErrorCode::TooManyConnections => {
            StatusCode::TOO_MANY_REQUESTS
        }
        ErrorCode::NotFound | ErrorCode::UnknownJob => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::UploadTooSlow => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::Cancelled => StatusCode::CONFLICT,
        ErrorCode::BodyTooLarge | ErrorCode::TooManyImages | ErrorCode::ImageTooManyBytes => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        ErrorCode::UnsupportedMediaType | ErrorCode::UnsupportedFormat => {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        }
        ErrorCode::MalformedBase64
        | ErrorCode::EmptyImage
        | ErrorCode::ImageTooWide
        | ErrorCode::ImageTooHigh
        | ErrorCode::ImageTooManyPixels
        | ErrorCode::ImageTooMuchMemory
        | ErrorCode::MalformedImage
        | ErrorCode::DecoderPanicked
        | ErrorCode::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::QueueFull | ErrorCode::StoreUnavailable | ErrorCode::ShuttingDown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorCode::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::DeadLetter | ErrorCode::Lost => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a response says no to, for who counts.
pub(super) struct Refused(pub(super) Vec<ErrorCode>);

/// What is told of one image.
pub(super) struct Told {
    /// What became of it.
    pub(super) reply: Reply,
    /// The caller's own name for it.
    pub(super) id: Option<String>,
    /// Where its job stands, if that was asked.
    pub(super) standing: Standing,
}

/// The answer to one image.
pub(super) fn one(told: &Told) -> HttpResponse {
    match &told.reply {
        Reply::Answered(answer) => HttpResponse::Ok()
            .insert_header((JOB_ID, answer.id.to_string()))
            .insert_header((SERVER_TIMING, server_timing(&answer.timing)))
            .json(Success {
                success: true,
                predictions: &answer.predictions,
            }),
        Reply::Refused(refusal, job) => refused(refusal, *job),
        Reply::Accepted(job, state) => HttpResponse::Accepted()
            .insert_header((LOCATION, place(*job)))
            .insert_header((JOB_ID, job.to_string()))
            .json(Accepted {
                success: true,
                job: *job,
                state: *state,
                standing: told.standing,
            }),
    }
}

/// The answer to several images, in their order: the status is the first's if all failed alike
/// or none did, else 207.
pub(super) fn many(told: &[Told]) -> HttpResponse {
    let results: Vec<Item<'_>> = told.iter().map(item).collect();
    let mut statuses = told.iter().map(|told| reply_status(&told.reply));
    let first = statuses.next().unwrap_or(StatusCode::OK);
    let status = if statuses.all(|status| status == first) {
        first
    } else {
        StatusCode::MULTI_STATUS
    };
    let mut response = HttpResponse::build(status);
    let refusals = || {
        told.iter().filter_map(|told| match &told.reply {
            Reply::Refused(refusal, _) => Some(refusal),
            _ => None,
        })
    };
    let retry_after = refusals().filter_map(|refusal| refusal.retry_after).max();
    add_retry_after(&mut response, retry_after);
    let codes = refusals().map(|refusal| refusal.code).collect();
    response.extensions_mut().insert(Refused(codes));
    // Of one job alone, the headers are as if it were no list.
    if let [only] = told {
        if let Reply::Accepted(job, _) = only.reply {
            response.insert_header((LOCATION, place(job)));
        }
        if let Some(job) = results.first().and_then(|item| item.job) {
            response.insert_header((JOB_ID, job.to_string()));
        }
    }
    response.json(Items {
        success: results.iter().all(|item| item.success),
        results,
    })
}

/// Whether the process can do its work, and if not when to look again.
pub(super) fn ready(ready: bool) -> HttpResponseBuilder {
    if ready {
        return HttpResponse::Ok();
    }
    let mut response = HttpResponse::ServiceUnavailable();
    add_retry_after(&mut response, Some(Duration::from_secs(1)));
    response
}

/// A refusal, of a job if there is one.
pub(super) fn refused(refusal: &Refusal, job: Option<JobId>) -> HttpResponse {
    let mut response = refusing(status(refusal.code), refusal);
    if let Some(job) = job {
        response.insert_header((JOB_ID, job.to_string()));
    }
    response.json(failure(refusal, job))
}

/// A refusal in the form of the protocol that a path belongs to.
pub(super) fn refused_at(path: &str, refusal: &Refusal) -> HttpResponse {
    if oip::has(path) {
        oip::refused(refusal)
    } else {
        refused(refusal, None)
    }
}

/// A refusal of a method, with those that there are.
pub(super) fn refused_method(refusal: &Refusal, allowed: &str) -> HttpResponse {
    let mut response = refusing(status(refusal.code), refusal);
    response
        .insert_header((ALLOW, allowed))
        .json(failure(refusal, None))
}

fn failure(refusal: &Refusal, job: Option<JobId>) -> Failure<'_> {
    Failure {
        success: false,
        error: ErrorBody::from(refusal),
        job,
    }
}

/// A refusal whose body is still to be said.
pub(super) fn refusing(status: StatusCode, refusal: &Refusal) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    add_retry_after(&mut response, refusal.retry_after);
    if refusal.code == ErrorCode::Unauthorized {
        response.insert_header((WWW_AUTHENTICATE, CHALLENGE));
    }
    response
        .extensions_mut()
        .insert(Refused(vec![refusal.code]));
    response
}

/// What is known of a job, as JSON: `write` is given it while what it borrows lives.
pub(super) fn with_job<T>(
    view: &JobView,
    standing: Standing,
    write: impl FnOnce(&Job<'_>) -> T,
) -> T {
    let ended = view.state.is_final().then(|| outcome::of(view));
    let (predictions, refusal) = match ended {
        Some(Ok(record)) => (Some(record.predictions), None),
        Some(Err(refusal)) => (None, Some(refusal)),
        None => (None, None),
    };
    write(&Job {
        id: view.id,
        state: view.state,
        profile: &view.profile,
        top: view.top,
        attempts: view.attempts,
        created_ms: view.created.0,
        finished_ms: view.finished.map(|finished| finished.0),
        standing,
        predictions,
        error: refusal.as_ref().map(ErrorBody::from),
        callback: view.delivery.as_ref().map(|delivery| delivery.state),
    })
}

/// What is known of a job.
pub(super) fn job(view: &JobView, standing: Standing) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((JOB_ID, view.id.to_string()));
    with_job(view, standing, |job| response.json(job))
}

/// The same, as it is written down for whoever is called back.
pub fn job_body(view: &JobView) -> Vec<u8> {
    // Strings and numbers always serialise; what is not a number becomes null.
    with_job(view, Standing::default(), |job| serde_json::to_vec(job)).unwrap_or_default()
}

/// A job's name and state alone.
pub(super) fn job_state(job: JobId, state: JobState) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((JOB_ID, job.to_string()))
        .json(Accepted {
            success: true,
            job,
            state,
            standing: Standing::default(),
        })
}

fn place(job: JobId) -> String {
    format!("/jobs/{job}")
}

fn reply_status(reply: &Reply) -> StatusCode {
    match reply {
        Reply::Answered(_) => StatusCode::OK,
        Reply::Refused(refusal, _) => status(refusal.code),
        Reply::Accepted(..) => StatusCode::ACCEPTED,
    }
}

fn item(told: &Told) -> Item<'_> {
    let mut item = Item {
        status: reply_status(&told.reply).as_u16(),
        success: true,
        id: told.id.as_deref(),
        job: None,
        predictions: None,
        state: None,
        standing: told.standing,
        error: None,
    };
    match &told.reply {
        Reply::Answered(answer) => {
            item.job = Some(answer.id);
            item.predictions = Some(&answer.predictions);
        }
        Reply::Refused(refusal, job) => {
            item.success = false;
            item.job = *job;
            item.error = Some(ErrorBody::from(refusal));
        }
        Reply::Accepted(job, state) => {
            item.job = Some(*job);
            item.state = Some(*state);
        }
    }
    item
}

fn add_retry_after(response: &mut HttpResponseBuilder, after: Option<Duration>) {
    if let Some(after) = after {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        response.insert_header((RETRY_AFTER, seconds.to_string()));
    }
}

fn server_timing(timing: &Timing) -> String {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    format!(
        "decode;dur={:.3}, queue;dur={:.3}, infer;dur={:.3}",
        ms(timing.decode),
        ms(timing.queue),
        ms(timing.infer)
    )
}
