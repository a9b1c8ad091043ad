//! The tables of the embedded queue, and how an older file becomes a newer one.
//!
//! Must not know: what the rules of the queue are, threads, who asks.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Marks a file as ours ("Bgle"), for `PRAGMA application_id`.
pub(super) const APPLICATION: i64 = 0x4267_6c65;

/// What makes a file of version `n` one of `n + 1`, by `n`. Only ever add to the end: files of
/// every version are out there.
pub(super) const MIGRATIONS: &[&str] = &[FIRST, SECOND, THIRD];

/// States are numbers here, see `rows`: 0 queued, 1 running, 2 dead, and outcomes from 3 on.
/// Pixels have a table of their own, so that looking at jobs does not read them. Triggers keep
/// the counts, so that no statement can forget them.
const FIRST: &str = "
    CREATE TABLE job (
        seq         INTEGER PRIMARY KEY, -- grows with arrival
        id          TEXT NOT NULL UNIQUE,
        state       INTEGER NOT NULL,
        priority    INTEGER NOT NULL,    -- the smallest goes first
        profile     TEXT NOT NULL,
        top         INTEGER NOT NULL,
        created     INTEGER NOT NULL,    -- all times in milliseconds since 1970
        deadline    INTEGER NOT NULL,
        size        INTEGER NOT NULL,    -- bytes of pixels, also when they are gone
        attempts    INTEGER NOT NULL DEFAULT 0,
        fence       INTEGER NOT NULL DEFAULT 0,
        lease       INTEGER,             -- until when somebody holds it, if somebody does
        key         TEXT,
        fingerprint TEXT,
        key_until   INTEGER,
        finished    INTEGER,
        keep_until  INTEGER,
        reason      TEXT,
        result      BLOB
    ) STRICT;
    CREATE UNIQUE INDEX job_key ON job (key) WHERE key IS NOT NULL;
    CREATE INDEX job_ready ON job (priority, seq) WHERE state = 0 AND lease IS NULL;
    CREATE INDEX job_deadline ON job (deadline) WHERE state = 0;
    CREATE INDEX job_created ON job (created) WHERE state < 2;
    CREATE INDEX job_lease ON job (lease) WHERE lease IS NOT NULL;
    CREATE INDEX job_dead ON job (finished) WHERE state = 2;
    CREATE INDEX job_outcome ON job (finished) WHERE state > 2;
    CREATE INDEX job_keep ON job (keep_until) WHERE keep_until IS NOT NULL;

    CREATE TABLE pixels (
        seq   INTEGER PRIMARY KEY,
        bytes BLOB NOT NULL
    ) STRICT;

    CREATE TABLE tally (
        state INTEGER PRIMARY KEY,
        jobs  INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO tally (state) VALUES (0), (1), (2), (3), (4), (5);
    CREATE TRIGGER job_added AFTER INSERT ON job BEGIN
        UPDATE tally SET jobs = jobs + 1, bytes = bytes + NEW.size WHERE state = NEW.state;
    END;
    CREATE TRIGGER job_moved AFTER UPDATE OF state ON job WHEN OLD.state <> NEW.state BEGIN
        UPDATE tally SET jobs = jobs - 1, bytes = bytes - OLD.size WHERE state = OLD.state;
        UPDATE tally SET jobs = jobs + 1, bytes = bytes + NEW.size WHERE state = NEW.state;
    END;
    CREATE TRIGGER job_gone AFTER DELETE ON job BEGIN
        UPDATE tally SET jobs = jobs - 1, bytes = bytes - OLD.size WHERE state = OLD.state;
        DELETE FROM pixels WHERE seq = OLD.seq;
    END;
";

/// Who is told of a job's end, and the span of the request it came with.
const SECOND: &str = "
    ALTER TABLE job ADD COLUMN callback TEXT;
    ALTER TABLE job ADD COLUMN traceparent TEXT;
";

/// Deliveries. A job whose callback has not ended is `owed` and counts by its state, but not
/// among the outcomes and dead letters that are kept for their time.
const THIRD: &str = "
    ALTER TABLE job ADD COLUMN owed INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE job ADD COLUMN call_next INTEGER; -- when an ended one may be tried, while owed
    ALTER TABLE job ADD COLUMN call_tries INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE job ADD COLUMN call_state INTEGER; -- how it ended: 1 delivered, 2 given up
    ALTER TABLE job ADD COLUMN call_reason TEXT;
    DROP INDEX job_dead;
    DROP INDEX job_outcome;
    CREATE INDEX job_dead ON job (finished) WHERE state = 2 AND owed = 0;
    CREATE INDEX job_outcome ON job (finished) WHERE state > 2 AND owed = 0;
    CREATE INDEX job_call ON job (call_next) WHERE call_next IS NOT NULL;
    CREATE INDEX job_called ON job (finished) WHERE call_next IS NOT NULL;

    ALTER TABLE tally ADD COLUMN owed INTEGER NOT NULL DEFAULT 0;
    CREATE TRIGGER owed_added AFTER INSERT ON job WHEN NEW.owed <> 0 BEGIN
        UPDATE tally SET owed = owed + NEW.owed WHERE state = NEW.state;
    END;
    CREATE TRIGGER owed_moved AFTER UPDATE OF state, owed ON job
        WHEN OLD.owed <> 0 OR NEW.owed <> 0 BEGIN
        UPDATE tally SET owed = owed - OLD.owed WHERE state = OLD.state;
        UPDATE tally SET owed = owed + NEW.owed WHERE state = NEW.state;
    END;
    CREATE TRIGGER owed_gone AFTER DELETE ON job WHEN OLD.owed <> 0 BEGIN
        UPDATE tally SET owed = owed - OLD.owed WHERE state = OLD.state;
    END;
";

/// The version of a file; 0 if it has no tables yet.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<usize> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a file to the newest version, all at once or not at all.
pub(super) fn migrate(conn: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let version = version(conn)?;
    if version >= migrations.len() {
        return Ok(());
    }
    let transaction = Transaction::new(conn, TransactionBehavior::Immediate)?;
    for migration in &migrations[version..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", migrations.len())?;
    transaction.commit()
}
