//! The transforms of inputs and outputs for 3x3 convolutions with fewer multiplications.
//!
//! [`Gather`] evaluates the inputs of a square at its points, [`Scatter`] makes outputs of the
//! products. Both are written once over [`Lanes`]; channels are lanes, so nothing is shuffled.
//! Must not know: plans, layers, threads, how products are made.

use super::lanes::Lanes;
use super::plain::Image;
use super::points::{fewer, four, six};
use super::stored::{Bf16, Byte, F32, Stored, U8};
use crate::element::{Format, Rule, silu};
use crate::level::Level;
use crate::winograd::Square;

/// The transforms at one level.
///
/// Each asks of its caller what the method of the same name asks, and that the processor has the
/// level's instructions.
#[derive(Clone, Copy)]
pub(crate) struct Transforms {
    pub(crate) gather: unsafe fn(&Gather),
    pub(crate) scatter: unsafe fn(&Scatter),
}

/// The transforms of `level` between values of `format`. The products are floats in any case.
pub(crate) fn transforms(level: Level, format: Format) -> Transforms {
    let [f32, bf16, u8] = match level {
        Level::Portable => portable::TRANSFORMS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => avx2::TRANSFORMS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => avx512::TRANSFORMS,
        #[cfg(not(target_arch = "x86_64"))]
        _ => portable::TRANSFORMS,
    };
    match format {
        Format::F32 => f32,
        Format::Bf16 => bf16,
        Format::U8 => u8,
    }
}

macro_rules! transforms {
    ($level:ident, $vector:ty $(, #[$enable:meta])?) => {
        mod $level {
            use super::{Bf16, F32, Gather, Scatter, Stored, Transforms, U8};

            /// Those of f32, of bf16 and of bytes.
            pub(super) const TRANSFORMS: [Transforms; 3] =
                [of::<F32>(), of::<Bf16>(), of::<U8>()];

            const fn of<S: Stored>() -> Transforms {
                Transforms {
                    gather: gather::<S>,
                    scatter: scatter::<S>,
                }
            }

            $(#[$enable])?
            unsafe fn gather<S: Stored>(call: &Gather) {
                // SAFETY: the caller's promise.
                unsafe { call.gather::<$vector, S>() }
            }

            $(#[$enable])?
            unsafe fn scatter<S: Stored>(call: &Scatter) {
                // SAFETY: the caller's promise.
                unsafe { call.scatter::<$vector, S>() }
            }
        }
    };
}

transforms!(portable, [f32; 4]);
#[cfg(target_arch = "x86_64")]
transforms!(
    avx2,
    std::arch::x86_64::__m256,
    #[target_feature(enable = "avx2,fma")]
);
#[cfg(target_arch = "x86_64")]
transforms!(
    avx512,
    std::arch::x86_64::__m512,
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
);

/// The inputs of one square, to be evaluated for all channels.
pub(crate) struct Gather {
    pub(crate) square: Square,
    /// The square's output rows and columns.
    pub(crate) sides: [usize; 2],
    /// The square's first input pixel, maybe in the border.
    pub(crate) input: Image,
    /// Where the results for the first point go, and bytes from there to the next point's.
    pub(crate) output: *mut u8,
    pub(crate) plane: usize,
    /// One a point, read only where the value is bytes.
    pub(crate) bytes: *const Byte,
}

/// The products of one square, to be made outputs for some channels.
pub(crate) struct Scatter {
    pub(crate) square: Square,
    /// The square's output rows and columns.
    pub(crate) sides: [usize; 2],
    /// The products for the first point, and bytes from there to the next point's.
    pub(crate) input: *const u8,
    pub(crate) plane: usize,
    /// How many channels, a multiple of 16.
    pub(crate) channels: usize,
    /// The first of these channels of the square's first output pixel.
    pub(crate) output: Image,
    pub(crate) residual: Option<Image>,
    /// One number a channel.
    pub(crate) bias: *const f32,
    pub(crate) rule: Rule,
}

/// An array of what an expression is at each of some indices. A closure would be compiled without the
/// level's instructions.
macro_rules! points {
    ($($index:literal)*; $name:ident => $value:expr) => {
        [$({
            let $name = $index;
            $value
        }),*]
    };
}

impl Gather {
    /// Writes the results of all channels for each point.
    ///
    /// # Safety
    /// Two rows and columns more than the sides can be read, and for bytes one of `bytes` for each point; the results can be
    /// written by this thread alone.
    #[inline(always)]
    unsafe fn gather<V: Lanes, S: Stored>(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.square, self.sides) {
                (Square::Two, [2, 2]) => self.two::<V, S, true>(),
                (Square::Two, _) => self.two::<V, S, false>(),
                (_, [4, 4]) => self.four::<V, S>(),
                (_, [4, 3]) => self.fewer::<V, S, 6, 5>(),
                (_, [3, 4]) => self.fewer::<V, S, 5, 6>(),
                (_, [3, 3]) => self.fewer::<V, S, 5, 5>(),
                (_, [4, _]) => self.fewer::<V, S, 6, 4>(),
                (_, [_, 4]) => self.fewer::<V, S, 4, 6>(),
                (_, [3, _]) => self.fewer::<V, S, 5, 4>(),
                (_, [_, 3]) => self.fewer::<V, S, 4, 5>(),
                _ => self.fewer::<V, S, 4, 4>(),
            }
        }
    }

    /// `COUNT` channels of one pixel.
    #[inline(always)]
    unsafe fn pixel<V: Lanes, S: Stored>(&self, channel: usize, y: usize, x: usize) -> V {
        let at = y * self.input.row + x * self.input.pixel + channel * S::SIZE;
        // SAFETY: the caller's promise.
        unsafe { S::load(self.input.start.wrapping_add(at)) }
    }

    /// The same, but any number where a side is shorter than the points are for: what it becomes, no output has.
    #[inline(always)]
    unsafe fn pixel_within<V: Lanes, S: Stored>(&self, channel: usize, y: usize, x: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            if y < self.sides[0] + 2 && x < self.sides[1] + 2 {
                self.pixel::<V, S>(channel, y, x)
            } else {
                V::splat(0.0)
            }
        }
    }

    /// Writes the results of one row of points.
    #[inline(always)]
    unsafe fn write<V: Lanes, S: Stored, const SIDE: usize>(
        &self,
        channel: usize,
        y: usize,
        results: [V; SIDE],
    ) {
        let first = y * self.square.inputs();
        let row = self
            .output
            .wrapping_add(first * self.plane + channel * S::POINT);
        for (x, result) in results.into_iter().enumerate() {
            let byte = self.bytes.wrapping_add(first + x);
            // SAFETY: the caller's promise.
            unsafe { S::store_point(result, row.wrapping_add(x * self.plane), byte) };
        }
    }

    #[inline(always)]
    unsafe fn two<V: Lanes, S: Stored, const WHOLE: bool>(&self) {
        for channel in (0..self.input.depth).step_by(V::COUNT) {
            // SAFETY: the caller's promise.
            unsafe {
                let rows = points!(0 1 2 3; x => four::all(
                    points!(0 1 2 3; y => if WHOLE {
                        self.pixel::<V, S>(channel, y, x)
                    } else {
                        self.pixel_within::<V, S>(channel, y, x)
                    })
                ));
                self.write::<V, S, _>(channel, 0, four::all(points!(0 1 2 3; x => rows[x][0])));
                self.write::<V, S, _>(channel, 1, four::all(points!(0 1 2 3; x => rows[x][1])));
                self.write::<V, S, _>(channel, 2, four::all(points!(0 1 2 3; x => rows[x][2])));
                self.write::<V, S, _>(channel, 3, four::all(points!(0 1 2 3; x => rows[x][3])));
            }
        }
    }

    /// The pixels are read more than once, so that at most two rows of points are held in registers.
    #[inline(always)]
    unsafe fn four<V: Lanes, S: Stored>(&self) {
        for channel in (0..self.input.depth).step_by(V::COUNT) {
            // SAFETY: the caller's promise.
            unsafe {
                macro_rules! pixels {
                    ($x:ident; $($y:literal)*) => {
                        [$(self.pixel::<V, S>(channel, $y, $x)),*]
                    };
                }
                let row = points!(0 1 2 3 4 5; x => six::end(pixels!(x; 0 2 4)));
                self.write::<V, S, _>(channel, 0, six::all(row));
                let rows = points!(0 1 2 3 4 5; x => six::first(pixels!(x; 1 2 3 4)));
                self.write::<V, S, _>(channel, 1, six::all(points!(0 1 2 3 4 5; x => rows[x][0])));
                self.write::<V, S, _>(channel, 2, six::all(points!(0 1 2 3 4 5; x => rows[x][1])));
                let row = points!(0 1 2 3 4 5; x => six::end(pixels!(x; 1 3 5)));
                self.write::<V, S, _>(channel, 3, six::all(row));
                let rows = points!(0 1 2 3 4 5; x => six::second(pixels!(x; 1 2 3 4)));
                self.write::<V, S, _>(channel, 4, six::all(points!(0 1 2 3 4 5; x => rows[x][0])));
                self.write::<V, S, _>(channel, 5, six::all(points!(0 1 2 3 4 5; x => rows[x][1])));
            }
        }
    }

    /// Any sides, of so many rows and columns of points.
    #[inline(always)]
    unsafe fn fewer<V: Lanes, S: Stored, const ROWS: usize, const COLUMNS: usize>(&self) {
        for channel in (0..self.input.depth).step_by(V::COUNT) {
            // SAFETY: the caller's promise.
            unsafe {
                let nothing = V::splat(0.0);
                let columns = points!(0 1 2 3 4 5; x => if x < COLUMNS {
                    fewer::all::<V, ROWS>(points!(0 1 2 3 4 5; y => if y < ROWS {
                        if ROWS == 4 || COLUMNS == 4 {
                            self.pixel_within::<V, S>(channel, y, x)
                        } else {
                            self.pixel::<V, S>(channel, y, x)
                        }
                    } else {
                        nothing
                    }))
                } else {
                    [nothing; 6]
                });
                let _: [(); 6] = points!(0 1 2 3 4 5; y => if y < ROWS {
                    let row = fewer::all::<V, COLUMNS>(points!(0 1 2 3 4 5; x => columns[x][y]));
                    match COLUMNS {
                        4 => self.write::<V, S, 4>(channel, y, [row[0], row[1], row[2], row[3]]),
                        5 => self.write::<V, S, 5>(channel, y, [row[0], row[1], row[2], row[3], row[4]]),
                        _ => self.write::<V, S, 6>(channel, y, row),
                    }
                });
            }
        }
    }
}

impl Scatter {
    /// Writes the outputs.
    ///
    /// # Safety
    /// The products, the bias and the residual can be read; the outputs can be written by this
    /// thread alone.
    #[inline(always)]
    unsafe fn scatter<V: Lanes, S: Stored>(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            match (self.square, self.sides) {
                (Square::Two, _) => self.two::<V, S>(),
                (_, [4, 4]) => self.fewer::<V, S, 6, 6>(),
                (_, [4, 3]) => self.fewer::<V, S, 6, 5>(),
                (_, [3, 4]) => self.fewer::<V, S, 5, 6>(),
                (_, [3, 3]) => self.fewer::<V, S, 5, 5>(),
                (_, [4, _]) => self.fewer::<V, S, 6, 4>(),
                (_, [_, 4]) => self.fewer::<V, S, 4, 6>(),
                (_, [3, _]) => self.fewer::<V, S, 5, 4>(),
                (_, [_, 3]) => self.fewer::<V, S, 4, 5>(),
                _ => self.fewer::<V, S, 4, 4>(),
            }
            if self.rule.silu {
                self.silu();
            }
        }
    }

    #[inline(always)]
    unsafe fn product<V: Lanes>(&self, channel: usize, point: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(self.input.wrapping_add(point * self.plane + channel * 4)) }
    }

    #[inline(always)]
    unsafe fn two<V: Lanes, S: Stored>(&self) {
        for channel in (0..self.channels).step_by(V::COUNT) {
            // SAFETY: the caller's promise.
            unsafe {
                let rows = points!(0 1 2 3; x => four::back(
                    points!(0 1 2 3; y => self.product::<V>(channel, y * 4 + x))
                ));
                self.write::<V, S, _>(channel, 0, four::back(points!(0 1 2 3; x => rows[x][0])));
                self.write::<V, S, _>(channel, 1, four::back(points!(0 1 2 3; x => rows[x][1])));
            }
        }
    }

    /// Any sides, of so many rows and columns of points.
    #[inline(always)]
    unsafe fn fewer<V: Lanes, S: Stored, const ROWS: usize, const COLUMNS: usize>(&self) {
        let side = self.square.inputs();
        for channel in (0..self.channels).step_by(V::COUNT) {
            // SAFETY: the caller's promise.
            unsafe {
                let nothing = V::splat(0.0);
                let columns = points!(0 1 2 3 4 5; x => if x < COLUMNS {
                    fewer::back::<V, ROWS>(points!(0 1 2 3 4 5; y => if y < ROWS {
                        self.product::<V>(channel, y * side + x)
                    } else {
                        nothing
                    }))
                } else {
                    [nothing; 4]
                });
                let _: [(); 4] = points!(0 1 2 3; y => if y + 2 < ROWS {
                    let row = points!(0 1 2 3 4 5; x => columns[x][y]);
                    self.write::<V, S, _>(channel, y, fewer::back::<V, COLUMNS>(row));
                });
            }
        }
    }

    /// Adds bias and residual to one row of outputs, applies the activation and writes what is
    /// inside the value.
    #[inline(always)]
    unsafe fn write<V: Lanes, S: Stored, const SIDE: usize>(
        &self,
        channel: usize,
        y: usize,
        outputs: [V; SIDE],
    ) {
        if y >= self.sides[0] {
            return;
        }
        // SAFETY: the caller's promise.
        unsafe {
            let bias = V::load(self.bias.wrapping_add(channel).cast());
            let (low, high) = (V::splat(self.rule.low), V::splat(self.rule.high));
            for (x, output) in outputs.into_iter().enumerate() {
                if x >= self.sides[1] {
                    return;
                }
                let mut value = output.add(bias);
                if let Some(image) = &self.residual {
                    let at = y * image.row + x * image.pixel + channel * S::SIZE;
                    value = value.add(S::load(image.start.wrapping_add(at)));
                }
                let at = y * self.output.row + x * self.output.pixel + channel * S::SIZE;
                let value = high.min(low.max(value));
                S::store(value, self.output.start.wrapping_add(at));
            }
        }
    }

    /// Applies SiLU to the outputs, which are f32: by itself, for the code is long.
    ///
    /// # Safety
    /// As [`Scatter::scatter`].
    #[inline(always)]
    unsafe fn silu(&self) {
        for y in 0..self.sides[0] {
            for x in 0..self.sides[1] {
                let at = y * self.output.row + x * self.output.pixel;
                let pixel = self.output.start.wrapping_add(at).cast::<f32>();
                for channel in 0..self.channels {
                    // SAFETY: the caller's promise.
                    unsafe {
                        let number = pixel.add(channel);
                        number.write_unaligned(silu(number.read_unaligned()));
                    }
                }
            }
        }
    }
}
