//! Taking jobs in: those that are offered, and dead letters that are tried anew.
//!
//! Pixels go to a place of their own first, in the same transaction as the script that accepts
//! them or throws them away. Should the two ever come apart, the place is gone after a minute.
//! Must not know: how jobs are claimed.

use redis::Cmd;

use super::connection::Link;
use super::keys;
use super::reply;
use super::scripts::Scripts;
use crate::store::{Idempotency, JobId, NewJob, StoreError, StoreLimits, UnixMillis};

/// How long pixels may be on their way, in seconds.
const UPLOAD: u32 = 60;

/// What became of an offer.
pub(super) enum Accepted {
    /// It is in the queue now.
    New,
    /// It was offered before.
    Known,
    /// Another job has its key, for the same request.
    Existing(JobId),
}

/// Offers a job. See [`JobStore::enqueue`](crate::store::JobStore::enqueue).
pub(super) async fn offer(
    link: &Link,
    scripts: &Scripts,
    limits: &StoreLimits,
    job: &NewJob,
) -> Result<Accepted, StoreError> {
    let place = keys::upload();
    let (key, fingerprint) = match &job.idempotency {
        Some(named) => (&named.key[..], &named.fingerprint[..]),
        None => ("", ""),
    };
    let mut call = scripts.call(&scripts.enqueue).arg(job.id.to_string());
    call = call.arg(&job.profile).arg(job.top).arg(job.priority.name());
    call = call.arg(job.created.0).arg(job.deadline.0);
    call = call.arg(key).arg(fingerprint);
    call = call.arg(job.pixels.len()).arg(&place);
    let callback = job.callback.as_ref().map_or("", |callback| &callback.url);
    call = call
        .arg(callback)
        .arg(job.traceparent.as_deref().unwrap_or(""));
    let reply = call.run_after(upload(&place, &job.pixels), link).await?;
    let (what, detail): (String, String) = reply;
    match &what[..] {
        "new" => Ok(Accepted::New),
        "known" => Ok(Accepted::Known),
        "existing" => Ok(Accepted::Existing(reply::job_id(&detail)?)),
        "reused" => Err(StoreError::KeyReused {
            job: reply::job_id(&detail)?,
        }),
        what => Err(full(limits, what, &detail)),
    }
}

/// The job that has a key.
pub(super) async fn keyed(link: &Link, named: &Idempotency) -> Result<Option<JobId>, StoreError> {
    let mut line = link.line().await?;
    let mut command = redis::cmd("GET");
    command.arg(keys::idempotency(&named.key));
    let known: Result<Option<String>, _> = command.query_async(&mut line.connection).await;
    let Some(known) = known.map_err(|error| line.lost(&error))? else {
        return Ok(None);
    };
    let (job, fingerprint) = known
        .split_once(' ')
        .ok_or_else(|| reply::damaged(&known))?;
    let job = reply::job_id(job)?;
    if fingerprint != named.fingerprint {
        return Err(StoreError::KeyReused { job });
    }
    Ok(Some(job))
}

/// See [`JobStore::retry`](crate::store::JobStore::retry).
pub(super) async fn retry(
    link: &Link,
    scripts: &Scripts,
    limits: &StoreLimits,
    id: JobId,
    deadline: UnixMillis,
) -> Result<bool, StoreError> {
    let call = scripts.call(&scripts.retry).arg(id.to_string());
    let (what, detail): (String, String) = call.arg(deadline.0).run(link).await?;
    match &what[..] {
        "new" => Ok(true),
        "none" => Ok(false),
        what => Err(full(limits, what, &detail)),
    }
}

fn upload(place: &str, pixels: &[u8]) -> Vec<Cmd> {
    if pixels.is_empty() {
        return Vec::new();
    }
    let mut put = Cmd::with_capacity(8, pixels.len() + 200);
    put.arg("HSET").arg(place);
    for (at, piece) in pixels.chunks(keys::PIECE).enumerate() {
        put.arg(at).arg(piece);
    }
    let mut expire = redis::cmd("EXPIRE");
    expire.arg(place).arg(UPLOAD);
    vec![put, expire]
}

fn full(limits: &StoreLimits, what: &str, number: &str) -> StoreError {
    match (what, number.parse()) {
        ("jobs", Ok(jobs)) => StoreError::TooManyJobs {
            jobs,
            limit: limits.max_jobs,
        },
        ("bytes", Ok(bytes)) => StoreError::TooManyBytes {
            bytes,
            limit: limits.max_bytes,
        },
        ("callbacks", Ok(callbacks)) => StoreError::TooManyCallbacks {
            callbacks,
            limit: limits.max_callbacks,
        },
        _ => reply::damaged(what),
    }
}
