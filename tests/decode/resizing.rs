//! Resizing equals Pillow's, level for level.

use std::fs;

use beagle::decode::resize;
use model_import::profile::{Filter, Fit, Geometry};
use sha2::{Digest as _, Sha256};

use crate::{difference, expected, images, read, stretch};

#[test]
fn nearest_bilinear_and_bicubic_equal_pillows() {
    let filters = [
        ("nearest", Filter::Nearest),
        ("bilinear", Filter::Bilinear),
        ("bicubic", Filter::Bicubic),
    ];
    for (name, filter) in filters {
        for (width, height) in [(64, 64), (97, 31), (301, 200)] {
            let file = format!("resized/{name}_{width}x{height}.png");
            let (_, _, wanted) = expected(&images().join(&file));
            let levels = read("resized/source.png", &stretch(width, height, filter)).unwrap();
            assert_eq!(difference(&levels, &wanted), (0, 0.0), "{file}");
        }
    }
}

#[test]
fn the_centre_crop_equals_pillows() {
    let geometry = Geometry {
        width: 64,
        height: 64,
        fit: Fit::CentreCrop { short_side: 72 },
        filter: Filter::Bilinear,
    };
    let (_, _, wanted) = expected(&images().join("resized/centre_64x64.png"));
    assert_eq!(
        difference(&read("resized/source.png", &geometry).unwrap(), &wanted),
        (0, 0.0)
    );
}

/// Pillow's positions for every source length up to 4096, where products that are whole numbers
/// fall on either side.
#[test]
fn nearest_takes_pillows_positions_for_every_length() {
    let text = fs::read_to_string(images().join("nearest.json")).unwrap();
    let wanted: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut digest = Sha256::new();
    for source in 1..=4096 {
        for position in resize::sources(source, 224, 0, 224) {
            digest.update(position.to_le_bytes());
        }
    }
    let found: String = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(wanted["sha256"], found.as_str());
}
