//! The decoder against what Pillow reads and resizes; `tests/reference/images.py` made the images.

mod formats;
mod resizing;

use std::fs;
use std::path::{Path, PathBuf};

use beagle::decode::{DecodeError, Limits, decode};
use model_import::profile::{Filter, Fit, Geometry};

fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images")
}

/// An image's size and RGB levels, read by the image crate from a PNG that Pillow wrote.
fn expected(path: &Path) -> (u32, u32, Vec<u8>) {
    let image = image::open(path)
        .expect("Pillow's images can be read")
        .into_rgb8();
    (image.width(), image.height(), image.into_raw())
}

fn stretch(width: u32, height: u32, filter: Filter) -> Geometry {
    Geometry {
        width,
        height,
        fit: Fit::Stretch,
        filter,
    }
}

/// Decodes a file of `tests/images`.
fn read(name: &str, geometry: &Geometry) -> Result<Vec<u8>, DecodeError> {
    let bytes = fs::read(images().join(name)).expect("the image is there");
    decode(&bytes, &Limits::default(), geometry).map(|pixels| pixels.data().to_vec())
}

/// Largest and mean difference of two images' levels.
fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len());
    let each = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = each().map(f64::from).sum();
    (each().max().unwrap_or(0), sum / a.len() as f64)
}
