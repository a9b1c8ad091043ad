//! A 3x3 convolution with fewer multiplications: see `crate::winograd`.
//!
//! A chunk is a block of squares times a share of the panels of output channels. Squares are counted
//! through all images, so that a block may be of several. A chunk evaluates the inputs of its squares
//! at all points; then, panel by panel, it multiplies them, a convolution of one pixel at a time at
//! each point, and makes outputs of the products. Must not know: other layers, threads.

use std::sync::Arc;

use super::{Images, Parts, Step, Value};
use crate::ahead::{Ahead, Soon};
use crate::blocking::Blocking;
use crate::element::Rule;
use crate::kernel::{self, Gather, Image, Kernels, Requantize, Scatter, Transforms, WIDEST};
use crate::layout::CHANNELS;
use crate::memory::LINE;
use crate::pack::{Panel, Panels};
use crate::plan::{Activation, Convolution};
use crate::points::Points;
use crate::winograd::{Call, Square, blocking};

/// Where the one run of a product's reduction starts.
static START: [usize; 1] = [0];

/// See the module.
pub(crate) struct Transformed {
    square: Square,
    input: Value,
    output: Value,
    residual: Option<Value>,
    /// Rows above and columns to the left of the input.
    before: [usize; 2],
    /// Squares down and across an image.
    squares: [usize; 2],
    /// For one image, two images and so on.
    blockings: Vec<Blocking>,
    /// For no squares in a block, one square and so on.
    calls: Vec<Vec<Call>>,
    points: Points,
    kernels: &'static Kernels,
    transforms: Transforms,
}

/// So many bytes of weights are worth having before a chunk begins.
const FIRST: usize = 384 << 10;

/// A block's numbers in the scratch memory: `[points][squares][channels]`.
#[derive(Clone, Copy)]
struct Planes {
    start: *mut u8,
    /// Bytes from a point to the next, and from a square to the next.
    plane: usize,
    pitch: usize,
}

impl Planes {
    /// Of `bytes` bytes a square.
    const fn new(start: *mut u8, bytes: usize, squares: usize) -> Self {
        // An odd number of lines: at a power of two they would push each other out of the caches.
        let pitch = (bytes.div_ceil(LINE) | 1) * LINE;
        let plane = ((pitch * squares / LINE) | 1) * LINE;
        Self {
            start,
            plane,
            pitch,
        }
    }

    const fn at(&self, point: usize, square: usize) -> *mut u8 {
        let offset = point * self.plane + square * self.pitch;
        self.start.wrapping_add(offset)
    }
}

impl Transformed {
    pub(crate) fn new(parts: Parts<'_>, square: Square) -> Self {
        let Parts {
            convolution,
            input,
            output,
            products: kernels,
            transforms,
            ..
        } = parts;
        check(convolution, &input, &output);
        assert!(kernels.panel <= WIDEST, "no panel is so wide");
        let shape = output.layout.shape;
        let squares = square.across([shape.height, shape.width]);
        let values = [&input, &output];
        let points = Points::new(
            square,
            &parts.kernel,
            parts.bias,
            values,
            parts.rule,
            (kernels.panel, parts.points),
        );
        let most = kernels.strips * kernels.pixels;
        let of_images = |images| {
            let threads = if images < parts.threads {
                parts.threads
            } else {
                1
            };
            let squares = images * squares[0] * squares[1];
            blocking(squares, points.panels.panels.len(), most, threads)
        };
        let blockings: Vec<Blocking> = (1..=parts.images).map(of_images).collect();
        let most = blockings.iter().map(Blocking::widest).max();
        let call = |count| Call::list(count, (kernels.strips, kernels.pixels));
        let calls = (0..=most.unwrap_or(0)).map(call).collect();
        Self {
            square,
            input,
            output,
            residual: parts.residual,
            before: [convolution.padding[0], convolution.padding[1]],
            squares,
            blockings,
            calls,
            points,
            kernels,
            transforms,
        }
    }

    /// Where a block of `squares` squares has its evaluated inputs and its products.
    const fn planes(&self, squares: usize, scratch: *mut u8) -> [Planes; 2] {
        let inputs = Planes::new(
            scratch,
            self.input.layout.depth * self.points.weight,
            squares,
        );
        let end = inputs.at(self.square.points(), 0);
        let products = self.kernels.panel * size_of::<f32>();
        [inputs, Planes::new(end, products, squares)]
    }

    /// The image of a square, and its first output row and column.
    const fn place(&self, square: usize) -> (usize, [usize; 2]) {
        let [down, across] = self.squares;
        let (image, square) = (square / (down * across), square % (down * across));
        let side = self.square.outputs();
        (image, [square / across * side, square % across * side])
    }
}

/// The safety of `run` rests on this: what the windows of all output pixels cover is in the input or
/// its border, and pixels are whole vectors.
fn check(convolution: &Convolution, input: &Value, output: &Value) {
    let [above, left, below, right] = convolution.padding;
    let (from, to) = (input.layout.shape, output.layout.shape);
    let halo = input.layout.halo.iter().zip(convolution.padding);
    assert!(
        halo.into_iter().all(|(&halo, padding)| padding <= halo),
        "the border is narrower than the padding"
    );
    assert!(
        to.height + 2 == above + from.height + below && to.width + 2 == left + from.width + right,
        "the output has another size than a 3x3 convolution's"
    );
    for layout in [&input.layout, &output.layout] {
        let whole = layout.depth.is_multiple_of(CHANNELS);
        assert!(whole, "pixels are not whole vectors");
    }
}

impl Step for Transformed {
    fn chunks(&self, images: usize) -> usize {
        self.blockings[images - 1].chunks()
    }

    fn scratch(&self) -> usize {
        let bytes = |blocking: &Blocking| {
            let planes = self.planes(blocking.widest(), std::ptr::null_mut());
            let bytes = planes.map(|planes| planes.plane * self.square.points());
            bytes.iter().sum()
        };
        self.blockings.iter().map(bytes).max().unwrap_or(0)
    }

    fn panels(&mut self) -> Option<&mut Arc<Panels>> {
        Some(&mut self.points.panels)
    }

    fn reads(&self, images: usize, chunk: usize) -> Ahead {
        let (_, panels) = self.blockings[images - 1].chunk(chunk);
        self.points.panels.of(panels).within(FIRST)
    }

    unsafe fn run(
        &self,
        chunk: usize,
        images: Images,
        memory: *mut u8,
        scratch: *mut u8,
        soon: &Soon,
    ) {
        let blocking = &self.blockings[images.count - 1];
        let (squares, panels) = blocking.chunk(chunk);
        let panels = &self.points.panels.panels[panels];
        let [inputs, products] = self.planes(blocking.widest(), scratch);
        // SAFETY: the caller's promise: `scratch` is as large as both planes; the squares are of
        // these images, and no other chunk has these squares and one of these panels.
        unsafe {
            for (index, square) in squares.clone().enumerate() {
                self.gather(square, (images, memory), &inputs, index);
            }
            let ahead = self.ahead(chunk, soon, panels.len());
            for (index, panel) in panels.iter().enumerate() {
                let ahead = ahead.map(|ahead| ahead.part([index, panels.len()]));
                self.multiply(squares.len(), panel, [&inputs, &products], ahead);
                for (index, square) in squares.clone().enumerate() {
                    self.scatter(square, panel, (images, memory), &products, index);
                }
            }
        }
    }
}

impl Transformed {
    /// What to fetch meanwhile: what comes next, unless this chunk's own weights are not near yet, as none
    /// of the thread's chunks before has read them.
    fn ahead(&self, chunk: usize, soon: &Soon, panels: usize) -> Option<Ahead> {
        let done = chunk.checked_sub(soon.share.start + 1)?;
        let left = soon.share.len() - 1;
        let is_near = done < left && panels == self.points.panels.panels.len();
        is_near.then(|| soon.next.part([done, left]))
    }

    /// Evaluates the inputs of a square, which become number `index` of `planes`.
    ///
    /// # Safety
    /// As [`Step::run`] for these `images` in this `memory`; the square is one of theirs; `planes` are
    /// this thread's own and have room for number `index`.
    unsafe fn gather(
        &self,
        square: usize,
        (images, memory): (Images, *mut u8),
        planes: &Planes,
        index: usize,
    ) {
        let (image, [y, x]) = self.place(square);
        let (layout, shape) = (self.input.layout, self.output.layout.shape);
        let at = self.input.offset(images, image) + layout.at(y, x, self.before);
        let call = Gather {
            square: self.square,
            input: Image {
                start: memory.wrapping_add(at),
                pixel: layout.pixel(),
                row: layout.row(),
                depth: layout.depth,
                quantum: self.input.quantum,
            },
            rows: self.square.inputs().min(shape.height - y + 2),
            columns: self.square.inputs().min(shape.width - x + 2),
            output: planes.at(0, index),
            plane: planes.plane,
            bytes: self.points.bytes.as_ptr(),
        };
        // SAFETY: these rows and columns are what the windows of the square's output pixels cover,
        // which `check` found in the input or its border; the rest is the caller's promise.
        unsafe { (self.transforms.gather)(&call) };
    }

    /// Multiplies the evaluated inputs of `squares` squares by the weights of one panel.
    ///
    /// # Safety
    /// The planes are this thread's own and hold so many squares; the inputs are evaluated.
    unsafe fn multiply(
        &self,
        squares: usize,
        panel: &Panel,
        [inputs, products]: [&Planes; 2],
        ahead: Option<Ahead>,
    ) {
        let depth = self.input.layout.depth;
        let bytes = depth * panel.channels * self.points.weight;
        let points = self.square.points();
        let calls = &self.calls[squares];
        let run = depth * self.points.weight / 4;
        for point in 0..points {
            let start = self.points.panels.weights.start();
            let start = start.wrapping_add(panel.start + point * bytes).cast_const();
            let [scale, bias] = self.points.of(point, panel);
            let own = Ahead {
                start: start.wrapping_add(bytes),
                bytes,
            };
            let ahead = ahead.map_or(own, |ahead| ahead.part([point, points]));
            for (index, call) in calls.iter().enumerate() {
                let ahead = ahead.part([index, calls.len()]);
                let (ahead, ahead_step) = ahead.walk(run, start);
                let tile = kernel::Tile {
                    input: call
                        .first
                        .map(|square| inputs.at(point, square).cast_const()),
                    output: call.first.map(|square| products.at(point, square)),
                    residual: [std::ptr::null(); 2],
                    input_step: inputs.pitch,
                    output_step: products.pitch,
                    residual_step: 0,
                    offsets: START.as_ptr(),
                    segments: START.len(),
                    run,
                    weights: start,
                    bias,
                    scale,
                    residual_scale: 1.0,
                    rule: Rule::new(Activation::None),
                    requantize: Requantize::NONE,
                    ahead,
                    ahead_step,
                };
                let kernel = (self.kernels.tile)(call.strips, call.pixels, panel.channels);
                // SAFETY: a call's squares are among the first `squares`, which the caller promises
                // are in the planes; a panel has weights for every point and `depth` channels, and no
                // more channels than bias and scale; the engine chose kernels that the processor has.
                unsafe { kernel(&tile) };
            }
        }
    }

    /// Makes outputs of one panel of the products of a square, number `index` of `planes`.
    ///
    /// # Safety
    /// As [`Transformed::gather`]; no other thread has this square and this panel.
    unsafe fn scatter(
        &self,
        square: usize,
        panel: &Panel,
        (images, memory): (Images, *mut u8),
        planes: &Planes,
        index: usize,
    ) {
        let (image, [y, x]) = self.place(square);
        let shape = self.output.layout.shape;
        // SAFETY: the caller's promise; a square starts inside the image.
        let pixel = |value: &Value| unsafe {
            let pixel = value.image(memory, (images, image), [y, x]);
            let channel = panel.channel * value.layout.size;
            let start = pixel.start.wrapping_add(channel);
            Image { start, ..pixel }
        };
        let call = Scatter {
            square: self.square,
            input: planes.at(0, index),
            plane: planes.plane,
            channels: panel.channels,
            output: pixel(&self.output),
            residual: self.residual.as_ref().map(pixel),
            rows: shape.height - y,
            columns: shape.width - x,
            bias: self.points.output[panel.channel..].as_ptr(),
            rule: self.points.rule,
        };
        // SAFETY: the caller's promise; rows and columns end with the image, and there is a bias for
        // each of the panel's channels.
        unsafe { (self.transforms.scatter)(&call) };
    }
}
