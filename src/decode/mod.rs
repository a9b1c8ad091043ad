//! An upload's bytes to the network's input pixels.
//!
//! Pure: bytes, limits and a geometry in, `u8` pixels or an error out. In the order of the flow:
//! [`format`](mod@format) says what the bytes are, [`limits`] whether we want to decode them,
//! [`photo`] decodes and turns them upright, [`resize`], `convolution` and `passes` fit
//! them to the network. [`actor`] does it to uploads, and is not pure. The rest must not know:
//! HTTP, queues, networks, time.

mod convolution;
pub mod error;
pub mod format;
pub mod limits;
mod photo;
pub mod resize;
mod passes;
pub mod actor;

pub use error::DecodeError;
pub use limits::Limits;

use model_import::profile::Geometry;

/// One image as the network takes it: `u8`, RGB, height x width x 3, rows from the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels(Vec<u8>);

impl Pixels {
    /// The levels, 0 to 255: height x width x 3 of them.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.0
    }

    /// The levels, without a copy.
    #[must_use]
    pub fn into_data(self) -> Vec<u8> {
        self.0
    }
}

/// Decodes an upload and fits it to a network's input.
///
/// Reads the first frame of JPEG, PNG, WebP, GIF, BMP and TIFF, whatever the file was called.
/// EXIF orientation is applied; grey becomes RGB; transparency is dropped, as Pillow's
/// `convert("RGB")` does.
///
/// # Errors
/// When the upload is empty, of another format, larger than a limit, or damaged.
pub fn decode(bytes: &[u8], limits: &Limits, geometry: &Geometry) -> Result<Pixels, DecodeError> {
    limits.check_bytes(bytes.len())?;
    let format = format::sniff(bytes)?;
    let photo = photo::open(bytes, format, limits)?;
    Ok(Pixels(resize::fit(&photo, geometry)))
}
