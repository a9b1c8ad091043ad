//! Why an upload is not decoded: a code for programs, a sentence for people.
//!
//! Must not know: HTTP statuses, which the edge gives.

use thiserror::Error;

/// Why an upload is not decoded. Nothing was lost: the caller still has its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Not a single byte.
    #[error("the upload is empty: send the bytes of an image file")]
    Empty,
    /// More bytes than [`Limits::max_bytes`](super::Limits).
    #[error("the image file has more than {limit} bytes: send a smaller one or raise the limit")]
    TooManyBytes {
        /// The most bytes allowed.
        limit: usize,
    },
    /// A known format that is not read, or no known format.
    #[error("this is {found}, which is not read: send JPEG, PNG, WebP, GIF, BMP or TIFF")]
    UnsupportedFormat {
        /// What the bytes seem to be.
        found: String,
    },
    /// The header declares more columns than allowed.
    #[error("the image is {width} pixels wide, {limit} are allowed: send a smaller one")]
    TooWide {
        /// Declared width in pixels.
        width: u32,
        /// The most allowed.
        limit: u32,
    },
    /// The header declares more rows than allowed.
    #[error("the image is {height} pixels high, {limit} are allowed: send a smaller one")]
    TooHigh {
        /// Declared height in pixels.
        height: u32,
        /// The most allowed.
        limit: u32,
    },
    /// The header declares more pixels than allowed.
    #[error("the image has {pixels} pixels, {limit} are allowed: send a smaller one")]
    TooManyPixels {
        /// Declared width times height.
        pixels: u64,
        /// The most allowed.
        limit: u64,
    },
    /// Decoding would take more memory than allowed.
    #[error(
        "decoding the image takes {bytes} bytes of memory, {limit} are allowed: send a smaller one"
    )]
    TooMuchMemory {
        /// Bytes that decoding may take, from the header.
        bytes: u64,
        /// The most allowed.
        limit: u64,
    },
    /// Damaged, cut short, or using a feature of its format that is not read.
    #[error("the {format} file cannot be decoded ({reason}): check that it is complete")]
    Malformed {
        /// What the bytes begin like.
        format: &'static str,
        /// The decoder's words.
        reason: String,
    },
}

impl DecodeError {
    /// A stable name for programs, lower case with underscores.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_image",
            Self::TooManyBytes { .. } => "image_too_many_bytes",
            Self::UnsupportedFormat { .. } => "unsupported_format",
            Self::TooWide { .. } => "image_too_wide",
            Self::TooHigh { .. } => "image_too_high",
            Self::TooManyPixels { .. } => "image_too_many_pixels",
            Self::TooMuchMemory { .. } => "image_too_much_memory",
            Self::Malformed { .. } => "malformed_image",
        }
    }
}
