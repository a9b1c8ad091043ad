//! A loaded model: pixels in, probabilities out, on one device.
//!
//! Pixels travel to the device as the bytes they are, a quarter of their size as floats, and are
//! normalised there. Must not know: images, files, which network it runs, top k.

use std::path::Path;

use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation};
use thiserror::Error;

use crate::labels::Labels;
use crate::network::{LoadError, Network};
use crate::profile::{Channels, Normalisation, Output, Profile};
use crate::registry::{Layout, Manifest, Model};

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

/// A network with its weights, its profile and its labels, on one device.
pub struct Classifier {
    network: Box<dyn Network>,
    normaliser: Normaliser,
    manifest: Manifest,
    labels: Labels,
    output: Output,
    device: Device,
}

impl Classifier {
    /// Loads `model` with the weights of `record` onto `device`, to answer as `profile` says.
    ///
    /// # Errors
    /// [`LoadError`] when the record does not fit the network.
    pub fn load(
        model: &Model,
        profile: &Profile,
        record: &Path,
        device: &Device,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            network: (model.load)(device, record)?,
            normaliser: Normaliser::new(&profile.normalisation, device),
            manifest: model.manifest.clone(),
            labels: model.labels.clone(),
            output: profile.output,
            device: device.clone(),
        })
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

    /// Probabilities of every class for every image, row by row: images x classes.
    ///
    /// `pixels` holds whole images one after the other, each height x width x 3, RGB, levels 0 to
    /// 255. No pixels give no probabilities.
    ///
    /// # Errors
    /// [`ClassifyError`]. burn may also panic when a device is lost; the caller that must outlive
    /// that catches it.
    pub fn probabilities(&self, pixels: Vec<u8>) -> Result<Vec<f32>, ClassifyError> {
        let image = self.image_bytes();
        if !pixels.len().is_multiple_of(image) {
            return Err(ClassifyError::BatchSize {
                found: pixels.len(),
                image,
            });
        }
        let images = pixels.len() / image;
        if images == 0 {
            return Ok(Vec::new());
        }
        let (height, width) = (self.manifest.height as usize, self.manifest.width as usize);
        let levels = upload(pixels, [images, height, width, 3], &self.device);
        let input = self.arrange(self.normaliser.apply(levels));
        let scores = self.network.forward(input);
        let scores = match self.output {
            Output::Probabilities => scores,
            Output::Logits => activation::softmax(scores, 1),
        };
        self.download(scores, images)
    }

    /// N x height x width x channels to the order of the network's axes.
    fn arrange(&self, input: Tensor<4>) -> Tensor<4> {
        match self.manifest.layout {
            Layout::Nhwc => input,
            Layout::Nchw => input.permute([0, 3, 1, 2]),
        }
    }

    fn download(&self, scores: Tensor<2>, images: usize) -> Result<Vec<f32>, ClassifyError> {
        let data = scores.try_into_data().map_err(device_error)?;
        let scores = data
            .convert::<f32>()
            .try_to_vec::<f32>()
            .map_err(device_error)?;
        let expected = images * self.manifest.classes;
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

fn device_error(error: impl std::fmt::Debug) -> ClassifyError {
    ClassifyError::Device(format!("{error:?}"))
}

/// Bytes to floats of the same levels, converted on the device.
fn upload(pixels: Vec<u8>, shape: [usize; 4], device: &Device) -> Tensor<4> {
    if device.supports_dtype(DType::U8) {
        let data = TensorData::new(pixels, shape);
        return Tensor::<4, Int>::from_data(data, (device, DType::U8)).float();
    }
    // WebGPU has no bytes in storage: four travel in one word and are taken apart by shifts.
    let mut words: Vec<i32> = pixels
        .chunks(4)
        .map(|four| {
            let mut bytes = [0; 4];
            bytes[..four.len()].copy_from_slice(four);
            i32::from_le_bytes(bytes)
        })
        .collect();
    words.shrink_to_fit();
    let count = words.len();
    let words = Tensor::<1, Int>::from_data(TensorData::new(words, [count]), (device, DType::I32));
    let bytes = [0, 8, 16, 24].map(|shift| {
        let low = words.clone().bitwise_right_shift_scalar(shift);
        low.bitwise_and_scalar(0xff)
    });
    let levels = Tensor::stack::<2>(bytes.to_vec(), 1).reshape([count * 4]);
    levels.slice(0..pixels.len()).reshape(shape).float()
}

/// `(level * scale - mean) / std` as one factor and one offset a channel.
struct Normaliser {
    channels: Channels,
    factor: Tensor<4>,
    offset: Tensor<4>,
}

impl Normaliser {
    fn new(normalisation: &Normalisation, device: &Device) -> Self {
        let a_channel = |value: &dyn Fn(usize) -> f32| {
            let values = [value(0), value(1), value(2)];
            Tensor::<1>::from_data(TensorData::new(values.to_vec(), [3]), device)
                .reshape([1, 1, 1, 3])
        };
        Self {
            channels: normalisation.channels,
            factor: a_channel(&|c| normalisation.scale / normalisation.std[c]),
            offset: a_channel(&|c| normalisation.mean[c] / normalisation.std[c]),
        }
    }

    /// N x height x width x 3, RGB levels to the network's floats in its channel order.
    fn apply(&self, levels: Tensor<4>) -> Tensor<4> {
        let levels = match self.channels {
            Channels::Rgb => levels,
            Channels::Bgr => levels.flip([3]),
        };
        levels * self.factor.clone() - self.offset.clone()
    }
}
