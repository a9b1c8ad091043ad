//! A running server's door for operators: a Unix socket beside the embedded store, for this user
//! alone. One JSON request a line, one JSON reply.
//!
//! The embedded store belongs to one process at a time, so whoever wants to see into it while a
//! server runs asks the server. Must not know: what is asked.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader as AsyncReader,
};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Reply, Request, answer};
use crate::store::JobStore;

/// Operators at once.
const OPERATORS: usize = 8;
/// Longest request in bytes.
const LONGEST: u64 = 4096;
/// An operator who says nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// The socket that belongs to a store's file.
#[must_use]
pub fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".sock");
    name.into()
}

/// Answers operators at this socket until it is dropped. To be called by whoever has the store,
/// for it removes what an earlier process left there.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(path: &Path, store: Arc<dyn JobStore>) -> io::Result<Door> {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let places = Arc::new(Semaphore::new(OPERATORS));
    let task = actix::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // One who finds no place finds the door closed.
            if let Ok(place) = places.clone().try_acquire_owned() {
                let store = store.clone();
                actix::spawn(async move {
                    if let Err(error) = timeout(PATIENCE, serve(stream, store)).await {
                        tracing::debug!(%error, "an operator said nothing");
                    }
                    drop(place);
                });
            }
        }
    });
    Ok(Door {
        path: path.to_owned(),
        task,
    })
}

/// An open door; closed and removed when dropped.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    task: actix_web::rt::task::JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        // The next server removes it, if this one cannot.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(stream: UnixStream, store: Arc<dyn JobStore>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    AsyncReader::new(read.take(LONGEST))
        .read_line(&mut line)
        .await?;
    let reply = match serde_json::from_str(&line) {
        Ok(request) => answer(&*store, request).await,
        Err(error) => Reply::Failed(format!("not understood: {error}")),
    };
    let mut text = serde_json::to_vec(&reply)?;
    text.push(b'\n');
    write.write_all(&text).await
}

/// Asks the server at this socket.
///
/// # Errors
/// When nobody answers there.
pub fn ask(path: &Path, request: &Request) -> io::Result<Reply> {
    let mut stream = BlockingStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}
