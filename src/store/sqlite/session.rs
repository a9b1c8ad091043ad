//! What one transaction has at hand, and what all its steps share.
//!
//! The rules of the queue are `impl Session` too: `offers` (jobs come in), `work` (jobs are
//! claimed, run and end), `deliveries` (ends are told), `upkeep` (time passes), `looks` (nothing changes). Must not know: when
//! a transaction begins or ends, threads, the clock.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Params, Row};

use crate::store::recent::Recent;
use crate::store::rules::{died_each_time, keep_until};
use crate::store::{JobId, JobState, Lease, StoreError, StoreLimits, UnixMillis};

/// A transaction that goes on. What it does counts when it is committed, and may be done again
/// if it is not.
pub(super) struct Session<'a> {
    pub(super) conn: &'a Connection,
    pub(super) limits: &'a StoreLimits,
    /// When everything in it happens.
    pub(super) now: UnixMillis,
    /// Forgets more than it should if there is no commit, which costs a read at most.
    pub(super) recent: &'a mut Recent,
    /// Jobs claimed by this process so far; of a claim without a commit a share comes late.
    pub(super) claimed: &'a mut u64,
    /// Jobs that ended in it, to be told after the commit.
    pub(super) ended: Vec<JobId>,
    /// Bytes of pixels written in it.
    pub(super) wrote: u64,
}

/// Why a step was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// By the rules; nothing was written.
    Refused(StoreError),
    /// The database did not do it; something may have been written.
    Failed(rusqlite::Error),
}

/// The part of a job's row by which its next step is decided.
pub(super) struct Live {
    pub(super) seq: i64,
    pub(super) id: JobId,
    pub(super) state: JobState,
    pub(super) attempts: u32,
    pub(super) deadline: UnixMillis,
    pub(super) key_until: Option<UnixMillis>,
    /// Whether it has a callback that has not ended.
    pub(super) owed: bool,
}

/// The columns of [`Live`].
macro_rules! live {
    ($rest:literal) => {
        concat!(
            "SELECT seq, id, state, attempts, deadline, key_until, owed FROM job ",
            $rest
        )
    };
}
pub(super) use live;

// === impl Session ===

impl Session<'_> {
    pub(super) fn prepare(&self, sql: &str) -> rusqlite::Result<CachedStatement<'_>> {
        self.conn.prepare_cached(sql)
    }

    pub(super) fn execute(&self, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
        self.prepare(sql)?.execute(params)
    }

    /// The job, if this lease is the right to it.
    pub(super) fn held(&self, lease: &Lease) -> rusqlite::Result<Option<Live>> {
        let sql = live!("WHERE id = ? AND fence = ? AND lease IS NOT NULL");
        let mut held = self.prepare(sql)?;
        held.query_row((lease.id, fence(lease)), live_row)
            .optional()
    }

    /// Jobs by one of the indexes, from a query made by [`live!`].
    pub(super) fn lives(&self, sql: &str, params: impl Params) -> rusqlite::Result<Vec<Live>> {
        self.prepare(sql)?.query_map(params, live_row)?.collect()
    }

    /// Nobody holds the job any more: it waits in its old place.
    pub(super) fn queue_again(&self, seq: i64) -> rusqlite::Result<()> {
        let sql = "UPDATE job SET state = 0, lease = NULL WHERE seq = ?";
        self.execute(sql, [seq]).map(drop)
    }

    /// Makes a dead letter of a job, for this reason or because its runners died.
    pub(super) fn bury(&mut self, job: &Live, reason: Option<&str>) -> rusqlite::Result<()> {
        let died = || died_each_time(job.attempts);
        let reason = reason.map_or_else(died, str::to_owned);
        self.ended.push(job.id);
        let sql = "UPDATE job SET state = 2, lease = NULL, finished = ?, reason = ?, \
                   call_next = ? WHERE seq = ?";
        let next = job.owed.then_some(self.now);
        self.execute(sql, (self.now, reason, next, job.seq))
            .map(drop)
    }

    /// A job has its outcome; its pixels go.
    pub(super) fn end(
        &mut self,
        job: &Live,
        outcome: JobState,
        result: Option<&[u8]>,
    ) -> rusqlite::Result<()> {
        // What is still to be told is kept until it is.
        let keep = (!job.owed).then(|| keep_until(self.limits, self.now, job.key_until));
        let next = job.owed.then_some(self.now);
        self.ended.push(job.id);
        self.recent.take(&job.id);
        let sql = "UPDATE job SET state = ?, lease = NULL, finished = ?, keep_until = ?, \
                   result = ?, call_next = ? WHERE seq = ?";
        self.execute(sql, (outcome, self.now, keep, result, next, job.seq))?;
        self.execute("DELETE FROM pixels WHERE seq = ?", [job.seq])
            .map(drop)
    }

    /// Jobs with a callback that has not ended.
    pub(super) fn callbacks(&self) -> rusqlite::Result<u64> {
        let sql = "SELECT sum(owed) FROM tally";
        self.prepare(sql)?.query_row([], |row| row.get(0))
    }

    /// Jobs and bytes that are queued or running.
    pub(super) fn load(&self) -> rusqlite::Result<(u64, u64)> {
        let sql = "SELECT sum(jobs), sum(bytes) FROM tally WHERE state < 2";
        self.prepare(sql)?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

// === impl Trouble ===

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// Fences start at 0 and grow by one; what no fence can be matches none.
fn fence(lease: &Lease) -> i64 {
    i64::try_from(lease.fence).unwrap_or(-1)
}

pub(super) fn live_row(row: &Row<'_>) -> rusqlite::Result<Live> {
    Ok(Live {
        seq: row.get(0)?,
        id: row.get(1)?,
        state: row.get(2)?,
        attempts: row.get(3)?,
        deadline: row.get(4)?,
        key_until: row.get(5)?,
        owed: row.get(6)?,
    })
}
