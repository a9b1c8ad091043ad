//! `GET /jobs/{id}/events`: a job's changes of state as server-sent events, to its end.
//!
//! What is told are the states that are seen: one that passes between two looks is not. Each
//! event's id says where the job stands, so a client that comes again with the last one is told
//! what is new; one that comes again after the end is told to stay away (204). Must not know:
//! stages.

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderMap};
use actix_web::web::{Data, Path};
use actix_web::{Error, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use tokio::time::timeout;

use super::{answer, jobs, said};
use crate::edge::Edge;
use crate::error::{ErrorCode, Refusal};
use crate::store::{JobId, JobView};
use crate::watch::Watcher;

/// What a client that comes again sends: the id of the last event it has.
const LAST_EVENT_ID: &str = "Last-Event-ID";
/// The media type of server-sent events.
pub(super) const MEDIA_TYPE: &str = "text/event-stream";
/// How often something is sent to a client that has nothing to hear, so that nothing between it
/// and the server takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client whose connection broke is to wait before it comes again.
const RETRY: Duration = Duration::from_secs(2);

/// Watches a job to its end.
///
/// Server-sent events. `event` is the state, `data` what `GET /jobs/{id}` says then, `id` changes
/// with each; comments keep the connection alive. The stream ends after the last state.
#[utoipa::path(
    get,
    path = "/jobs/{id}/events",
    tag = "jobs",
    operation_id = "watch_job",
    params(
        ("id" = String, Path, format = "uuid", description = "the job's name, as in X-Job-Id"),
        ("Last-Event-ID" = Option<String>, Header, nullable = false, description = "the id of the last event you have")
    ),
    responses(
        (status = 200, description = "events until the job has ended, each as this says", body = said::Event,
            content_type = "text/event-stream",
            headers(
                ("X-Job-Id" = String, description = "the job"),
                ("Cache-Control" = String, description = "no-store")
            ),
            example = json!("retry: 2000\n\nid: 0-queued\nevent: queued\ndata: {...}\n\n")),
        (status = 204, description = "the job has ended, and you have its last event: stay away")
    )
)]
pub(super) async fn get(request: HttpRequest, id: Path<String>, edge: Data<Edge>) -> HttpResponse {
    match open(request.headers(), &id, edge.clone()).await {
        Ok(None) => HttpResponse::NoContent().finish(),
        Ok(Some(events)) => HttpResponse::Ok()
            .content_type(MEDIA_TYPE)
            .insert_header((CACHE_CONTROL, "no-store"))
            // nginx would keep events until it has a page of them.
            .insert_header(("X-Accel-Buffering", "no"))
            .insert_header((answer::JOB_ID, events.id.to_string()))
            .streaming(stream::unfold(events, Events::next)),
        Err(refusal) => answer::refused(&edge.with_retry_after(refusal), None),
    }
}

/// The events of a job; nothing if the client has its last one.
async fn open(headers: &HeaderMap, id: &str, edge: Data<Edge>) -> Result<Option<Events>, Refusal> {
    let id = jobs::parse(id)?;
    let watcher = jobs::watch(&edge, id)?;
    let first = jobs::look(&edge, id).await?;
    let last = headers.get(LAST_EVENT_ID);
    let last = last.and_then(|id| Some(id.to_str().ok()?.to_owned()));
    if first.state.is_final() && last.as_ref() == Some(&event_id(&first)) {
        return Ok(None);
    }
    Ok(Some(Events {
        edge,
        watcher,
        id,
        first: Some(first),
        last,
        began: false,
        over: false,
    }))
}

/// A stream of events. Dropped when its client goes away, and its place is free.
struct Events {
    edge: Data<Edge>,
    watcher: Watcher,
    id: JobId,
    /// The job as it was when the stream was asked for, until it is told.
    first: Option<JobView>,
    /// The last event that the client has.
    last: Option<String>,
    began: bool,
    over: bool,
}

impl Events {
    /// What to send next, and what is left.
    async fn next(mut self) -> Option<(Result<Bytes, Error>, Self)> {
        if self.over {
            return None;
        }
        if !self.began {
            self.began = true;
            let retry = format!("retry: {}\n\n", RETRY.as_millis());
            return Some((Ok(Bytes::from(retry)), self));
        }
        loop {
            let looked = match self.first.take() {
                Some(first) => Ok(first),
                None => jobs::look(&self.edge, self.id).await,
            };
            let job = match looked {
                Ok(job) => Some(job),
                // It ended and is forgotten: the client finds out when it comes again.
                Err(refusal) if refusal.code == ErrorCode::UnknownJob => return None,
                // A store that is away may come back.
                Err(_) => None,
            };
            if let Some(job) = job.filter(|job| self.last.as_ref() != Some(&event_id(job))) {
                self.over = job.state.is_final();
                self.last = Some(event_id(&job));
                let standing = jobs::standing(&self.edge, &job).await;
                let data = answer::with_job(&job, standing, |job| serde_json::to_string(job));
                let event = event(&job, &data.unwrap_or_default());
                return Some((Ok(event), self));
            }
            match timeout(KEEP_ALIVE, self.watcher.rung()).await {
                Ok(true) => {}
                // The server is about to stop: the client comes again.
                Ok(false) => return None,
                Err(_) => return Some((Ok(Bytes::from_static(b": still here\n\n")), self)),
            }
        }
    }
}

/// Says where a job stands: it changes with its state, and with each time that it begins anew.
fn event_id(job: &JobView) -> String {
    format!("{}-{}", job.attempts, job.state.name())
}

/// One event; JSON has no line breaks.
fn event(job: &JobView, data: &str) -> Bytes {
    let (id, name) = (event_id(job), job.state.name());
    Bytes::from(format!("id: {id}\nevent: {name}\ndata: {data}\n\n"))
}
