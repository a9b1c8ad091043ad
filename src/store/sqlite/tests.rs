//! What cannot be seen from outside: transactions that fail, disks that are full, older files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::schema::{self, MIGRATIONS};
use super::*;
use crate::store::Priority;

struct Lab {
    folder: TempDir,
    store: Arc<SqliteStore>,
}

impl Lab {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    /// Over a file that was made with pages of so many bytes.
    fn of_pages(bytes: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut conn = rusqlite::Connection::open(folder.path().join("queue.db")).unwrap();
        conn.pragma_update(None, "page_size", bytes).unwrap();
        let vacuum = conn.pragma_update(None, "auto_vacuum", "INCREMENTAL");
        vacuum.unwrap();
        schema::migrate(&mut conn, MIGRATIONS).unwrap();
        drop(conn);
        Self::at(folder)
    }

    fn at(folder: TempDir) -> Self {
        let path = folder.path().join("queue.db");
        let limits = StoreLimits::default();
        let store = SqliteStore::open(&path, limits, Synchronous::Normal).unwrap();
        let store = Arc::new(store);
        Self { folder, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("queue.db")
    }

    /// Holds the thread inside a transaction until the sender is used or dropped, so that what
    /// is asked meanwhile comes together in the next one.
    async fn hold(&self) -> mpsc::Sender<()> {
        let (release, held) = mpsc::channel::<()>();
        let (tell, told) = oneshot::channel();
        let store = Arc::clone(&self.store);
        let mut tell = Some(tell);
        tokio::spawn(async move {
            let hold = store.call(move |_| {
                tell.take().map(|tell| tell.send(()));
                let _ = held.recv();
                Ok(())
            });
            hold.await.unwrap();
        });
        told.await.unwrap();
        release
    }
}

fn job(size: usize) -> NewJob {
    NewJob {
        id: JobId::new(),
        pixels: Bytes::from(vec![7; size]),
        profile: "imagenet".to_owned(),
        top: 5,
        priority: Priority::Normal,
        created: UnixMillis::now(),
        deadline: UnixMillis::now().after(Duration::from_secs(3600)),
        idempotency: None,
        callback: None,
        traceparent: None,
    }
}

fn is_unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Unavailable(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_statement_is_parsed_once_whatever_is_bound() {
    let lab = Lab::new();
    let again = lab.store.call(|session| {
        // Some indexes are of one state only, so another plan might suit another number.
        let mut count = session.prepare("SELECT count(*) FROM job WHERE state = ?")?;
        for state in [0, 2, 0] {
            count.query_row([state], |row| row.get::<_, i64>(0))?;
        }
        Ok(count.get_status(rusqlite::StatementStatus::RePrepare))
    });
    assert_eq!(again.await.unwrap(), 0);
}

#[tokio::test]
async fn a_failed_request_does_not_fail_those_in_its_transaction() {
    let lab = Lab::new();
    let old = job(10);
    lab.store.enqueue(old.clone()).await.unwrap();
    let (first, second) = (job(10), job(10));
    let runs = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&runs);
    let broken = lab.store.call(move |session| {
        count.fetch_add(1, Ordering::SeqCst);
        session.execute("DELETE FROM job", [])?;
        session.execute("INSERT INTO nowhere VALUES (1)", [])?;
        Ok(())
    });

    let held = lab.hold().await;
    let requests = async {
        tokio::join!(
            lab.store.enqueue(first.clone()),
            broken,
            lab.store.enqueue(second.clone()),
            async { drop(held) },
        )
    };
    let (one, failed, two, ()) = requests.await;
    assert_eq!(one, Ok(Enqueued::Accepted));
    assert_eq!(two, Ok(Enqueued::Accepted));
    assert!(is_unavailable(failed).contains("nowhere"));
    // Once with the others, once alone: they did share a transaction.
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    let ids: Vec<JobId> = [&old, &first, &second].map(|job| job.id).into();
    let claimed = lab.store.claim(10).await.unwrap();
    let came: Vec<JobId> = claimed.iter().map(|job| job.lease.id).collect();
    assert_eq!(came, ids);
}

#[tokio::test]
async fn who_ended_in_a_transaction_that_failed_is_told_once() {
    let lab = Lab::new();
    let gone = job(10);
    lab.store.enqueue(gone.clone()).await.unwrap();
    let mut ended = lab.store.ended();
    let broken = lab.store.call(|session| {
        session.execute("INSERT INTO nowhere VALUES (1)", [])?;
        Ok(())
    });

    let held = lab.hold().await;
    let requests = async { tokio::join!(lab.store.cancel(gone.id), broken, async { drop(held) }) };
    let (cancelled, failed, ()) = requests.await;
    assert_eq!(cancelled, Ok(Some(Cancelled::Now)));
    is_unavailable(failed);
    assert_eq!(ended.try_recv(), Ok(gone.id));
    ended.try_recv().unwrap_err();
}

#[tokio::test]
async fn a_refused_request_is_refused_within_a_shared_transaction() {
    let lab = Lab::new();
    let limits = StoreLimits {
        max_jobs: 2,
        ..StoreLimits::default()
    };
    lab.store.close().await.unwrap();
    let lab = Lab {
        store: Arc::new(SqliteStore::open(&lab.path(), limits, Synchronous::Normal).unwrap()),
        ..lab
    };
    let held = lab.hold().await;
    let requests = async {
        tokio::join!(
            lab.store.enqueue(job(10)),
            lab.store.enqueue(job(10)),
            lab.store.enqueue(job(10)),
            async { drop(held) },
        )
    };
    let (one, two, three, ()) = requests.await;
    assert_eq!(one, Ok(Enqueued::Accepted));
    assert_eq!(two, Ok(Enqueued::Accepted));
    assert_eq!(three, Err(StoreError::TooManyJobs { jobs: 2, limit: 2 }));
}

#[tokio::test]
async fn a_full_disk_fails_its_callers_alone_and_passes() {
    let lab = Lab::new();
    let known = job(10);
    lab.store.enqueue(known.clone()).await.unwrap();
    limit_pages(&lab.store, 1).await;

    // Too large for the pages there are, and in one transaction with something that is not.
    let held = lab.hold().await;
    let requests = async {
        tokio::join!(
            lab.store.enqueue(job(1 << 20)),
            lab.store.cancel(known.id),
            async { drop(held) },
        )
    };
    let (refused, cancelled, ()) = requests.await;
    let text = is_unavailable(refused);
    assert!(text.contains("full") && text.contains("queue.db"), "{text}");
    assert_eq!(cancelled, Ok(Some(Cancelled::Now)));

    limit_pages(&lab.store, u32::MAX - 1).await;
    let accepted = lab.store.enqueue(job(1 << 20)).await;
    assert_eq!(accepted, Ok(Enqueued::Accepted));
    assert_eq!(lab.store.stats().await.unwrap().queued, 1);
}

/// Lets the file have no more pages than this, as a full disk would; never fewer than it has.
async fn limit_pages(store: &SqliteStore, most: u32) {
    let limited = store.call(move |session| {
        let sql = format!("PRAGMA max_page_count = {most}");
        session.conn.query_row(&sql, [], |_| Ok(()))?;
        Ok(())
    });
    limited.await.unwrap();
}

#[tokio::test]
async fn a_claim_that_fails_is_told_and_the_next_one_succeeds() {
    let lab = Lab::new();
    let hide = "ALTER TABLE pixels RENAME TO hidden";
    let show = "ALTER TABLE hidden RENAME TO pixels";
    // Not in the cache: the claim has to read.
    let offered = job(10);
    lab.store.enqueue(offered.clone()).await.unwrap();
    let forget = lab.store.call(move |session| {
        session.recent.take(&offered.id);
        Ok(())
    });
    forget.await.unwrap();
    batch(&lab.store, hide).await;
    let text = is_unavailable(lab.store.claim(1).await);
    assert!(text.contains("pixels"), "{text}");

    batch(&lab.store, show).await;
    let claimed = lab.store.claim(1).await.unwrap();
    assert_eq!(claimed[0].lease.id, offered.id);
    assert_eq!(claimed[0].pixels, offered.pixels);
}

async fn batch(store: &SqliteStore, sql: &'static str) {
    let done = store.call(move |session| Ok(session.conn.execute_batch(sql)?));
    done.await.unwrap();
}

#[tokio::test]
async fn a_job_whose_pixels_are_missing_does_not_block_the_others() {
    let lab = Lab::new();
    let (broken, good) = (job(10), job(10));
    lab.store.enqueue(broken.clone()).await.unwrap();
    lab.store.enqueue(good.clone()).await.unwrap();
    let lose = lab.store.call(move |session| {
        session.recent.take(&broken.id);
        session.execute("DELETE FROM pixels WHERE seq = 1", [])?;
        Ok(())
    });
    lose.await.unwrap();

    let claimed = lab.store.claim(10).await.unwrap();
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].lease.id, good.id);
    let dead = lab.store.job(broken.id).await.unwrap().unwrap();
    assert_eq!(dead.state, JobState::Dead);
    assert!(dead.reason.unwrap().contains("missing"));
}

#[tokio::test]
async fn pixels_go_with_their_job_and_the_file_shrinks_to_so_many_bytes() {
    const SPARE: i64 = 500_000;
    // Older files have larger pages.
    for page in [4096, 16384] {
        let lab = Lab::of_pages(page);
        for _ in 0..20 {
            lab.store.enqueue(job(100_000)).await.unwrap();
        }
        let before = number(&lab.store, "PRAGMA page_count").await;
        for job in lab.store.list(None, 100).await.unwrap() {
            lab.store.cancel(job.id).await.unwrap();
        }
        assert_eq!(number(&lab.store, "SELECT count(*) FROM pixels").await, 0);
        // Pages stay for the next jobs, up to a limit.
        lab.store.tend().await.unwrap();
        assert_eq!(number(&lab.store, "PRAGMA page_count").await, before);
        let give_back = lab.store.call(|session| Ok(session.give_back(SPARE)?));
        give_back.await.unwrap();
        assert_eq!(number(&lab.store, "PRAGMA page_size").await, page);
        let free = number(&lab.store, "PRAGMA freelist_count").await;
        assert_eq!(free, SPARE / page);
        let after = number(&lab.store, "PRAGMA page_count").await;
        assert!(after < before / 2, "{before} pages, then {after}");
    }
}

async fn number(store: &SqliteStore, sql: &'static str) -> i64 {
    let number = store.call(move |session| {
        let row = session.conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok(row?)
    });
    number.await.unwrap()
}

#[tokio::test]
async fn the_doctor_sees_counts_that_are_wrong() {
    let lab = Lab::new();
    lab.store.enqueue(job(10)).await.unwrap();
    let spoil = lab.store.call(|session| {
        session.execute("UPDATE tally SET bytes = bytes + 1 WHERE state = 0", [])?;
        Ok(())
    });
    spoil.await.unwrap();
    let findings = lab.store.doctor().await.unwrap();
    let counts = findings.iter().find(|finding| finding.check == "counts");
    assert_eq!(counts.unwrap().severity, crate::store::Severity::Danger);
}

#[tokio::test]
async fn an_older_file_becomes_a_newer_one_with_its_jobs() {
    let lab = Lab::new();
    let offered = job(10);
    lab.store.enqueue(offered.clone()).await.unwrap();
    lab.store.close().await.unwrap();

    let mut newer = MIGRATIONS.to_vec();
    newer.push("ALTER TABLE job ADD COLUMN note TEXT NOT NULL DEFAULT 'none'");
    let mut conn = rusqlite::Connection::open(lab.path()).unwrap();
    schema::migrate(&mut conn, &newer).unwrap();
    assert_eq!(schema::version(&conn), Ok(newer.len()));
    let sql = "SELECT id, note, bytes FROM job JOIN pixels USING (seq)";
    let row = conn.query_row(sql, [], |row| {
        Ok((
            row.get(0)?,
            row.get::<_, String>(1)?,
            row.get::<_, Vec<u8>>(2)?,
        ))
    });
    let (id, note, pixels): (JobId, String, Vec<u8>) = row.unwrap();
    assert_eq!((id, note.as_str()), (offered.id, "none"));
    assert_eq!(pixels, offered.pixels);
    // Once is enough.
    schema::migrate(&mut conn, &newer).unwrap();
}

#[tokio::test]
async fn a_file_of_every_version_opens_with_its_jobs() {
    for version in 1..=MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue.db");
        let mut conn = rusqlite::Connection::open(&path).unwrap();
        schema::migrate(&mut conn, &MIGRATIONS[..version]).unwrap();
        let id = JobId::new();
        let sql = "INSERT INTO job (seq, id, state, priority, profile, top, created, deadline, size) \
                   VALUES (1, ?, 0, 1, 'imagenet', 5, 7, 9000000000000, 3)";
        conn.execute(sql, [id]).unwrap();
        conn.execute_batch("INSERT INTO pixels (seq, bytes) VALUES (1, x'010203')")
            .unwrap();
        drop(conn);
        let store = SqliteStore::open(&path, StoreLimits::default(), Synchronous::Normal).unwrap();
        let claimed = store.claim(1).await.unwrap();
        assert_eq!(claimed[0].lease.id, id, "of version {version}");
        assert_eq!(claimed[0].pixels[..], [1, 2, 3]);
        let seen = store.job(id).await.unwrap().unwrap();
        assert_eq!((seen.callback, seen.traceparent), (None, None));
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let lab = Lab::new();
    let offered = job(10);
    lab.store.enqueue(offered.clone()).await.unwrap();
    lab.store.close().await.unwrap();

    let mut newer = MIGRATIONS.to_vec();
    newer.push("DELETE FROM job; ALTER TABLE nowhere ADD COLUMN note TEXT");
    let mut conn = rusqlite::Connection::open(lab.path()).unwrap();
    schema::migrate(&mut conn, &newer).unwrap_err();
    assert_eq!(schema::version(&conn), Ok(MIGRATIONS.len()));
    drop(conn);
    let limits = StoreLimits::default();
    let store = SqliteStore::open(&lab.path(), limits, Synchronous::Normal).unwrap();
    assert_eq!(store.claim(1).await.unwrap()[0].lease.id, offered.id);
}
