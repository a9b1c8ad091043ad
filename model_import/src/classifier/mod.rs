//! A loaded model: pixels in, probabilities out, on one device.
//!
//! On the processor, `processor` runs a model that has a plan as one fused operation; everywhere
//! else, and for models without one, `generated` runs burn's network. Must not know: images,
//! files, which network it runs, top k.

mod generated;
mod layers;
mod options;
mod pin;
pub(crate) mod processor;

use std::num::NonZero;
use std::path::Path;

use burn::tensor::Device;
use thiserror::Error;

use crate::device;
use crate::labels::Labels;
use crate::network::LoadError;
use crate::profile::Profile;
use crate::registry::{Manifest, Model};
pub use fused::Crew;
use generated::Generated;
pub use layers::{LayerTime, LayerTimes, LayerWindow};
pub use options::{Execution, NotAChoice, NotAPrecision, Options, Precision, PrecisionChoice};
use processor::Processor;

/// Why a batch has no answer.
#[derive(Debug, Error)]
pub enum ClassifyError {
    /// The bytes are not a whole number of images.
    #[error("{found} bytes are not a whole number of images of {image} bytes")]
    BatchSize {
        /// Bytes given.
        found: usize,
        /// Bytes of one image.
        image: usize,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
    /// The network gave other than one score a class and image.
    #[error("the network gave {found} scores for {expected}")]
    Scores {
        /// Scores given.
        found: usize,
        /// Images times classes.
        expected: usize,
    },
}

/// Why layers cannot be measured.
#[derive(Debug, Error)]
pub enum LayersError {
    /// The network runs operator by operator.
    #[error(
        "model '{0}' runs operator by operator here, so its layers cannot be measured: that needs the device flex and a model that can be fused"
    )]
    NotFused(String),
    /// The pixels are not whole images.
    #[error(transparent)]
    Pixels(#[from] ClassifyError),
}

/// A network with its weights, its profile and its labels, on one device.
pub struct Classifier {
    network: Network,
    manifest: Manifest,
    labels: Labels,
}

/// What computes the scores.
enum Network {
    Generated(Box<Generated>),
    Processor(Box<Processor>),
}

impl Classifier {
    /// Loads `model` with the weights of `record` onto `device`, to answer as `profile` says, in
    /// the fastest way that answers with float32's precision.
    ///
    /// # Errors
    /// [`LoadError`] when the record does not fit the network.
    pub fn load(
        model: &Model,
        profile: &Profile,
        record: &Path,
        device: &Device,
    ) -> Result<Self, LoadError> {
        Self::load_with(model, profile, record, device, &Options::default())
    }

    /// The same in the way that `options` ask for.
    ///
    /// # Errors
    /// [`LoadError`] when the record does not fit the network, or the precision cannot be had.
    pub fn load_with(
        model: &Model,
        profile: &Profile,
        record: &Path,
        device: &Device,
        options: &Options<'_>,
    ) -> Result<Self, LoadError> {
        let plan = match options.execution {
            Execution::Fused if device::is_flex(device) => model.plan.as_ref(),
            Execution::Fused | Execution::Generated => None,
        };
        let network = match plan {
            Some(plan) => {
                let network = Processor::load(plan, profile, record, options)?;
                Network::Processor(Box::new(network))
            }
            None if options.precision != Precision::F32 => {
                return Err(LoadError::Options(format!(
                    "precision {} needs the device flex and a model that can be fused",
                    options.precision
                )));
            }
            None => {
                let network = (model.load)(device, record)?;
                let manifest = &model.manifest;
                Network::Generated(Box::new(Generated::new(network, manifest, profile, device)))
            }
        };
        Ok(Self {
            network,
            manifest: model.manifest.clone(),
            labels: model.labels.clone(),
        })
    }

    /// Whether a model can be loaded onto a device as one fused operation, with its choice of numbers.
    #[must_use]
    pub fn can_fuse(model: &Model, device: &Device) -> bool {
        model.plan.is_some() && device::is_flex(device)
    }

    /// `threads` threads, `None` for one a core, for fused classifiers to share; with `pin` each but
    /// the caller's keeps to a core.
    ///
    /// # Errors
    /// [`LoadError::Options`] where threads cannot be pinned.
    pub fn crew(threads: Option<NonZero<usize>>, pin: bool) -> Result<Crew, LoadError> {
        processor::crew(threads, pin)
    }

    /// Sizes of batches, none above `largest`, that a fused network is to run once: then no batch up
    /// to `largest` makes it ask for memory. `None` where it is not fused: each size is another
    /// matter there.
    #[must_use]
    pub fn warm_up(&self, largest: usize) -> Option<Vec<usize>> {
        match &self.network {
            Network::Generated(_) => None,
            Network::Processor(network) => Some(network.warm_up(largest)),
        }
    }

    /// How the network is run: never fused where the model has no plan or the device is another
    /// than the processor.
    #[must_use]
    pub const fn execution(&self) -> Execution {
        match self.network {
            Network::Generated(_) => Execution::Generated,
            Network::Processor(_) => Execution::Fused,
        }
    }

    /// Names of the classes, in the order of the probabilities.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Bytes of one image: height x width x 3.
    #[must_use]
    pub fn image_bytes(&self) -> usize {
        self.manifest.width as usize * self.manifest.height as usize * 3
    }

    /// What each layer of a fused network is and how long it takes for these images together, the
    /// median of so many rounds, one at least; `pixels` as in [`Classifier::probabilities`], and
    /// at least one image.
    ///
    /// # Errors
    /// [`LayersError::NotFused`] where the network is not run fused.
    pub fn layers(&self, pixels: &[u8], rounds: usize) -> Result<LayerTimes, LayersError> {
        let Network::Processor(network) = &self.network else {
            return Err(LayersError::NotFused(self.manifest.name.clone()));
        };
        self.images(pixels)?;
        let times = network.layers(pixels, rounds);
        Ok(times.map_err(|error| ClassifyError::Device(error.to_string()))?)
    }

    /// How many whole images these are.
    fn images(&self, pixels: &[u8]) -> Result<usize, ClassifyError> {
        let (image, found) = (self.image_bytes(), pixels.len());
        if found.is_multiple_of(image) {
            Ok(found / image)
        } else {
            Err(ClassifyError::BatchSize { found, image })
        }
    }

    /// Probabilities of every class for every image, row by row: images x classes.
    ///
    /// `pixels` holds whole images one after the other, each height x width x 3, RGB, levels 0 to
    /// 255. No pixels give no probabilities.
    ///
    /// # Errors
    /// [`ClassifyError`]. burn may also panic when a device is lost; the caller that must outlive
    /// that catches it.
    pub fn probabilities(&self, pixels: Vec<u8>) -> Result<Vec<f32>, ClassifyError> {
        let images = self.images(&pixels)?;
        if images == 0 {
            return Ok(Vec::new());
        }
        let classes = self.manifest.classes;
        let scores = match &self.network {
            Network::Generated(network) => network.probabilities(pixels, images)?,
            Network::Processor(network) => network.probabilities(&pixels, classes)?,
        };
        let expected = images * classes;
        if scores.len() == expected {
            Ok(scores)
        } else {
            Err(ClassifyError::Scores {
                found: scores.len(),
                expected,
            })
        }
    }
}
