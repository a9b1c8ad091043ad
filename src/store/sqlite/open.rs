//! Takes a file for this process alone, makes sure that it is a sound queue, and readies it.
//!
//! A file that is damaged, of a newer version or another program's is not written to. Must not
//! know: the rules of the queue.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::Synchronous;
use super::schema::{self, APPLICATION, MIGRATIONS};
use crate::store::StoreError;

/// Bytes of a page of a new file. A change of state writes some eight of them, in the table and its indexes, so
/// larger ones that pixels would need fewer of cost more: with 16 KiB a job wrote 560 kB, with 4 it writes 250.
const PAGE: i64 = 4096;
/// Bytes of the write-ahead log after which it is written into the file.
const LOG_BYTES: i64 = 64 << 20;
/// KiB of pages kept in memory: the tables without pixels, which are read once if ever.
const CACHE_KIB: i64 = 2 << 10;

/// A file that is this process's alone.
pub(super) struct Opened {
    pub(super) conn: Connection,
    /// Others may have the file when this is dropped: after the connection.
    pub(super) lock: File,
}

/// Opens the queue in this file, which is made if there is none.
pub(super) fn open(path: &Path, synchronous: Synchronous) -> Result<Opened, StoreError> {
    let lock = lock(path)?;
    refuse_lost_file(path)?;
    let conn = connect(path, synchronous).map_err(|error| explain(path, error))?;
    Ok(Opened { conn, lock })
}

/// Why the file could not be opened.
enum Fault {
    Sql(rusqlite::Error),
    /// It is damaged, as SQLite says.
    Damaged(String),
    /// It is not ours to read.
    Foreign(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

fn connect(path: &Path, synchronous: Synchronous) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    // Until all is known to be well, closing must not write the log into the file.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.busy_timeout(std::time::Duration::ZERO)?;
    conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    conn.set_prepared_statement_cache_capacity(64);
    // Or what is bound where an index has a number (`state = 0`) has the statement parsed again each time.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;

    let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
    if pages == 0 {
        conn.pragma_update(None, "page_size", PAGE)?;
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    } else {
        inspect(&conn)?;
    }
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", synchronous.pragma())?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_BYTES / page)?;
    conn.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    schema::migrate(&mut conn, MIGRATIONS)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(conn)
}

/// Reads enough of an existing file to trust it.
fn inspect(conn: &Connection) -> Result<(), Fault> {
    let application: i64 = conn.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = schema::version(conn)?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    // A file without tables is one whose first opening was cut short.
    if application != APPLICATION && tables > 0 {
        let text = "is the database of another program: give the queue a file of its own";
        return Err(Fault::Foreign(text.to_owned()));
    }
    let newest = MIGRATIONS.len();
    if version > newest {
        return Err(Fault::Foreign(format!(
            "has version {version} of the queue's format, and this program knows versions up to \
             {newest}: use a program at least as new as the one that wrote it"
        )));
    }
    let check: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match check.as_str() {
        "ok" => Ok(()),
        _ => Err(Fault::Damaged(check)),
    }
}

/// Refuses while another process has the file.
fn lock(path: &Path) -> Result<File, StoreError> {
    let lock = beside(path, ".lock");
    let options = File::options().create(true).append(true).open(&lock);
    let file = options.map_err(|error| no_lock(path, &lock, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(error)) => Err(no_lock(path, &lock, &error)),
    }
}

fn no_lock(path: &Path, lock: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!(
        "{}: its lock file {} cannot be had: {error}; the folder must exist and be writable",
        path.display(),
        lock.display()
    ))
}

fn in_use(path: &Path) -> StoreError {
    StoreError::InUse(format!(
        "{} is in use by another process: stop that one first, or give this one a file of its own",
        path.display()
    ))
}

/// SQLite takes a log without its file for rubbish and deletes it; here it is all that is left.
fn refuse_lost_file(path: &Path) -> Result<(), StoreError> {
    let empty = |path: &Path| fs::metadata(path).map_or(true, |file| file.len() == 0);
    if !empty(path) || empty(&log(path)) {
        return Ok(());
    }
    Err(unusable(
        path,
        "is empty or missing and its log (-wal) is not",
    ))
}

fn explain(path: &Path, fault: Fault) -> StoreError {
    match fault {
        Fault::Damaged(what) => unusable(path, &format!("is damaged ({what})")),
        Fault::Foreign(text) => StoreError::Unusable(format!("{} {text}", path.display())),
        Fault::Sql(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => unusable(path, "is not a database"),
            Some(ErrorCode::DatabaseCorrupt) => unusable(path, &format!("is damaged ({error})")),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => in_use(path),
            _ => unavailable(path, &error),
        },
    }
}

fn unusable(path: &Path, what: &str) -> StoreError {
    StoreError::Unusable(format!(
        "{} {what}; nothing was changed: move it and the files beside it (-wal, .lock) away to \
         start with an empty queue, or put a backup in its place",
        path.display()
    ))
}

/// What a caller is told of a statement that failed.
pub(super) fn unavailable(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.display();
    StoreError::Unavailable(match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => {
            format!("the disk that holds {path} is full: free some space, nothing else is needed")
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            format!("{path} is damaged ({error}): stop, and put a backup in its place")
        }
        _ => format!("{path}: {error}"),
    })
}

/// The write-ahead log of this file.
pub(super) fn log(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// The file of this name with something at its end.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
