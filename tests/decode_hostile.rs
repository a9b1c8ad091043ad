//! Hostile uploads: no panic, no memory above the limit, no long wait, whatever the bytes.
//!
//! The allocator counts, so each test holds [`ALONE`] while it measures.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "in a test a failed step should stop it on the spot; what was measured is told"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use beagle::decode::{DecodeError, Limits, decode};
use fastrand::Rng;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};
use model_import::profile::{Filter, Fit, Geometry};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;
static ALONE: Mutex<()> = Mutex::new(());

const GEOMETRY: Geometry = Geometry {
    width: 224,
    height: 224,
    fit: Fit::CentreCrop { short_side: 256 },
    filter: Filter::Bilinear,
};
/// The promise: no upload keeps a decoder longer.
const LONGEST: Duration = Duration::from_secs(2);
/// What the input's copy, the resized photo and the error texts may take beside the limit.
const SLACK: usize = 8 << 20;

/// What became of the inputs.
#[derive(Default)]
struct Tally {
    decoded: usize,
    refused: usize,
    offences: Vec<String>,
    most_memory: usize,
    longest: Duration,
}

impl Tally {
    fn run(&mut self, name: &str, bytes: &[u8]) {
        let limits = Limits::default();
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let start = Instant::now();
        let decoded = catch_unwind(AssertUnwindSafe(|| {
            decode(bytes, &limits, &GEOMETRY).map(|_| ())
        }));
        let took = start.elapsed();
        let memory = MEMORY.peak_usage().saturating_sub(before);
        match decoded {
            Ok(Ok(())) => self.decoded += 1,
            Ok(Err(_)) => self.refused += 1,
            Err(_) => self.offences.push(format!("{name}: panicked")),
        }
        if memory > limits.max_memory as usize + SLACK {
            self.offences.push(format!("{name}: took {memory} bytes"));
        }
        if took > LONGEST {
            self.offences.push(format!("{name}: took {took:?}"));
        }
        self.most_memory = self.most_memory.max(memory);
        self.longest = self.longest.max(took);
    }

    fn report(&self, what: &str) {
        eprintln!(
            "{what}: {} decoded, {} refused; at most {} bytes and {:?}",
            self.decoded, self.refused, self.most_memory, self.longest
        );
        assert!(self.offences.is_empty(), "{}", self.offences.join("\n"));
    }
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let images = files
        .filter(|path| path.is_file() && path.extension().is_some_and(|ending| ending != "json"));
    let mut seeds: Vec<(String, Vec<u8>)> = images
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    seeds.sort();
    seeds
}

/// One to eight of: a flipped bit, an overwritten byte, a block set to one value, a cut, a
/// block copied elsewhere. Half of them near the start, where headers are.
fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.usize(1..=8) {
        if bytes.is_empty() {
            return;
        }
        let reach = if rng.bool() {
            bytes.len().min(64)
        } else {
            bytes.len()
        };
        let at = rng.usize(..reach);
        let end = (at + rng.usize(1..=16)).min(bytes.len());
        match rng.u8(..6) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = rng.u8(..),
            2 => bytes[at..end].fill(*rng.choice(&[0x00, 0xff, 0x7f, 0x80]).unwrap()),
            3 if rng.u8(..4) == 0 => bytes.truncate(at),
            4 => {
                let block = bytes[at..end].to_vec();
                let to = rng.usize(..=bytes.len());
                bytes.splice(to..to, block);
            }
            _ => drop(bytes.drain(at..end)),
        }
    }
}

#[test]
fn twenty_thousand_damaged_images_do_no_harm() {
    let _alone = ALONE.lock();
    let seeds = seeds();
    assert!(seeds.len() > 40);
    let mut tally = Tally::default();
    for round in 0..20_000 {
        let (name, image) = &seeds[round as usize % seeds.len()];
        let mut bytes = image.clone();
        mutate(&mut bytes, &mut Rng::with_seed(round));
        tally.run(&format!("{name}, mutation {round}"), &bytes);
    }
    tally.report("damaged images");
    assert!(
        tally.decoded > 1000 && tally.refused > 1000,
        "the mutations are too weak or too strong"
    );
}

#[test]
fn ten_thousand_random_strings_do_no_harm() {
    let _alone = ALONE.lock();
    let starts: [&[u8]; 8] = [
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\0\0\0\0WEBPVP8L",
        b"GIF89a",
        b"BM",
        b"II*\0",
        b"MM\0*",
    ];
    let mut tally = Tally::default();
    for round in 0..10_000 {
        let mut rng = Rng::with_seed(round);
        let mut bytes = starts[round as usize % starts.len()].to_vec();
        let length = rng.usize(..2048);
        bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(length));
        tally.run(&format!("random string {round}"), &bytes);
    }
    tally.report("random strings");
}

/// Memory is foretold from the header, so the foretelling must hold: no format may take more.
#[test]
fn no_format_takes_more_memory_than_foretold() {
    let _alone = ALONE.lock();
    for (name, bytes) in large() {
        let refused = decode(
            &bytes,
            &Limits {
                max_memory: 0,
                ..Limits::default()
            },
            &GEOMETRY,
        );
        let Err(DecodeError::TooMuchMemory {
            bytes: foretold, ..
        }) = refused
        else {
            panic!("{name}: {refused:?}");
        };
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let limits = Limits {
            max_memory: foretold,
            ..Limits::default()
        };
        let decoded = decode(&bytes, &limits, &GEOMETRY);
        let peak = MEMORY.peak_usage().saturating_sub(before) as u64;
        eprintln!("{name}: {peak} bytes of {foretold} foretold");
        assert!(decoded.is_ok(), "{name}: {decoded:?}");
        // The file itself is copied by some decoders and is bounded by its own limit.
        assert!(
            peak <= foretold + bytes.len() as u64,
            "{name}: {peak} bytes, {foretold} foretold"
        );
    }
}

/// Photos of two megapixels of noise in every format that the image crate writes.
fn large() -> Vec<(&'static str, Vec<u8>)> {
    let mut rng = Rng::with_seed(1);
    let noise = std::iter::repeat_with(|| rng.u8(..))
        .take(1600 * 1200 * 3)
        .collect();
    let photo = DynamicImage::ImageRgb8(RgbImage::from_raw(1600, 1200, noise).unwrap());
    let write = |photo: &DynamicImage, format| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        photo.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let mut jpeg = Vec::new();
    photo
        .write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, 90))
        .unwrap();
    let deep = DynamicImage::ImageRgba16(photo.to_rgba16());
    let alpha = DynamicImage::ImageRgba8(photo.to_rgba8());
    vec![
        ("JPEG", jpeg),
        ("progressive JPEG", stretched_progressive()),
        ("PNG", write(&photo, ImageFormat::Png)),
        ("PNG, 16 bits and alpha", write(&deep, ImageFormat::Png)),
        ("WebP", write(&alpha, ImageFormat::WebP)),
        ("GIF", write(&alpha, ImageFormat::Gif)),
        ("BMP", write(&photo, ImageFormat::Bmp)),
        ("TIFF", write(&photo, ImageFormat::Tiff)),
        ("TIFF, 16 bits and alpha", write(&deep, ImageFormat::Tiff)),
    ]
}

/// A small progressive file whose header declares 1600 x 1200: its coefficients are all kept.
fn stretched_progressive() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/progressive.jpg");
    let mut bytes = fs::read(path).unwrap();
    let frame = bytes
        .windows(2)
        .position(|marker| marker == [0xff, 0xc2])
        .unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&1200_u16.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&1600_u16.to_be_bytes());
    bytes
}
