//! The Classifier alone: batches in, outcomes out, and the credit back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Addr, SyncArbiter};
use beagle::classify::actor::Classifier;
use beagle::classify::model::Model;
use beagle::credit::Credits;
use beagle::message::{Batch, Classified, Held, LookAgain};
use beagle::observe::Point;
use beagle::pulse::Pulse;
use beagle::store::{JobId, Lease};
use tokio::time::Instant;

use crate::fake::{Act, Fake, Stage, catalog, label};
use crate::probe::{Inbox, Witness, probe};

/// A Classifier with one credit.
struct Scene {
    classifier: Addr<Classifier>,
    next: Inbox<Classified>,
    look_again: Inbox<LookAgain>,
    credits: Credits,
    witness: Arc<Witness>,
    pulse: Arc<Pulse>,
}

/// Says the same to every batch.
struct Says(Vec<f32>);

impl Model for Says {
    fn probabilities(&mut self, _: usize, _: Vec<u8>) -> Result<Vec<f32>, String> {
        Ok(self.0.clone())
    }
}

impl Scene {
    fn start(model: Option<Box<dyn Model>>) -> Self {
        let (outcomes, next) = probe();
        let (owner, look_again) = probe();
        let witness = Arc::new(Witness::default());
        let observer = witness.clone();
        let model = Mutex::new(model);
        let pulse = Arc::new(Pulse::default());
        let signs = pulse.clone();
        let classifier = SyncArbiter::start(1, move || {
            let model = model.lock().unwrap().take();
            let next = outcomes.clone();
            Classifier::new(model, catalog(), next, observer.clone(), signs.clone())
        });
        Self {
            classifier,
            next,
            look_again,
            credits: Credits::new(1, owner),
            witness,
            pulse,
        }
    }

    fn send(&self, lane: usize, images: &[(u8, Act)]) -> Vec<JobId> {
        let job = |top: u16| Held {
            lease: Lease {
                id: JobId::new(),
                fence: 1,
            },
            top,
            queued: Duration::from_millis(u64::from(top)),
            trace: None,
        };
        let jobs: Vec<Held> = (1_u16..).take(images.len()).map(job).collect();
        let ids = jobs.iter().map(|job| job.lease.id).collect();
        let pixel = |(class, act): &(u8, Act)| [*class, *act as u8, 0].repeat(4);
        let batch = Batch {
            lane,
            jobs,
            pixels: images.iter().flat_map(pixel).collect(),
            credit: self.credits.take().expect("the credit is not back"),
        };
        self.classifier.try_send(batch).unwrap();
        ids
    }

    /// Sends a batch, waits for its outcome, and for its credit.
    async fn classify(&mut self, lane: usize, images: &[(u8, Act)]) -> Classified {
        let ids = self.send(lane, images);
        let done = self.next.next().await;
        let told: Vec<JobId> = done.jobs.iter().map(|job| job.job.lease.id).collect();
        assert_eq!(told, ids, "outcomes are in the order of the jobs");
        self.look_again.next().await;
        assert_eq!(self.credits.free(), 1);
        done
    }

    /// Asserts that every job of such a batch fails for a reason that says this.
    async fn assert_fails(&mut self, lane: usize, images: &[(u8, Act)], says: &str) {
        let failed = self.classify(lane, images).await;
        assert_eq!(failed.jobs.len(), images.len());
        for job in failed.jobs {
            let reason = job.outcome.unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
    }

    async fn assert_works(&mut self) {
        let done = self.classify(0, &[(42, Act::Answer)]).await;
        let best = done.jobs[0].outcome.as_ref().unwrap();
        assert_eq!(best[0].label, label(42));
    }
}

fn on_stage() -> (Scene, Arc<Stage>) {
    let stage = Arc::new(Stage::default());
    (Scene::start(Some(Box::new(Fake(stage.clone())))), stage)
}

#[actix::test]
async fn every_job_gets_its_own_labels_as_many_as_it_asked_for() {
    let (mut scene, stage) = on_stage();
    let images = [(10, Act::Answer), (20, Act::Answer), (30, Act::Answer)];
    let done = scene.classify(1, &images).await;
    for (at, job) in done.jobs.iter().enumerate() {
        let best = job.outcome.as_ref().unwrap();
        assert_eq!(best.len(), at + 1);
        assert_eq!(best[0].label, label(images[at].0));
        assert!((best[0].probability - 0.9).abs() < 1e-6);
        assert_eq!(job.job.queued, Duration::from_millis(at as u64 + 1));
    }
    // Equal ones come in the order of their classes.
    let third = done.jobs[2].outcome.as_ref().unwrap();
    assert_eq!((&third[1].label, &third[2].label), (&label(0), &label(1)));
    assert_eq!(stage.batches(), [[10, 20, 30]]);
    assert_eq!(scene.witness.jobs_at(Point::Inferred).len(), 3);
}

#[actix::test]
async fn a_panic_fails_every_job_of_its_batch_and_the_next_batch_works() {
    let (mut scene, _) = on_stage();
    let images = [(1, Act::Answer), (2, Act::Panic), (3, Act::Answer)];
    let reason = "the model panicked: the picture said so";
    scene.assert_fails(0, &images, reason).await;
    scene.assert_works().await;
}

#[actix::test]
async fn an_error_fails_every_job_of_its_batch_and_the_next_batch_works() {
    let (mut scene, _) = on_stage();
    let images = [(1, Act::Fail), (2, Act::Answer)];
    scene.assert_fails(0, &images, "it fails").await;
    scene.assert_works().await;
}

#[actix::test]
async fn a_wrong_number_of_scores_is_an_error() {
    for count in [0, 255, 257, 512] {
        let mut scene = Scene::start(Some(Box::new(Says(vec![0.5; count]))));
        let reason = format!("gave {count} scores for 1 images of 256 classes");
        scene.assert_fails(0, &[(1, Act::Answer)], &reason).await;
    }
}

#[actix::test]
async fn what_is_not_a_number_ranks_last() {
    let mut scores = vec![f32::NAN; 256];
    scores[200] = 0.25;
    let mut scene = Scene::start(Some(Box::new(Says(scores))));
    let done = scene.classify(0, &[(1, Act::Answer)]).await;
    assert_eq!(done.jobs[0].outcome.as_ref().unwrap()[0].label, label(200));
}

#[actix::test]
async fn a_lane_that_is_not_served_fails_without_asking_the_model() {
    let (mut scene, stage) = on_stage();
    let images = [(1, Act::Answer)];
    scene
        .assert_fails(9, &images, "there is no such lane")
        .await;
    assert!(stage.batches().is_empty());
    scene.assert_works().await;
}

#[actix::test]
async fn without_a_model_every_batch_fails() {
    let mut scene = Scene::start(None);
    for _ in 0..2 {
        let images = [(1, Act::Answer)];
        scene.assert_fails(0, &images, "has no model").await;
    }
}

#[actix::test]
async fn the_credit_stays_away_while_the_model_works() {
    let (mut scene, stage) = on_stage();
    scene.send(0, &[(1, Act::Wait)]);
    // Not on this thread, which hands the batch over.
    let working = stage.clone();
    let wait = move || working.wait_for_batches(1);
    tokio::task::spawn_blocking(wait).await.unwrap();
    assert_eq!(scene.credits.free(), 0);
    assert!(scene.look_again.is_empty() && scene.next.is_empty());
    stage.open();
    scene.look_again.next().await;
    assert_eq!(scene.credits.free(), 1);
    assert!(scene.next.next().await.jobs[0].outcome.is_ok());
}

#[actix::test]
async fn its_pulse_tells_of_a_batch_in_the_model_and_of_the_speed_of_those_that_ran() {
    let stage = Arc::new(Stage::default());
    let mut scene = Scene::start(Some(Box::new(Fake(stage.clone()))));
    scene.send(0, &[(1, Act::Fail)]);
    scene.next.next().await;
    assert_eq!(
        scene.pulse.image(),
        None,
        "a batch that failed has no speed"
    );
    scene.look_again.next().await;
    scene.send(0, &[(1, Act::Wait), (2, Act::Answer)]);
    while stage.batches().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(scene.pulse.busy_for(Instant::now()).is_some());
    stage.open();
    scene.next.next().await;
    assert_eq!(scene.pulse.busy_for(Instant::now()), None);
    assert!(scene.pulse.image().is_some());
}
