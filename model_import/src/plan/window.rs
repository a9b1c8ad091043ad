//! A window that slides over height and width, as an operator's attributes describe it.
//!
//! Must not know: layers, weights.

use fused::Shape;
use onnx_ir::NodeProto;

use crate::onnx;

/// Zeros around height and width: top, left, bottom, right.
pub(super) type Padding = [usize; 4];

/// A sliding window.
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) padding: Padding,
}

impl Window {
    /// The window of a `kernel` over a value of this shape.
    ///
    /// # Errors
    /// What is wrong with the attributes, as what follows the operator's name in a sentence.
    pub(super) fn of(node: &NodeProto, kernel: [usize; 2], input: Shape) -> Result<Self, String> {
        let mut window = Self {
            kernel,
            stride: positive(node, "strides")?.unwrap_or([1, 1]),
            dilation: positive(node, "dilations")?.unwrap_or([1, 1]),
            padding: [0; 4],
        };
        match onnx::string(node, "auto_pad").as_deref() {
            None | Some("" | "NOTSET") => {
                if let Some(pads) = onnx::ints(node, "pads") {
                    window.padding = padding(pads)?;
                }
            }
            Some("VALID") => {}
            Some("SAME_UPPER") => window.pad_alike(input, false),
            Some("SAME_LOWER") => window.pad_alike(input, true),
            Some(other) => return Err(format!("pads by '{other}'")),
        }
        Ok(window)
    }

    /// As many zeros as give one step every `stride` pixels; the odd one goes last, or first.
    fn pad_alike(&mut self, input: Shape, first: bool) {
        for (axis, size) in [input.height, input.width].into_iter().enumerate() {
            let steps = size.div_ceil(self.stride[axis]);
            let covered = (steps.saturating_sub(1)) * self.stride[axis] + self.extent(axis);
            let zeros = covered.saturating_sub(size);
            let (less, more) = (zeros / 2, zeros - zeros / 2);
            let (before, after) = if first { (more, less) } else { (less, more) };
            self.padding[axis] = before;
            self.padding[axis + 2] = after;
        }
    }

    /// Pixels from the first to the last that the window covers.
    fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis].saturating_sub(1)) * self.dilation[axis] + 1
    }

    /// Adds padding at the end where a last, partial window is to count (`ceil_mode`): one that
    /// begins inside the value or in the padding before it. Gives whether any was needed.
    pub(super) fn round_up(&mut self, input: Shape) -> bool {
        let mut grown = false;
        for (axis, size) in [input.height, input.width].into_iter().enumerate() {
            let before = self.padding[axis];
            let padded = size + before + self.padding[axis + 2];
            let Some(way) = padded.checked_sub(self.extent(axis)) else {
                continue;
            };
            let begins = way.next_multiple_of(self.stride[axis]);
            if begins != way && begins < before + size {
                self.padding[axis + 2] += begins - way;
                grown = true;
            }
        }
        grown
    }
}

/// A pair of positive integers, if the attribute is there.
///
/// # Errors
/// As for [`Window::of`].
pub(super) fn positive(node: &NodeProto, name: &str) -> Result<Option<[usize; 2]>, String> {
    let Some(values) = onnx::ints(node, name) else {
        return Ok(None);
    };
    let sizes: Vec<usize> = values
        .iter()
        .filter_map(|&value| usize::try_from(value).ok().filter(|&size| size > 0))
        .collect();
    match *sizes.as_slice() {
        [height, width] if values.len() == 2 => Ok(Some([height, width])),
        _ => Err(format!("has {name} {values:?}, not two sizes")),
    }
}

/// Four counts of zeros: top, left, bottom, right.
///
/// # Errors
/// As for [`Window::of`].
pub(super) fn padding(pads: &[i64]) -> Result<Padding, String> {
    let counts: Vec<usize> = pads
        .iter()
        .filter_map(|&pad| usize::try_from(pad).ok())
        .collect();
    match *counts.as_slice() {
        [top, left, bottom, right] if pads.len() == 4 => Ok([top, left, bottom, right]),
        _ => Err(format!("pads by {pads:?}, not by four counts of zeros")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{node, with_ints, with_string};

    const fn square(side: usize) -> Shape {
        Shape {
            height: side,
            width: side,
            channels: 1,
        }
    }

    #[test]
    fn same_padding_puts_the_odd_zero_last_or_first() {
        let slide = with_ints(node("Conv", "slide", &["x", "w"], "y"), "strides", &[2, 2]);
        for (auto_pad, padding) in [("SAME_UPPER", [0, 0, 1, 1]), ("SAME_LOWER", [1, 1, 0, 0])] {
            let slide = with_string(slide.clone(), "auto_pad", auto_pad);
            let window = Window::of(&slide, [3, 3], square(8)).unwrap();
            assert_eq!(window.padding, padding, "{auto_pad}");
        }
        let valid = with_string(slide.clone(), "auto_pad", "VALID");
        assert_eq!(
            Window::of(&valid, [3, 3], square(8)).unwrap().padding,
            [0; 4]
        );
        let other = with_string(slide, "auto_pad", "SOMEHOW");
        assert!(Window::of(&other, [3, 3], square(8)).is_err());
    }

    #[test]
    fn a_partial_window_is_padded_unless_it_would_read_padding_only() {
        for (size, kernel, stride, padding, end) in [
            (7, 3, 2, 0, 0),
            (8, 3, 2, 0, 1),
            // A window that begins beyond the last pixel is no window.
            (4, 2, 3, 1, 1),
        ] {
            let mut window = Window {
                kernel: [kernel; 2],
                stride: [stride; 2],
                dilation: [1, 1],
                padding: [padding; 4],
            };
            window.round_up(square(size));
            let what = format!("{size} {kernel} {stride}");
            assert_eq!(window.padding, [padding, padding, end, end], "{what}");
        }
    }

    #[test]
    fn attributes_that_make_no_window_are_refused() {
        for (name, values) in [("strides", [2, 0]), ("dilations", [-1, 1])] {
            let slide = with_ints(node("Conv", "slide", &["x", "w"], "y"), name, &values);
            assert!(Window::of(&slide, [1, 1], square(4)).is_err(), "{name}");
        }
        assert!(padding(&[0, 0, -1, 0]).is_err());
        assert!(padding(&[1, 1]).is_err());
    }
}
