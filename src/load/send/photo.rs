//! A photo as it lies on a disk.
//!
//! Must not know: what it shows; it is sent as it is.

use bytes::Bytes;

use crate::decode::format;

/// A photo's name and bytes.
#[derive(Clone, Debug)]
pub struct Photo {
    /// Of its file, without folders.
    pub name: String,
    /// Its content.
    pub bytes: Bytes,
}

impl Photo {
    /// Its media type, by its first bytes.
    pub(super) fn media_type(&self) -> &'static str {
        format::sniff(&self.bytes).map_or("application/octet-stream", format::Format::media_type)
    }
}
