//! Names of everything that is kept in Redis, and what each holds.
//!
//! All names have one hash tag, so that one script may touch them all. `<p>` is a priority, `<id>`
//! a job, all times are milliseconds of Redis' own clock.
//!
//! | key | kind | holds |
//! |---|---|---|
//! | `{beagle:0}:s:<p>` | stream, group `beagle` | one entry `j <id>` for each job that has not ended; pending for who holds it |
//! | `{beagle:0}:again:<p>` | zset by `seq` | jobs that were claimed once and wait again; they go before the stream |
//! | `{beagle:0}:j:<id>` | hash | the job, see below |
//! | `{beagle:0}:p:<id>` | hash | its pixels, in fields `0`, `1`, .. |
//! | `{beagle:0}:up:<uuid>` | hash, lives 60 s | pixels of a job that is about to be accepted |
//! | `{beagle:0}:i:<key>` | string, lives `key_ttl` | `<id> <fingerprint>` of the job that has an idempotency key |
//! | `{beagle:0}:live` | zset by `seq` | jobs queued or running, in the order of arrival; its size is the budget's jobs |
//! | `{beagle:0}:due` | zset by deadline | jobs queued, claimed or not |
//! | `{beagle:0}:done` | zset by end | jobs done, expired or cancelled |
//! | `{beagle:0}:fade` | zset by time | the same jobs, by when they are forgotten |
//! | `{beagle:0}:dead` | zset by end | dead letters |
//! | `{beagle:0}:calls` | zset by time | jobs with a callback that has not ended: infinite while the job has not ended, then when it may be tried, or the end of the lease of who tries |
//! | `{beagle:0}:untold:dead` | zset by end | dead letters whose delivery is due; they are not in `dead` |
//! | `{beagle:0}:untold:done` | zset by end | other ended jobs whose delivery is due; they are not in `done` |
//! | `{beagle:0}:bytes` | counter | bytes of pixels of the jobs in `live` |
//! | `{beagle:0}:seq` | counter | number of the last arrival |
//! | `{beagle:0}:alive:<consumer>` | string, lives 5 s | says that a process lives |
//! | `{beagle:0}:closed:<consumer>` | string, lives 60 s | says that a process has closed: calls it still had on their way do nothing |
//! | `{beagle:0}:meta` | hash | `schema`, and `run`, `since`: the run of Redis that was last seen and from when; `claimed`: jobs claimed so far |
//! | `{beagle:0}:ended` | channel | names of jobs as they end |
//! | `{beagle:0}:work` | channel | an empty message when there may be work to claim |
//!
//! Fields of a job: `state`, `profile`, `top`, `priority`, `created`, `deadline`, `attempts`,
//! `seq`; `fence`, which grows at every claim and every loss of one; `bytes` of pixels; `key` and
//! `keep`: the idempotency key and until when it lives; `entry`: its entry in the stream, once
//! delivered; `owner` and `claim`, while it is held: the consumer, and the name of the claim
//! call; `finished`, `result`, `reason`; `callback`, the URL that is told of its end; `told`, how that
//! stands, `tries` and `untold`: how often it was begun and why it failed; `trace`, the span of the request
//! it came with.
//!
//! Must not know: connections, scripts.

use uuid::Uuid;

use crate::store::JobId;

/// What all keys begin with.
pub(super) const PREFIX: &str = "{beagle:0}:";

/// The consumer group of every stream; job.lua has it too.
pub(super) const GROUP: &str = "beagle";

/// Version of all this. An older one becomes this one when it is opened, a newer one is not
/// touched. Of version 1 jobs have no `callback` and no `trace`.
pub(super) const SCHEMA: u32 = 2;

/// Most bytes of pixels in one field. Redis' allocator rounds a value up to 16, 20, 24, .. KiB
/// and so on, to 160 KiB for the pixels of a ResNet50 (147 KiB); three pieces, the first two of
/// just under 64 KiB with their headers, need 148 KiB.
pub(super) const PIECE: usize = 65_528;

/// The hash of a job.
pub(super) fn job(id: JobId) -> String {
    format!("{PREFIX}j:{id}")
}

/// The pixels of a job.
pub(super) fn pixels(id: JobId) -> String {
    format!("{PREFIX}p:{id}")
}

/// The job that has an idempotency key.
pub(super) fn idempotency(key: &str) -> String {
    format!("{PREFIX}i:{key}")
}

/// A place for pixels on their way, new each time: they must not touch those of a job that is
/// there already.
pub(super) fn upload() -> String {
    format!("{PREFIX}up:{}", Uuid::now_v7().simple())
}

/// The stream of a priority.
pub(super) fn stream(priority: &str) -> String {
    format!("{PREFIX}s:{priority}")
}

/// The channel of jobs that end.
pub(super) fn ended() -> String {
    format!("{PREFIX}ended")
}

/// The channel of the bell.
pub(super) fn work() -> String {
    format!("{PREFIX}work")
}

/// One of the indexes `live`, `done`, `dead`, `untold:done` and `untold:dead`.
pub(super) fn index(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// A name no process had before: one that outlives its process would own what it left behind.
pub(super) fn consumer() -> String {
    format!("{}-{}", std::process::id(), Uuid::now_v7().simple())
}
