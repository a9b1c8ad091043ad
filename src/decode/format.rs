//! What a file is, by its first bytes; its name and declared content type are not asked.

use image::ImageFormat;

use super::DecodeError;

/// The formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Baseline and progressive; grey, YCbCr, RGB, CMYK and YCCK.
    Jpeg,
    /// All bit depths, palettes and transparency; of an APNG its still image.
    Png,
    /// Lossy and lossless; of an animation its first frame.
    WebP,
    /// The first frame.
    Gif,
    /// Windows and OS/2 bitmaps.
    Bmp,
    /// The first page.
    Tiff,
}

impl Format {
    /// The name people use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        }
    }

    /// Its media type (IANA).
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
        }
    }
}

/// Names the format of a file.
///
/// # Errors
/// When it is not one that is read; the error names what it seems to be.
pub fn sniff(bytes: &[u8]) -> Result<Format, DecodeError> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Ok(Format::Jpeg),
        Ok(ImageFormat::Png) => Ok(Format::Png),
        Ok(ImageFormat::WebP) => Ok(Format::WebP),
        Ok(ImageFormat::Gif) => Ok(Format::Gif),
        Ok(ImageFormat::Bmp) => Ok(Format::Bmp),
        Ok(ImageFormat::Tiff) => Ok(Format::Tiff),
        _ => Err(DecodeError::UnsupportedFormat {
            found: describe(bytes),
        }),
    }
}

/// What the bytes of an unread format seem to be, in words.
fn describe(bytes: &[u8]) -> String {
    match infer::get(bytes) {
        Some(kind) => format!("{} ({})", kind.extension().to_uppercase(), kind.mime_type()),
        None if is_text(bytes) => "text".to_owned(),
        None => "no image format that Beagle knows".to_owned(),
    }
}

/// ASCII without control characters, so that a few zeros of a binary file are not called text.
fn is_text(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    bytes.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        let read: [(&[u8], Format); 7] = [
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Format::Jpeg),
            (b"\x89PNG\r\n\x1a\n", Format::Png),
            (b"RIFF\x24\0\0\0WEBPVP8 ", Format::WebP),
            (b"GIF89a", Format::Gif),
            (b"BM\x46\0\0\0", Format::Bmp),
            (b"II*\0", Format::Tiff),
            (b"MM\0*", Format::Tiff),
        ];
        for (bytes, format) in read {
            assert_eq!(sniff(bytes), Ok(format));
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        let refused: [(&[u8], &str); 9] = [
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF (image/heif)"),
            (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "AVIF (image/avif)"),
            (b"%PDF-1.7\n", "PDF (application/pdf)"),
            (
                b"\0\0\x01\0\x01\0\x10\x10",
                "ICO (image/vnd.microsoft.icon)",
            ),
            (b"8BPS\0\x01", "PSD (image/vnd.adobe.photoshop)"),
            (b"{\"image\": \"\"}", "text"),
            (b"two lines\r\n\tof text\n", "text"),
            (b"\x01\x02\0\0", "no image format that Beagle knows"),
            (b"\x01\x02\x03\xf0", "no image format that Beagle knows"),
        ];
        for (bytes, name) in refused {
            let error = sniff(bytes).unwrap_err();
            assert_eq!(
                error,
                DecodeError::UnsupportedFormat {
                    found: name.to_owned()
                }
            );
            assert_eq!(error.code(), "unsupported_format");
        }
    }
}
