//! Floats times weights of which the upper halves are stored (bf16): half the bytes to fetch where a
//! layer's weights are used once and so take longer to arrive than to multiply by.
//!
//! Must not know: which layers these are.

use std::marker::PhantomData;

use super::Arithmetic;
use super::lanes::Lanes;
use crate::element::{Element, Rule, map};

/// `A`, which is one of floats, with halved weights.
pub(super) struct HalfWeights<A>(PhantomData<A>);

/// Floats of their upper halves.
pub(super) trait Widen {
    /// # Safety
    /// The processor has the level's instructions; `at` reaches over as many numbers of bf16.
    unsafe fn widen(at: *const u8) -> Self;
}

impl Widen for [f32; 16] {
    #[inline(always)]
    unsafe fn widen(at: *const u8) -> Self {
        // SAFETY: the caller's promise.
        let halves = unsafe { at.cast::<[u16; 16]>().read_unaligned() };
        map(halves, Element::number)
    }
}

#[cfg(target_arch = "x86_64")]
impl Widen for std::arch::x86_64::__m256 {
    #[inline(always)]
    unsafe fn widen(at: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::load_bf16(at) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Widen for std::arch::x86_64::__m512 {
    #[inline(always)]
    unsafe fn widen(at: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::load_bf16(at) }
    }
}

impl<A: Arithmetic<Operand: Widen>> Arithmetic for HalfWeights<A> {
    type Sum = A::Sum;
    type Operand = A::Operand;
    type Real = A::Real;
    const LANES: usize = A::LANES;
    const SIZE: usize = A::SIZE;
    const WEIGHT: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> Self::Sum {
        // SAFETY: the caller's promise.
        unsafe { A::zero() }
    }

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> Self::Operand {
        // SAFETY: the caller's promise.
        unsafe { A::Operand::widen(at) }
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> Self::Operand {
        // SAFETY: the caller's promise.
        unsafe { A::broadcast(at) }
    }

    #[inline(always)]
    unsafe fn multiply_add(
        sum: Self::Sum,
        input: Self::Operand,
        weights: Self::Operand,
    ) -> Self::Sum {
        // SAFETY: the caller's promise.
        unsafe { A::multiply_add(sum, input, weights) }
    }

    #[inline(always)]
    unsafe fn real(sum: Self::Sum, scale: *const f32, bias: *const f32) -> Self::Real {
        // SAFETY: the caller's promise.
        unsafe { A::real(sum, scale, bias) }
    }

    #[inline(always)]
    unsafe fn add_residual(value: Self::Real, at: *const u8, scale: f32) -> Self::Real {
        // SAFETY: the caller's promise.
        unsafe { A::add_residual(value, at, scale) }
    }

    #[inline(always)]
    unsafe fn silu(value: Self::Real, rule: &Rule) -> Self::Real {
        // SAFETY: the caller's promise.
        unsafe { A::silu(value, rule) }
    }

    #[inline(always)]
    unsafe fn clamp(value: Self::Real, rule: &Rule) -> Self::Real {
        // SAFETY: the caller's promise.
        unsafe { A::clamp(value, rule) }
    }

    #[inline(always)]
    unsafe fn write(value: Self::Real, at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { A::write(value, at) };
    }

    #[inline(always)]
    fn write_soon(at: *const u8) {
        A::write_soon(at);
    }

    #[inline(always)]
    fn read_soon(at: *const u8) {
        A::read_soon(at);
    }

    #[inline(always)]
    fn read_later(at: *const u8) {
        A::read_later(at);
    }
}
