//! What each layer of a fused network is, how much it computes and how long it takes.
//!
//! Operations are counted as the textbook does, a multiplication and an addition as two, whatever the
//! kernel saves: a Winograd layer may do more a second than the peak. Must not know: weights, how a
//! layer is computed, how it is shown.

use std::time::Duration;

use fused::{Engine, InputError, Operation, Plan, PlanError, Shape};

/// A network's layers in the order in which they run, and what the processor could do at most.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTimes {
    /// Operations a second of all threads together on numbers that are in registers.
    pub peak: f64,
    /// One a layer.
    pub layers: Vec<LayerTime>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTime {
    /// What it does, as its plan says.
    pub kind: &'static str,
    /// Height, width and channels of the value that it reads.
    pub input: [usize; 3],
    /// Height, width and channels of the value that it writes.
    pub output: [usize; 3],
    /// Its window, if it has one.
    pub window: Option<LayerWindow>,
    /// Whether a second value is added before it ends.
    pub adds: bool,
    /// Multiplications and additions an image; `None` where it does neither in earnest.
    pub operations: Option<u64>,
    /// How long it takes an image.
    pub time: Duration,
}

/// The window of a convolution or a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerWindow {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Steps down and to the right.
    pub stride: [usize; 2],
    /// Groups of channels that do not mix.
    pub groups: usize,
}

/// Runs `pixels`, whole images and at least one, for so many rounds and one to warm up. A layer's
/// time is its median.
pub(super) fn measure(
    engine: &mut Engine,
    plan: &Plan,
    pixels: &[u8],
    rounds: usize,
) -> Result<LayerTimes, InputError> {
    let images = (pixels.len() / plan.input.elements()).max(1);
    let mut layers = describe(plan).unwrap_or_default();
    let mut scores = Vec::new();
    engine.run_levels(pixels, &mut scores)?;
    let measured = (0..rounds.max(1)).map(|_| engine.profile(pixels, &mut scores));
    let measured = measured.collect::<Result<Vec<_>, _>>()?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let mut times: Vec<Duration> = measured.iter().map(|times| times[index]).collect();
        times.sort_unstable();
        layer.time = times[times.len() / 2].div_f64(images as f64);
    }
    Ok(LayerTimes {
        peak: engine.peak(),
        layers,
    })
}

/// The layers of a plan, without their times.
fn describe(plan: &Plan) -> Result<Vec<LayerTime>, PlanError> {
    let shapes = plan.shapes()?;
    let dimensions = |shape: Shape| [shape.height, shape.width, shape.channels];
    let layers = plan.layers.iter().enumerate().map(|(index, layer)| {
        let (from, to) = (shapes[layer.input], shapes[index + 1]);
        let window = window(&layer.operation);
        LayerTime {
            kind: layer.operation.name(),
            input: dimensions(from),
            output: dimensions(to),
            window,
            adds: match &layer.operation {
                Operation::Convolution(convolution) => convolution.residual.is_some(),
                Operation::Add { .. } => true,
                _ => false,
            },
            operations: match (&layer.operation, window) {
                (Operation::Convolution(_), Some(window)) => Some(operations(&window, from, to)),
                _ => None,
            },
            time: Duration::ZERO,
        }
    });
    Ok(layers.collect())
}

fn window(operation: &Operation) -> Option<LayerWindow> {
    match operation {
        Operation::Convolution(convolution) => Some(LayerWindow {
            kernel: convolution.kernel,
            stride: convolution.stride,
            groups: convolution.groups,
        }),
        Operation::MaxPool(pool) | Operation::AveragePool(pool) => Some(LayerWindow {
            kernel: pool.kernel,
            stride: pool.stride,
            groups: 1,
        }),
        _ => None,
    }
}

/// Of a convolution: a multiplication and an addition for each weight of each output.
const fn operations(window: &LayerWindow, from: Shape, to: Shape) -> u64 {
    let [height, width] = window.kernel;
    (2 * to.elements() * (from.channels / window.groups) * height * width) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    #[test]
    fn resnet50_has_the_operations_that_its_authors_counted() {
        let plan = registry::model("resnet50").unwrap().plan.unwrap();
        let layers = describe(&plan).unwrap();
        assert_eq!(layers.len(), plan.layers.len());
        let first = &layers[0];
        assert_eq!((first.input, first.output), ([224, 224, 3], [112, 112, 64]));
        assert_eq!(first.operations, Some(2 * 112 * 112 * 64 * 3 * 49));
        // "3.8 x 10^9 FLOPs" (He et al. 2015, table 1), multiplications and additions as one.
        let all: u64 = layers.iter().filter_map(|layer| layer.operations).sum();
        let counted = all as f64 / 2e9;
        assert!((3.8..3.9).contains(&counted), "{counted}");
        let pools = layers.iter().filter(|layer| layer.kind.ends_with("pool"));
        assert!(
            pools.clone().count() == 2 && pools.into_iter().all(|pool| pool.operations.is_none())
        );
        assert_eq!(layers.iter().filter(|layer| layer.adds).count(), 16);
    }

    #[test]
    fn a_group_reads_its_own_channels_alone() {
        let shape = |channels| Shape {
            height: 4,
            width: 5,
            channels,
        };
        let window = LayerWindow {
            kernel: [3, 3],
            stride: [1, 1],
            groups: 8,
        };
        assert_eq!(operations(&window, shape(8), shape(8)), 2 * 20 * 8 * 9);
        let whole = LayerWindow {
            groups: 1,
            ..window
        };
        assert_eq!(operations(&whole, shape(8), shape(8)), 2 * 20 * 8 * 9 * 8);
    }
}
