//! Which numbers a network computes with, and why: said by a person, or found for `auto`.
//!
//! Must not know: images, how ranges are measured, how anything is computed.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fused::{Level, Ranges};

use super::{Agreement, Saved, SavedError};
use crate::classifier::{Classifier, Precision, PrecisionChoice};
use crate::profile::Profile;
use crate::registry::Model;

/// The numbers that were chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What the network computes with.
    pub precision: Precision,
    /// The ranges that bytes need.
    pub ranges: Option<Ranges>,
    /// A record of weights rounded for bytes, to go before the network's own.
    pub weights: Option<PathBuf>,
    /// Why, for a person to read.
    pub why: String,
}

/// How much more the processor must do of other numbers than of f32 for them to be quicker: 3x3
/// convolutions of f32 take fewer multiplications (Winograd), which is worth as much over a network.
const WORTH: f64 = 1.25;

/// What the processor is quick at.
#[derive(Clone, Copy)]
struct Machine {
    bytes: bool,
    bf16: bool,
}

impl Machine {
    /// This one, measured for a few milliseconds: instructions alone do not say it, for some processors
    /// do wide ones in halves. Plain code is quick at nothing but f32.
    fn measure() -> Self {
        let kinds = [
            fused::Precision::F32,
            fused::Precision::Int8,
            fused::Precision::Bf16,
        ];
        let level = Some(Level::detect()).filter(|level| *level != Level::Portable);
        let peaks = level.and_then(|level| fused::peaks(kinds, level));
        let [bytes, bf16] = peaks.map_or([false; 2], |[f32, others @ ..]| {
            others.map(|rate| rate > f32 * WORTH)
        });
        Self { bytes, bf16 }
    }
}

/// Decides for a model on a device; measured ranges are in `home`, and go before those that the model's
/// ONNX file had. Where the model cannot run fused, on a GPU for one, the numbers are burn's own.
///
/// # Errors
/// [`SavedError`] when bytes are asked for and there are no ranges, or the ranges are damaged.
pub fn decide(
    choice: PrecisionChoice,
    model: &Model,
    profile: &Profile,
    device: &Device,
    home: &Path,
) -> Result<Decision, SavedError> {
    let plain = |precision, why: &str| Decision {
        precision,
        ranges: None,
        weights: None,
        why: why.to_owned(),
    };
    if choice == PrecisionChoice::default() {
        return Ok(plain(Precision::F32, "as published"));
    }
    if !Classifier::can_fuse(model, device) {
        let why = "--precision is not used here: it needs the processor (flex) and a model that can be fused";
        return Ok(plain(Precision::F32, why));
    }
    match choice {
        PrecisionChoice::Only(Precision::Int8) => {
            let saved = Saved::read(home, model, profile)?;
            if let (None, Some(ranges)) = (&saved, &model.ranges) {
                return Ok(Decision {
                    precision: Precision::Int8,
                    why: "as asked; with the ranges of its ONNX file".to_owned(),
                    ranges: Some(ranges.clone()),
                    weights: None,
                });
            }
            let Some(saved) = saved else {
                let path = super::path(home, model, profile)?;
                return Err(SavedError::Missing {
                    path: path.display().to_string(),
                    profile: profile.name.clone(),
                });
            };
            Ok(Decision {
                precision: Precision::Int8,
                why: format!("as asked; {}", told(&saved.int8)),
                weights: saved.weights(home),
                ranges: Some(saved.ranges),
            })
        }
        PrecisionChoice::Only(precision) => Ok(plain(precision, "as asked")),
        PrecisionChoice::Auto => {
            let saved = Saved::read(home, model, profile)?;
            let (precision, why) = fastest(saved.as_ref(), Machine::measure, &profile.name);
            let saved = saved.filter(|_| precision == Precision::Int8);
            Ok(Decision {
                precision,
                weights: saved.as_ref().and_then(|saved| saved.weights(home)),
                ranges: saved.map(|saved| saved.ranges),
                why,
            })
        }
    }
}

/// The fastest numbers of which it is known that they are good enough. The processor is measured only
/// if there is something to choose.
fn fastest(
    saved: Option<&Saved>,
    measure: impl FnOnce() -> Machine,
    profile: &str,
) -> (Precision, String) {
    let again = format!("run `beagle model quantize --profile {profile}`");
    let Some(saved) = saved else {
        return (
            Precision::F32,
            format!("nothing faster has been checked: {again}"),
        );
    };
    let here = env!("CARGO_PKG_VERSION");
    if saved.version != here {
        let why = format!(
            "version {} checked what is faster, not {here}: {again}",
            saved.version
        );
        return (Precision::F32, why);
    }
    let machine = measure();
    if machine.bytes && saved.int8.is_good() {
        return (Precision::Int8, told(&saved.int8));
    }
    if machine.bf16 && saved.bf16.is_good() {
        return (Precision::Bf16, told(&saved.bf16));
    }
    let judged = |quick: bool, agreement: &Agreement| {
        if quick {
            told(agreement)
        } else {
            "is not quicker on this processor".to_owned()
        }
    };
    let why = format!(
        "nothing faster is good enough: int8 {}; bf16 {}",
        judged(machine.bytes, &saved.int8),
        judged(machine.bf16, &saved.bf16)
    );
    (Precision::F32, why)
}

fn told(agreement: &Agreement) -> String {
    format!(
        "the first class of {:.1} % of {} images is f32's, its probability within {:.4} on average",
        agreement.top1 * 100.0,
        agreement.images,
        agreement.difference
    )
}

#[cfg(test)]
mod tests {
    use super::super::saved::tests::{network, saved};
    use super::*;

    const ALL: Machine = Machine {
        bytes: true,
        bf16: true,
    };

    #[test]
    fn auto_takes_the_fastest_that_is_good_enough() {
        let (model, profile) = network();
        let good = saved(&model, &profile, 0.98);
        let mut bad_bytes = good.clone();
        bad_bytes.int8.top1 = 0.97;
        let mut bad = bad_bytes.clone();
        bad.bf16.difference = 0.03;
        let mut old = good.clone();
        old.version = "0.0.1".to_owned();
        let no_bf16 = Machine { bf16: false, ..ALL };
        let no_bytes = Machine {
            bytes: false,
            ..ALL
        };
        let none = Machine {
            bytes: false,
            bf16: false,
        };
        let cases = [
            (Some(&good), ALL, Precision::Int8, "98.0 %"),
            (Some(&good), no_bytes, Precision::Bf16, "98.0 %"),
            (Some(&bad_bytes), ALL, Precision::Bf16, "98.0 %"),
            (Some(&bad_bytes), no_bf16, Precision::F32, "97.0 %"),
            (Some(&good), none, Precision::F32, "int8 is not quicker"),
            (Some(&bad), ALL, Precision::F32, "0.0300"),
            (Some(&old), ALL, Precision::F32, "0.0.1"),
            (None, ALL, Precision::F32, "quantize --profile p"),
        ];
        for (saved, machine, precision, reason) in cases {
            let (found, why) = fastest(saved, || machine, "p");
            assert_eq!(found, precision, "{why}");
            assert!(why.contains(reason), "{why}");
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn bytes_without_ranges_are_an_error_that_says_what_to_run() {
        let home = tempfile::tempdir().unwrap();
        let (model, profile) = network();
        let asked = |choice: &str| {
            let choice = choice.parse().unwrap();
            decide(choice, &model, &profile, &Device::flex(), home.path())
        };
        let mut own = model.clone();
        let ranges = saved(&model, &profile, 0.5).ranges;
        own.ranges = Some(ranges.clone());
        let int8 = "int8".parse().unwrap();
        let decision = decide(int8, &own, &profile, &Device::flex(), home.path()).unwrap();
        assert_eq!(decision.ranges, Some(ranges));
        assert!(decision.why.contains("ONNX file"), "{}", decision.why);
        let error = asked("int8").unwrap_err().to_string();
        assert!(error.contains("quantize --profile imagenet"), "{error}");
        assert_eq!(asked("bf16").unwrap().precision, Precision::Bf16);
        assert_eq!(asked("auto").unwrap().precision, Precision::F32);
        let saved = saved(&model, &profile, 0.5);
        saved
            .clone()
            .write(home.path(), &model, &profile, None)
            .unwrap();
        let decision = asked("int8").unwrap();
        assert_eq!(decision.ranges, Some(saved.ranges));
        assert!(decision.why.contains("50.0 %"), "{}", decision.why);
        assert_eq!(asked("f32").unwrap().ranges, None);
    }
}
