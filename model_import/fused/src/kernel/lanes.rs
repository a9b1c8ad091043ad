//! A few floats at once, for code that is not a reduction.
//!
//! Must not know: layers, what the numbers mean.

/// A vector of floats of one level.
///
/// # Safety
/// The caller of any method has the level's instructions, and its pointers reach over `COUNT`
/// floats.
pub(super) trait Lanes: Copy {
    const COUNT: usize;

    unsafe fn splat(number: f32) -> Self;
    unsafe fn load(at: *const u8) -> Self;
    unsafe fn store(self, at: *mut u8);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn subtract(self, other: Self) -> Self;
    /// `self * factor + other`.
    unsafe fn multiply_add(self, factor: f32, other: Self) -> Self;
    /// The larger; `other` where either is not a number.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller; `other` where either is not a number.
    unsafe fn min(self, other: Self) -> Self;
}

/// What every processor has: the compiler makes a register of four.
impl Lanes for [f32; 4] {
    const COUNT: usize = 4;

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        [number; 4]
    }

    #[inline(always)]
    unsafe fn load(at: *const u8) -> Self {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, at: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { at.cast::<Self>().write_unaligned(self) };
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + other[lane])
    }

    #[inline(always)]
    unsafe fn subtract(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] - other[lane])
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: f32, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] * factor + other[lane])
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        let larger = |a: f32, b: f32| if a > b { a } else { b };
        std::array::from_fn(|lane| larger(self[lane], other[lane]))
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        let smaller = |a: f32, b: f32| if a < b { a } else { b };
        std::array::from_fn(|lane| smaller(self[lane], other[lane]))
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! lanes {
    ($vector:ident, $count:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $subtract:ident,
     $multiply_add:ident, $max:ident, $min:ident) => {
        impl Lanes for std::arch::x86_64::$vector {
            const COUNT: usize = $count;

            #[inline(always)]
            unsafe fn splat(number: f32) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { std::arch::x86_64::$splat(number) }
            }

            #[inline(always)]
            unsafe fn load(at: *const u8) -> Self {
                // SAFETY: the caller has the instruction, its pointer reaches far enough.
                unsafe { std::arch::x86_64::$load(at.cast()) }
            }

            #[inline(always)]
            unsafe fn store(self, at: *mut u8) {
                // SAFETY: the caller has the instruction, its pointer reaches far enough.
                unsafe { std::arch::x86_64::$store(at.cast(), self) };
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { std::arch::x86_64::$add(self, other) }
            }

            #[inline(always)]
            unsafe fn subtract(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction.
                unsafe { std::arch::x86_64::$subtract(self, other) }
            }

            #[inline(always)]
            unsafe fn multiply_add(self, factor: f32, other: Self) -> Self {
                // SAFETY: the caller has the instructions.
                unsafe { std::arch::x86_64::$multiply_add(self, Self::splat(factor), other) }
            }

            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction, which returns its second operand where
                // either is not a number.
                unsafe { std::arch::x86_64::$max(self, other) }
            }

            #[inline(always)]
            unsafe fn min(self, other: Self) -> Self {
                // SAFETY: the caller has the instruction, which returns its second operand where
                // either is not a number.
                unsafe { std::arch::x86_64::$min(self, other) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
lanes!(
    __m256,
    8,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_fmadd_ps,
    _mm256_max_ps,
    _mm256_min_ps
);
#[cfg(target_arch = "x86_64")]
lanes!(
    __m512,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_fmadd_ps,
    _mm512_max_ps,
    _mm512_min_ps
);
