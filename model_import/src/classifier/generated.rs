//! A generated network on a burn device: pixels in, scores out.
//!
//! Pixels travel to the device as the bytes they are, a quarter of their size as floats, and are
//! normalised there. Must not know: which network it is, labels.

use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation};

use super::ClassifyError;
use crate::network::Network;
use crate::profile::{Channels, Normalisation, Output, Profile};
use crate::registry::{Layout, Manifest};

/// A network with its weights and how its input is made, on one device.
pub(super) struct Generated {
    network: Box<dyn Network>,
    normaliser: Normaliser,
    layout: Layout,
    output: Output,
    /// Height and width of the input.
    size: [usize; 2],
    device: Device,
}

impl Generated {
    pub(super) fn new(
        network: Box<dyn Network>,
        manifest: &Manifest,
        profile: &Profile,
        device: &Device,
    ) -> Self {
        Self {
            network,
            normaliser: Normaliser::new(&profile.normalisation, device),
            layout: manifest.layout,
            output: profile.output,
            size: [manifest.height as usize, manifest.width as usize],
            device: device.clone(),
        }
    }

    /// Probabilities of whole images, row by row.
    pub(super) fn probabilities(
        &self,
        pixels: Vec<u8>,
        images: usize,
    ) -> Result<Vec<f32>, ClassifyError> {
        let [height, width] = self.size;
        let levels = upload(pixels, [images, height, width, 3], &self.device);
        let input = self.arrange(self.normaliser.apply(levels));
        let scores = self.network.forward(input);
        let scores = match self.output {
            Output::Probabilities => scores,
            Output::Logits => activation::softmax(scores, 1),
        };
        let data = scores.try_into_data().map_err(device_error)?;
        let scores = data.convert::<f32>().try_to_vec::<f32>();
        scores.map_err(device_error)
    }

    /// N x height x width x channels to the order of the network's axes.
    fn arrange(&self, input: Tensor<4>) -> Tensor<4> {
        match self.layout {
            Layout::Nhwc => input,
            Layout::Nchw => input.permute([0, 3, 1, 2]),
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
