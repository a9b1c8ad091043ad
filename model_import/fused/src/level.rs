//! Which vector instructions the kernels use: found at run time, or forced.
//!
//! Must not know: layers, precisions' arithmetic.

use std::fmt;
use std::str::FromStr;

use crate::error::EngineError;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the compiler makes of plain code on any processor.
    Portable,
    /// AVX2 and FMA: vectors of 8 floats.
    Avx2,
    /// AVX-512 F, BW, VL and DQ: vectors of 16 floats.
    Avx512,
}

impl Level {
    /// Every level, the widest last.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The widest level that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        let mut levels = Self::ALL.into_iter().rev();
        levels
            .find(|level| level.is_available())
            .unwrap_or(Self::Portable)
    }

    /// Whether this processor has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The level's name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this processor multiplies pairs of bf16 numbers in one instruction.
    #[must_use]
    pub fn has_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self == Self::Avx512 && is_x86_feature_detected!("avx512bf16");
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Whether this processor multiplies quads of 8-bit numbers in one instruction.
    #[must_use]
    pub fn has_vnni(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return match self {
            Self::Portable => false,
            Self::Avx2 => is_x86_feature_detected!("avxvnni"),
            Self::Avx512 => is_x86_feature_detected!("avx512vnni"),
        };
        #[cfg(not(target_arch = "x86_64"))]
        false
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = EngineError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let mut levels = Self::ALL.into_iter();
        levels
            .find(|level| level.name() == name)
            .ok_or_else(|| EngineError::UnknownLevel(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for level in Level::ALL {
            assert_eq!(level.to_string().parse::<Level>().unwrap(), level);
        }
        assert!("sse9".parse::<Level>().is_err());
        assert!(Level::detect().is_available());
    }
}
