//! A photo fitted to a network's input: crop and resize, as Pillow and torchvision do it.

use image::RgbImage;
use model_import::profile::{Filter, Fit, Geometry};

use super::convolution::{self, Axis, Kernel};

/// Where the network's input lies on the resized photo.
///
/// The photo is thought of as resized to `width` x `height`; the input is the part of it that
/// starts at (`left`, `top`). Only that part is ever computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Width of the whole photo after resizing, in pixels.
    pub width: u32,
    /// Height of the whole photo after resizing, in pixels.
    pub height: u32,
    /// First column of the input.
    pub left: u32,
    /// First row of the input.
    pub top: u32,
}

/// Plans the resize of a photo of `width` x `height` pixels, neither of them 0.
///
/// The centre crop is torchvision's (`transforms.functional`): the longer side is
/// `int(short_side * long / short)`, the crop starts at `round((side - input) / 2)`, halves to
/// even.
#[must_use]
pub fn plan(width: u32, height: u32, geometry: &Geometry) -> Plan {
    let Fit::CentreCrop { short_side } = geometry.fit else {
        return Plan {
            width: geometry.width,
            height: geometry.height,
            left: 0,
            top: 0,
        };
    };
    let scaled = |side: u32, short: u32| {
        let side = u64::from(short_side) * u64::from(side) / u64::from(short);
        u32::try_from(side).unwrap_or(u32::MAX)
    };
    let short = width.min(height);
    let (width, height) = (scaled(width, short), scaled(height, short));
    Plan {
        width,
        height,
        left: half_to_even(width.saturating_sub(geometry.width)),
        top: half_to_even(height.saturating_sub(geometry.height)),
    }
}

/// `n / 2`, rounded; a half goes to the even neighbour, as in Python's `round`.
const fn half_to_even(n: u32) -> u32 {
    n / 2 + (n % 4 == 3) as u32
}

/// Fits a photo to the network's input: height x width x 3 levels.
pub(super) fn fit(photo: &RgbImage, geometry: &Geometry) -> Vec<u8> {
    let plan = plan(photo.width(), photo.height(), geometry);
    match geometry.filter {
        Filter::Nearest => nearest(photo, &plan, geometry),
        Filter::Bilinear => convolve(photo, &plan, geometry, Kernel::Bilinear),
        Filter::Bicubic => convolve(photo, &plan, geometry, Kernel::Bicubic),
    }
}

fn nearest(photo: &RgbImage, plan: &Plan, geometry: &Geometry) -> Vec<u8> {
    let columns = sources(photo.width(), plan.width, plan.left, geometry.width);
    let rows = sources(photo.height(), plan.height, plan.top, geometry.height);
    let mut pixels = Vec::with_capacity(geometry.pixel_bytes());
    for row in rows {
        for &column in &columns {
            pixels.extend_from_slice(&photo.get_pixel(column, row).0);
        }
    }
    pixels
}

/// Source positions of `count` nearest neighbours from `start` on, when `source` pixels become
/// `target`: `floor((i + 0.5) * source / target)`.
///
/// The product is summed up step by step in f64, as Pillow does (`ImagingScaleAffine` in
/// `Geometry.c`): where it is a whole number, the sum may fall on either side of it, and so must
/// ours.
#[must_use]
pub fn sources(source: u32, target: u32, start: u32, count: u32) -> Vec<u32> {
    let step = f64::from(source) / f64::from(target);
    let mut at = step * 0.5;
    let mut positions = Vec::new();
    for i in 0..start.saturating_add(count) {
        if i >= start {
            positions.push((at as u32).min(source - 1));
        }
        at += step;
    }
    positions
}

fn convolve(photo: &RgbImage, plan: &Plan, geometry: &Geometry, kernel: Kernel) -> Vec<u8> {
    let x = Axis {
        source: photo.width(),
        target: plan.width,
        part: plan.left..plan.left + geometry.width,
    };
    let y = Axis {
        source: photo.height(),
        target: plan.height,
        part: plan.top..plan.top + geometry.height,
    };
    convolution::resize(photo.as_raw(), &x, &y, kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crop(side: u32, short_side: u32) -> Geometry {
        Geometry {
            width: side,
            height: side,
            fit: Fit::CentreCrop { short_side },
            filter: Filter::Bilinear,
        }
    }

    /// Each row by hand: photo, resized size and crop as torchvision's formulas give them.
    #[test]
    fn the_centre_crop_is_torchvisions() {
        let table = [
            ((500, 375), (341, 256, 58, 16)),
            ((375, 500), (256, 341, 16, 58)),
            ((256, 256), (256, 256, 16, 16)),
            ((224, 224), (256, 256, 16, 16)),
            ((640, 427), (383, 256, 80, 16)),
            ((1, 1), (256, 256, 16, 16)),
            ((4032, 3024), (341, 256, 58, 16)),
            ((1, 32_768), (256, 8_388_608, 16, 4_194_192)),
        ];
        for ((width, height), (resized_width, resized_height, left, top)) in table {
            let expected = Plan {
                width: resized_width,
                height: resized_height,
                left,
                top,
            };
            assert_eq!(
                plan(width, height, &crop(224, 256)),
                expected,
                "{width} x {height}"
            );
        }
    }

    /// Python: `[round(n / 2) for n in range(8)]`.
    #[test]
    fn halves_go_to_the_even_neighbour() {
        let halves: Vec<u32> = (0..8).map(half_to_even).collect();
        assert_eq!(halves, [0, 0, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn a_stretch_takes_the_whole_photo() {
        let geometry = Geometry {
            fit: Fit::Stretch,
            ..crop(224, 0)
        };
        assert_eq!(
            plan(1000, 10, &geometry),
            Plan {
                width: 224,
                height: 224,
                left: 0,
                top: 0
            }
        );
    }

    #[test]
    fn nearest_takes_the_pixel_under_the_middle() {
        assert_eq!(sources(6, 3, 0, 3), [1, 3, 5]);
        assert_eq!(sources(2, 4, 0, 4), [0, 0, 1, 1]);
        assert_eq!(sources(6, 3, 1, 2), [3, 5]);
    }
}
