//! Sends the write-ahead log on its way to the disk while the writer goes on.
//!
//! A checkpoint must wait until the whole log is on the disk. Left alone the system begins to
//! write then, and everybody waits for tens of megabytes; this way little is left to wait for.
//! Only a matter of speed: what is safe when is SQLite's affair. Must not know: SQL, jobs.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

/// Bytes after which it is worth the while.
const ENOUGH: u64 = 4 << 20;

/// Counts what is written; its thread ends with it.
pub(super) struct Flusher {
    bytes: u64,
    wake: Option<SyncSender<()>>,
}

// === impl Flusher ===

impl Flusher {
    /// For the log in this file, which SQLite has made by now. Without a log or a thread there is
    /// nothing to do and nothing is lost.
    pub(super) fn new(log: &Path) -> Self {
        let (wake, woken) = sync_channel(1);
        let thread = File::open(log).and_then(|log| {
            let thread = Builder::new().name("beagle-flusher".to_owned());
            thread.spawn(move || flush(&log, &woken))
        });
        let wake = thread.is_ok().then_some(wake);
        Self { bytes: 0, wake }
    }

    /// So many bytes were written.
    pub(super) fn wrote(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes < ENOUGH {
            return;
        }
        self.bytes = 0;
        let wake = self.wake.as_ref().map(|wake| wake.try_send(()));
        // If it is still at it, it comes round again; if it has gone, there is nobody to ask.
        if let Some(Err(TrySendError::Disconnected(()))) = wake {
            self.wake = None;
        }
    }
}

fn flush(log: &File, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        if let Err(error) = log.sync_data() {
            tracing::warn!(%error, "the log was not flushed ahead of its checkpoint");
            return;
        }
    }
}
