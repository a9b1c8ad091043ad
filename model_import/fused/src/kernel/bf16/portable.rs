//! Plain arrays, pairs widened to floats.

use super::sums_as_floats;
use crate::element::{Element, Quantum, Rule, map};
use crate::kernel::portable::{F32Arithmetic, PIXELS};
use crate::kernel::{Arithmetic, kernels};

struct Widened<const REAL: bool>;

impl<const REAL: bool> Arithmetic for Widened<REAL> {
    sums_as_floats!(F32Arithmetic);
    /// The first and the second number of each pair.
    type Operand = [[f32; 16]; 2];

    #[inline(always)]
    unsafe fn weights(at: *const u8) -> Self::Operand {
        // SAFETY: the caller's pointer reaches over 16 pairs.
        let pairs = unsafe { at.cast::<[[u16; 2]; 16]>().read_unaligned() };
        map([0, 1], |half| map(pairs, |pair| pair[half].number()))
    }

    #[inline(always)]
    unsafe fn broadcast(at: *const u8) -> Self::Operand {
        // SAFETY: the caller's pointer reaches over a pair.
        let pair = unsafe { at.cast::<[u16; 2]>().read_unaligned() };
        map(pair, |number| [number.number(); 16])
    }

    #[inline(always)]
    unsafe fn multiply_add(
        mut sum: Self::Sum,
        input: Self::Operand,
        weights: Self::Operand,
    ) -> Self::Sum {
        for half in 0..2 {
            for lane in 0..16 {
                sum[lane] += input[half][lane] * weights[half][lane];
            }
        }
        sum
    }

    #[inline(always)]
    unsafe fn add_residual(mut value: Self::Real, at: *const u8, _: f32) -> Self::Real {
        // SAFETY: the caller's pointer reaches over 16 numbers.
        let residual = unsafe { at.cast::<[u16; 16]>().read_unaligned() };
        for lane in 0..16 {
            value[lane] += residual[lane].number();
        }
        value
    }

    #[inline(always)]
    unsafe fn write(value: Self::Real, at: *mut u8) {
        // SAFETY: the caller's pointer reaches over 16 elements.
        unsafe {
            if REAL {
                F32Arithmetic::write(value, at);
            } else {
                let elements = map(value, |number| {
                    <u16 as Element>::encode(number, &Quantum::ONE)
                });
                at.cast::<[u16; 16]>().write_unaligned(elements);
            }
        }
    }
}

kernels!(BF16: u16 => u16, Widened<false>, []
    panel 16, most (1, PIXELS),
    strips [1], pixels [1 2 3 4], vectors [1]);
kernels!(BF16_REAL: u16 => f32, Widened<true>, []
    panel 16, most (1, PIXELS),
    strips [1], pixels [1 2 3 4], vectors [1]);
