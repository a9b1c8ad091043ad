//! What this process counts and times, and how it stands, as Prometheus reads it.
//!
//! [`Metrics`] is told facts by the stages; [`figures`] are asked for when somebody looks. The table
//! in `docs/metrics.md` has every name; a test holds the two together. Must not know: HTTP, stages,
//! which store.

pub mod figures;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry, TextEncoder,
};

use crate::error::ErrorCode;
use crate::observe::{Fact, Observer, Point};
use crate::store::{JobId, Tended};
use figures::Figures;

/// The media type of what [`Metrics::page`] gives.
pub const MEDIA_TYPE: &str = prometheus::TEXT_FORMAT;

/// Upper bounds of times, in seconds: from a small photo's decoding to the longest wait.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];
/// Upper bounds of batch sizes.
const IMAGES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// A process' counters and histograms.
pub struct Metrics {
    registry: Registry,
    accepted: IntCounter,
    answered: IntCounter,
    completed: IntCounter,
    redelivered: IntCounter,
    recovered: IntCounter,
    dead: IntCounter,
    expired: IntCounter,
    cancelled: IntCounter,
    delivered: IntCounter,
    failed_deliveries: IntCounter,
    given_up: IntCounter,
    refused: IntCounterVec,
    decode: Histogram,
    queue: Histogram,
    batch_wait: Histogram,
    inference: Histogram,
    job: Histogram,
    answer: Histogram,
    batch: Histogram,
}

impl Metrics {
    /// Everything at zero.
    ///
    /// # Errors
    /// Never in practice: no two of the names are alike.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let counter = |name: &str, help: &str| add(&registry, IntCounter::new(name, help));
        let times = |name: &str, help: &str| histogram(&registry, name, help, &SECONDS);
        let refused = Opts::new(
            "beagle_requests_refused_total",
            "Images and requests refused, by the code of the error.",
        );
        let refused = add(&registry, IntCounterVec::new(refused, &["code"]))?;
        for code in ErrorCode::ALL {
            // There from the beginning, so that a rate sees the first one.
            refused.with_label_values(&[code.name()]);
        }
        Ok(Self {
            accepted: counter(
                "beagle_jobs_accepted_total",
                "Jobs that the store has accepted from this process.",
            )?,
            answered: counter(
                "beagle_jobs_answered_total",
                "Images whose labels were given to a caller that waited.",
            )?,
            completed: counter(
                "beagle_jobs_completed_total",
                "Jobs whose first result this process has recorded.",
            )?,
            redelivered: counter(
                "beagle_jobs_redelivered_total",
                "Jobs claimed by this process that had been started before.",
            )?,
            recovered: counter(
                "beagle_jobs_recovered_total",
                "Jobs this process has taken back from one that died or lost its lease.",
            )?,
            dead: counter(
                "beagle_jobs_dead_total",
                "Jobs that became dead letters here.",
            )?,
            expired: counter(
                "beagle_jobs_expired_total",
                "Jobs that this process has found past their deadline when it tended the queue.",
            )?,
            cancelled: counter(
                "beagle_jobs_cancelled_total",
                "Jobs taken back by their caller or because nobody waited any more.",
            )?,
            delivered: counter(
                "beagle_callbacks_delivered_total",
                "Callbacks that a receiver has taken from this process.",
            )?,
            failed_deliveries: counter(
                "beagle_callback_tries_failed_total",
                "Callbacks by this process that no receiver has taken; most are tried again.",
            )?,
            given_up: counter(
                "beagle_callbacks_given_up_total",
                "Callbacks that nobody tries any more, found so by this process.",
            )?,
            refused,
            decode: times(
                "beagle_decode_duration_seconds",
                "From an upload's bytes to its pixels.",
            )?,
            queue: times(
                "beagle_queue_duration_seconds",
                "From a job's acceptance to its going to a model.",
            )?,
            batch_wait: times(
                "beagle_batch_wait_duration_seconds",
                "From a job's claim by this process to its going to a model.",
            )?,
            inference: times("beagle_inference_duration_seconds", "A batch in the model.")?,
            job: times(
                "beagle_job_duration_seconds",
                "From a job's acceptance to its recorded result.",
            )?,
            answer: times(
                "beagle_answer_duration_seconds",
                "From a complete upload to its answer.",
            )?,
            batch: histogram(
                &registry,
                "beagle_batch_size_images",
                "Images in a batch.",
                &IMAGES,
            )?,
            registry,
        })
    }

    /// Everything as text, with how the process stands.
    ///
    /// # Errors
    /// Never in practice: writing to memory does not fail.
    pub fn page(&self, figures: &Figures) -> prometheus::Result<Vec<u8>> {
        let mut families = self.registry.gather();
        families.extend(figures.families()?);
        let mut page = Vec::new();
        TextEncoder::new().encode(&families, &mut page)?;
        Ok(page)
    }

    fn tended(&self, tended: Tended) {
        self.recovered.inc_by(tended.reclaimed);
        self.expired.inc_by(tended.expired);
        self.dead.inc_by(tended.dead);
        self.given_up.inc_by(tended.given_up);
    }
}

impl Observer for Metrics {
    fn reached(&self, point: Point, _: JobId) {
        match point {
            Point::Enqueued => self.accepted.inc(),
            Point::Completed => self.completed.inc(),
            Point::Decoded
            | Point::Claimed
            | Point::Started
            | Point::Inferred
            | Point::CallbackClaimed
            | Point::CallbackSent
            | Point::CallbackRecorded => {}
        }
    }

    fn saw(&self, fact: Fact) {
        match fact {
            Fact::Decoded(took) => observe(&self.decode, took),
            Fact::Redelivered => self.redelivered.inc(),
            Fact::Launched { queued, held } => {
                observe(&self.queue, queued);
                observe(&self.batch_wait, held);
            }
            Fact::Ran { images, infer } => {
                self.batch.observe(images as f64);
                observe(&self.inference, infer);
            }
            Fact::Completed(took) => observe(&self.job, took),
            Fact::Answered(total) => {
                self.answered.inc();
                observe(&self.answer, total);
            }
            Fact::Refused(code) => self.refused.with_label_values(&[code.name()]).inc(),
            Fact::Cancelled => self.cancelled.inc(),
            Fact::Dead => self.dead.inc(),
            Fact::Delivered => self.delivered.inc(),
            Fact::DeliveryFailed => self.failed_deliveries.inc(),
            Fact::DeliveryGivenUp => self.given_up.inc(),
            Fact::Tended(tended) => self.tended(tended),
        }
    }
}

fn observe(histogram: &Histogram, time: Duration) {
    histogram.observe(time.as_secs_f64());
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    bounds: &[f64],
) -> prometheus::Result<Histogram> {
    let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
    add(registry, Histogram::with_opts(options))
}

/// Registers what was made, and gives it back.
fn add<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let made = made?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}
