//! Profiles: how a photo becomes a network's input, and which network reads it.
//!
//! A profile is geometry (crop and resize), normalisation (what the device does to each
//! channel) and the name of a registered model. Every number is documented with its source.
//! Must not know: burn, files, HTTP, how an image is decoded.

use serde::{Deserialize, Serialize};

/// Interpolation used to resize a photo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The source pixel at `floor((i + 0.5) * source / target)` on each axis: Pillow's `NEAREST`.
    Nearest,
    /// Triangle filter of support 1, widened by the scale when shrinking: Pillow's `BILINEAR`.
    Bilinear,
    /// Keys' cubic with a = -0.5, widened by the scale when shrinking: Pillow's `BICUBIC`.
    Bicubic,
}

/// How a photo of any shape fits the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Fit {
    /// The whole photo is resized to the input's size; its aspect ratio is not kept.
    Stretch,
    /// The photo's shorter side is resized to `short_side` pixels, its aspect ratio kept, and
    /// the centre of the result is cropped to the input's size.
    CentreCrop {
        /// Length of the shorter side after resizing, in pixels; at least the input's size.
        short_side: u32,
    },
}

/// From decoded photo to the network's input pixels: `u8`, RGB, height x width x 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Input width in pixels.
    pub width: u32,
    /// Input height in pixels.
    pub height: u32,
    /// How the photo is fitted to the input.
    pub fit: Fit,
    /// Interpolation of the resize.
    pub filter: Filter,
}

impl Geometry {
    /// Bytes of one image at the network's input: height x width x 3.
    #[must_use]
    pub const fn pixel_bytes(&self) -> usize {
        self.width as usize * self.height as usize * 3
    }
}

/// Order of the colour channels that a network was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// Red, green, blue: as decoded.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// From `u8` pixels to the network's float input, each channel by itself:
/// `(pixel * scale - mean) / std`, in the network's channel order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// Channel order of `mean`, `std` and the network.
    pub channels: Channels,
    /// Factor applied to the pixel's level 0 to 255 before the mean is taken off.
    pub scale: f32,
    /// Mean of each channel, in scaled levels.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, in scaled levels; never zero.
    pub std: [f32; 3],
}

impl Normalisation {
    /// RGB to BGR and the ImageNet means of the original Caffe ResNet release, in levels of 0 to
    /// 255, no division. Source: `keras.applications.imagenet_utils.preprocess_input`, mode
    /// `caffe`.
    pub const CAFFE: Self = Self {
        channels: Channels::Bgr,
        scale: 1.0,
        mean: [103.939, 116.779, 123.68],
        std: [1.0, 1.0, 1.0],
    };
}

/// What the network's last operator gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Probabilities that sum to one: used as they are.
    Probabilities,
    /// Unbounded scores: a softmax follows on the device.
    Logits,
}

/// One way to answer for a photo: geometry, normalisation and a registered model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Name given to `--profile`.
    pub name: String,
    /// Name of the registered model.
    pub model: String,
    /// Photo to input pixels.
    pub geometry: Geometry,
    /// Input pixels to the network's floats.
    pub normalisation: Normalisation,
    /// What the network gives.
    pub output: Output,
}

/// Side of ResNet50's input in pixels (He et al. 2015, section 3.4).
const SIDE: u32 = 224;

/// The profiles that come with Beagle, the default first.
#[must_use]
pub fn built_in() -> Vec<Profile> {
    let profile = |name: &str, model: &str, fit, filter| Profile {
        name: name.to_owned(),
        model: model.to_owned(),
        geometry: Geometry {
            width: SIDE,
            height: SIDE,
            fit,
            filter,
        },
        normalisation: Normalisation::CAFFE,
        output: Output::Probabilities,
    };
    vec![
        // The evaluation crop of He et al. 2015 and of torchvision's classification reference:
        // short side 256, bilinear with antialiasing, centre 224.
        profile(
            "imagenet",
            "resnet50",
            Fit::CentreCrop { short_side: 256 },
            Filter::Bilinear,
        ),
        // What the article's code does with today's libraries: `image.resize((224, 224))`, whose
        // default filter is bicubic since Pillow 2.7 resizes with antialiasing and 7.0 changed it.
        profile("keras", "resnet50", Fit::Stretch, Filter::Bicubic),
        // What printed the article's numbers in 2018: Pillow's default was nearest, and Keras'
        // ResNet50 padded conv1 with SAME and did not pad pool1.
        profile("article", "resnet50_article", Fit::Stretch, Filter::Nearest),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_comes_first_and_names_are_unique() {
        let names: Vec<String> = built_in().into_iter().map(|profile| profile.name).collect();
        assert_eq!(names, ["imagenet", "keras", "article"]);
    }

    #[test]
    fn a_profile_survives_a_toml_file() {
        for profile in built_in() {
            let text = toml::to_string(&profile).unwrap();
            assert_eq!(toml::from_str::<Profile>(&text).unwrap(), profile);
        }
    }

    #[test]
    fn an_input_of_224_takes_150528_bytes() {
        assert_eq!(built_in()[0].geometry.pixel_bytes(), 150_528);
    }
}
