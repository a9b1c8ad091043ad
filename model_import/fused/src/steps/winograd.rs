//! A 3x3 convolution with fewer multiplications: see `crate::winograd`.
//!
//! A chunk is a block of squares times a share of the panels of output channels. Squares are counted
//! through all images, so that a block may be of several. A chunk evaluates the inputs of its squares
//! at all points; then, point by point or panel by panel, it multiplies them, a convolution of one pixel at a time
//! at each point; and it makes outputs of the products. Must not know: other layers, threads.

use std::ops::Range;
use std::sync::Arc;

use super::{Images, Parts, Step, Value};
use crate::ahead::{Ahead, Soon};
use crate::blocking::Blocking;
use crate::element::Rule;
use crate::kernel::{self, Gather, Image, Kernels, Next, Requantize, Scatter, Transforms, WIDEST};
use crate::layout::CHANNELS;
use crate::memory::LINE;
use crate::pack::{Panel, Panels};
use crate::plan::{Activation, Convolution};
use crate::points::Points;
use crate::squares::{Place, Squares};
use crate::winograd::{Call, Square, blocking, together};

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
    /// For one image, two images and so on.
    squares: Vec<Squares>,
    /// The same.
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

    /// Those from square `square` on.
    const fn of(self, square: usize) -> Self {
        Self {
            start: self.at(0, square),
            ..self
        }
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
        let size = [shape.height, shape.width];
        let squares: Vec<Squares> = (1..=parts.images)
            .map(|images| square.squares(size, images))
            .collect();
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
        let of_images = |images: usize| {
            let threads = if images < parts.threads {
                parts.threads
            } else {
                1
            };
            let squares = squares[images - 1].count();
            let together = together(output.layout.depth, points.by_point);
            blocking(
                [squares, points.panels.panels.len()],
                together,
                most,
                threads,
            )
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

    /// Where a chunk has its evaluated inputs and its products, those of some panels.
    fn planes(&self, blocking: &Blocking, scratch: *mut u8) -> [Planes; 2] {
        let squares = blocking.widest();
        let depth = self.input.layout.depth * self.points.weight;
        let inputs = Planes::new(scratch, depth, squares);
        let end = inputs.at(self.square.points(), 0);
        let panels = self.points.kept(blocking.most_panels());
        let products = panels * self.kernels.panel * size_of::<f32>();
        [inputs, Planes::new(end, products, squares)]
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
            let planes = self.planes(blocking, std::ptr::null_mut());
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
        let (block, panels) = blocking.chunk(chunk);
        let panels = &self.points.panels.panels[panels];
        let [inputs, products] = self.planes(blocking, scratch);
        let squares = &self.squares[images.count - 1];
        let kept = self.points.kept(panels.len());
        // SAFETY: the caller's promise: `scratch` is as large as both planes; the squares are of
        // these images, and no other chunk has these squares and one of these panels.
        unsafe {
            for (index, square) in block.clone().enumerate() {
                self.gather(squares.place(square), (images, memory), inputs.of(index));
            }
            let ahead = self.ahead(chunk, soon, panels.len());
            let groups = panels.chunks(kept);
            let count = groups.len();
            for (index, group) in groups.enumerate() {
                let ahead = ahead.map(|ahead| ahead.part([index, count]));
                self.multiply((squares, &block), group, [&inputs, &products], ahead);
                for (index, square) in block.clone().enumerate() {
                    let place = squares.place(square);
                    self.scatter(place, group, (images, memory), products.of(index));
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

    /// Evaluates the inputs of a square for all its points, of which the first is at `planes`.
    ///
    /// # Safety
    /// As [`Step::run`] for these `images` in this `memory`; the square is one of theirs; `planes` are
    /// this thread's own.
    unsafe fn gather(
        &self,
        Place {
            image,
            first: [y, x],
            sides,
        }: Place,
        (images, memory): (Images, *mut u8),
        planes: Planes,
    ) {
        let layout = self.input.layout;
        let at = self.input.offset(images, image) + layout.at(y, x, self.before);
        let call = Gather {
            square: self.square,
            sides,
            input: Image {
                start: memory.wrapping_add(at),
                pixel: layout.pixel(),
                row: layout.row(),
                depth: layout.depth,
                quantum: self.input.quantum,
            },
            output: planes.start,
            plane: planes.plane,
            bytes: self.points.bytes.as_ptr(),
        };
        // SAFETY: two rows and columns more than the sides are what the windows of the square's output
        // pixels cover, which `check` found in the input or its border; the rest is the caller's promise.
        unsafe { (self.transforms.gather)(&call) };
    }

    /// Multiplies the evaluated inputs of the squares of a block by the weights of some neighbouring panels.
    ///
    /// # Safety
    /// The planes are this thread's own and hold the block and the panels; the inputs are evaluated.
    unsafe fn multiply(
        &self,
        (squares, block): (&Squares, &Range<usize>),
        panels: &[Panel],
        [inputs, products]: [&Planes; 2],
        ahead: Option<Ahead>,
    ) {
        let (side, points) = (self.square.inputs(), self.square.points());
        let run = self.input.layout.depth * self.points.weight / 4;
        let first = panels[0].channel;
        for point in 0..points {
            let having = squares.having([point / side, point % side], block);
            if having.is_empty() {
                continue;
            }
            let calls = &self.calls[having.len()];
            let ahead = ahead.map(|ahead| ahead.part([point, points]));
            for (number, panel) in panels.iter().enumerate() {
                let weights = self.points.weights(point, panel);
                let own = match panels.get(number + 1) {
                    Some(next) => self.points.weights(point, next),
                    None => self.points.weights(point + 1, &panels[0]),
                };
                let ahead = ahead.map_or(own, |ahead| ahead.part([number, panels.len()]));
                let [scale, bias] = self.points.of(point, panel);
                let channel = (panel.channel - first) * size_of::<f32>();
                let (mut ahead, ahead_step) = ahead.walk(run * calls.len(), weights.start);
                for call in calls {
                    let squares = call.first.map(|square| having.start - block.start + square);
                    let output =
                        squares.map(|square| products.at(point, square).wrapping_add(channel));
                    let tile = kernel::Tile {
                        input: squares.map(|square| inputs.at(point, square).cast_const()),
                        output,
                        residual: [std::ptr::null(); 2],
                        input_step: inputs.pitch,
                        output_step: products.pitch,
                        residual_step: 0,
                        offsets: START.as_ptr(),
                        segments: START.len(),
                        run,
                        weights: weights.start,
                        bias,
                        scale,
                        residual_scale: 1.0,
                        rule: Rule::new(Activation::None),
                        requantize: Requantize::NONE,
                        ahead,
                        ahead_step,
                        next: Next {
                            output: output.map(<*mut u8>::cast_const),
                            residual: [std::ptr::null(); 2],
                        },
                    };
                    let kernel = (self.kernels.tile)(call.strips, call.pixels, panel.channels);
                    // SAFETY: a call's squares are in the block, which the caller promises
                    // is in the planes; a panel has weights for every point and `depth` channels, and no
                    // more channels than bias and scale; the engine chose kernels that the processor has.
                    unsafe { kernel(&tile) };
                    ahead = ahead.wrapping_add(run * ahead_step);
                }
            }
        }
    }

    /// Makes outputs of some panels of the products of a square, of which the first point's are at `planes`.
    ///
    /// # Safety
    /// As [`Transformed::gather`]; no other thread has this square and these panels.
    unsafe fn scatter(
        &self,
        Place {
            image,
            first: [y, x],
            sides,
        }: Place,
        panels: &[Panel],
        (images, memory): (Images, *mut u8),
        planes: Planes,
    ) {
        let first = panels[0].channel;
        // SAFETY: the caller's promise; a square starts inside the image.
        let pixel = |value: &Value| unsafe {
            let pixel = value.image(memory, (images, image), [y, x]);
            let start = pixel.start.wrapping_add(first * value.layout.size);
            Image { start, ..pixel }
        };
        let call = Scatter {
            square: self.square,
            sides,
            input: planes.start,
            plane: planes.plane,
            channels: panels.iter().map(|panel| panel.channels).sum(),
            output: pixel(&self.output),
            residual: self.residual.as_ref().map(pixel),
            bias: self.points.output[first..].as_ptr(),
            rule: self.points.rule,
        };
        // SAFETY: the caller's promise; no square reaches out of the image, and there is a bias for
        // each of the panels' channels.
        unsafe { (self.transforms.scatter)(&call) };
    }
}
