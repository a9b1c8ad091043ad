//! The model that burn runs: the networks that a set of profiles needs, loaded on one device.
//!
//! Profiles that differ in geometry alone share a network, and so a lane. Must not know: actors,
//! jobs, HTTP.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use model_import::classifier::{Classifier, Options, PrecisionChoice};
use model_import::device::{Backend, Found};
use model_import::fetch::Fetcher;
use model_import::profile::Profile;
use model_import::quantize::{Decision, SavedError, decide};
use model_import::registry::{self, Model as Registered};
use model_import::{LoadError, provision};
use thiserror::Error;

use super::catalog::{Catalog, Served};
use super::model::Model;
use crate::batch::policy::Lane;

/// Networks that cannot be served.
#[derive(Debug, Error)]
pub enum NetworksError {
    /// A profile or model is not in this build.
    #[error(transparent)]
    Registry(#[from] registry::RegistryError),
    /// The weights cannot be had.
    #[error(transparent)]
    Provision(#[from] provision::ProvisionError),
    /// The weights do not fit.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The ranges that a network in bytes needs cannot be had.
    #[error(transparent)]
    Ranges(#[from] SavedError),
    /// The first run failed.
    #[error("{device} cannot run a batch of {images}: {reason}")]
    Warm {
        /// The device.
        device: String,
        /// Images in the batch.
        images: usize,
        /// What the model said.
        reason: String,
    },
    /// No profile was named.
    #[error("no profile is served: name one with --profile")]
    Nothing,
}

/// What is served, and by which networks. Needs no weights: a process without a model has one too.
pub struct Plan {
    /// What is served.
    pub catalog: Catalog,
    lanes: Vec<LanePlan>,
}

/// A plan and its weights: what is to be loaded, once for all devices.
pub struct Provided {
    lanes: Vec<LanePlan>,
    /// One for each of `lanes`.
    records: Vec<PathBuf>,
    /// Where measured ranges are kept.
    home: PathBuf,
}

/// How networks are to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Most images in a batch.
    pub max_batch: usize,
    /// What the processor computes with.
    pub precision: PrecisionChoice,
    /// Threads that compute on the processor; `None` is one a core.
    pub threads: Option<NonZeroUsize>,
    /// Whether each of them keeps to a core of its own.
    pub pin_threads: bool,
}

struct LanePlan {
    model: Registered,
    profile: Profile,
}

impl Plan {
    /// Plans the networks for profiles, the default first. No names mean every profile of the
    /// build.
    ///
    /// # Errors
    /// [`NetworksError`] naming the profile or what is missing.
    pub fn new(names: &[String]) -> Result<Self, NetworksError> {
        let profiles = if names.is_empty() {
            registry::profiles()?
        } else {
            let named = names.iter().map(|name| registry::profile(name));
            named.collect::<Result<_, _>>()?
        };
        let mut lanes: Vec<LanePlan> = Vec::new();
        let mut served = Vec::new();
        for profile in profiles {
            let same = |lane: &LanePlan| {
                lane.profile.model == profile.model
                    && lane.profile.normalisation == profile.normalisation
                    && lane.profile.output == profile.output
            };
            let lane = match lanes.iter().position(same) {
                Some(lane) => lane,
                None => {
                    lanes.push(LanePlan {
                        model: registry::model(&profile.model)?,
                        profile: profile.clone(),
                    });
                    lanes.len() - 1
                }
            };
            served.push(Served {
                name: profile.name,
                geometry: profile.geometry,
                lane,
                labels: lanes[lane].model.labels.clone(),
            });
        }
        Ok(Self {
            catalog: Catalog::new(served).ok_or(NetworksError::Nothing)?,
            lanes,
        })
    }

    /// Fetches the weights if need be.
    ///
    /// # Errors
    /// [`NetworksError`] naming what is missing.
    pub fn provide(self, fetcher: &Fetcher) -> Result<Provided, NetworksError> {
        let mut records: Vec<PathBuf> = Vec::with_capacity(self.lanes.len());
        let digest = |lane: &LanePlan| lane.model.manifest.record_sha256.clone();
        for lane in &self.lanes {
            // A record is hashed when it is asked for: once is enough.
            let before = &self.lanes[..records.len()];
            let same = before
                .iter()
                .position(|other| digest(other) == digest(lane));
            records.push(match same {
                Some(same) => records[same].clone(),
                None => provision::record(&lane.model, fetcher)?,
            });
        }
        Ok(Provided {
            lanes: self.lanes,
            records,
            home: fetcher.home.clone(),
        })
    }
}

impl Provided {
    /// How many networks are loaded on each device.
    #[must_use]
    pub fn networks(&self) -> usize {
        self.lanes.len()
    }

    /// Loads every network on a device and runs each once, so that no caller pays for what happens
    /// then: at every batch size that will be used, where each is compiled and tuned for; a fused
    /// network at those that have it ask for all of its memory.
    ///
    /// # Errors
    /// [`NetworksError`] when weights do not fit or a first run fails.
    pub fn load(&self, found: &Found, running: &Running) -> Result<Networks, NetworksError> {
        let sizes = sizes(found.backend, running.max_batch);
        let mut decisions = Vec::with_capacity(self.lanes.len());
        let mut lanes = Vec::with_capacity(self.lanes.len());
        // One batch runs at a time, so all networks of a device can share.
        let can_fuse = |lane: &LanePlan| Classifier::can_fuse(&lane.model, &found.device);
        let fused = self.lanes.iter().any(can_fuse);
        let crew = fused.then(|| Classifier::crew(running.threads, running.pin_threads));
        let crew = crew.transpose()?;
        for (LanePlan { model, profile }, record) in self.lanes.iter().zip(&self.records) {
            let device = &found.device;
            let decision = decide(running.precision, model, profile, device, &self.home)?;
            let options = Options {
                precision: decision.precision,
                ranges: decision.ranges.as_ref(),
                weights: decision.weights.as_deref(),
                crew: crew.as_ref(),
                pin_threads: running.pin_threads,
                ..Options::default()
            };
            let classifier = Classifier::load_with(model, profile, record, device, &options)?;
            lanes.push(classifier);
            decisions.push((model.manifest.name.clone(), decision));
        }
        let mut networks = Networks {
            lanes,
            decisions,
            sizes,
            fill: is_gpu(found.backend),
        };
        for lane in 0..networks.lanes.len() {
            let classifier = &networks.lanes[lane];
            let sizes = classifier.warm_up(running.max_batch);
            let image = classifier.image_bytes();
            for images in sizes.unwrap_or_else(|| networks.sizes.clone()) {
                let ran = networks.probabilities(lane, vec![127; image * images]);
                ran.map_err(|reason| NetworksError::Warm {
                    device: found.to_string(),
                    images,
                    reason,
                })?;
            }
        }
        Ok(networks)
    }
}

/// Batch sizes that a device is warmed for where networks are not fused. GPUs compile and tune for
/// each size, so theirs are few: powers of two, to which batches are filled up. The processor takes
/// any size as it comes.
fn sizes(backend: Backend, max_batch: usize) -> Vec<usize> {
    if !is_gpu(backend) {
        return if max_batch > 1 {
            vec![1, max_batch]
        } else {
            vec![1]
        };
    }
    let powers = std::iter::successors(Some(1_usize), |size| size.checked_mul(2));
    let mut sizes: Vec<usize> = powers.take_while(|size| *size < max_batch).collect();
    sizes.push(max_batch);
    sizes
}

const fn is_gpu(backend: Backend) -> bool {
    !matches!(backend, Backend::Flex | Backend::Tch)
}

/// Loaded networks on one device, by lane.
pub struct Networks {
    lanes: Vec<Classifier>,
    decisions: Vec<(String, Decision)>,
    /// See [`sizes`].
    sizes: Vec<usize>,
    /// Whether batches are filled up to a warm size.
    fill: bool,
}

impl Networks {
    /// What each network computes with, and why, by the name of its model.
    pub fn decisions(&self) -> impl Iterator<Item = (&str, &Decision)> {
        let decisions = self.decisions.iter();
        decisions.map(|(model, decision)| (model.as_str(), decision))
    }
}

impl Model for Networks {
    fn probabilities(&mut self, lane: Lane, mut pixels: Vec<u8>) -> Result<Vec<f32>, String> {
        let classifier = self.lanes.get(lane).ok_or("there is no such network")?;
        let image = classifier.image_bytes();
        let images = pixels.len() / image;
        if self.fill {
            let warm = self.sizes.iter().find(|size| **size >= images);
            pixels.resize(image * warm.copied().unwrap_or(images), 0);
        }
        let mut scores = classifier
            .probabilities(pixels)
            .map_err(|error| error.to_string())?;
        scores.truncate(images * classifier.labels().count());
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_warmed_for_powers_of_two_and_the_processor_for_the_ends() {
        assert_eq!(sizes(Backend::Flex, 32), [1, 32]);
        assert_eq!(sizes(Backend::Flex, 1), [1]);
        assert_eq!(sizes(Backend::Cuda, 32), [1, 2, 4, 8, 16, 32]);
        assert_eq!(sizes(Backend::Wgpu, 24), [1, 2, 4, 8, 16, 24]);
        assert_eq!(sizes(Backend::Wgpu, 1), [1]);
    }
}
