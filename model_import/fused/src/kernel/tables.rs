//! The macros that make a level's [`Kernels`](super::Kernels) table of an `Arithmetic`, and most of an
//! `Arithmetic` of f32's.
//!
//! Must not know: which levels and precisions there are.

/// Makes a table named `$name` for layers that read `$input` and write `$output`. `$enable` is the
/// attribute of all its functions, in which the compiler may use the level's instructions; `most`
/// are the strips and pixels of the largest tile that is worth while.
macro_rules! kernels {
    (
        $name:ident: $input:ty => $output:ty, $arithmetic:ty, $enable:tt
        panel $panel:literal, most $most:expr,
        strips $strips:tt, pixels $pixels:tt, vectors $vectors:tt
    ) => {
        pub(in crate::kernel) static $name: crate::kernel::Kernels = {
            use crate::kernel::{Arithmetic, Channels, Codec, Depthwise, Elementwise, Grouped};
            use crate::kernel::{LevelTable, PoolRow, Tile, TileKernel, kernels};
            kernels!(@plain $input, $output, $enable
                depthwise(call: &Depthwise<'_>) run;
                grouped(call: &Grouped<'_>) run;
                max_pool(call: &PoolRow) max;
                average_pool(call: &PoolRow) average;
                elementwise(call: &Elementwise) run;
                softmax(call: &Channels) softmax;
            );
            kernels!(@codec $input, $enable
                encode(call: &Codec, numbers: &[f32]) encode;
                decode(call: &Codec, numbers: &mut [f32]) decode;
                levels(call: &Codec, pixels: &[u8], table: &LevelTable, order: [usize; 3]) levels;
            );
            kernels!(@function $enable
                fn tile[const STRIPS: usize, const PIXELS: usize, const VECTORS: usize](call: &Tile) {
                    // SAFETY: the caller's promise.
                    unsafe { crate::kernel::tile::tile::<$arithmetic, STRIPS, PIXELS, VECTORS>(call) }
                }
            );
            kernels!(@function $enable
                fn peak[](rounds: usize) -> usize {
                    // SAFETY: the caller's promise.
                    unsafe {
                        crate::kernel::tile::peak::<
                            $arithmetic,
                            { $most.0 },
                            { $most.1 },
                            { $panel / <$arithmetic as Arithmetic>::LANES },
                        >(rounds)
                    }
                }
            );
            fn find(strips: usize, pixels: usize, channels: usize) -> TileKernel {
                let vectors = channels / <$arithmetic as Arithmetic>::LANES;
                kernels!(@strips $strips $pixels $vectors strips, pixels, vectors)
            }
            crate::kernel::Kernels {
                peak,
                panel: $panel,
                lanes: <$arithmetic as Arithmetic>::LANES,
                weight: <$arithmetic as Arithmetic>::WEIGHT,
                strips: $most.0,
                pixels: $most.1,
                tile: find,
                depthwise,
                grouped,
                max_pool,
                average_pool,
                elementwise,
                softmax,
                encode,
                decode,
                levels,
            }
        };
    };
    // A function over plain code that reads and writes.
    (@plain $input:ty, $output:ty, $enable:tt
        $($name:ident($call:ident: $type:ty) $method:ident;)*) => {$(
        kernels!(@function $enable
            fn $name[]($call: $type) {
                // SAFETY: the caller promises what the method asks.
                unsafe { $call.$method::<$input, $output>() }
            }
        );
    )*};
    // A function between a value and numbers.
    (@codec $element:ty, $enable:tt
        $($name:ident($call:ident: $type:ty, $($more:ident: $other:ty),*) $method:ident;)*) => {$(
        kernels!(@function $enable
            fn $name[]($call: $type, $($more: $other),*) {
                // SAFETY: the caller promises what the method asks.
                unsafe { $call.$method::<$element>($($more),*) }
            }
        );
    )*};
    (@function [$($enable:meta)?] fn $name:ident[$($generic:tt)*]$arguments:tt $(-> $result:ty)? $body:block) => {
        $(#[$enable])?
        unsafe fn $name<$($generic)*>$arguments $(-> $result)? $body
    };
    // The tile kernel of some strips, pixels and vectors.
    (@strips [$($strips:literal)*] $pixels:tt $vectors:tt $s:expr, $p:expr, $v:expr) => {
        match $s {
            $($strips => kernels!(@pixels $strips $pixels $vectors $p, $v),)*
            strips => unreachable!("no kernel of {strips} strips"),
        }
    };
    (@pixels $strips:literal [$($pixels:literal)*] $vectors:tt $p:expr, $v:expr) => {
        match $p {
            $($pixels => kernels!(@vectors $strips $pixels $vectors $v),)*
            pixels => unreachable!("no kernel of {pixels} pixels"),
        }
    };
    (@vectors $strips:literal $pixels:literal [$($vectors:literal)*] $v:expr) => {
        match $v {
            $($vectors => tile::<$strips, $pixels, $vectors> as TileKernel,)*
            vectors => unreachable!("no kernel of {vectors} vectors"),
        }
    };
}
pub(super) use kernels;

/// What kernels of fewer bits than f32's do as f32 does, once their sums are floats. `REAL` says
/// whether they write floats, too.
macro_rules! as_floats {
    ($floats:ty, $size:literal) => {
        type Real = <$floats as Arithmetic>::Real;
        const LANES: usize = <$floats>::LANES;
        const SIZE: usize = $size;
        const OUTPUT: usize = if REAL { 4 } else { $size };

        #[inline(always)]
        unsafe fn clamp(value: Self::Real, rule: &Rule) -> Self::Real {
            // SAFETY: the caller's promise.
            unsafe { <$floats>::clamp(value, rule) }
        }

        #[inline(always)]
        fn write_soon(at: *const u8) {
            <$floats>::write_soon(at);
        }

        #[inline(always)]
        fn read_soon(at: *const u8) {
            <$floats>::read_soon(at);
        }

        #[inline(always)]
        fn read_later(at: *const u8) {
            <$floats>::read_later(at);
        }
    };
}
pub(super) use as_floats;
