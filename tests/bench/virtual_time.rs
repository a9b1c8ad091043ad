//! Both loops and the search, in virtual time against a server that is a queue: what comes out is
//! known, and no machine is too slow for it.

use std::time::Duration;

use beagle::load::arrivals::{Arrivals, Spacing};
use beagle::load::drive::{self, Bounds, Target};
use beagle::load::ended::Ended;
use beagle::load::search::{Judgement, Search, judge};
use beagle::load::step::Step;
use beagle::load::tally::{Loop, Tally, Window};
use tokio::time::{Instant, sleep};

use crate::queue::{CAPACITY, Queue, announce, quantile, reckoned};

const BOUNDS: Bounds = Bounds {
    in_flight: 10_000,
    timeout: Duration::from_secs(60),
};
async fn open_with(
    target: &impl Target,
    (spacing, rate, seed): (Spacing, f64, u64),
    window: Window,
    bounds: Bounds,
) -> (Step, Tally) {
    let mut tally = Tally::new(Loop::Open(rate), window);
    let start = Instant::now();
    let due = announce(start, window.end, Arrivals::new(spacing, rate, seed));
    drive::open(target, (start, due), bounds, &mut tally, &mut ()).await;
    (tally.step(), tally)
}

async fn open(target: &impl Target, arrivals: (Spacing, f64, u64), seconds: u64) -> (Step, Tally) {
    let window = Window::new(Duration::ZERO, Duration::from_secs(seconds));
    open_with(target, arrivals, window, BOUNDS).await
}

async fn closed(target: &impl Target, connections: usize, seconds: u64) -> Step {
    let window = Window::new(Duration::from_secs(1), Duration::from_secs(seconds));
    let mut tally = Tally::new(Loop::Closed(connections), window);
    let bounds = Bounds {
        in_flight: connections,
        ..BOUNDS
    };
    drive::closed(target, bounds, &mut tally, &mut ()).await;
    tally.step()
}

#[tokio::test(start_paused = true)]
async fn above_capacity_an_open_loop_shows_the_queue_grow_and_sends_no_less() {
    let arrivals = (Spacing::Constant, 1.2 * CAPACITY, 1);
    let (step, _) = open(&Queue::new(), arrivals, 10).await;
    assert_eq!((step.requests, step.answered, step.late), (1199, 1199, 0));
    // Sent on schedule: a virtual millisecond is what a timer of the runtime is wide.
    assert!(step.lag.unwrap().max_ms <= 1.01);
    let queue = step.queue.unwrap();
    assert!(queue.grew());
    assert_eq!((queue.arrivals, queue.at_begin), (1199, 0));
    assert!((998..=1000).contains(&queue.completions), "{queue:?}");
    assert_eq!(queue.at_end, queue.arrivals - queue.completions);
    // A request that comes after t seconds waits for 0.2 t: (120 - 100) t requests of 10 ms.
    for (number, slice) in step.slices.iter().enumerate() {
        let middle = number as f64 + 0.5;
        let expected = 200.0 * middle + 10.0;
        let p50 = slice.p50_ms.unwrap();
        assert!(
            (p50 - expected).abs() < 15.0,
            "{number}: {p50} for {expected}"
        );
        assert_eq!(slice.requests, if number == 0 { 119 } else { 120 });
    }
    assert!(
        (step.throughput - CAPACITY).abs() < 0.3,
        "{}",
        step.throughput
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_loop_shows_the_capacity_of_the_same_server() {
    for connections in [1, 4, 64] {
        let step = closed(&Queue::new(), connections, 10).await;
        assert!(
            (step.throughput - CAPACITY).abs() < 0.2,
            "{}",
            step.throughput
        );
        let expected = 10.0 * connections as f64;
        let p50 = step.latency.unwrap().p50_ms;
        assert!((p50 - expected).abs() < 1.5, "{p50} on {connections}");
        assert!(step.queue.is_none() && step.lag.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn below_capacity_latencies_are_those_of_the_queue() {
    for (rate, seed) in [(50.0, 1), (80.0, 2), (95.0, 3)] {
        let arrivals = (Spacing::Poisson, rate, seed);
        let (step, tally) = open(&Queue::new(), arrivals, 60).await;
        let expected = reckoned(arrivals, 60.0);
        assert_eq!(step.requests, expected.len() as u64);
        assert!(!step.queue_grew());
        let latency = step.latency.unwrap();
        for (told, share) in [
            (latency.p50_ms, 0.5),
            (latency.p90_ms, 0.9),
            (latency.p99_ms, 0.99),
        ] {
            let expected = quantile(&expected, share) * 1e3;
            assert!(
                (told - expected).abs() < 2.0 + expected * 0.01,
                "{told} for {expected} at {rate}"
            );
        }
        let over = expected.iter().filter(|latency| **latency > 0.05).count() as f64;
        let told = tally.longer_than(Duration::from_millis(50)) as f64;
        assert!(
            (told - over).abs() <= expected.len() as f64 * 0.03,
            "{told} for {over}"
        );
    }
}

/// Coordinated omission: a server stands still for a second of twenty. Whoever waits for answers before
/// asking again has asked once in that second; strangers have asked fifty times.
#[tokio::test(start_paused = true)]
async fn a_stall_is_charged_to_all_that_it_kept_waiting() {
    let still = || Queue::that_stands_still(Duration::from_secs(5), Duration::from_secs(6));
    let (step, _) = open(&still(), (Spacing::Constant, 50.0, 1), 20).await;
    let (latency, service) = (step.latency.unwrap(), step.service.unwrap());
    assert!(latency.p95_ms > 400.0, "{latency:?}");
    assert!(
        service.p95_ms > 400.0,
        "they were sent in time: {service:?}"
    );
    let step = closed(&still(), 1, 20).await;
    let latency = step.latency.unwrap();
    assert!(
        latency.p99_ms < 12.0 && latency.max_ms > 900.0,
        "{latency:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_cap_are_on_their_way_and_none_is_left_out() {
    let queue = Queue::new();
    let bounds = Bounds {
        in_flight: 8,
        timeout: Duration::from_secs(2),
    };
    let window = Window::new(Duration::from_secs(1), Duration::from_secs(9));
    let (step, _) = open_with(&queue, (Spacing::Constant, 150.0, 1), window, bounds).await;
    assert_eq!(queue.most.get(), 8);
    assert_eq!(step.requests, 9 * 150);
    assert!(step.late > 1000, "{}", step.late);
    // By and by all wait for as long as they may.
    assert_eq!(step.failed, step.not_answered["timed_out"]);
    assert!(step.failed > 0 && step.answered > 0);
    assert_eq!(step.answered + step.failed, step.requests);
    // Waiting for room is latency, not service.
    let (latency, service) = (step.latency.unwrap(), step.service.unwrap());
    assert!(
        latency.p50_ms > 1000.0 && service.max_ms < 85.0,
        "{latency:?} {service:?}"
    );
    assert!(latency.max_ms >= 2000.0);
}

/// Ends requests in turn, at once.
struct Ends(&'static [Ended]);

impl Target for Ends {
    async fn send(&self, number: u64) -> Ended {
        self.0[number as usize % self.0.len()]
    }
}

/// Never answers.
struct Silence;

impl Target for Silence {
    async fn send(&self, _: u64) -> Ended {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn every_end_is_accounted_for_under_its_own_name() {
    let ends = Ends(&[
        Ended::Answered,
        Ended::Refused(503),
        Ended::Refused(429),
        Ended::Status(500),
        Ended::Broken,
    ]);
    let (step, tally) = open(&ends, (Spacing::Constant, 10.0, 1), 10).await;
    assert_eq!(
        (step.requests, step.answered, step.refused, step.failed),
        (99, 20, 40, 39)
    );
    let told: Vec<(&str, u64)> = step
        .not_answered
        .iter()
        .map(|(code, count)| (&code[..], *count))
        .collect();
    assert_eq!(
        told,
        [("429", 20), ("500", 20), ("503", 20), ("broken", 19)]
    );
    assert_eq!(step.latency.as_ref().unwrap().count, 20);
    let bound = Duration::from_secs(1);
    let judgement = judge(&step, bound, tally.longer_than(bound));
    assert!(!judgement.passed, "{judgement:?}");

    let bounds = Bounds {
        timeout: Duration::from_secs(3),
        ..BOUNDS
    };
    let window = Window::new(Duration::ZERO, Duration::from_secs(10));
    let (step, _) = open_with(&Silence, (Spacing::Constant, 10.0, 1), window, bounds).await;
    assert_eq!((step.failed, step.not_answered["timed_out"]), (99, 99));
    // What was given up cannot make a percentile look better.
    assert!(step.latency.unwrap().p50_ms >= 2997.0);
    assert!(step.service.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_sent_in_time_is_told_and_not_sent() {
    let queue = Queue::new();
    let start = Instant::now();
    let due = announce(
        start,
        Duration::from_secs(1),
        Arrivals::new(Spacing::Constant, 10.0, 1),
    );
    // As if the machine had stood still.
    sleep(Duration::from_secs(60)).await;
    let mut tally = Tally::new(
        Loop::Open(10.0),
        Window::new(Duration::ZERO, Duration::from_secs(1)),
    );
    let bounds = Bounds {
        timeout: Duration::from_secs(2),
        ..BOUNDS
    };
    drive::open(&queue, (start, due), bounds, &mut tally, &mut ()).await;
    let step = tally.step();
    assert_eq!((step.requests, step.not_answered["never_sent"]), (9, 9));
    assert_eq!(queue.most.get(), 0);
    assert!(step.latency.unwrap().p50_ms > 59_000.0);
}

#[tokio::test(start_paused = true)]
async fn the_warm_up_is_sent_and_not_counted() {
    let window = Window::new(Duration::from_secs(5), Duration::from_secs(2));
    let queue = Queue::new();
    let (step, _) = open_with(&queue, (Spacing::Constant, 50.0, 1), window, BOUNDS).await;
    assert_eq!((step.requests, step.answered), (100, 100));
    assert_eq!(step.seconds, 2.0);
}

async fn search(
    spacing: Spacing,
    seconds: u64,
    bound: Duration,
) -> (Search, Vec<(f64, Judgement)>) {
    let mut search = Search::new(10.0, 0.05, 1.0);
    let mut steps = Vec::new();
    while let Some(rate) = search.next() {
        let arrivals = (spacing, rate, steps.len() as u64);
        let (step, tally) = open(&Queue::new(), arrivals, seconds).await;
        let judgement = judge(&step, bound, tally.longer_than(bound));
        search.tell(rate, judgement.passed);
        steps.push((rate, judgement));
    }
    (search, steps)
}

/// Constant arrivals wait for nothing below the capacity and for ever longer above: the knee is there.
#[tokio::test(start_paused = true)]
async fn the_search_finds_the_capacity_under_constant_arrivals() {
    let (search, steps) = search(Spacing::Constant, 20, Duration::from_millis(100)).await;
    let (Some(passed), Some(failed)) = search.found() else {
        panic!("{steps:?}");
    };
    assert!(
        passed <= CAPACITY * 1.01 && failed > CAPACITY,
        "{passed} {failed}"
    );
    assert!(failed <= passed * 1.05);
}

/// Poisson arrivals queue before: where, says a run of an hour by the recursion.
#[tokio::test(start_paused = true)]
async fn the_search_finds_the_knee_under_poisson_arrivals() {
    let bound = Duration::from_millis(100);
    let p99 = |rate| quantile(&reckoned((Spacing::Poisson, rate, 77), 3600.0), 0.99);
    let (mut low, mut high) = (50.0, CAPACITY);
    while high - low > 0.1 {
        let middle = (low + high) / 2.0;
        if p99(middle) <= bound.as_secs_f64() {
            low = middle
        } else {
            high = middle
        }
    }
    let (search, steps) = search(Spacing::Poisson, 120, bound).await;
    let found = search.found().0.expect("a rate passed");
    assert!(
        (found / low - 1.0).abs() < 0.1,
        "{found} for {low}: {steps:?}"
    );
    for (_, judgement) in &steps {
        assert!(judgement.share_over <= judgement.share_over_at_most);
        assert!(!judgement.passed || judgement.share_over <= 0.01);
    }
}
