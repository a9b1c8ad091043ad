//! The two loops: requests as a schedule says, and requests as answers come.
//!
//! One task drives all requests; its memory is that of the requests on their way, whose number has a
//! bound. What is due and finds no room waits for it, is counted as late, and its latency counts from
//! when it was due. Must not know: what a request is, how it is sent.

use std::future::Future;
use std::thread;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::ended::{Ended, Event};
use super::tally::Tally;

/// How often a watcher looks.
const LOOK: Duration = Duration::from_millis(200);
/// Arrivals that may be announced before they are taken.
const ANNOUNCED: usize = 64;

/// What requests are sent to.
pub trait Target {
    /// Sends a request, the `number`th, and waits for its end. Dropped, it is given up.
    fn send(&self, number: u64) -> impl Future<Output = Ended>;
}

/// What a load may not exceed.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests on their way at once.
    pub in_flight: usize,
    /// How long a request may take, from when it is due on.
    pub timeout: Duration,
}

/// Looks on while a load runs: at the time since its start, the counts and the requests on their way.
pub trait Watch {
    /// Looks.
    fn look(&mut self, at: Duration, tally: &Tally, in_flight: usize);
}

/// Nobody looks on.
impl Watch for () {
    fn look(&mut self, _: Duration, _: &Tally, _: usize) {}
}

/// One request after the other, and their times.
struct Sender<'a, T> {
    target: &'a T,
    start: Instant,
    timeout: Duration,
    sent: u64,
}

impl<'a, T: Target> Sender<'a, T> {
    /// Sends the next request, which was due at `due`, unless its time is over already.
    fn send(&mut self, due: Duration, late: bool) -> impl Future<Output = Event> + use<'a, T> {
        let (target, start, number) = (self.target, self.start, self.sent);
        let until = start + due + self.timeout;
        self.sent += 1;
        async move {
            let sent = (Instant::now() < until).then(|| start.elapsed());
            let ended = match sent {
                Some(_) => timeout_at(until, target.send(number)).await,
                None => Ok(Ended::NeverSent),
            };
            Event {
                due,
                sent,
                done: start.elapsed(),
                late,
                ended: ended.unwrap_or(Ended::TimedOut),
            }
        }
    }
}

/// Sends a request for each time that comes out of `arrivals`, which announces it when it is due, and
/// returns when the last one has ended.
pub async fn open<T: Target>(
    target: &T,
    (start, mut arrivals): (Instant, mpsc::Receiver<Duration>),
    bounds: Bounds,
    tally: &mut Tally,
    watch: &mut impl Watch,
) {
    let mut sender = Sender {
        target,
        start,
        timeout: bounds.timeout,
        sent: 0,
    };
    let mut flying = FuturesUnordered::new();
    let mut looks = looks(start);
    let (mut waiting, mut over) = (None::<Duration>, false);
    loop {
        let room = flying.len() < bounds.in_flight;
        if room && let Some(due) = waiting.take() {
            flying.push(sender.send(due, true));
            continue;
        }
        // Arrivals come first: nothing that is slow may hold them up.
        tokio::select! {
            biased;
            due = arrivals.recv(), if waiting.is_none() && !over => match due {
                Some(due) if room => flying.push(sender.send(due, false)),
                Some(due) => waiting = Some(due),
                None => over = true,
            },
            _ = looks.tick(), if !(over && flying.is_empty() && waiting.is_none()) => {
                watch.look(start.elapsed(), tally, flying.len());
            }
            Some(event) = flying.next() => tally.add(&event),
            else => return,
        }
    }
}

/// Keeps so many requests on their way until the window ends, then gives up what is left.
pub async fn closed<T: Target>(
    target: &T,
    bounds: Bounds,
    tally: &mut Tally,
    watch: &mut impl Watch,
) {
    let start = Instant::now();
    let end = tally.window().end;
    let mut sender = Sender {
        target,
        start,
        timeout: bounds.timeout,
        sent: 0,
    };
    let mut flying = FuturesUnordered::new();
    for _ in 0..bounds.in_flight {
        flying.push(sender.send(start.elapsed(), false));
    }
    let mut looks = looks(start);
    let over = sleep_until(start + end);
    tokio::pin!(over);
    loop {
        tokio::select! {
            biased;
            () = &mut over => return,
            _ = looks.tick() => watch.look(start.elapsed(), tally, flying.len()),
            Some(event) = flying.next() => {
                tally.add(&event);
                flying.push(sender.send(start.elapsed(), false));
            }
        }
    }
}

fn looks(start: Instant) -> tokio::time::Interval {
    let mut looks = interval(LOOK);
    looks.reset_at(start + LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    looks
}

/// Announces arrivals from a thread of its own, because a runtime's timers are a millisecond wide. It
/// ends with the last arrival before `end`, or when nobody listens any more.
#[must_use]
pub fn announce(
    start: Instant,
    end: Duration,
    arrivals: impl Iterator<Item = Duration> + Send + 'static,
) -> mpsc::Receiver<Duration> {
    let (announce, announced) = mpsc::channel(ANNOUNCED);
    let start = start.into_std();
    thread::spawn(move || {
        for due in arrivals.take_while(|due| *due < end) {
            while let Some(left) = due.checked_sub(start.elapsed())
                && !left.is_zero()
            {
                thread::park_timeout(left);
            }
            if announce.blocking_send(due).is_err() {
                return;
            }
        }
    });
    announced
}
