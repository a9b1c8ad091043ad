//! Strides, dilations and Keras' `same` padding of convolutions and pools.

use serde_json::{Value, json};

use crate::keras::{Image, Slide, noise};
use crate::net::{Net, to_planes};
use crate::runner::furthest;

/// Sums of a few products of numbers below 1.
const ROUNDING: f32 = 1e-5;

fn config(slide: &Slide) -> Value {
    json!({
        "padding": if slide.same { "same" } else { "valid" },
        "strides": slide.strides,
        "dilation_rate": slide.dilations,
        "pool_size": slide.kernel,
    })
}

/// A kernel of ones over 1 to 16: sums that can be done by hand.
#[test]
fn same_padding_puts_the_odd_zero_at_the_end() {
    let config = json!({ "padding": "same", "strides": [2, 2], "dilation_rate": [1, 1] });
    let net = Net::reads([4, 4, 1]);
    let net = net.convolution("photo", [3, 3, 1, 1], &[1.0; 9], config);
    let photo: Vec<f32> = (1..=16_u8).map(f32::from).collect();
    // With the zero in front it would be 14, 30, 42 and 78.
    assert_eq!(
        net.mean("conv").run("conv", &photo),
        [54.0, 45.0, 72.0, 54.0]
    );
}

#[test]
fn the_window_of_a_pool_ignores_what_lies_outside() {
    let config = json!({ "padding": "same", "strides": [2, 2], "pool_size": [2, 2] });
    let net = Net::reads([3, 3, 1]);
    let net = net
        .layer("MaxPooling2D", "pool", &["photo"], config)
        .mean("pool");
    let photo = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0];
    assert_eq!(net.run("pool", &photo), [-1.0, -3.0, -7.0, -9.0]);
}

#[test]
fn every_stride_dilation_and_odd_size_is_as_keras_defines_it() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut cases = 0;
    for (height, width) in [(5, 7), (6, 8), (9, 6)] {
        for kernel in [[1, 1], [2, 3], [3, 3], [5, 4]] {
            for (strides, dilations) in [
                ([1, 1], [1, 1]),
                ([2, 2], [1, 1]),
                ([3, 2], [1, 1]),
                ([1, 1], [2, 1]),
            ] {
                for same in [false, true] {
                    let slide = Slide {
                        kernel,
                        strides,
                        dilations,
                        same,
                    };
                    let extent = (kernel[0] - 1) * dilations[0] + 1;
                    if same || extent <= height {
                        assert_convolved([height, width], slide, &mut random);
                        cases += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cases, 94);
}

#[track_caller]
fn assert_convolved(size: [usize; 2], slide: Slide, random: &mut fastrand::Rng) {
    let [height, width] = slide.kernel;
    let photo = Image::noise(size, 2, random);
    let kernel = noise(height * width * 2 * 3, random);
    let net = Net::reads([size[0], size[1], 2]);
    let net = net.convolution("photo", [height, width, 2, 3], &kernel, config(&slide));
    let given = net.mean("conv").run("conv", &photo.pixels);
    let expected = to_planes(&photo.convolved(slide, &kernel, 3).pixels, 3);
    assert_eq!(given.len(), expected.len(), "{size:?} {slide:?}");
    let furthest = furthest(&given, &expected);
    assert!(furthest < ROUNDING, "{size:?} {slide:?}: {furthest}");
}

#[test]
fn pools_of_every_stride_are_as_keras_defines_them() {
    let mut random = fastrand::Rng::with_seed(8);
    for size in [[5, 7], [6, 8]] {
        for (kernel, strides) in [([2, 2], [2, 2]), ([3, 3], [2, 2]), ([3, 2], [1, 2])] {
            for same in [false, true] {
                let slide = Slide {
                    kernel,
                    strides,
                    dilations: [1, 1],
                    same,
                };
                let photo = Image::noise(size, 2, &mut random);
                let net = Net::reads([size[0], size[1], 2]);
                let net = net.layer("MaxPooling2D", "pool", &["photo"], config(&slide));
                let given = net.mean("pool").run("pool", &photo.pixels);
                let expected = to_planes(&photo.max_pooled(slide).pixels, 2);
                assert_eq!(given, expected, "{size:?} {slide:?}");
            }
        }
    }
}

#[test]
fn a_window_larger_than_what_it_reads_is_refused() {
    let config = json!({ "padding": "valid", "strides": [2, 2], "dilation_rate": [1, 1] });
    let net = Net::reads([4, 4, 1]);
    let net = net.convolution("photo", [5, 3, 1, 1], &[1.0; 15], config);
    let error = net.mean("conv").onnx().unwrap_err().to_string();
    assert!(
        error.contains("layer 'conv' has a window larger"),
        "{error}"
    );
}
