//! `beagle classify`: photos in, names out; no server beside it.
//!
//! One thread reads and decodes while the model works on the batch before.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use clap::Args;
use model_import::classifier::Classifier;
use model_import::device::{self, DeviceChoice};
use model_import::profile::Geometry;
use model_import::registry;

use super::photos::{self, Photo};
use super::report::{Failure, Report};
use super::running::Running;
use super::{Outcome, model};
use crate::classify::top::{Prediction, top};
use crate::decode::Pixels;

/// Names what is in photos.
///
/// Reads JPEG, PNG, WebP, GIF, BMP and TIFF. The first run fetches the weights (95 MB) with npm
/// or from their public repository.
///
/// Examples:
///   beagle classify assets/samples/*.jpg
///   beagle classify --top 1 --json holiday/ > names.jsonl
///   curl -s https://example.org/photo.jpg | beagle classify -
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Classify {
    /// Photos, folders of photos, or - for standard input.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,

    /// How many labels a photo.
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u16).range(1..=1000))]
    top: u16,

    /// Geometry, normalisation and model; `beagle model list` names them.
    #[arg(long, default_value = "imagenet", env = "BEAGLE_PROFILE")]
    profile: String,

    /// Where to run: auto, flex, wgpu:0, cuda:1, ... as `beagle devices` lists them.
    #[arg(long, default_value_t, env = "BEAGLE_DEVICE")]
    device: DeviceChoice,

    /// Photos given to the model at once.
    #[arg(long, default_value = "8")]
    batch: NonZeroUsize,

    #[command(flatten)]
    running: Running,

    /// One JSON object a photo, one a line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    source: model::Source,
}

/// A photo that waits for its batch, or why it never will.
type Decoded = (Photo, Result<Pixels, Failure>);

impl Classify {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let profile = registry::profile(&self.profile)?;
        let photos = photos::find(&self.files)?;
        let found = device::find(self.device)?;
        let (classifier, _) = self.running.load(&profile, &found, &self.source)?;
        let mut report = Report::new(photos.len(), self.json);
        let (sender, receiver) = sync_channel(self.batch.get());
        thread::scope(|scope| {
            let geometry = profile.geometry;
            scope.spawn(move || decode_all(photos, &geometry, &sender));
            self.answer_all(&receiver, &classifier, &mut report);
        });
        Ok(report.finish())
    }

    /// Answers in the order of the photos, a batch at a time.
    fn answer_all(
        &self,
        decoded: &Receiver<Decoded>,
        classifier: &Classifier,
        report: &mut Report,
    ) {
        let mut waiting: Vec<Decoded> = Vec::new();
        let mut good = 0;
        for item in decoded {
            good += usize::from(item.1.is_ok());
            waiting.push(item);
            if good == self.batch.get() {
                self.answer(std::mem::take(&mut waiting), classifier, report);
                good = 0;
            }
        }
        self.answer(waiting, classifier, report);
    }

    fn answer(&self, batch: Vec<Decoded>, classifier: &Classifier, report: &mut Report) {
        let pixels: Vec<u8> = batch
            .iter()
            .filter_map(|(_, pixels)| pixels.as_ref().ok())
            .flat_map(|pixels| pixels.data().iter().copied())
            .collect();
        let probabilities = classifier.probabilities(pixels);
        let mut rows = match &probabilities {
            Ok(all) => all.chunks(classifier.labels().count()),
            Err(_) => [].chunks(1),
        };
        for (photo, pixels) in batch {
            let answer = match (pixels, &probabilities) {
                (Err(failure), _) => Err(failure),
                (Ok(_), Err(error)) => Err(Failure::new("classifier_failed", error)),
                (Ok(_), Ok(_)) => Ok(self.name(rows.next().unwrap_or_default(), classifier)),
            };
            report.add(&photo, answer);
        }
    }

    fn name(&self, row: &[f32], classifier: &Classifier) -> Vec<Prediction> {
        let best = top(row, usize::from(self.top));
        let prediction = |class: usize| Prediction {
            label: classifier
                .labels()
                .get(class)
                .unwrap_or_default()
                .to_owned(),
            probability: row[class],
            class: u32::try_from(class).ok(),
        };
        best.into_iter().map(prediction).collect()
    }
}

fn decode_all(photos: Vec<Photo>, geometry: &Geometry, sender: &SyncSender<Decoded>) {
    for photo in photos {
        let pixels = photo.decode(geometry);
        if sender.send((photo, pixels)).is_err() {
            break;
        }
    }
}
