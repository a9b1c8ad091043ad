//! How the transforms of 3x3 convolutions read and write values, and the numbers at points, in each format.
//!
//! Must not know: squares, the transforms.

use super::lanes::Lanes;

/// How the numbers at a point become bytes: `number * factor + zero`, rounded and held within 0 to 255.
///
/// Every level gives the same bytes: the numbers are whole ones of at most 11 bits, the factor is one of
/// [`PARTS`](crate::calibrate::PARTS)ths of at most 1, and zero is whole, so that the sum is exact, fused or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Byte {
    pub(crate) factor: f32,
    pub(crate) zero: f32,
}

/// As what the numbers of a value are stored.
///
/// # Safety
/// The caller of any method has the level's instructions, and its pointers reach over the vector's
/// numbers.
pub(super) trait Stored {
    /// Bytes a number.
    const SIZE: usize;

    /// Bytes a number at a point: a float, unless it is multiplied as a byte.
    const POINT: usize = 4;

    unsafe fn load<V: Lanes>(at: *const u8) -> V;
    unsafe fn store<V: Lanes>(value: V, at: *mut u8);
    /// Writes numbers at a point that stores them as `by` says.
    #[inline(always)]
    unsafe fn store_point<V: Lanes>(value: V, at: *mut u8, _by: *const Byte) {
        // SAFETY: the caller's promise.
        unsafe { value.store(at) };
    }
}

pub(super) struct F32;

impl Stored for F32 {
    const SIZE: usize = 4;

    #[inline(always)]
    unsafe fn load<V: Lanes>(at: *const u8) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(at) }
    }

    #[inline(always)]
    unsafe fn store<V: Lanes>(value: V, at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { value.store(at) };
    }
}

pub(super) struct Bf16;

impl Stored for Bf16 {
    const SIZE: usize = 2;

    #[inline(always)]
    unsafe fn load<V: Lanes>(at: *const u8) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_bf16(at) }
    }

    #[inline(always)]
    unsafe fn store<V: Lanes>(value: V, at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { value.store_bf16(at) };
    }
}

/// Bytes, in units of their value.
pub(super) struct U8;

impl Stored for U8 {
    const SIZE: usize = 1;
    const POINT: usize = 1;

    #[inline(always)]
    unsafe fn load<V: Lanes>(at: *const u8) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load_u8(at) }
    }

    #[inline(always)]
    unsafe fn store<V: Lanes>(value: V, at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { value.store_u8(at) };
    }

    #[inline(always)]
    unsafe fn store_point<V: Lanes>(value: V, at: *mut u8, by: *const Byte) {
        // SAFETY: the caller's promise.
        unsafe {
            let Byte { factor, zero } = *by;
            value.multiply_add(factor, V::splat(zero)).store_u8(at);
        }
    }
}
