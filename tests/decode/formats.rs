//! Every format and form of it: the first frame, upright, in RGB, as Pillow reads it.

use std::fs;
use std::path::Path;

use beagle::decode::{DecodeError, Limits, decode};
use model_import::profile::Filter;

use crate::{difference, expected, images, read, stretch};

/// How far decoders of a lossy file may differ: largest and mean difference of levels. Lossless
/// files may not differ at all.
fn tolerance(name: &str) -> (u8, f64) {
    match Path::new(name).file_stem().and_then(|stem| stem.to_str()) {
        // Chroma is interpolated and rounded differently by every decoder.
        Some("subsampled" | "progressive") => (12, 0.6),
        Some("lossy") => (6, 0.6),
        _ if name.ends_with(".jpg") || name == "jpeg.tiff" => (3, 0.3),
        // 65,535 steps to 255: rounded here, cut off there.
        Some("grey16") => (1, 1.0),
        _ => (0, 0.0),
    }
}

#[test]
fn every_form_of_every_format_is_what_pillow_reads() {
    let mut offences = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(images().join("expected")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (width, height, wanted) = expected(&path);
        seen += 1;
        match read(&name, &stretch(width, height, Filter::Nearest)) {
            Err(error) => offences.push(format!("{name}: {error}")),
            Ok(levels) => {
                let (largest, mean) = difference(&levels, &wanted);
                let (most, most_mean) = tolerance(&name);
                if largest > most || mean > most_mean {
                    offences.push(format!(
                        "{name}: differs by {largest} at most, {mean:.3} on average"
                    ));
                }
            }
        }
    }
    assert!(offences.is_empty(), "{}", offences.join("\n"));
    assert_eq!(seen, 42);
}

#[test]
fn a_photo_is_turned_as_the_camera_was_held() {
    let turned = |orientation| format!("turned{orientation}.jpg");
    let levels = |orientation, width, height| {
        read(
            &turned(orientation),
            &stretch(width, height, Filter::Nearest),
        )
        .unwrap()
    };
    let flat = levels(1, 48, 34);
    let mut rows: Vec<&[u8]> = flat.chunks(48 * 3).collect();
    rows.reverse();
    assert_eq!(levels(4, 48, 34), rows.concat(), "4 is upside down");
    let first_column: Vec<u8> = flat
        .chunks(48 * 3)
        .rev()
        .flat_map(|row| &row[..3])
        .copied()
        .collect();
    assert_eq!(
        levels(6, 34, 48)[..34 * 3],
        first_column,
        "6 lies on its left side"
    );
}

#[test]
fn limits_hold_for_every_format_before_anything_is_decoded() {
    let geometry = stretch(8, 8, Filter::Nearest);
    for name in [
        "rgb.jpg",
        "rgb.png",
        "lossy.webp",
        "still.gif",
        "rgb.bmp",
        "rgb.tiff",
    ] {
        let bytes = fs::read(images().join(name)).unwrap();
        let code = |limits: Limits| decode(&bytes, &limits, &geometry).unwrap_err().code();
        let usual = Limits::default();
        assert_eq!(
            code(Limits {
                max_bytes: bytes.len() - 1,
                ..usual
            }),
            "image_too_many_bytes",
            "{name}"
        );
        assert_eq!(
            code(Limits {
                max_width: 47,
                ..usual
            }),
            "image_too_wide",
            "{name}"
        );
        assert_eq!(
            code(Limits {
                max_height: 33,
                ..usual
            }),
            "image_too_high",
            "{name}"
        );
        assert_eq!(
            code(Limits {
                max_pixels: 48 * 34 - 1,
                ..usual
            }),
            "image_too_many_pixels",
            "{name}"
        );
        assert_eq!(
            code(Limits {
                max_memory: 48 * 34,
                ..usual
            }),
            "image_too_much_memory",
            "{name}"
        );
    }
}

#[test]
fn a_damaged_file_is_an_error_that_names_its_format() {
    for (name, format) in [
        ("rgb.png", "PNG"),
        ("still.gif", "GIF"),
        ("lzw.tiff", "TIFF"),
        ("lossless.webp", "WebP"),
    ] {
        let bytes = fs::read(images().join(name)).unwrap();
        let error = decode(
            &bytes[..60],
            &Limits::default(),
            &stretch(8, 8, Filter::Nearest),
        )
        .unwrap_err();
        assert!(
            matches!(error, DecodeError::Malformed { format: found, .. } if found == format),
            "{name}: {error}"
        );
    }
}

#[test]
fn text_and_nothing_are_refused_by_name() {
    let refused = |bytes: &[u8]| {
        decode(bytes, &Limits::default(), &stretch(8, 8, Filter::Nearest)).unwrap_err()
    };
    assert_eq!(refused(b"").code(), "empty_image");
    assert_eq!(
        refused(b"<svg xmlns='http://www.w3.org/2000/svg'/>").to_string(),
        "this is text, which is not read: send JPEG, PNG, WebP, GIF, BMP or TIFF"
    );
}
