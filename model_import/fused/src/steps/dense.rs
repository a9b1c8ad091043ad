//! A convolution of one group: tiles of output pixels times panels of output channels.
//!
//! A chunk is a block of tiles times a group of panels. Must not know: other layers, threads.

use std::sync::Arc;

use super::{Images, Parts, Step, Value};
use crate::ahead::{Ahead, Soon};
use crate::blocking::Blocking;
use crate::convolution::{Layouts, Tile, Tiling, Walk};
use crate::element::Format;
use crate::kernel::{self, Kernels, Next, WIDEST};
use crate::numbers::Numbers;
use crate::pack::{Order, Panel, Panels};
use crate::plan::Convolution;

/// The panels of a group take at most this many bytes, so that they stay in the second-level cache
/// while a block of tiles passes.
const GROUP_BYTES: usize = 384 << 10;
/// The input of a block of tiles takes about this many bytes, for the same reason.
const BLOCK_BYTES: usize = 192 << 10;
impl Walk {
    pub(crate) const fn new(convolution: &Convolution) -> Self {
        Self {
            kernel: convolution.kernel,
            stride: convolution.stride,
            dilation: convolution.dilation,
            before: [convolution.padding[0], convolution.padding[1]],
        }
    }
}

/// See the module.
pub(crate) struct Dense {
    input: Value,
    output: Value,
    residual: Option<Value>,
    tiling: Tiling,
    /// The reduction: runs of so many groups of 4 bytes, from these offsets on.
    offsets: Vec<usize>,
    run: usize,
    /// Bytes from the input of one output pixel to the next's.
    step: usize,
    numbers: Numbers,
    kernels: &'static Kernels,
    /// For each number of images.
    blockings: Vec<Blocking>,
}

impl Dense {
    pub(crate) fn new(parts: Parts<'_>) -> Self {
        let Parts {
            convolution,
            input,
            output,
            residual,
            kernels,
            ..
        } = parts;
        let walk = Walk::new(convolution);
        let layouts = Layouts {
            input: input.layout,
            output: output.layout,
            residual: residual.map(|value| value.layout),
        };
        let tiling = Tiling::new(
            &walk,
            &layouts,
            parts.images,
            (kernels.strips, kernels.pixels),
        );
        let (offsets, pixels) = walk.segments(&input.layout);
        assert!(kernels.panel <= WIDEST, "no panel is so wide");
        let order = Order {
            widest: kernels.panel,
            interleaved: (input.format == Format::U8).then_some(kernels.lanes),
        };
        let numbers = Numbers::new(
            &parts.kernel,
            parts.bias,
            ([&input, &output], pixels),
            residual.as_ref(),
            parts.rule,
            (order, input.format == Format::F32 && kernels.weight == 2),
        );
        let blocking = |images| {
            let (list, repeat) = tiling.tiles(images);
            let tiles = list.len() * repeat;
            let panels = numbers.panels.panels.len();
            let bytes = input.layout.image() * images / tiles;
            let most = [
                BLOCK_BYTES / bytes.max(1),
                GROUP_BYTES / numbers.panels.bytes,
            ];
            let threads = if images < parts.threads {
                parts.threads
            } else {
                1
            };
            // Each thread reads its share of the one and all of the other.
            let by_block = bytes * tiles > numbers.panels.bytes * panels;
            Blocking::new([tiles, panels], most, by_block, threads)
        };
        let blockings = (1..=parts.images).map(blocking).collect();
        let dense = Self {
            input,
            output,
            residual,
            tiling,
            offsets,
            run: (pixels * input.layout.depth * input.layout.size).div_ceil(4),
            step: walk.stride[1] * input.layout.pixel(),
            blockings,
            numbers,
            kernels,
        };
        for images in 1..=parts.images {
            dense.check(images);
        }
        dense
    }

    /// The safety of `run` rests on this: no tile reaches out of its values.
    fn check(&self, images: usize) {
        let (tiles, repeat) = self.tiling.tiles(images);
        let reach = |value: &Value| value.layout.image() * (images / repeat);
        let last = self
            .offsets
            .last()
            .map_or(0, |offset| offset + self.run * 4);
        for tile in tiles {
            for strip in 0..tile.strips {
                let pixels = tile.pixels - 1;
                let input = tile.input[strip] + pixels * self.step + last;
                let output = tile.output[strip] + tile.pixels * self.output.layout.pixel();
                assert!(
                    input <= reach(&self.input),
                    "a tile reads outside its input"
                );
                assert!(
                    output <= reach(&self.output),
                    "a tile writes outside its output"
                );
                if let Some(value) = &self.residual {
                    let residual = tile.residual[strip] + tile.pixels * value.layout.pixel();
                    assert!(
                        residual <= reach(value),
                        "a tile reads outside its residual"
                    );
                }
            }
        }
    }
}

impl Step for Dense {
    fn chunks(&self, images: usize) -> usize {
        self.blockings[images - 1].chunks()
    }

    fn panels(&mut self) -> Option<&mut Arc<Panels>> {
        Some(&mut self.numbers.panels)
    }

    fn reads(&self, images: usize, chunk: usize) -> Ahead {
        let (_, panels) = self.blockings[images - 1].chunk(chunk);
        self.numbers.panels.of(panels)
    }

    unsafe fn run(&self, chunk: usize, images: Images, memory: *mut u8, _: *mut u8, soon: &Soon) {
        let (list, _) = self.tiling.tiles(images.count);
        let blocking = &self.blockings[images.count - 1];
        let (tiles, panels) = blocking.chunk(chunk);
        let panels = &self.numbers.panels.panels[panels];
        let (following, part) = blocking.following(chunk, &soon.share);
        let ahead = following.map_or(soon.next, |chunk| self.reads(images.count, chunk));
        let ahead = ahead.part(part);
        let groups = self.offsets.len() * self.run;
        let near = self.numbers.panels.weights.start();
        let (start, step) = ahead.walk(tiles.len() * panels.len() * groups, near);
        let calls = tiles.flat_map(|index| {
            let (image, tile) = (index / list.len(), &list[index % list.len()]);
            let places = move |panel| self.places(tile, panel, (images, image), memory);
            panels.iter().map(move |panel| (tile, panel, places(panel)))
        });
        let mut calls = calls.enumerate().peekable();
        while let Some((index, (tile, panel, places))) = calls.next() {
            let next = calls.peek().map_or(places, |&(_, (_, _, places))| places);
            let ahead = (start.wrapping_add(index * groups * step), step);
            // SAFETY: the tile is one of the list, for image 0 or, where the list is by image, for
            // each image in turn. No two chunks share both tile and panel.
            unsafe { self.tile(tile, panel, places, ahead, next.next()) };
        }
    }
}

/// Where a tile reads and writes for a panel.
#[derive(Clone, Copy)]
struct Places {
    input: [*const u8; 2],
    output: [*mut u8; 2],
    residual: [*const u8; 2],
}

impl Places {
    fn next(self) -> Next {
        Next {
            output: self.output.map(<*mut u8>::cast_const),
            residual: self.residual,
        }
    }
}

impl Dense {
    fn places(
        &self,
        tile: &Tile,
        panel: &Panel,
        (images, image): (Images, usize),
        memory: *mut u8,
    ) -> Places {
        let start = |value: &Value| memory.wrapping_add(value.offset(images, image));
        let (input, output) = (start(&self.input), start(&self.output));
        let residual = self.residual.as_ref().map(start);
        let channel = panel.channel * self.output.layout.size;
        let of_residual = panel.channel * self.input.layout.size;
        Places {
            input: tile
                .input
                .map(|offset| input.wrapping_add(offset).cast_const()),
            output: tile
                .output
                .map(|offset| output.wrapping_add(offset + channel)),
            residual: tile.residual.map(|offset| {
                residual.map_or(std::ptr::null(), |start| {
                    start.wrapping_add(offset + of_residual).cast_const()
                })
            }),
        }
    }

    /// Computes one tile for a panel.
    ///
    /// # Safety
    /// As [`Step::run`]; no other thread has this tile and this panel, whose places these are.
    unsafe fn tile(
        &self,
        tile: &Tile,
        panel: &Panel,
        places: Places,
        (ahead, ahead_step): (*const u8, usize),
        next: Next,
    ) {
        let numbers = &self.numbers;
        let weights = numbers.panels.weights.start();
        let start = weights.wrapping_add(panel.start).cast_const();
        let call = kernel::Tile {
            input: places.input,
            output: places.output,
            residual: places.residual,
            input_step: self.step,
            output_step: self.output.layout.pixel(),
            residual_step: self.residual.map_or(0, |value| value.layout.pixel()),
            offsets: self.offsets.as_ptr(),
            segments: self.offsets.len(),
            run: self.run,
            weights: start,
            bias: numbers.bias[panel.channel..].as_ptr(),
            scale: numbers.scale[panel.channel..].as_ptr(),
            residual_scale: numbers.residual_scale,
            rule: numbers.rule,
            requantize: numbers.requantize(panel),
            ahead,
            ahead_step,
            next,
        };
        let kernel = (self.kernels.tile)(tile.strips, tile.pixels, panel.channels);
        // SAFETY: `check` has shown that the tile stays in its values, which `memory` reaches
        // over; a panel's weights, bias and scale are as long as its channels need; the
        // engine chose kernels that the processor has.
        unsafe { kernel(&call) };
    }
}
