//! A few numbers evaluated at the points of a square's side, and back: see `crate::winograd`.
//!
//! # Safety
//! The caller of any function has the level's instructions; all are to be inlined into one that has.
//! Must not know: where the numbers are.

/// The evaluation of six numbers at the points 0, a, -a, b, -b and infinity: the products of the
/// numbers with the coefficients of the polynomial that is zero at every other point.
pub(super) mod six {
    use super::super::lanes::Lanes;
    use crate::winograd::{A, B};

    /// At 0, and of the numbers one further, at infinity.
    #[inline(always)]
    pub(in crate::kernel) unsafe fn end<V: Lanes>([d0, d2, d4]: [V; 3]) -> V {
        // SAFETY: the caller has the level's instructions.
        unsafe { d0.multiply_add(A * A * B * B, d2.multiply_add(-A * A - B * B, d4)) }
    }

    /// At `at` and `-at`, where the other two points are `other` and `-other`.
    #[inline(always)]
    unsafe fn pair<V: Lanes>([d1, d2, d3, d4]: [V; 4], at: f32, other: f32) -> [V; 2] {
        // SAFETY: the caller has the level's instructions.
        unsafe {
            let even = d2.multiply_add(-other * other, d4);
            let odd = d1.multiply_add(-other * other, d3);
            [odd.multiply_add(at, even), odd.multiply_add(-at, even)]
        }
    }

    /// At a and -a.
    #[inline(always)]
    pub(in crate::kernel) unsafe fn first<V: Lanes>(numbers: [V; 4]) -> [V; 2] {
        // SAFETY: the caller has the level's instructions.
        unsafe { pair(numbers, A, B) }
    }

    /// At b and -b.
    #[inline(always)]
    pub(in crate::kernel) unsafe fn second<V: Lanes>(numbers: [V; 4]) -> [V; 2] {
        // SAFETY: the caller has the level's instructions.
        unsafe { pair(numbers, B, A) }
    }

    /// At all points, in the order 0, a, -a, infinity, b and -b.
    #[inline(always)]
    pub(in crate::kernel) unsafe fn all<V: Lanes>([d0, d1, d2, d3, d4, d5]: [V; 6]) -> [V; 6] {
        // SAFETY: the caller has the level's instructions.
        unsafe {
            let [p, q] = first([d1, d2, d3, d4]);
            let [r, s] = second([d1, d2, d3, d4]);
            [end([d0, d2, d4]), p, q, end([d1, d3, d5]), r, s]
        }
    }

    /// Four outputs of six products: sums with the powers of the points.
    #[inline(always)]
    pub(in crate::kernel) unsafe fn back<V: Lanes>([m0, m1, m2, m5, m3, m4]: [V; 6]) -> [V; 4] {
        // SAFETY: the caller has the level's instructions.
        unsafe {
            let (p, q) = (m1.add(m2), m1.subtract(m2));
            let (r, s) = (m3.add(m4), m3.subtract(m4));
            let nothing = V::splat(0.0);
            [
                m0.add(p).add(r),
                s.multiply_add(B, q.multiply_add(A, nothing)),
                r.multiply_add(B * B, p.multiply_add(A * A, nothing)),
                s.multiply_add(B * B * B, q.multiply_add(A * A * A, m5)),
            ]
        }
    }
}

/// The same for a side of fewer outputs, beside such of [`six`] and with their weights: the first four of these
/// points, or the first five. The polynomials are of a lower degree; what they are at their points, by which the
/// weights of six are not divided, they are multiplied by.
pub(super) mod fewer {
    use super::super::lanes::Lanes;
    use super::six;
    use crate::winograd::{A, B};

    /// At the first `POINTS` points, of as many numbers.
    #[inline(always)]
    pub(in crate::kernel) unsafe fn all<V: Lanes, const POINTS: usize>(d: [V; 6]) -> [V; 6] {
        let [d0, d1, d2, d3, d4, _] = d;
        // SAFETY: the caller has the level's instructions.
        unsafe {
            let nothing = V::splat(0.0);
            match POINTS {
                4 => {
                    let [even, odd] = [A * A - B * B, A * (A * A - B * B)];
                    let even = d2.multiply_add(even, nothing);
                    [
                        d2.multiply_add(-B * B, d0.multiply_add(A * A * B * B, nothing)),
                        d1.multiply_add(odd, even),
                        d1.multiply_add(-odd, even),
                        d1.multiply_add(-A * A, d3),
                        nothing,
                        nothing,
                    ]
                }
                5 => {
                    let (sum, rest) = (A + B, B - A);
                    [
                        d0.multiply_add(
                            A * A * B * B,
                            d1.multiply_add(
                                -A * A * B,
                                d2.multiply_add(-B * B, d3.multiply_add(B, nothing)),
                            ),
                        ),
                        d1.multiply_add(
                            -A * B * sum,
                            d2.multiply_add(-rest * sum, d3.multiply_add(sum, nothing)),
                        ),
                        d1.multiply_add(
                            A * B * rest,
                            d2.multiply_add(-sum * rest, d3.multiply_add(rest, nothing)),
                        ),
                        d1.multiply_add(
                            A * A * B,
                            d2.multiply_add(-A * A, d3.multiply_add(-B, d4)),
                        ),
                        d1.multiply_add(-2.0 * A * A * B, d3.multiply_add(2.0 * B, nothing)),
                        nothing,
                    ]
                }
                _ => six::all(d),
            }
        }
    }

    /// `POINTS - 2` outputs of `POINTS` products.
    #[inline(always)]
    pub(in crate::kernel) unsafe fn back<V: Lanes, const POINTS: usize>(m: [V; 6]) -> [V; 4] {
        let [m0, m1, m2, m3, m4, _] = m;
        // SAFETY: the caller has the level's instructions.
        unsafe {
            let nothing = V::splat(0.0);
            let (p, q) = (m1.add(m2), m1.subtract(m2));
            match POINTS {
                4 => [m0.add(p), q.multiply_add(A, m3), nothing, nothing],
                5 => [
                    m0.add(p).add(m4),
                    m4.multiply_add(B, q.multiply_add(A, nothing)),
                    m4.multiply_add(B * B, p.multiply_add(A * A, m3)),
                    nothing,
                ],
                _ => six::back(m),
            }
        }
    }
}

/// The same for four numbers and the points 0, 1, -1 and infinity.
pub(super) mod four {
    use super::super::lanes::Lanes;

    #[inline(always)]
    pub(in crate::kernel) unsafe fn all<V: Lanes>([d0, d1, d2, d3]: [V; 4]) -> [V; 4] {
        // SAFETY: the caller has the level's instructions.
        unsafe {
            [
                d2.subtract(d0),
                d2.add(d1),
                d2.subtract(d1),
                d3.subtract(d1),
            ]
        }
    }

    #[inline(always)]
    pub(in crate::kernel) unsafe fn back<V: Lanes>([m0, m1, m2, m3]: [V; 4]) -> [V; 2] {
        // SAFETY: the caller has the level's instructions.
        unsafe { [m0.add(m1).add(m2), m1.subtract(m2).add(m3)] }
    }
}
