//! What is to be measured for 3x3 convolutions of bytes with fewer multiplications.
//!
//! 2x2 outputs depend on 4x4 inputs. These are added and taken from each other in 16 ways, the points; the
//! results, whole numbers if the inputs are bytes, become bytes again before they are multiplied:
//! `number * factor + zero`, rounded and held within 0 to 255. What the factors cost depends on the
//! network, so pictures must show it, and only layers for which [`Ranges::points`] has factors are computed
//! so. Must not know: pictures, how factors are chosen, how anything is computed.

use std::collections::HashMap;

use crate::element::{Element, Format, Quantum};
use crate::error::EngineError;
use crate::plan::{Activation, Convolution, Operation, Plan, Shape};
use crate::ranges::{Range, Ranges};
use crate::shapes::PlanError;
use crate::storage;

/// Points of a square.
pub const POINTS: usize = 16;
/// Factors are so many parts of 1, whole ones: then the product with a number is exact.
pub const PARTS: f32 = 1024.0;
/// The point where four inputs are added; elsewhere as many are taken away as added.
pub(crate) const SUM: usize = 5;
/// Least squares of an image for which the way pays.
const FEWEST: usize = 49;

/// The byte that stands for zero at a point.
#[must_use]
pub const fn zero_of(point: usize) -> u8 {
    if point == SUM { 0 } else { 128 }
}

/// The layers that can take fewer multiplications in bytes, and for which that pays.
///
/// # Errors
/// [`PlanError`] when the plan is wrong.
pub fn transformable(plan: &Plan) -> Result<Vec<usize>, PlanError> {
    let shapes = plan.shapes()?;
    let formats = storage::formats(plan, &shapes, Format::U8);
    let pays = |index: &usize| {
        let Shape { height, width, .. } = shapes[index + 1];
        height.div_ceil(2) * width.div_ceil(2) >= FEWEST
    };
    let layers = 0..plan.layers.len();
    Ok(layers
        .filter(|&index| can(plan, &formats, index))
        .filter(pays)
        .collect())
}

/// Whether a layer can be computed so.
fn can(plan: &Plan, formats: &[Format], index: usize) -> bool {
    let layer = &plan.layers[index];
    let Operation::Convolution(convolution) = &layer.operation else {
        return false;
    };
    let Convolution {
        kernel,
        stride,
        dilation,
        padding,
        groups,
        residual,
        activation,
        ..
    } = *convolution;
    let is_usual = (kernel, stride, dilation, groups) == ([3, 3], [1, 1], [1, 1], 1);
    let is_bytes = [formats[layer.input], formats[index + 1]] == [Format::U8; 2];
    // Pixels lie otherwise, residuals have units of their own, SiLU would be of what is rounded already.
    let is_plain = layer.input > 0 && residual.is_none() && activation != Activation::Silu;
    is_usual && is_bytes && is_plain && padding == [1; 4]
}

/// The factors of each layer that has some.
pub(crate) fn checked<'a>(
    plan: &Plan,
    shapes: &[Shape],
    ranges: &'a Ranges,
) -> Result<HashMap<usize, &'a [f32]>, EngineError> {
    let formats = storage::formats(plan, shapes, Format::U8);
    let mut checked = HashMap::new();
    for points in &ranges.points {
        let is_part = |factor: &f32| {
            let parts = factor * PARTS;
            parts.fract() == 0.0 && (1.0..=PARTS).contains(&parts)
        };
        let is_layer = points.layer < plan.layers.len() && can(plan, &formats, points.layer);
        let is_right = points.factors.len() == POINTS && points.factors.iter().all(is_part);
        let before = checked.insert(points.layer, points.factors.as_slice());
        if !is_layer || !is_right || before.is_some() {
            return Err(EngineError::Points(points.layer));
        }
    }
    Ok(checked)
}

/// Shows the numbers at each point for all squares of one image: `see` is given a point and the numbers of
/// a pixel's channels there, before the factor. `numbers` are what the convolution reads, height x width x
/// channels; they are stored in `range` first. Outside there is zero.
pub fn at_points(shape: Shape, numbers: &[f32], range: Range, see: &mut impl FnMut(usize, &[i16])) {
    let Shape {
        height,
        width,
        channels,
    } = shape;
    let quantum = Quantum::of_range(range.low, range.high);
    let stored: Vec<i16> = numbers
        .iter()
        .map(|&number| i16::from(u8::encode(number, &quantum)))
        .collect();
    let outside = vec![quantum.zero as i16; channels];
    let pixel = |y: usize, x: usize| {
        // Counted from the border on.
        let inside = (1..=height).contains(&y) && (1..=width).contains(&x);
        let start = || ((y - 1) * width + x - 1) * channels;
        if inside {
            &stored[start()..][..channels]
        } else {
            &outside[..]
        }
    };
    // Of four inputs along a side, which two count, and the sign of the second.
    const PAIRS: [(usize, usize, i16); 4] = [(2, 0, -1), (2, 1, 1), (2, 1, -1), (3, 1, -1)];
    let mut row = vec![0; channels];
    for (top, left) in (0..height)
        .step_by(2)
        .flat_map(|y| (0..width).step_by(2).map(move |x| (y, x)))
    {
        for (point, (of_rows, of_columns)) in PAIRS
            .iter()
            .flat_map(|rows| PAIRS.iter().map(move |columns| (rows, columns)))
            .enumerate()
        {
            let at = |row: usize, column: usize| pixel(top + row, left + column);
            let corners = [
                at(of_rows.0, of_columns.0),
                at(of_rows.0, of_columns.1),
                at(of_rows.1, of_columns.0),
                at(of_rows.1, of_columns.1),
            ];
            for (channel, number) in row.iter_mut().enumerate() {
                let [a, b, c, d] = corners.map(|corner| corner[channel]);
                *number = a + of_columns.2 * b + of_rows.2 * (c + of_columns.2 * d);
            }
            see(point, &row);
        }
    }
}
