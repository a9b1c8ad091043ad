//! What can be seen of the queue; nothing changes.
//!
//! Must not know: what is done about it.

use rusqlite::OptionalExtension as _;

use super::rows::{VIEW, view};
use super::schema::{self, MIGRATIONS};
use super::session::Session;
use crate::store::{Finding, JobId, JobState, JobView, Severity, Stats};

impl Session<'_> {
    /// See `JobStore::job`.
    pub(super) fn job(&self, id: JobId) -> rusqlite::Result<Option<JobView>> {
        let sql = format!(
            "SELECT {VIEW}, result FROM job \
             WHERE id = ? AND (keep_until IS NULL OR keep_until > ?)"
        );
        self.prepare(&sql)?
            .query_row((id, self.now), view)
            .optional()
    }

    /// See `JobStore::ahead`.
    pub(super) fn ahead(&self, id: JobId) -> rusqlite::Result<Option<u64>> {
        let mut place = self.prepare("SELECT seq FROM job WHERE id = ? AND state < 2")?;
        let Some(seq) = place
            .query_row([id], |row| row.get::<_, i64>(0))
            .optional()?
        else {
            return Ok(None);
        };
        // The index of what has not ended: by their numbers alone, all that ended would be read.
        let sql = "SELECT count(*) FROM job INDEXED BY job_created WHERE state < 2 AND seq < ?";
        self.prepare(sql)?.query_row([seq], |row| row.get(0))
    }

    /// See `JobStore::list`.
    pub(super) fn list(
        &self,
        state: Option<JobState>,
        limit: usize,
    ) -> rusqlite::Result<Vec<JobView>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql =
            format!("SELECT {VIEW} FROM job WHERE ?1 IS NULL OR state = ?1 ORDER BY seq LIMIT ?2");
        self.prepare(&sql)?
            .query_map((state, limit), view)?
            .collect()
    }

    /// See `JobStore::stats`.
    pub(super) fn stats(&self) -> rusqlite::Result<Stats> {
        let mut tally = self.prepare("SELECT state, jobs, bytes, owed FROM tally")?;
        let mut rows = tally.query([])?;
        let mut stats = Stats::default();
        while let Some(row) = rows.next()? {
            let (jobs, bytes, owed): (u64, u64, u64) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let state: JobState = row.get(0)?;
            if state.is_final() {
                stats.due += owed;
            }
            match state {
                JobState::Queued => {
                    stats.queued = jobs;
                    stats.bytes += bytes;
                }
                JobState::Running => {
                    stats.running = jobs;
                    stats.bytes += bytes;
                }
                JobState::Dead => stats.dead = jobs,
                JobState::Done | JobState::Expired | JobState::Cancelled => stats.ended += jobs,
            }
        }
        let sql = "SELECT min(created) FROM job WHERE state < 2";
        stats.oldest = self.prepare(sql)?.query_row([], |row| row.get(0))?;
        Ok(stats)
    }

    /// See `JobStore::doctor`.
    pub(super) fn doctor(&self) -> rusqlite::Result<Vec<Finding>> {
        let synchronous: i64 = self.pragma("synchronous")?;
        let mode: String = self.pragma("journal_mode")?;
        let check: String = self.pragma("quick_check(1)")?;
        let version = schema::version(self.conn)?;
        let newest = MIGRATIONS.len();
        let counted: bool = self.prepare(COUNTED)?.query_row([], |row| row.get(0))?;
        Ok(vec![
            finding(
                "integrity",
                (check == "ok").then_some("the file's structure is sound"),
                || (Severity::Danger, format!("the file is damaged: {check}")),
            ),
            finding(
                "schema",
                (version == newest).then_some("it is the newest"),
                || {
                    let message = format!("version {version}, this program's is {newest}");
                    (Severity::Danger, message)
                },
            ),
            finding(
                "journal",
                (mode == "wal").then_some("write-ahead log"),
                || (Severity::Danger, format!("journal mode {mode}, not wal")),
            ),
            finding(
                "synchronous",
                (synchronous >= 2).then_some("accepted jobs survive power loss"),
                || {
                    let message = "accepted jobs survive a killed process; the last ones may be \
                                   lost with the power: choose synchronous full if they must not";
                    (Severity::Warning, message.to_owned())
                },
            ),
            finding(
                "counts",
                counted.then_some("they are those of the jobs"),
                || {
                    let message = "counts and jobs differ: export what matters and start anew";
                    (Severity::Danger, message.to_owned())
                },
            ),
        ])
    }

    fn pragma<T: rusqlite::types::FromSql>(&self, name: &str) -> rusqlite::Result<T> {
        self.conn
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
    }
}

/// Whether the counts are those of the jobs.
const COUNTED: &str = "SELECT NOT EXISTS (
    SELECT state, jobs, bytes, owed FROM tally WHERE jobs > 0
    EXCEPT SELECT state, count(*), sum(size), sum(owed) FROM job GROUP BY state)";

fn finding(
    check: &str,
    fine: Option<&str>,
    otherwise: impl FnOnce() -> (Severity, String),
) -> Finding {
    let (severity, message) = match fine {
        Some(message) => (Severity::Fine, message.to_owned()),
        None => otherwise(),
    };
    Finding {
        check: check.to_owned(),
        severity,
        message,
    }
}
