//! Replies as HTTP: the one table from code to status, and the JSON of every answer.
//!
//! Must not know: how a reply came about.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;

use crate::classify::top::Prediction;
use crate::error::{ErrorCode, Refusal};
use crate::respond::outcome;
use crate::store::{DeliveryState, JobId, JobState, JobView};
use crate::ticket::{Answer, Reply, Timing};

/// Header with the job's name.
pub(super) const JOB_ID: &str = "X-Job-Id";
/// Header with the time of each stage (W3C Server Timing), in milliseconds.
const SERVER_TIMING: &str = "Server-Timing";

/// The status of each code: the one place that knows.
pub(super) const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest
        | ErrorCode::BadCallback
        | ErrorCode::CallbacksOff
        | ErrorCode::UnknownProfile => StatusCode::BAD_REQUEST,
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
        ErrorCode::EmptyImage
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

/// The article's JSON, key for key.
#[derive(Serialize)]
struct Success<'a> {
    success: bool,
    predictions: &'a [Prediction],
}

#[derive(Serialize)]
struct Failure<'a> {
    success: bool,
    error: ErrorBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct Accepted {
    success: bool,
    job: JobId,
    state: JobState,
}

/// One of several images.
#[derive(Serialize)]
struct Item<'a> {
    status: u16,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predictions: Option<&'a [Prediction]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<JobState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
}

#[derive(Serialize)]
struct Items<'a> {
    success: bool,
    results: Vec<Item<'a>>,
}

/// What is known of a job.
#[derive(Serialize)]
struct Job<'a> {
    id: JobId,
    state: JobState,
    profile: &'a str,
    top: u16,
    attempts: u32,
    created_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predictions: Option<Vec<Prediction>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
    /// How its callback stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<DeliveryState>,
}

/// The answer to one image.
pub(super) fn one(reply: &Reply) -> HttpResponse {
    match reply {
        Reply::Answered(answer) => HttpResponse::Ok()
            .insert_header((JOB_ID, answer.id.to_string()))
            .insert_header((SERVER_TIMING, server_timing(&answer.timing)))
            .json(success(answer)),
        Reply::Refused(refusal, job) => refused(refusal, *job),
        Reply::Accepted(job, state) => accepted(*job, *state),
    }
}

/// The answer to several images, in their order: the status is the first's if all failed alike
/// or none did, else 207.
pub(super) fn many(replies: &[Reply]) -> HttpResponse {
    let statuses: Vec<StatusCode> = replies.iter().map(reply_status).collect();
    let first = statuses.first().copied().unwrap_or(StatusCode::OK);
    let alike = statuses.iter().all(|status| *status == first);
    let status = if alike {
        first
    } else {
        StatusCode::MULTI_STATUS
    };
    let results: Vec<Item<'_>> = replies.iter().map(item).collect();
    let mut response = HttpResponse::build(status);
    let retry_after = replies.iter().filter_map(|reply| match reply {
        Reply::Refused(refusal, _) => refusal.retry_after,
        _ => None,
    });
    add_retry_after(&mut response, retry_after.max());
    let codes = replies.iter().filter_map(|reply| match reply {
        Reply::Refused(refusal, _) => Some(refusal.code),
        _ => None,
    });
    response.extensions_mut().insert(Refused(codes.collect()));
    response.json(Items {
        success: results.iter().all(|item| item.success),
        results,
    })
}

/// A refusal, of a job if there is one.
pub(super) fn refused(refusal: &Refusal, job: Option<JobId>) -> HttpResponse {
    let mut response = HttpResponse::build(status(refusal.code));
    add_retry_after(&mut response, refusal.retry_after);
    if let Some(job) = job {
        response.insert_header((JOB_ID, job.to_string()));
    }
    response
        .extensions_mut()
        .insert(Refused(vec![refusal.code]));
    response.json(Failure {
        success: false,
        error: error(refusal),
        job,
    })
}

/// What is known of a job.
pub(super) fn job(view: &JobView) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((JOB_ID, view.id.to_string()))
        .content_type("application/json")
        .body(job_body(view))
}

/// The same, as it is written down for whoever asked for it.
pub fn job_body(view: &JobView) -> Vec<u8> {
    let ended = view.state.is_final().then(|| outcome::of(view));
    let (predictions, refusal) = match ended {
        Some(Ok(record)) => (Some(record.predictions), None),
        Some(Err(refusal)) => (None, Some(refusal)),
        None => (None, None),
    };
    let job = Job {
        id: view.id,
        state: view.state,
        profile: &view.profile,
        top: view.top,
        attempts: view.attempts,
        created_ms: view.created.0,
        finished_ms: view.finished.map(|finished| finished.0),
        predictions,
        error: refusal.as_ref().map(error),
        callback: view.delivery.as_ref().map(|delivery| delivery.state),
    };
    // Strings and numbers always serialise; what is not a number becomes null.
    serde_json::to_vec(&job).unwrap_or_default()
}

/// A job's name and state alone.
pub(super) fn job_state(job: JobId, state: JobState) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((JOB_ID, job.to_string()))
        .json(Accepted {
            success: true,
            job,
            state,
        })
}

fn accepted(job: JobId, state: JobState) -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((LOCATION, format!("/jobs/{job}")))
        .insert_header((JOB_ID, job.to_string()))
        .json(Accepted {
            success: true,
            job,
            state,
        })
}

fn success(answer: &Answer) -> Success<'_> {
    Success {
        success: true,
        predictions: &answer.predictions,
    }
}

fn error(refusal: &Refusal) -> ErrorBody<'_> {
    ErrorBody {
        code: refusal.code.name(),
        message: &refusal.message,
    }
}

fn reply_status(reply: &Reply) -> StatusCode {
    match reply {
        Reply::Answered(_) => StatusCode::OK,
        Reply::Refused(refusal, _) => status(refusal.code),
        Reply::Accepted(..) => StatusCode::ACCEPTED,
    }
}

fn item(reply: &Reply) -> Item<'_> {
    let mut item = Item {
        status: reply_status(reply).as_u16(),
        success: true,
        job: None,
        predictions: None,
        state: None,
        error: None,
    };
    match reply {
        Reply::Answered(answer) => {
            item.job = Some(answer.id);
            item.predictions = Some(&answer.predictions);
        }
        Reply::Refused(refusal, job) => {
            item.success = false;
            item.job = *job;
            item.error = Some(error(refusal));
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
