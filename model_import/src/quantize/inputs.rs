//! What the weighted sums of a convolution read: of each of some output pixels the numbers under its window.
//!
//! Must not know: weights, pictures, what the numbers are for.

use fused::{Convolution, Operation, Plan, Shape, WeightLayout};

/// Most inputs of one sum that are looked at: their products are as many as their square.
const MOST_INPUTS: usize = 2048;
/// About so many output pixels along a side of a value are looked at; neighbours differ little.
const SIDE: usize = 28;

/// Which numbers of a value a convolution reads together. Convolutions that are alike in this read the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inputs {
    /// The value.
    pub(super) value: usize,
    /// Its rows, columns and channels.
    shape: [usize; 3],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
    /// Height and width of the output.
    output: [usize; 2],
}

impl Inputs {
    /// Of the layer `index`; `None` where sums are not to be looked at: what is no convolution over all
    /// channels, sums of too many inputs, and what reads a single pixel, as scores do, which are floats.
    pub(super) fn of(plan: &Plan, shapes: &[Shape], index: usize) -> Option<Self> {
        let layer = &plan.layers[index];
        let Operation::Convolution(convolution) = &layer.operation else {
            return None;
        };
        let Convolution {
            kernel,
            stride,
            dilation,
            padding: [top, left, ..],
            groups,
            weight_layout,
            ..
        } = *convolution;
        let (input, output) = (shapes[layer.input], shapes[index + 1]);
        let inputs = Self {
            value: layer.input,
            shape: [input.height, input.width, input.channels],
            kernel,
            stride,
            dilation,
            padding: [top, left],
            output: [output.height, output.width],
        };
        let usual = groups == 1 && weight_layout == WeightLayout::Oihw;
        let many = inputs.count() > MOST_INPUTS || (input.height, input.width) == (1, 1);
        (usual && !many).then_some(inputs)
    }

    /// Inputs of one sum.
    pub(super) const fn count(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.shape[2]
    }

    /// The inputs of some output pixels, in the order of the weights of one output channel, pixel after
    /// pixel. `numbers` are the value of one image: height x width x channels.
    pub(super) fn rows(&self, numbers: &[f32]) -> Vec<f32> {
        let [height, width, channels] = self.shape;
        let [every_row, every_column] = self.output.map(|side| side.div_ceil(SIDE));
        let mut rows = Vec::new();
        for y in (0..self.output[0]).step_by(every_row) {
            for x in (0..self.output[1]).step_by(every_column) {
                for channel in 0..channels {
                    for tap in 0..self.kernel[0] * self.kernel[1] {
                        let at = [tap / self.kernel[1], tap % self.kernel[1]];
                        let [row, column] = [(y, 0), (x, 1)].map(|(pixel, axis)| {
                            let from = pixel * self.stride[axis] + at[axis] * self.dilation[axis];
                            from.checked_sub(self.padding[axis])
                        });
                        let inside =
                            |(row, column): &(usize, usize)| *row < height && *column < width;
                        let place = row.zip(column).filter(inside);
                        rows.push(place.map_or(0.0, |(row, column)| {
                            numbers[(row * width + column) * channels + channel]
                        }));
                    }
                }
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use fused::Layer;

    use super::*;

    fn plan(text: &str, [height, width, channels]: [usize; 3]) -> Plan {
        let convolution: Convolution = toml::from_str(text).expect("a convolution");
        Plan {
            input: Shape {
                height,
                width,
                channels,
            },
            layers: vec![Layer {
                input: 0,
                operation: Operation::Convolution(convolution),
            }],
        }
    }

    fn of(plan: &Plan) -> Option<Inputs> {
        Inputs::of(plan, &plan.shapes().expect("a plan"), 0)
    }

    #[test]
    fn the_numbers_under_a_window_are_in_the_order_of_the_weights() {
        let text = "weights = \"w\"\noutputs = 1\nkernel = [2, 3]\nstride = [2, 1]\npadding = [0, 1, 0, 1]";
        let inputs = of(&plan(text, [4, 3, 2])).expect("a convolution");
        // Channel c of row y, column x is 100 c + 10 y + x + 1.
        let numbers: Vec<f32> = (0..24)
            .map(|place| (place % 2 * 100 + place / 6 * 10 + place / 2 % 3 + 1) as f32)
            .collect();
        let rows = inputs.rows(&numbers);
        assert_eq!((inputs.count(), rows.len()), (12, 2 * 3 * 12));
        let first = [0, 1, 2, 0, 11, 12, 0, 101, 102, 0, 111, 112];
        assert_eq!(rows[..12], first.map(|number| number as f32));
        let last = [22, 23, 0, 32, 33, 0, 122, 123, 0, 132, 133, 0];
        assert_eq!(rows[60..], last.map(|number| number as f32));
    }

    #[test]
    fn large_values_are_looked_at_here_and_there() {
        let inputs = of(&plan(
            "weights = \"w\"\noutputs = 1\nkernel = [1, 1]",
            [112, 56, 1],
        ));
        let inputs = inputs.expect("a convolution");
        let numbers: Vec<f32> = (0..112 * 56).map(|place| place as f32).collect();
        let rows = inputs.rows(&numbers);
        assert_eq!(rows.len(), 28 * 28);
        assert_eq!(rows[..3], [0.0, 2.0, 4.0]);
        assert_eq!(rows[28], 4.0 * 56.0);
    }

    #[test]
    fn groups_scores_and_sums_of_very_many_are_left_out() {
        let with = |more: &str, shape| {
            let text = format!("weights = \"w\"\noutputs = 8\nkernel = [1, 1]\n{more}");
            of(&plan(&text, shape)).is_some()
        };
        assert!(with("", [7, 7, 2048]));
        assert!(!with("", [7, 7, 2049]));
        assert!(!with("", [1, 1, 8]));
        assert!(!with("groups = 4", [7, 7, 8]));
    }
}
