//! What people and waiting callers see: one job, many, how many.
//!
//! Must not know: how jobs move.

use redis::Pipeline;

use super::connection::Link;
use super::keys;
use super::reply;
use super::scripts::Scripts;
use crate::store::{JobId, JobState, JobView, Stats, StoreError, UnixMillis};

/// Jobs looked at in one go.
const PAGE: usize = 500;

/// See [`JobStore::job`](crate::store::JobStore::job).
pub(super) async fn job(link: &Link, id: JobId) -> Result<Option<JobView>, StoreError> {
    let mut line = link.line().await?;
    let mut command = redis::cmd("HMGET");
    command.arg(keys::job(id)).arg(&reply::VIEW);
    let fields = command.query_async(&mut line.connection).await;
    reply::view(id, fields.map_err(|error| line.lost(&error))?)
}

/// See [`JobStore::ahead`](crate::store::JobStore::ahead).
pub(super) async fn ahead(link: &Link, id: JobId) -> Result<Option<u64>, StoreError> {
    let mut line = link.line().await?;
    let mut command = redis::cmd("ZRANK");
    command.arg(keys::index("live")).arg(id.to_string());
    let rank = command.query_async(&mut line.connection).await;
    rank.map_err(|error| line.lost(&error))
}

/// See [`JobStore::stats`](crate::store::JobStore::stats).
pub(super) async fn stats(link: &Link, scripts: &Scripts) -> Result<Stats, StoreError> {
    let call = scripts.call(&scripts.stats);
    let (live, queued, bytes, dead, ended, due, oldest): (u64, u64, u64, u64, u64, u64, String) =
        call.run(link).await?;
    Ok(Stats {
        queued,
        running: live.saturating_sub(queued),
        bytes,
        dead,
        ended,
        due,
        oldest: oldest.parse().ok().map(UnixMillis),
    })
}

/// See [`JobStore::list`](crate::store::JobStore::list). Jobs that are queued or running come by
/// their arrival, the others by their end; of all states, by the time in their names.
pub(super) async fn list(
    link: &Link,
    state: Option<JobState>,
    limit: usize,
) -> Result<Vec<JobView>, StoreError> {
    let indexes: &[&str] = match state {
        Some(JobState::Queued | JobState::Running) => &["live"],
        Some(ended) => ended_in(ended),
        None => &["live", "dead", "done", "untold:dead", "untold:done"],
    };
    let mut all = Vec::new();
    for index in indexes {
        all.extend(of_index(link, index, state, limit).await?);
    }
    match state {
        None => all.sort_by_key(|view| view.id),
        // Each index is in this order; an ended job is in one of two.
        Some(_) => all.sort_by_key(|view| view.finished),
    }
    all.truncate(limit);
    Ok(all)
}

/// The indexes of jobs that ended like this: those that are kept for their time, and those whose
/// delivery is due.
pub(super) const fn ended_in(state: JobState) -> &'static [&'static str] {
    match state {
        JobState::Dead => &["dead", "untold:dead"],
        _ => &["done", "untold:done"],
    }
}

async fn of_index(
    link: &Link,
    index: &str,
    state: Option<JobState>,
    limit: usize,
) -> Result<Vec<JobView>, StoreError> {
    let mut found = Vec::new();
    let mut from = 0;
    while found.len() < limit {
        let page = page(link, index, from).await?;
        from += PAGE;
        let last = page.len() < PAGE;
        let views = views(link, &page).await?;
        let wanted = |view: &JobView| state.is_none_or(|state| view.state == state);
        found.extend(views.into_iter().filter(wanted));
        if last {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}

async fn page(link: &Link, index: &str, from: usize) -> Result<Vec<JobId>, StoreError> {
    let mut line = link.line().await?;
    let mut command = redis::cmd("ZRANGE");
    command
        .arg(keys::index(index))
        .arg(from)
        .arg(from + PAGE - 1);
    let names: Result<Vec<String>, _> = command.query_async(&mut line.connection).await;
    let names = names.map_err(|error| line.lost(&error))?;
    names.iter().map(|name| reply::job_id(name)).collect()
}

async fn views(link: &Link, ids: &[JobId]) -> Result<Vec<JobView>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let without_result = &reply::VIEW[..reply::VIEW.len() - 1];
    let mut pipe = Pipeline::with_capacity(ids.len());
    for id in ids {
        pipe.cmd("HMGET").arg(keys::job(*id)).arg(without_result);
    }
    let mut line = link.line().await?;
    let all: Result<Vec<_>, _> = pipe.query_async(&mut line.connection).await;
    let all = all.map_err(|error| line.lost(&error))?;
    let mut views = Vec::new();
    for (id, fields) in ids.iter().zip(all) {
        views.extend(reply::view(*id, fields)?);
    }
    Ok(views)
}
