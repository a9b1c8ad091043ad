//! What scripts and hashes say, as the types of the store.
//!
//! Must not know: connections, which script said it.

use bytes::Bytes;

use crate::store::{
    Callback, Cancelled, Claimed, Delivery, DeliveryState, JobId, JobState, JobView, Lease,
    Priority, StoreError, UnixMillis,
};

/// A claimed job as `claim.lua` gives it: id, fence, bytes, profile, top, priority, created,
/// deadline, attempts, trace.
pub(super) type Row = (
    String,
    u64,
    usize,
    String,
    u16,
    String,
    u64,
    u64,
    u32,
    Option<String>,
);

/// Fields of a job that [`view`] reads, in this order; `result` comes last and may be left out.
pub(super) const VIEW: [&str; 15] = [
    "state", "profile", "top", "priority", "created", "deadline", "attempts", "finished", "reason",
    "callback", "told", "tries", "untold", "trace", "result",
];

/// A job without its pixels, and how many bytes they are.
pub(super) fn claimed(row: Row) -> Result<(Claimed, usize), StoreError> {
    let (id, fence, bytes, profile, top, priority, created, deadline, attempts, traceparent) = row;
    let job = Claimed {
        lease: Lease {
            id: job_id(&id)?,
            fence,
        },
        pixels: Bytes::new(),
        profile,
        top,
        priority: named(&Priority::ALL, Priority::name, &priority)?,
        created: UnixMillis(created),
        deadline: UnixMillis(deadline),
        attempts,
        traceparent,
    };
    Ok((job, bytes))
}

/// A job from its [`VIEW`] fields; `None` if there is none.
pub(super) fn view(id: JobId, fields: Vec<Option<Vec<u8>>>) -> Result<Option<JobView>, StoreError> {
    let mut fields = fields.into_iter();
    let mut next = || fields.next().flatten();
    let Some(state) = next() else {
        return Ok(None);
    };
    Ok(Some(JobView {
        id,
        state: named(&JobState::ALL, JobState::name, &text(state)?)?,
        profile: text(next().unwrap_or_default())?,
        top: number(next())?,
        priority: named(
            &Priority::ALL,
            Priority::name,
            &text(next().unwrap_or_default())?,
        )?,
        created: UnixMillis(number(next())?),
        deadline: UnixMillis(number(next())?),
        attempts: number(next())?,
        finished: match next() {
            Some(at) => Some(UnixMillis(number(Some(at))?)),
            None => None,
        },
        reason: next().map(text).transpose()?,
        callback: next().map(text).transpose()?.map(|url| Callback { url }),
        delivery: match (next(), next(), next()) {
            (Some(told), tries, untold) => Some(Delivery {
                state: named(&DeliveryState::ALL, DeliveryState::name, &text(told)?)?,
                tries: number(tries)?,
                reason: untold.map(text).transpose()?,
            }),
            _ => None,
        },
        traceparent: next().map(text).transpose()?,
        result: next().map(Bytes::from),
    }))
}

/// What `cancel.lua` says.
pub(super) fn cancelled(name: &str) -> Result<Cancelled, StoreError> {
    match name {
        "now" => Ok(Cancelled::Now),
        ended => named(&JobState::ALL, JobState::name, ended).map(Cancelled::Before),
    }
}

/// A job's name.
pub(super) fn job_id(text: &str) -> Result<JobId, StoreError> {
    text.parse().map_err(|_| damaged(text))
}

/// Pixels from their pieces.
pub(super) fn join(pieces: Vec<Option<Vec<u8>>>) -> Bytes {
    let mut pieces: Vec<Vec<u8>> = pieces.into_iter().flatten().collect();
    if pieces.len() == 1 {
        return Bytes::from(pieces.remove(0));
    }
    Bytes::from(pieces.concat())
}

/// What the store says of data that it did not write so.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Unusable(format!(
        "Redis holds something of Beagle's that Beagle did not write: {what:?}; \
         look who else uses keys that begin with {}",
        super::keys::PREFIX
    ))
}

fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, wanted: &str) -> Result<T, StoreError> {
    let found = all.iter().copied().find(|one| name(*one) == wanted);
    found.ok_or_else(|| damaged(wanted))
}

fn text(bytes: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(bytes).map_err(|error| damaged(&error.to_string()))
}

fn number<T: std::str::FromStr>(field: Option<Vec<u8>>) -> Result<T, StoreError> {
    let text = text(field.unwrap_or_default())?;
    text.parse().map_err(|_| damaged(&text))
}
