//! The pictures that a network is shown: views of a folder's photos, or of the samples in the program.
//!
//! Must not know: networks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use anyhow::bail;
use model_import::profile::Geometry;

use super::augment::View;
use crate::cli::photos::{self, Photo};
use crate::cli::report::Failure;
use crate::cli::terminal;
use crate::decode::{Limits, Pixels};

/// Pictures to measure.
const PICTURES: usize = 100;
/// As many times more are checked.
const CHECKS: usize = 2;
/// Most photos of a folder that are used, taken evenly.
const MOST_PHOTOS: usize = 200;
/// The photos that come with the program.
const SAMPLES: [&[u8]; 4] = [
    include_bytes!("../../../assets/samples/cat.jpg"),
    include_bytes!("../../../assets/samples/coffee.jpg"),
    include_bytes!("../../../assets/samples/raccoon.webp"),
    include_bytes!("../../../assets/samples/rocket.png"),
];

/// Whole images of a network's input.
pub(super) struct Pictures {
    /// Photos that they are of.
    pub(super) photos: usize,
    /// To be measured.
    pub(super) measured: Vec<Vec<u8>>,
    /// To be checked: other views of the same photos.
    pub(super) checked: Vec<Vec<u8>>,
}

impl Pictures {
    /// Of the photos of a folder, or of the samples. A photo that cannot be read is left out.
    ///
    /// # Errors
    /// When no photo can be read.
    pub(super) fn take(folder: Option<&PathBuf>, input: &Geometry) -> anyhow::Result<Self> {
        let sources: Vec<Source> = match folder {
            None => SAMPLES.into_iter().map(Source::Sample).collect(),
            Some(folder) => {
                let photos = photos::find(std::slice::from_ref(folder))?;
                let every = photos.len().div_ceil(MOST_PHOTOS).max(1);
                photos
                    .into_iter()
                    .step_by(every)
                    .map(Source::Photo)
                    .collect()
            }
        };
        let views = PICTURES.div_ceil(sources.len());
        let mut pictures = Self {
            photos: 0,
            measured: Vec::new(),
            checked: Vec::new(),
        };
        for (number, source) in (0_u64..).zip(&sources) {
            match pictures.add(source, number, views, input) {
                Ok(()) => pictures.photos += 1,
                Err(failure) => terminal::note(&format!("{}: {failure}", source.name())),
            }
        }
        if pictures.photos == 0 {
            bail!("none of the photos can be read: name a folder of others with --calibrate");
        }
        Ok(pictures)
    }

    fn add(
        &mut self,
        source: &Source,
        number: u64,
        views: usize,
        input: &Geometry,
    ) -> Result<(), Failure> {
        let bytes = source.bytes()?;
        let mut fitted: BTreeMap<(u32, u32), Pixels> = BTreeMap::new();
        let mut taken = Vec::new();
        for index in 0..(1 + CHECKS) * views {
            let view = if index == 0 {
                View::PLAIN
            } else {
                View::numbered(number << 32 | index as u64)
            };
            let around = view.geometry(input);
            let photo = match fitted.entry((around.width, around.height)) {
                Entry::Occupied(photo) => photo.into_mut(),
                Entry::Vacant(place) => place.insert(photos::decode(&bytes, &around)?),
            };
            taken.push(view.of(photo.data(), input));
        }
        self.checked.extend(taken.split_off(views));
        self.measured.extend(taken);
        Ok(())
    }
}

enum Source {
    Sample(&'static [u8]),
    Photo(Photo),
}

impl Source {
    fn name(&self) -> String {
        match self {
            Self::Sample(_) => "a sample".to_owned(),
            Self::Photo(photo) => photo.name(),
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Sample(bytes) => Ok(bytes.to_vec()),
            Self::Photo(photo) => photo
                .read(&Limits::default())
                .map_err(|error| Failure::new("unreadable_file", error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_a_hundred_pictures_to_measure_and_others_to_check() {
        let input = model_import::profile::built_in()[0].geometry;
        let pictures = Pictures::take(None, &input).unwrap();
        assert_eq!(pictures.photos, 4);
        assert_eq!(
            (pictures.measured.len(), pictures.checked.len()),
            (100, 200)
        );
        let all = || pictures.measured.iter().chain(&pictures.checked);
        assert!(all().all(|picture| picture.len() == input.pixel_bytes()));
        let different: std::collections::BTreeSet<_> = all().collect();
        assert_eq!(different.len(), 300);
    }

    #[test]
    fn a_photo_that_cannot_be_read_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("broken.jpg"), b"\xff\xd8\xff no").unwrap();
        let input = model_import::profile::built_in()[0].geometry;
        let named = folder.path().to_owned();
        assert!(Pictures::take(Some(&named), &input).is_err());
        std::fs::write(folder.path().join("cat.jpg"), SAMPLES[0]).unwrap();
        let pictures = Pictures::take(Some(&named), &input).unwrap();
        assert_eq!((pictures.photos, pictures.measured.len()), (1, 50));
    }
}
