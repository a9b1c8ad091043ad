//! A server that is a queue, in virtual time, and what its latencies have to be.

use std::cell::Cell;
use std::time::Duration;

use beagle::load::arrivals::{Arrivals, Spacing};
use beagle::load::drive::Target;
use beagle::load::ended::Ended;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

/// Time that the server takes for a request: its capacity is 100 a second.
pub(crate) const SERVICE: Duration = Duration::from_millis(10);
/// The same a second.
pub(crate) const CAPACITY: f64 = 100.0;

/// Takes requests one after the other, each for [`SERVICE`]; stands still between two times.
pub(crate) struct Queue {
    door: Semaphore,
    start: Instant,
    still: Option<(Duration, Duration)>,
    on_their_way: Cell<usize>,
    /// Most requests that it had at once.
    pub(crate) most: Cell<usize>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            door: Semaphore::new(1),
            start: Instant::now(),
            still: None,
            on_their_way: Cell::new(0),
            most: Cell::new(0),
        }
    }

    /// Stands still between these times.
    pub(crate) fn that_stands_still(from: Duration, to: Duration) -> Self {
        Self {
            still: Some((from, to)),
            ..Self::new()
        }
    }
}

/// A request that is with the server, until it is answered or given up.
struct OnItsWay<'a>(&'a Cell<usize>);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Target for Queue {
    async fn send(&self, _: u64) -> Ended {
        self.on_their_way.set(self.on_their_way.get() + 1);
        self.most.set(self.most.get().max(self.on_their_way.get()));
        let _request = OnItsWay(&self.on_their_way);
        let _turn = self.door.acquire().await.expect("the door stays");
        if let Some((from, to)) = self.still
            && (from..to).contains(&self.start.elapsed())
        {
            sleep_until(self.start + to).await;
        }
        sleep(SERVICE).await;
        Ended::Answered
    }
}

/// Announces arrivals by the paused clock.
pub(crate) fn announce(
    start: Instant,
    end: Duration,
    arrivals: Arrivals,
) -> mpsc::Receiver<Duration> {
    let (announce, announced) = mpsc::channel(64);
    tokio::spawn(async move {
        for due in arrivals.take_while(|due| *due < end) {
            sleep_until(start + due).await;
            if announce.send(due).await.is_err() {
                return;
            }
        }
    });
    announced
}

/// Latencies in seconds of the same arrivals at the same server, by Lindley's recursion.
pub(crate) fn reckoned(arrivals: (Spacing, f64, u64), seconds: f64) -> Vec<f64> {
    let (spacing, rate, seed) = arrivals;
    let due = Arrivals::new(spacing, rate, seed).map(|due| due.as_secs_f64());
    let mut free = 0f64;
    let latencies = due.take_while(|due| *due < seconds).map(|due| {
        free = free.max(due) + SERVICE.as_secs_f64();
        free - due
    });
    let mut latencies: Vec<f64> = latencies.collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

/// The value that such a share does not exceed.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1]
}
