//! The connections that all calls share: kept by the store's own thread, renewed when it breaks.
//!
//! A call never waits for Redis to come back: while there is no connection it is refused at once,
//! only the first attempt after a break is waited for. Must not know: keys, scripts, jobs.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, PushInfo, PushKind, RedisError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::address::{ANSWER, Server};
use crate::store::StoreError;

/// A connection that lasted this long was a good one.
const GOOD: Duration = Duration::from_secs(1);

const CLOSED: &str = "it was closed";
const UNCONNECTED: &str = "no connection yet";
const UNSEEN: &str = "it answers, and is being looked at";

/// The shared connection, as it stands.
#[derive(Clone)]
pub(super) struct Link {
    state: watch::Receiver<State>,
    broken: mpsc::Sender<u64>,
    /// Whether Redis may be elsewhere by now.
    moves: bool,
    /// `None` for who finds out whether this Redis can be used.
    welcome: Option<watch::Receiver<Welcome>>,
}

/// Whether a Redis can be used, by what was found when it first answered.
#[derive(Clone)]
pub(super) enum Welcome {
    /// It has not answered yet.
    NotYet,
    /// Yes; what an accepted job survives.
    Yes(String),
    /// No, and why; it is asked again.
    No(StoreError),
}

/// A connection for one call.
pub(super) struct Line {
    pub(super) connection: MultiplexedConnection,
    number: u64,
    moves: bool,
    broken: mpsc::Sender<u64>,
}

/// Delays between attempts: each twice the one before, up to a bound, with chance in them so that
/// not all processes come at once.
pub(super) struct Backoff {
    next: Duration,
}

/// Keeps a [`Link`] up; runs in the store's own thread.
pub(super) struct Keeper {
    server: Server,
    state: watch::Sender<State>,
    broken: mpsc::Receiver<u64>,
}

#[derive(Clone)]
enum State {
    Connecting,
    Up(u64, MultiplexedConnection),
    Down(Down),
    Closed,
}

/// Why there is no connection.
#[derive(Clone)]
struct Down {
    reason: String,
    /// Whether Redis itself said no to the user or password.
    refused: bool,
}

impl Server {
    /// The link to it and the keeper that must run.
    pub(super) fn link(&self, welcome: watch::Receiver<Welcome>) -> (Link, Keeper) {
        let (state, seen) = watch::channel(State::Connecting);
        let (tell, broken) = mpsc::channel(16);
        let link = Link {
            state: seen,
            broken: tell,
            moves: self.moves(),
            welcome: Some(welcome),
        };
        let keeper = Keeper {
            server: self.clone(),
            state,
            broken,
        };
        (link, keeper)
    }
}

impl Link {
    /// The connection for a call.
    pub(super) async fn line(&self) -> Result<Line, StoreError> {
        if let Some(Welcome::No(error)) = self.welcomed() {
            return Err(error);
        }
        let line = self.connected().await?;
        // What was found of it may have come while this call waited.
        match self.welcomed() {
            Some(Welcome::NotYet) => Err(StoreError::Unavailable(UNSEEN.to_owned())),
            Some(Welcome::No(error)) => Err(error),
            Some(Welcome::Yes(_)) | None => Ok(line),
        }
    }

    /// The same, for who finds out whether this Redis can be used.
    pub(super) fn unwelcomed(&self) -> Self {
        Self {
            welcome: None,
            ..self.clone()
        }
    }

    /// Why a call would be refused now; nothing if it would be made.
    pub(super) fn trouble(&self) -> Option<String> {
        match (&*self.state.borrow(), self.welcomed()) {
            (State::Closed, _) => Some(CLOSED.to_owned()),
            (State::Down(down), _) => Some(down.reason.clone()),
            (State::Connecting, _) => Some(UNCONNECTED.to_owned()),
            (State::Up(..), Some(Welcome::NotYet)) => Some(UNSEEN.to_owned()),
            (State::Up(..), Some(Welcome::No(error))) => Some(error.to_string()),
            (State::Up(..), _) => None,
        }
    }

    /// Whether Redis refused the user or password.
    pub(super) fn is_refused(&self) -> bool {
        matches!(&*self.state.borrow(), State::Down(down) if down.refused)
    }

    fn welcomed(&self) -> Option<Welcome> {
        self.welcome
            .as_ref()
            .map(|welcome| welcome.borrow().clone())
    }

    /// The connection, whether or not this Redis can be used; waits for an attempt that is under way.
    pub(super) async fn connected(&self) -> Result<Line, StoreError> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Connecting));
        let settled = match timeout(ANSWER, settled).await {
            Ok(Ok(state)) => (*state).clone(),
            Ok(Err(_)) => State::Closed,
            Err(_) => State::Connecting,
        };
        match settled {
            State::Up(number, connection) => Ok(Line {
                connection,
                number,
                moves: self.moves,
                broken: self.broken.clone(),
            }),
            State::Closed => Err(StoreError::Unavailable(CLOSED.to_owned())),
            State::Down(down) => Err(StoreError::Unavailable(down.reason)),
            State::Connecting => Err(StoreError::Unavailable(UNCONNECTED.to_owned())),
        }
    }

    /// Waits until the keeper has ended: every call is refused from then on.
    pub(super) async fn closed(&self) {
        let mut state = self.state.clone();
        // An error says that the keeper is gone, which is the same.
        let _ = state.wait_for(|state| matches!(state, State::Closed)).await;
    }
}

impl Line {
    /// What a failed call means, and has the connection renewed if it is that.
    pub(super) fn lost(&self, error: &RedisError) -> StoreError {
        let moved =
            self.moves && matches!(code(error).as_deref(), Some("READONLY" | "MOVED" | "ASK"));
        if moved || error.is_timeout() || error.is_unrecoverable_error() {
            // If nobody takes it, the keeper has enough to do already.
            let _ = self.broken.try_send(self.number);
        }
        unavailable(error)
    }
}

impl Keeper {
    /// Connects, and again whenever the connection breaks; ends never.
    pub(super) async fn keep(mut self) {
        let mut backoff = Backoff::new();
        let mut number = 0;
        loop {
            match self.server.connect().await {
                Ok((connection, told)) => {
                    number += 1;
                    self.state.send_replace(State::Up(number, connection));
                    let since = Instant::now();
                    self.until_broken(number, told).await;
                    tracing::warn!(store.place = %self.server.place, "redis connection lost");
                    self.state.send_replace(State::Connecting);
                    if since.elapsed() >= GOOD {
                        backoff = Backoff::new();
                    } else {
                        sleep(backoff.next()).await;
                    }
                }
                Err(error) => {
                    self.state.send_replace(State::Down(Down {
                        reason: reason(&error),
                        refused: is_refusal(&error),
                    }));
                    sleep(backoff.next()).await;
                }
            }
        }
    }

    async fn until_broken(&mut self, number: u64, mut told: mpsc::UnboundedReceiver<PushInfo>) {
        loop {
            tokio::select! {
                push = told.recv() => {
                    if push.is_none_or(|push| push.kind == PushKind::Disconnection) {
                        return;
                    }
                }
                broken = self.broken.recv() => {
                    // An older number is of a connection that is gone already.
                    if broken.is_none_or(|broken| broken == number) {
                        return;
                    }
                }
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.state.send_replace(State::Closed);
    }
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LAST: Duration = Duration::from_millis(800);

    pub(super) fn new() -> Self {
        Self { next: Self::FIRST }
    }

    /// The next delay, between half and all of what it would be without chance.
    pub(super) fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(Self::LAST);
        // The standard library's hash seeds are its one source of chance.
        let chance = RandomState::new().hash_one(0) % 1000;
        whole / 2 + whole / 2 * u32::try_from(chance).unwrap_or(0) / 1000
    }
}

/// What a call that failed means to who called.
pub(super) fn unavailable(error: &RedisError) -> StoreError {
    StoreError::Unavailable(reason(error))
}

/// The code of what Redis said; of a transaction, of the first command that failed.
fn code(error: &RedisError) -> Option<String> {
    let first = error.clone().into_server_errors();
    let first = first.as_deref().and_then(<[_]>::first);
    first.map(|(_, error)| error.code().to_owned())
}

fn is_refusal(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(code(error).as_deref(), Some("NOAUTH" | "WRONGPASS"))
}

fn reason(error: &RedisError) -> String {
    let plain = match code(error).as_deref() {
        Some("OOM") => "Redis is at its maxmemory: free some, or raise it above the queue's bytes",
        Some("LOADING") => "Redis is still loading its data",
        Some("BUSY") => "Redis is busy with another client's script",
        Some("READONLY") => "this Redis is a replica: give the address of the primary",
        Some("MOVED" | "ASK") => "the queue has moved to another node of the cluster",
        Some("MISCONF") => "Redis cannot write to its disk and refuses changes: look at its log",
        _ if is_refusal(error) => "Redis refused the user or password",
        Some("NOPERM") => "the user of Redis may not run a command that is needed",
        _ if error.is_timeout() => "Redis did not answer in time",
        _ if error.is_connection_refusal() => "nothing listens at the address of Redis",
        _ => return format!("Redis: {error}"),
    };
    plain.to_owned()
}
