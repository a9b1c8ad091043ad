//! Which kernels a layer runs with.
//!
//! Must not know: what they do.

use super::{Kernels, bf16, int8};
use crate::element::Format;
use crate::level::Level;

/// The kernels for layers that read `from` and write `to`, which is the same or f32. `dots`: whether
/// they may multiply pairs and quads in one instruction; `halves`: whether floats are multiplied by the upper
/// halves of weights.
pub(crate) fn of(
    level: Level,
    (dots, halves): (bool, bool),
    from: Format,
    to: Format,
) -> &'static Kernels {
    let real = to == Format::F32;
    debug_assert!(real || from == to, "no kernel makes {to:?} of {from:?}");
    match from {
        Format::F32 => f32(level, halves),
        Format::Bf16 => bf16::of(level, dots && level.has_bf16(), real),
        Format::U8 => int8::of(level, dots && level.has_vnni(), real),
    }
}

/// The f32 kernels of `level`, with halved weights or not.
fn f32(level: Level, halves: bool) -> &'static Kernels {
    let [whole, half] = match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => [&super::avx2::F32, &super::avx2::F32_HALF_WEIGHTS],
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => [&super::avx512::F32, &super::avx512::F32_HALF_WEIGHTS],
        _ => [&super::portable::F32, &super::portable::F32_HALF_WEIGHTS],
    };
    if halves { half } else { whole }
}
