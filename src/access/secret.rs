//! What a caller shows: a secret of 256 random bits, and the digest that is kept of it.
//!
//! SHA-256 and no slow hash: slow hashes make up for what people choose, and here nobody chooses.
//! Guessing 2^256 secrets is out of reach at any speed, and a slow hash would be work that anybody
//! could cause. Must not know: files, callers.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every secret begins with, so that one in a file or a log is seen for what it is.
const MARK: &str = "bgl_";
/// Random bytes of a secret.
const RANDOM: usize = 32;
/// Bytes of a digest.
const BYTES: usize = 32;

/// A secret, in the clear: made here, shown once, kept nowhere.
pub struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut random = [0; RANDOM];
        getrandom::fill(&mut random)?;
        Ok(Self(format!("{MARK}{}", URL_SAFE_NO_PAD.encode(random))))
    }

    /// As it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The SHA-256 of a secret.
#[derive(Clone, Copy, Debug)]
pub struct Digest([u8; BYTES]);

impl Digest {
    /// That of whatever was shown.
    #[must_use]
    pub fn of(shown: &[u8]) -> Self {
        Self(Sha256::digest(shown).into())
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "a SHA-256 is 64 digits from 0 to f";
        if text.len() != 2 * BYTES || !text.is_ascii() {
            return Err(wrong);
        }
        let mut bytes = [0; BYTES];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn secrets_are_long_differ_and_are_not_shown_by_accident() {
        let secrets: HashSet<String> = (0..100)
            .map(|_| Secret::new().unwrap().as_str().to_owned())
            .collect();
        assert_eq!(secrets.len(), 100);
        assert!(secrets.iter().all(|secret| secret.len() == MARK.len() + 43));
        let secret = Secret::new().unwrap();
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn a_digest_is_that_of_sha256sum_and_can_be_read_back() {
        // printf abc | sha256sum
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), text);
        assert!(text.parse::<Digest>().unwrap().is(&digest));
        assert!(!Digest::of(b"abd").is(&digest));
        for wrong in [
            "",
            "ba78",
            &text[1..],
            &text.replace('f', "g"),
            &text.replace("f2", "é"),
        ] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
