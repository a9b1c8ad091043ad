//! `POST /jobs`: images in, jobs out. `GET /jobs/{id}` and `DELETE /jobs/{id}`: how a job stands,
//! at once or when it has ended, and taking it back.
//!
//! Must not know: stages.

use std::time::Duration;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::{Instant, timeout_at};

use super::answer;
use super::ask::{self, Manner};
use super::said::{self, Standing};
use super::submit::submit;
use crate::edge::Edge;
use crate::error::{ErrorCode, Refusal};
use crate::observe::Fact;
use crate::respond::outcome;
use crate::store::{Cancelled, JobId, JobState, JobView, StoreError};
use crate::watch::Watcher;

/// Takes images as jobs.
///
/// Each is a job of its own; the answer comes as soon as they are durable, unless you prefer to
/// wait.
#[utoipa::path(
    post,
    path = "/jobs",
    tag = "images",
    operation_id = "submit_jobs",
    params(ask::Query, ask::Headers),
    responses(
        (status = 200, description = "you preferred to wait, or asked before under the same key: the labels",
            body = inline(said::Answers<'static>),
            headers(
                ("X-Job-Id" = String, description = "the job, if there is one"),
                ("Server-Timing" = String, description = "decode, queue and infer, in milliseconds")
            ),
            example = json!({"success": true, "predictions": [{"label": "Egyptian_cat", "probability": 0.769}]})),
        (status = 202, description = "accepted",
            body = inline(said::Named<'static>),
            headers(
                ("X-Job-Id" = String, description = "the job, if there is one"),
                ("Location" = String, description = "where the job is, if there is one")
            ),
            links(
                ("look" = (operation_id = "look_at_job", parameters(("id" = "$response.header.X-Job-Id")))),
                ("events" = (operation_id = "watch_job", parameters(("id" = "$response.header.X-Job-Id")))),
                ("delete" = (operation_id = "take_job_back", parameters(("id" = "$response.header.X-Job-Id"))))
            )),
        (status = 207, description = "several images, which fared differently", body = said::Items<'static>)
    )
)]
pub(super) async fn post(request: HttpRequest, payload: Payload, edge: Data<Edge>) -> HttpResponse {
    submit(&request, payload, &edge, Manner::Name).await
}

/// Looks at a job, at once or when it has ended.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "jobs",
    operation_id = "look_at_job",
    params(
        ("id" = String, Path, format = "uuid", description = "the job's name, as in X-Job-Id"),
        ask::Look
    ),
    responses(
        (status = 200, description = "how it stands", body = said::Job<'static>,
            headers(("X-Job-Id" = String, description = "the job")))
    )
)]
pub(super) async fn get(request: HttpRequest, id: Path<String>, edge: Data<Edge>) -> HttpResponse {
    match seen(&request, &id, &edge).await {
        Ok(job) => answer::job(&job, standing(&edge, &job).await),
        Err(refusal) => answer::refused(&edge.with_retry_after(refusal), None),
    }
}

/// Takes a job back.
///
/// One that has ended stays as it is. The result of one that runs is dropped.
#[utoipa::path(
    delete,
    path = "/jobs/{id}",
    tag = "jobs",
    operation_id = "take_job_back",
    params(("id" = String, Path, format = "uuid", description = "the job's name, as in X-Job-Id")),
    responses(
        (status = 200, description = "its state afterwards", body = said::Accepted,
            headers(("X-Job-Id" = String, description = "the job")))
    )
)]
pub(super) async fn delete(id: Path<String>, edge: Data<Edge>) -> HttpResponse {
    let id = match parse(&id) {
        Err(refusal) => return answer::refused(&refusal, None),
        Ok(id) => id,
    };
    match edge.store.cancel(id).await {
        Ok(Some(cancelled)) => {
            if cancelled == Cancelled::Now {
                edge.observer.saw(Fact::Cancelled);
            }
            answer::job_state(id, cancelled.state())
        }
        Ok(None) => answer::refused(&outcome::forgotten(), None),
        Err(error) => answer::refused(&refuse(&edge, &error), None),
    }
}

/// A job as it is now, or when it has ended, if the caller waits for that.
async fn seen(request: &HttpRequest, id: &str, edge: &Edge) -> Result<JobView, Refusal> {
    let id = parse(id)?;
    match ask::wait(request.query_string(), edge.times.request_timeout)? {
        None => look(edge, id).await,
        Some(wait) => ended_within(edge, id, wait).await,
    }
}

/// A job when it has ended, or as it is after this long.
async fn ended_within(edge: &Edge, id: JobId, wait: Duration) -> Result<JobView, Refusal> {
    let until = Instant::now() + wait;
    // Before the first look, so that no end is missed between the two.
    let mut watcher = watch(edge, id)?;
    loop {
        let job = look(edge, id).await?;
        if job.state.is_final() {
            return Ok(job);
        }
        match timeout_at(until, watcher.rung()).await {
            Ok(true) => {}
            // The server is about to stop: the caller may ask another one.
            Ok(false) => return Ok(job),
            Err(_) => return look(edge, id).await,
        }
    }
}

/// Watches a job from now on.
///
/// # Errors
/// [`ErrorCode::QueueFull`] when as many watch as may.
pub(super) fn watch(edge: &Edge, id: JobId) -> Result<Watcher, Refusal> {
    edge.watch.add(id).ok_or_else(|| {
        let message = "as many callers wait for jobs as may at once: ask again, or without waiting";
        Refusal::new(ErrorCode::QueueFull, message)
    })
}

/// A job as it is.
///
/// # Errors
/// [`ErrorCode::UnknownJob`], [`ErrorCode::StoreUnavailable`].
pub(super) async fn look(edge: &Edge, id: JobId) -> Result<JobView, Refusal> {
    match edge.store.job(id).await {
        Ok(job) => job.ok_or_else(outcome::forgotten),
        Err(error) => Err(refuse(edge, &error)),
    }
}

/// Where a job stands that waits for its turn.
pub(super) async fn standing(edge: &Edge, job: &JobView) -> Standing {
    let standing = match job.state {
        JobState::Queued => edge.standing(job.id).await,
        _ => None,
    };
    standing.map(Standing::from).unwrap_or_default()
}

/// A job's name.
///
/// # Errors
/// [`ErrorCode::UnknownJob`]: what is no name names no job.
pub(super) fn parse(id: &str) -> Result<JobId, Refusal> {
    id.parse().map_err(|_| {
        let message = "this is not a job's name: names are UUIDs, as in the header X-Job-Id";
        Refusal::new(ErrorCode::UnknownJob, message)
    })
}

fn refuse(edge: &Edge, error: &StoreError) -> Refusal {
    edge.health.store_fails(error);
    Refusal::from(error)
}
