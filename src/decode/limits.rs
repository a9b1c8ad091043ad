//! What an upload may ask of us, checked from its size and header before anything is decoded.

use super::DecodeError;

/// Bounds on one upload; inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub max_bytes: usize,
    /// Declared columns.
    pub max_width: u32,
    /// Declared rows.
    pub max_height: u32,
    /// Declared columns times rows.
    pub max_pixels: u64,
    /// Bytes of memory that decoding may take at its peak, the file itself left out.
    pub max_memory: u64,
}

impl Default for Limits {
    /// Room for the 50-megapixel photos of today's phones: 32 MiB, 32,768 a side, 50 Mi pixels,
    /// 640 MiB.
    fn default() -> Self {
        Self {
            max_bytes: 32 << 20,
            max_width: 1 << 15,
            max_height: 1 << 15,
            max_pixels: 50 << 20,
            max_memory: 640 << 20,
        }
    }
}

impl Limits {
    /// Checks the size of the file.
    ///
    /// # Errors
    /// When there is nothing or too much.
    pub const fn check_bytes(&self, bytes: usize) -> Result<(), DecodeError> {
        if bytes == 0 {
            return Err(DecodeError::Empty);
        }
        if bytes > self.max_bytes {
            return Err(DecodeError::TooManyBytes {
                limit: self.max_bytes,
            });
        }
        Ok(())
    }

    /// Checks the size that a header declares.
    ///
    /// # Errors
    /// When a side or the area is too large.
    pub fn check_size(&self, width: u32, height: u32) -> Result<(), DecodeError> {
        if width > self.max_width {
            return Err(DecodeError::TooWide {
                width,
                limit: self.max_width,
            });
        }
        if height > self.max_height {
            return Err(DecodeError::TooHigh {
                height,
                limit: self.max_height,
            });
        }
        let pixels = u64::from(width) * u64::from(height);
        if pixels > self.max_pixels {
            return Err(DecodeError::TooManyPixels {
                pixels,
                limit: self.max_pixels,
            });
        }
        Ok(())
    }

    /// Checks the memory that decoding will take.
    ///
    /// # Errors
    /// When it is too much.
    pub const fn check_memory(&self, bytes: u64) -> Result<(), DecodeError> {
        if bytes > self.max_memory {
            return Err(DecodeError::TooMuchMemory {
                bytes,
                limit: self.max_memory,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        max_bytes: 10,
        max_width: 20,
        max_height: 30,
        max_pixels: 500,
        max_memory: 2000,
    };

    #[test]
    fn limits_are_inclusive() {
        assert_eq!(LIMITS.check_bytes(10), Ok(()));
        assert_eq!(LIMITS.check_size(20, 25), Ok(()));
        assert_eq!(LIMITS.check_size(16, 30), Ok(()));
        assert_eq!(LIMITS.check_memory(2000), Ok(()));
    }

    #[test]
    fn each_limit_has_its_own_code() {
        let codes = [
            LIMITS.check_bytes(0),
            LIMITS.check_bytes(11),
            LIMITS.check_size(21, 1),
            LIMITS.check_size(1, 31),
            LIMITS.check_size(20, 26),
            LIMITS.check_memory(2001),
        ]
        .map(|checked| checked.unwrap_err().code());
        assert_eq!(
            codes,
            [
                "empty_image",
                "image_too_many_bytes",
                "image_too_wide",
                "image_too_high",
                "image_too_many_pixels",
                "image_too_much_memory",
            ]
        );
    }

    #[test]
    fn a_size_that_overflows_32_bits_is_refused_not_wrapped() {
        let wide = Limits {
            max_width: u32::MAX,
            max_height: u32::MAX,
            ..LIMITS
        };
        assert_eq!(
            wide.check_size(1 << 31, 2).unwrap_err().code(),
            "image_too_many_pixels"
        );
    }
}
