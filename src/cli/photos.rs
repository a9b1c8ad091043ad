//! Which photos a command was given, and one photo's bytes to pixels.

use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use model_import::profile::Geometry;
use walkdir::WalkDir;

use super::report::Failure;
use crate::decode::{self, Limits, Pixels};

/// Endings that mark a file of a folder as a photo. A file named on the command line is read
/// whatever its name; its content decides.
const ENDINGS: [&str; 10] = [
    "jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "avif",
];

/// Where a photo comes from.
#[derive(Debug, Clone)]
pub(crate) enum Photo {
    /// Standard input, shown as `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// Files as they are, folders as the photos below them in the order of their names.
///
/// # Errors
/// When a folder cannot be read or holds no photo.
pub(crate) fn find(named: &[PathBuf]) -> anyhow::Result<Vec<Photo>> {
    let mut photos = Vec::new();
    for path in named {
        if path.as_os_str() == "-" {
            photos.push(Photo::Stdin);
        } else if path.is_dir() {
            photos.extend(below(path)?);
        } else {
            photos.push(Photo::File(path.clone()));
        }
    }
    Ok(photos)
}

fn below(folder: &Path) -> anyhow::Result<Vec<Photo>> {
    let mut photos = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry =
            entry.with_context(|| format!("cannot read the folder {}", folder.display()))?;
        let ending = entry
            .path()
            .extension()
            .map(|ending| ending.to_ascii_lowercase());
        let is_photo = ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        if is_photo && !entry.file_type().is_dir() {
            photos.push(Photo::File(entry.into_path()));
        }
    }
    if photos.is_empty() {
        bail!(
            "{} holds no photos ({})",
            folder.display(),
            ENDINGS.join(", ")
        );
    }
    Ok(photos)
}

/// Decodes a photo's bytes to the network's input. A panic of a decoder costs this photo.
pub(crate) fn decode(bytes: &[u8], geometry: &Geometry) -> Result<Pixels, Failure> {
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        decode::decode(bytes, &Limits::default(), geometry)
    }));
    match decoded {
        Ok(Ok(pixels)) => Ok(pixels),
        Ok(Err(error)) => Err(Failure::new(error.code(), error)),
        Err(_) => Err(Failure::new(
            "decoder_panicked",
            "the decoder failed on this photo",
        )),
    }
}

impl Photo {
    /// The name to show.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.to_string_lossy().into_owned(),
        }
    }

    /// Reads and decodes the photo to the network's input.
    pub(crate) fn decode(&self, geometry: &Geometry) -> Result<Pixels, Failure> {
        let bytes = self
            .read(&Limits::default())
            .map_err(|error| Failure::new("unreadable_file", error))?;
        decode(&bytes, geometry)
    }

    /// At most one byte more than the limit, so that an endless input is refused, not read.
    pub(crate) fn read(&self, limits: &Limits) -> io::Result<Vec<u8>> {
        let most = u64::try_from(limits.max_bytes)
            .unwrap_or(u64::MAX)
            .saturating_add(1);
        let mut bytes = Vec::new();
        match self {
            Self::Stdin => io::stdin().lock().take(most).read_to_end(&mut bytes)?,
            Self::File(path) => File::open(path)?.take(most).read_to_end(&mut bytes)?,
        };
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_photos_in_order_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["c.JPG", "a.png", "b/x.webp", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let named = [
            folder.path().to_owned(),
            PathBuf::from("-"),
            PathBuf::from("z.txt"),
        ];
        let root = folder.path().display().to_string();
        let found: Vec<String> = find(&named).unwrap().iter().map(Photo::name).collect();
        let found: Vec<String> = found.iter().map(|name| name.replace(&root, "")).collect();
        assert_eq!(found, ["/a.png", "/b/x.webp", "/c.JPG", "-", "z.txt"]);
    }

    #[test]
    fn a_folder_without_photos_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(&[folder.path().to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains(&folder.path().display().to_string()),
            "{error}"
        );
    }
}
