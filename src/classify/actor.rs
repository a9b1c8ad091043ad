//! The Classifier: a batch to labels, on a thread of its own beside its device. CPU or GPU heavy.
//!
//! It owns its model, loaded before the thread starts. A panic or an error of the model fails the
//! batch, never the process. Must not know: which model, which device, stores, HTTP.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use actix::{Actor, Handler, Recipient, SyncContext};
use futures_executor::block_on;
use tokio::time::Instant;

use super::catalog::Catalog;
use super::model::Model;
use super::top::{Prediction, top};
use crate::batch::policy::Lane;
use crate::message::{Batch, Classified, Held, Scored};
use crate::observe::{Fact, Observer, Point, Span, Stage};
use crate::pulse::Pulse;

/// Runs batches on one device.
pub struct Classifier {
    model: Option<Box<dyn Model>>,
    catalog: Catalog,
    next: Recipient<Classified>,
    observer: Arc<dyn Observer>,
    pulse: Arc<Pulse>,
}

impl Classifier {
    /// A Classifier of a loaded model, whose outcomes go to `next` and whose signs of life to
    /// `pulse`. Without a model every batch fails.
    #[must_use]
    pub fn new(
        model: Option<Box<dyn Model>>,
        catalog: Catalog,
        next: Recipient<Classified>,
        observer: Arc<dyn Observer>,
        pulse: Arc<Pulse>,
    ) -> Self {
        Self {
            model,
            catalog,
            next,
            observer,
            pulse,
        }
    }

    fn run(
        &mut self,
        lane: Lane,
        pixels: Vec<u8>,
        jobs: &[Held],
    ) -> Result<Vec<Vec<Prediction>>, String> {
        let labels = self.catalog.labels(lane).ok_or("there is no such lane")?;
        let model = self.model.as_mut().ok_or("this classifier has no model")?;
        let ran = catch_unwind(AssertUnwindSafe(|| model.probabilities(lane, pixels)));
        let scores =
            ran.unwrap_or_else(|panic| Err(format!("the model panicked: {}", text(&*panic))))?;
        if scores.len() != labels.count() * jobs.len() {
            return Err(format!(
                "the model gave {} scores for {} images of {} classes",
                scores.len(),
                jobs.len(),
                labels.count()
            ));
        }
        let name = |class: usize| labels.get(class).unwrap_or_default().to_owned();
        let rows = scores.chunks(labels.count()).zip(jobs);
        Ok(rows
            .map(|(row, job)| {
                let best = top(row, usize::from(job.top)).into_iter();
                best.map(|class| Prediction {
                    label: name(class),
                    probability: row[class],
                    class: u32::try_from(class).ok(),
                })
                .collect()
            })
            .collect())
    }
}

impl Actor for Classifier {
    type Context = SyncContext<Self>;
}

impl Handler<Batch> for Classifier {
    type Result = ();

    fn handle(&mut self, batch: Batch, _: &mut Self::Context) {
        let Batch {
            lane,
            jobs,
            pixels,
            credit,
        } = batch;
        let started = Instant::now();
        self.pulse.begin(started);
        let outcome = self.run(lane, pixels, &jobs);
        let done = if outcome.is_ok() { jobs.len() } else { 0 };
        self.pulse.end(Instant::now(), done);
        let infer = started.elapsed();
        let images = jobs.len();
        self.observer.saw(Fact::Ran { images, infer });
        for job in &jobs {
            self.observer.reached(Point::Inferred, job.lease.id);
            if let Some(trace) = job.trace {
                let mut span = Span::ending(Stage::Inference, trace, job.lease.id, infer);
                span.images = Some(images);
                span.failure = outcome.as_ref().err().cloned();
                self.observer.spent(&span);
            }
        }
        let jobs = match outcome {
            Ok(rows) => {
                let scored = |(job, row)| Scored {
                    job,
                    outcome: Ok(row),
                };
                jobs.into_iter().zip(rows).map(scored).collect()
            }
            Err(reason) => {
                tracing::error!(batch.size = jobs.len(), reason, "batch failed");
                let scored = |job| Scored {
                    job,
                    outcome: Err(reason.clone()),
                };
                jobs.into_iter().map(scored).collect()
            }
        };
        // The next batch may come while this one is recorded.
        drop(credit);
        // Waits while the Responder's mailbox is full: outcomes must not be lost. A closed one
        // means that the process ends; the jobs run again after it.
        let sent = block_on(self.next.send(Classified { jobs, infer }));
        if sent.is_err() {
            tracing::warn!("outcomes dropped: the responder has ended");
        }
    }
}

/// What a panic said.
fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it gave no reason")
}
