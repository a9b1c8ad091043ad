//! `beagle model quantize`: measures a network on photos, so that it can compute in bytes.

mod augment;
mod pictures;
mod told;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model_import::classifier::Precision;
use model_import::profile::Profile;
use model_import::quantize::{Agreement, Method, Noise, Quantizer, Rounded, Saved, Trial};
use model_import::registry::{self, Model};
use model_import::{fetch, provision};

use super::{model, terminal};
use pictures::Pictures;
use told::{Told, Tried, Winograd};

/// Images given to the model at once.
const BATCH: usize = 8;
/// Of so many images that are measured one is surveyed first.
const SURVEYED: usize = 2;
/// Images that the noise of the layers is measured on.
const NOISE: usize = 10;

/// Measures the numbers of a network on photos, so that it can compute in bytes (--precision int8).
///
/// It shows the network about a hundred views of the photos, chooses the range of every value by
/// each method, and checks the result on twice as many other views. The best is kept, also for every
/// other profile of the same network, and `--precision auto` knows how good it is. Any photos will
/// do; the better ones are like those that will be classified.
///
/// Examples:
///   beagle model quantize
///   beagle model quantize --profile mobile --calibrate holiday/ --layers
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Quantize {
    /// The profile whose network is measured; `beagle model list` names them.
    #[arg(long, default_value = "imagenet", env = "BEAGLE_PROFILE")]
    profile: String,

    /// A folder of photos [default: the samples that come with Beagle]
    #[arg(long, value_name = "FOLDER")]
    calibrate: Option<PathBuf>,

    /// How ranges are chosen: percentile, mse or max [default: each is tried, the best is kept]
    #[arg(long)]
    method: Option<Method>,

    /// Show the noise of every layer.
    #[arg(long)]
    layers: bool,

    /// Threads that compute [default: one a core]
    #[arg(long, env = "BEAGLE_THREADS")]
    threads: Option<NonZeroUsize>,

    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    source: model::Source,
}

impl Quantize {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let profile = registry::profile(&self.profile)?;
        let model = registry::model(&profile.model)?;
        let record = provision::record(&model, &self.source.fetcher()?)?;
        let quantizer = Quantizer::new(&model, &profile, &record, self.threads)?;
        let pictures = Pictures::take(self.calibrate.as_ref(), &profile.geometry)?;
        let told = self.measure(&model, &profile, quantizer, &pictures)?;
        if self.json {
            terminal::line(&serde_json::to_string(&told)?);
        } else {
            told.show();
        }
        Ok(())
    }

    fn measure(
        &self,
        model: &Model,
        profile: &Profile,
        mut quantizer: Quantizer,
        pictures: &Pictures,
    ) -> anyhow::Result<Told> {
        let methods = self.method.map_or(Method::ALL.to_vec(), |only| vec![only]);
        let (measured, checked) = (pictures.measured.len(), pictures.checked.len());
        let layers = model.plan.as_ref().map_or(0, |plan| plan.layers.len());
        let bar = progress(
            surveyed(pictures).count() + measured + layers + checked * (2 + methods.len()),
        );
        let home = fetch::home()?;
        bar.set_message("surveys");
        for picture in surveyed(pictures) {
            quantizer.survey(picture)?;
            bar.inc(1);
        }
        quantizer.equalize(&home)?;
        bar.set_message("measures");
        for picture in &pictures.measured {
            quantizer.observe(picture)?;
            bar.inc(1);
        }
        bar.set_message("rounds");
        let weights = Rounded::new(&home, &quantizer.rounded(|| bar.inc(1))?)?;
        bar.set_message("checks");
        let exact = answers(&pictures.checked, &bar, |pixels| {
            quantizer.probabilities(pixels)
        })?;
        let agreement = |trial: &Trial| -> anyhow::Result<Agreement> {
            let other = answers(&pictures.checked, &bar, |pixels| {
                trial.probabilities(pixels)
            })?;
            Ok(Agreement::of(&exact, &other, model.manifest.classes))
        };
        let bf16 = agreement(&quantizer.trial(Precision::Bf16, None, None)?)?;
        let mut tried: Vec<Tried> = Vec::new();
        for method in methods {
            let ranges = quantizer.ranges(method)?;
            let trial = quantizer.trial(Precision::Int8, Some(&ranges), Some(weights.path()))?;
            let agreement = agreement(&trial)?;
            tried.push(Tried { method, agreement });
        }
        let best = tried.iter().copied().reduce(|best, next| {
            if next.agreement.is_better_than(&best.agreement) {
                next
            } else {
                best
            }
        });
        let best = best.ok_or_else(|| anyhow::anyhow!("no method was tried"))?;
        let mut ranges = quantizer.ranges(best.method)?;
        let mut agreed = best.agreement;
        // Fewer multiplications are taken where the network stays good enough.
        let mut points = quantizer.points(&ranges)?;
        if !points.is_empty() {
            bar.inc_length(measured as u64);
            for picture in &pictures.measured {
                quantizer.observe_points(&mut points, picture)?;
                bar.inc(1);
            }
        }
        let mut winograd = None;
        let choices: Vec<_> = points.choices(&ranges).collect();
        for fewer in choices {
            bar.inc_length(checked as u64);
            let trial = quantizer.trial(Precision::Int8, Some(&fewer), Some(weights.path()))?;
            let agreement = agreement(&trial)?;
            if agreement.is_good() {
                let layers = fewer.points.len();
                winograd = Some(Winograd { layers, agreement });
                (ranges, agreed) = (fewer, agreement);
                break;
            }
        }
        let layers = if self.layers {
            let trial = quantizer.trial(Precision::Int8, Some(&ranges), Some(weights.path()))?;
            noise(&quantizer, &trial, &pictures.checked)?
        } else {
            Vec::new()
        };
        bar.finish_and_clear();
        let found = (best.method, measured, ranges);
        let saved = Saved::new(model, profile, found, [agreed, bf16])?;
        let file = saved.write(&home, model, profile, Some(weights))?;
        Ok(Told {
            profile: profile.name.clone(),
            model: model.manifest.name.clone(),
            photos: pictures.photos,
            measured,
            checked,
            methods: tried,
            bf16,
            chosen: best.method,
            winograd,
            good: agreed.is_good(),
            file,
            layers,
        })
    }
}

/// The pictures that tell how large channels are: some of those that are measured.
fn surveyed(pictures: &Pictures) -> impl Iterator<Item = &Vec<u8>> {
    pictures.measured.iter().step_by(SURVEYED)
}

/// The probabilities of all pictures, a batch at a time.
fn answers<E>(
    pictures: &[Vec<u8>],
    bar: &ProgressBar,
    ask: impl Fn(&[u8]) -> Result<Vec<f32>, E>,
) -> Result<Vec<f32>, E> {
    let mut all = Vec::new();
    for batch in pictures.chunks(BATCH) {
        all.extend(ask(&batch.concat())?);
        bar.inc(batch.len() as u64);
    }
    Ok(all)
}

/// The noise of every value, by name.
fn noise(
    quantizer: &Quantizer,
    trial: &Trial,
    pictures: &[Vec<u8>],
) -> anyhow::Result<Vec<told::Layer>> {
    let mut noise: Vec<Noise> = Vec::new();
    let every = pictures.len().div_ceil(NOISE).max(1);
    for picture in pictures.iter().step_by(every) {
        quantizer.compare(trial, picture, &mut noise)?;
    }
    let layers = quantizer.names().into_iter().zip(noise);
    Ok(layers
        .map(|(name, noise)| told::Layer {
            name,
            decibels: noise.decibels(),
        })
        .collect())
}

fn progress(steps: usize) -> ProgressBar {
    // indicatif draws on standard error, and only if that is a terminal.
    let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:8} {bar:30} {percent} %, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
