//! A model that does as the picture says, and pictures that say it.
//!
//! A picture is one colour. Its red level is the class that wins; its green level is what the
//! model does with the batch that holds it.

use std::sync::{Arc, Condvar, Mutex};

use beagle::classify::catalog::{Catalog, Served};
use beagle::classify::model::Model;
use model_import::labels::Labels;
use model_import::profile::{Filter, Fit, Geometry};

/// Classes of the fake network: as many as there are levels.
const CLASSES: usize = 256;
/// Side of its input in pixels.
const SIDE: u32 = 2;
/// Bytes of an image.
pub(crate) const BYTES: usize = (SIDE * SIDE * 3) as usize;

/// What the model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Act {
    /// Answers.
    Answer = 0,
    /// Panics.
    Panic = 1,
    /// Returns an error.
    Fail = 2,
    /// Waits until the gate opens, then answers.
    Wait = 3,
}

/// A BMP file of one pixel.
pub(crate) fn picture(class: u8, act: Act) -> Vec<u8> {
    let mut file = vec![
        b'B', b'M', 58, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 1, 0,
    ];
    file.extend([0, 0, 1, 0, 24, 0, 0, 0, 0, 0, 4, 0, 0, 0]);
    file.extend([0; 16]);
    file.extend([0, act as u8, class, 0]);
    file
}

/// The name of a class.
pub(crate) fn label(class: u8) -> String {
    format!("class_{class}")
}

/// What happens to the fake models of a test, and what they were given.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    open: Mutex<bool>,
    opened: Condvar,
    batches: Mutex<Vec<Vec<u8>>>,
    arrived: Condvar,
}

impl Stage {
    /// Lets everything that waits go on, now and later.
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    /// The classes of every batch so far, in the order they came.
    pub(crate) fn batches(&self) -> Vec<Vec<u8>> {
        self.batches.lock().unwrap().clone()
    }

    /// Waits until so many batches have come to a model.
    pub(crate) fn wait_for_batches(&self, count: usize) {
        let batches = self.batches.lock().unwrap();
        let waited = self
            .arrived
            .wait_timeout_while(batches, super::GUARD, |batches| batches.len() < count);
        assert!(
            !waited.unwrap().1.timed_out(),
            "no {count} batches came: {:?}",
            self.batches()
        );
    }
}

/// The model.
pub(crate) struct Fake(pub(crate) Arc<Stage>);

impl Model for Fake {
    fn probabilities(&mut self, lane: usize, pixels: Vec<u8>) -> Result<Vec<f32>, String> {
        assert!(lane < 2);
        let images: Vec<(u8, u8)> = pixels
            .chunks(BYTES)
            .map(|image| (image[0], image[1]))
            .collect();
        let classes = images.iter().map(|(class, _)| *class).collect();
        self.0.batches.lock().unwrap().push(classes);
        self.0.arrived.notify_all();
        let acts = |act: Act| images.iter().any(|(_, level)| *level == act as u8);
        if acts(Act::Wait) {
            let open = self.0.open.lock().unwrap();
            drop(self.0.opened.wait_while(open, |open| !*open).unwrap());
        }
        assert!(!acts(Act::Panic), "the picture said so");
        if acts(Act::Fail) {
            return Err("the picture said that it fails".to_owned());
        }
        let mut scores = vec![0.0; images.len() * CLASSES];
        for (row, (class, _)) in scores.chunks_mut(CLASSES).zip(&images) {
            row.fill(0.1 / (CLASSES - 1) as f32);
            row[usize::from(*class)] = 0.9;
        }
        Ok(scores)
    }
}

/// Two profiles of two networks.
pub(crate) fn catalog() -> Catalog {
    let names: Vec<String> = (0..=u8::MAX).map(label).collect();
    let profile = |name: &str, lane| Served {
        name: name.to_owned(),
        geometry: Geometry {
            width: SIDE,
            height: SIDE,
            fit: Fit::Stretch,
            filter: Filter::Nearest,
        },
        lane,
        labels: Labels::parse(&names.join("\n"), CLASSES).unwrap(),
    };
    Catalog::new(vec![profile("plain", 0), profile("other", 1)]).unwrap()
}
