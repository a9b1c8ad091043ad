//! What Keras' sliding layers give, by their definitions and in nested loops.
//!
//! Must not know: ONNX, how the conversion does it.

/// An image in Keras' order: height x width x channels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Image {
    pub(crate) size: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<f32>,
}

/// How a window slides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slide {
    pub(crate) kernel: [usize; 2],
    pub(crate) strides: [usize; 2],
    pub(crate) dilations: [usize; 2],
    pub(crate) same: bool,
}

impl Image {
    /// Noise between -1 and 1.
    pub(crate) fn noise(size: [usize; 2], channels: usize, random: &mut fastrand::Rng) -> Self {
        let pixels = noise(size[0] * size[1] * channels, random);
        Self {
            size,
            channels,
            pixels,
        }
    }

    /// `ZeroPadding2D(((top, bottom), (left, right)))`.
    pub(crate) fn zero_padded(&self, [[top, bottom], [left, right]]: [[usize; 2]; 2]) -> Self {
        let size = [top + self.size[0] + bottom, left + self.size[1] + right];
        let mut pixels = Vec::new();
        for row in 0..size[0] {
            for column in 0..size[1] {
                for channel in 0..self.channels {
                    let at = [row.wrapping_sub(top), column.wrapping_sub(left)];
                    pixels.push(self.get(at, channel).unwrap_or(0.0));
                }
            }
        }
        Self {
            size,
            pixels,
            ..*self
        }
    }

    pub(crate) fn relu(mut self) -> Self {
        for pixel in &mut self.pixels {
            *pixel = pixel.max(0.0);
        }
        self
    }

    /// `Conv2D` without bias; the kernel is height x width x inputs x outputs.
    pub(crate) fn convolved(&self, slide: Slide, kernel: &[f32], outputs: usize) -> Self {
        let inputs = self.channels;
        self.slide(slide, outputs, |window, output| {
            let mut sum = 0.0;
            for (place, at) in window.iter().enumerate() {
                for input in 0..inputs {
                    let weight = kernel[(place * inputs + input) * outputs + output];
                    sum += f64::from(weight) * f64::from(self.get(*at, input).unwrap_or(0.0));
                }
            }
            sum as f32
        })
    }

    /// `MaxPooling2D`: what lies outside takes no part.
    pub(crate) fn max_pooled(&self, slide: Slide) -> Self {
        self.slide(slide, self.channels, |window, channel| {
            let inside = window.iter().filter_map(|at| self.get(*at, channel));
            inside.fold(f32::NEG_INFINITY, f32::max)
        })
    }

    /// One number for each place of the window and each output channel.
    fn slide(
        &self,
        slide: Slide,
        channels: usize,
        number: impl Fn(&[[usize; 2]], usize) -> f32,
    ) -> Self {
        let (size, before) = self.places(slide);
        let [height, width] = slide.kernel;
        let mut pixels = Vec::new();
        for row in 0..size[0] {
            for column in 0..size[1] {
                // A place before the first row or column wraps to one far behind the last.
                let place = |axis: usize, step: usize, cell: usize| {
                    let from = step * slide.strides[axis] + cell * slide.dilations[axis];
                    from.wrapping_sub(before[axis])
                };
                let window: Vec<[usize; 2]> = (0..height * width)
                    .map(|cell| [place(0, row, cell / width), place(1, column, cell % width)])
                    .collect();
                pixels.extend((0..channels).map(|channel| number(&window, channel)));
            }
        }
        Self {
            size,
            channels,
            pixels,
        }
    }

    /// Size of the output and zeros before the input, as TensorFlow's documentation of
    /// `tf.nn.convolution` has them for `VALID` and `SAME`.
    fn places(&self, slide: Slide) -> ([usize; 2], [usize; 2]) {
        let mut places = ([0; 2], [0; 2]);
        for axis in 0..2 {
            let (size, stride) = (self.size[axis], slide.strides[axis]);
            let extent = (slide.kernel[axis] - 1) * slide.dilations[axis] + 1;
            if slide.same {
                let steps = size.div_ceil(stride);
                let zeros = if size % stride == 0 {
                    extent.saturating_sub(stride)
                } else {
                    extent.saturating_sub(size % stride)
                };
                places.0[axis] = steps;
                places.1[axis] = zeros / 2;
            } else {
                places.0[axis] = (size + 1 - extent).div_ceil(stride);
            }
        }
        places
    }

    fn get(&self, [row, column]: [usize; 2], channel: usize) -> Option<f32> {
        let inside = row < self.size[0] && column < self.size[1];
        let at = || (row * self.size[1] + column) * self.channels + channel;
        inside.then(|| self.pixels[at()])
    }
}

/// Numbers between -1 and 1.
pub(crate) fn noise(count: usize, random: &mut fastrand::Rng) -> Vec<f32> {
    (0..count).map(|_| random.f32() * 2.0 - 1.0).collect()
}
