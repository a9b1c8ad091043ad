//! A file's bytes to an upright RGB photo.
//!
//! The header is read first and checked against the limits; the pixels follow only then.

use std::io::Cursor;

use exif::{In, Tag};
use image::codecs::bmp::BmpDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::tiff::TiffDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageResult, RgbImage};

use super::format::Format;
use super::{DecodeError, Limits};

/// Bytes that metadata and small tables of a decoder may take.
const TABLES: u64 = 4 << 20;
/// Pixels by which JPEG pads each side at most: the largest minimum coded unit is 32 a side.
const JPEG_PADDING: u64 = 32;

/// Decodes the first frame to RGB, `u8`, upright.
///
/// # Errors
/// When the header breaks a limit or the file cannot be decoded.
pub(super) fn open(bytes: &[u8], format: Format, limits: &Limits) -> Result<RgbImage, DecodeError> {
    let file = Cursor::new(bytes);
    let photo = match format {
        Format::Jpeg => read(JpegDecoder::new(file), format, limits),
        Format::Png => read(PngDecoder::with_limits(file, room(TABLES)), format, limits),
        Format::WebP => read(WebPDecoder::new(file), format, limits),
        Format::Gif => read(GifDecoder::new(file), format, limits),
        Format::Bmp => read(BmpDecoder::new(file), format, limits),
        Format::Tiff => read(TiffDecoder::new(file), format, limits),
    }?;
    let mut photo = DynamicImage::ImageRgb8(photo.into_rgb8());
    photo.apply_orientation(orientation(bytes));
    Ok(photo.into_rgb8())
}

/// Checks what the header declares, then decodes.
fn read(
    opened: ImageResult<impl ImageDecoder>,
    format: Format,
    limits: &Limits,
) -> Result<DynamicImage, DecodeError> {
    let because = |reason: String| DecodeError::Malformed {
        format: format.name(),
        reason,
    };
    let malformed = |error: ImageError| because(error.to_string().trim_end().to_owned());
    let mut decoder = opened.map_err(malformed)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(because("it has no pixels".to_owned()));
    }
    limits.check_size(width, height)?;
    limits.check_memory(memory(format, &decoder))?;
    let output = if format == Format::Tiff {
        0
    } else {
        decoder.total_bytes()
    };
    decoder
        .set_limits(room(limits.max_memory - output))
        .map_err(malformed)?;
    DynamicImage::from_decoder(decoder).map_err(malformed)
}

/// The image crate's own limits; it knows only one we have not checked already.
fn room(bytes: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}

/// Bytes that decoding takes at its peak, at most: the decoder's output beside its scratch space
/// or beside its copy in RGB, or that copy twice while it is turned upright.
///
/// The scratch space is what the decoders allocate (read from their sources, and kept true by
/// `tests/decode_hostile.rs`): JPEG keeps the coefficients of a progressive file, two bytes for
/// each of up to four components; WebP the planes or a second RGBA frame; GIF a frame before it
/// is put on its canvas; TIFF a strip, which may be the whole image.
fn memory(format: Format, decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    let (width, height) = (u64::from(width), u64::from(height));
    let pixels = width * height;
    let output = decoder.total_bytes();
    let scratch = match format {
        Format::Jpeg => 8 * (width + JPEG_PADDING) * (height + JPEG_PADDING),
        Format::WebP | Format::Gif => 8 * pixels,
        Format::Tiff => output,
        Format::Png | Format::Bmp => 0,
    };
    let rgb = 3 * pixels;
    let decoding = output + scratch;
    let converting = if decoder.color_type() == ColorType::Rgb8 {
        0
    } else {
        output + rgb
    };
    decoding.max(converting).max(2 * rgb) + TABLES
}

/// How the camera was held, from the file's EXIF block; upright where there is none that can be
/// read.
fn orientation(bytes: &[u8]) -> Orientation {
    let exif = exif::Reader::new().read_from_container(&mut Cursor::new(bytes));
    let held = exif.ok().and_then(|exif| {
        exif.get_field(Tag::Orientation, In::PRIMARY)?
            .value
            .get_uint(0)
    });
    let known = held.and_then(|held| Orientation::from_exif(u8::try_from(held).ok()?));
    known.unwrap_or(Orientation::NoTransforms)
}
