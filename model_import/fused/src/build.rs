//! From a plan and weights to a network: shapes, borders, memory, packed weights.
//!
//! Must not know: threads, how a step computes.

use crate::calibrate;
use crate::element::{Element, Format, Rule};
use crate::error::EngineError;
use crate::kernel::{self, Kernels, LevelTable};
use crate::layout::Layout;
use crate::memory::{Lifetime, place};
use crate::network::{Network, Stage};
use crate::options::{Options, Precision};
use crate::pack::Kernel;
use crate::plan::{Activation, Layer, Operation, Plan, Shape};
use crate::ranges::Ranges;
use crate::shelf::Shelf;
use crate::steps::{Elements, Parts, Place, Pooling, Softmax, Step, Value, convolution};
use crate::storage::{Stored, storage};
use crate::weights::{self, Normalise, Weights};

/// Builds the network for up to `images` images together. Weights that are on the shelf are taken
/// from it.
pub(crate) fn network(
    plan: &Plan,
    weights: &dyn Weights,
    normalise: &Normalise,
    ranges: Option<&Ranges>,
    options: &Options,
    images: usize,
    shelf: &mut Shelf,
) -> Result<Network, EngineError> {
    let shapes = plan.shapes()?;
    if !options.level.is_available() {
        return Err(EngineError::Level(options.level));
    }
    let table = normalise.table()?;
    let stored = storage(plan, &shapes, options.precision, ranges, &table)?;
    let points = ranges.filter(|_| options.precision == Precision::Int8);
    let points = points.map(|ranges| calibrate::checked(plan, &shapes, ranges));
    let points = points.transpose()?;
    let (values, early, bytes) = values(plan, &shapes, &stored, options.large);
    // Scores of less than floats are made of halved weights: they are used once an image.
    let halves = options.precision != Precision::F32;
    let kernels = |from, to| kernel::of(options.level, (options.dots, halves), from, to);
    // Of what is transformed: floats, or bytes that become floats.
    let products = |from| match from {
        Format::U8 => kernel::of(options.level, (options.dots, false), from, Format::F32),
        Format::F32 | Format::Bf16 => {
            kernel::of(options.level, (false, false), Format::F32, Format::F32)
        }
    };
    let floats = kernel::of(options.level, (false, false), Format::F32, Format::F32);
    let first = values[0];
    let mut stages = Vec::new();
    for (index, layer) in plan.layers.iter().enumerate() {
        let (input, output) = (values[layer.input], values[index + 1]);
        let kernels = kernels(input.format, output.format);
        let mut step: Box<dyn Step> = match &layer.operation {
            Operation::Convolution(layer) => {
                let channels = input.layout.shape.channels;
                let (numbers, bias) = weights::of(weights, layer, channels)?;
                convolution(Parts {
                    convolution: layer,
                    kernel: Kernel::new(&numbers, layer, channels),
                    bias,
                    input,
                    output,
                    residual: layer.residual.map(|value| values[value]),
                    images,
                    threads: options.threads,
                    kernels,
                    rule: Rule::new(layer.activation),
                    transforms: kernel::transforms(options.level, input.format),
                    products: products(input.format),
                    winograd: options.winograd,
                    pairs: input.format == Format::Bf16 && options.dots && options.level.has_bf16(),
                    points: points
                        .as_ref()
                        .and_then(|points| points.get(&index).copied()),
                })
            }
            Operation::MaxPool(pool) => Box::new(Pooling {
                pool: pool.clone(),
                input,
                output,
                kernel: kernels.max_pool,
            }),
            Operation::AveragePool(pool) => Box::new(Pooling {
                pool: pool.clone(),
                input,
                output,
                kernel: kernels.average_pool,
            }),
            Operation::Add { other, activation } => {
                elements(input, Some(values[*other]), output, *activation, kernels)
            }
            Operation::Activate { activation } => {
                elements(input, None, output, *activation, kernels)
            }
            Operation::Softmax => Box::new(Softmax {
                input,
                output,
                kernels,
            }),
        };
        if let Some(panels) = step.panels() {
            shelf.share(panels);
        }
        stages.push(Stage { step, output });
    }
    let scratch = stages.iter().map(|stage| stage.step.scratch()).max();
    Ok(Network {
        input: first,
        stages,
        early,
        bytes,
        scratch: scratch.unwrap_or(0),
        kernels: kernels(first.format, first.format),
        floats,
        table: elements_of(&table, &first),
        order: normalise.order,
    })
}

fn elements(
    input: Value,
    other: Option<Value>,
    output: Value,
    activation: Activation,
    kernels: &'static Kernels,
) -> Box<dyn Step> {
    Box::new(Elements {
        input,
        other,
        output,
        rule: Rule::new(activation),
        kernels,
    })
}

/// The elements of `input` that stand for the numbers of each level, as bits.
fn elements_of(table: &[Vec<f32>; 3], input: &Value) -> LevelTable {
    let quantum = &input.quantum;
    let element = |number: f32| match input.format {
        Format::F32 => number.to_bits(),
        Format::Bf16 => <u16 as Element>::encode(number, quantum).into(),
        Format::U8 => <u8 as Element>::encode(number, quantum).into(),
    };
    table
        .each_ref()
        .map(|levels| levels.iter().map(|&number| element(number)).collect())
}

/// Where each value lies and what its numbers mean, how many layers take one image at a time, and
/// the bytes of memory for any number of images and for each image.
fn values(
    plan: &Plan,
    shapes: &[Shape],
    stored: &[Stored],
    large: usize,
) -> (Vec<Value>, usize, [usize; 2]) {
    let halos = halos(plan, shapes.len());
    let layouts: Vec<Layout> = shapes
        .iter()
        .zip(&halos)
        .enumerate()
        .map(|(value, (&shape, &halo))| {
            let size = stored[value].format.size();
            match value {
                0 => Layout::input(shape, size, halo),
                _ => Layout::new(shape, size, halo),
            }
        })
        .collect();
    let early = early(plan, &layouts, large);
    let (places, bytes) = places(&lifetimes(plan, &layouts), early);
    let value = |((layout, place), stored): ((Layout, Place), &Stored)| Value {
        place,
        layout,
        format: stored.format,
        quantum: stored.quantum,
        border: stored.quantum.zero as u8,
    };
    let values = layouts.into_iter().zip(places).zip(stored).map(value);
    (values.collect(), early, bytes)
}

/// How many layers, from the first on, take one image at a time; see [`Options::large`].
fn early(plan: &Plan, layouts: &[Layout], large: usize) -> usize {
    let touched = |(index, layer): (usize, &Layer)| -> usize {
        let read = layer.reads().map(|value| layouts[value].image());
        read.sum::<usize>() + layouts[index + 1].image()
    };
    let layers = plan.layers.iter().enumerate();
    let last = layers.map(touched).rposition(|bytes| bytes >= large);
    last.map_or(0, |last| last + 1)
}

/// Where values start, given that the first `early` layers take one image at a time: what only they
/// touch has room for one image, the rest for each.
fn places(lifetimes: &[Lifetime], early: usize) -> (Vec<Place>, [usize; 2]) {
    let last = lifetimes.len() - 1;
    let is_early = |value: usize| value != last && lifetimes[value].last <= early && early > 0;
    let of = |wanted: bool| -> (Vec<usize>, Vec<Lifetime>) {
        let values = (0..lifetimes.len()).filter(|&value| is_early(value) == wanted);
        values.map(|value| (value, lifetimes[value])).unzip()
    };
    let ((alone, first), (each, rest)) = (of(true), of(false));
    let (starts, shared) = place(&first);
    let alone = alone.into_iter().zip(starts).map(|(value, base)| {
        let (start, next) = (0, 0);
        (value, Place { base, start, next })
    });
    let (starts, own) = place(&rest);
    let each = each.into_iter().zip(starts).map(|(value, start)| {
        let (base, next) = (shared, lifetimes[value].bytes);
        (value, Place { base, start, next })
    });
    let mut places: Vec<(usize, Place)> = alone.chain(each).collect();
    places.sort_unstable_by_key(|&(value, _)| value);
    let places = places.into_iter().map(|(_, place)| place);
    (places.collect(), [shared, own])
}

/// The border of each value: as wide as the widest padding of the convolutions that read it.
fn halos(plan: &Plan, values: usize) -> Vec<[usize; 4]> {
    let mut halos = vec![[0; 4]; values];
    for layer in &plan.layers {
        if let Operation::Convolution(convolution) = &layer.operation {
            for (side, &padding) in halos[layer.input].iter_mut().zip(&convolution.padding) {
                *side = padding.max(*side);
            }
        }
    }
    halos
}

/// How long each value lives, in steps: step 0 writes the input, the last value is never freed.
fn lifetimes(plan: &Plan, layouts: &[Layout]) -> Vec<Lifetime> {
    let mut lifetimes: Vec<Lifetime> = layouts
        .iter()
        .enumerate()
        .map(|(value, layout)| Lifetime {
            bytes: layout.image(),
            first: value,
            last: value,
        })
        .collect();
    for (index, layer) in plan.layers.iter().enumerate() {
        for value in layer.reads() {
            lifetimes[value].last = index + 1;
        }
    }
    lifetimes
}
