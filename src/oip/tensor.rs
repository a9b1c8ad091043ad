//! Tensors as requests and answers hold them.
//!
//! Pure. Must not know: which protocol, images.

use bytes::{BufMut as _, Bytes};

use super::parameter::Parameters;

/// What a tensor is made of, as far as there are such tensors here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    /// Strings of bytes.
    Bytes,
    /// Whole numbers from 0 to 255.
    Uint8,
    /// Floats of 32 bits.
    Fp32,
}

impl Datatype {
    /// Its name in the protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "BYTES",
            Self::Uint8 => "UINT8",
            Self::Fp32 => "FP32",
        }
    }

    /// Its name in Triton's model configuration, and its number there.
    #[must_use]
    pub const fn configured(self) -> (&'static str, i32) {
        match self {
            Self::Bytes => ("TYPE_STRING", 13),
            Self::Uint8 => ("TYPE_UINT8", 2),
            Self::Fp32 => ("TYPE_FP32", 11),
        }
    }
}

/// An input as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What it says that it is made of.
    pub datatype: String,
    /// What it says that its shape is.
    pub shape: Vec<i64>,
    /// What else it says; what is not known is passed over.
    pub parameters: Parameters,
    /// Its data.
    pub content: Content,
}

/// The data of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// None, or more than one: what there is.
    None(&'static str),
    /// Binary data: numbers as little endian bytes, strings each behind its length (4 bytes).
    Raw(Bytes),
    /// Numbers.
    Numbers(Levels),
    /// Strings.
    Strings(Vec<Bytes>),
    /// Strings that were to be base64 in JSON, of which this one is not.
    NotBase64(usize),
}

/// Numbers that are levels of pixels, or the first that is not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Levels {
    levels: Vec<u8>,
    count: usize,
    fault: Option<(usize, f64)>,
}

impl Levels {
    /// Room for so many.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self {
            levels: Vec::with_capacity(count),
            ..Self::default()
        }
    }

    /// Adds one. After one that is no level the others are counted alone.
    pub fn push(&mut self, value: f64) {
        let at = self.count;
        self.count += 1;
        if self.fault.is_some() {
            return;
        }
        let level = value as u8;
        if f64::from(level) == value {
            self.levels.push(level);
        } else {
            self.fault = Some((at, value));
            self.levels = Vec::new();
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// All of them.
    ///
    /// # Errors
    /// The first that is no level, and which it is.
    pub fn all(self) -> Result<Vec<u8>, (usize, f64)> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.levels),
        }
    }
}

impl FromIterator<f64> for Levels {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let values = values.into_iter();
        let mut levels = Self::with_capacity(values.size_hint().0);
        values.for_each(|value| levels.push(value));
        levels
    }
}

/// An output that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Requested {
    /// Its name.
    pub name: String,
    /// How it is wanted.
    pub parameters: Parameters,
}

/// An output as it is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: &'static str,
    /// Its shape.
    pub shape: [usize; 2],
    /// Its data, row by row.
    pub values: Values,
    /// Whether it is wanted as binary data.
    pub binary: bool,
}

/// The data of an output.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Strings.
    Strings(Vec<String>),
    /// Floats.
    Floats(Vec<f32>),
}

impl Values {
    /// What it is made of.
    #[must_use]
    pub const fn datatype(&self) -> Datatype {
        match self {
            Self::Strings(_) => Datatype::Bytes,
            Self::Floats(_) => Datatype::Fp32,
        }
    }

    /// As binary data.
    #[must_use]
    pub fn raw(&self) -> Bytes {
        let mut raw = Vec::new();
        match self {
            Self::Strings(strings) => {
                for string in strings {
                    // A label is no 4 GiB.
                    raw.put_u32_le(u32::try_from(string.len()).unwrap_or(u32::MAX));
                    raw.put_slice(string.as_bytes());
                }
            }
            Self::Floats(floats) => floats.iter().for_each(|float| raw.put_f32_le(*float)),
        }
        Bytes::from(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_whole_and_from_0_to_255() {
        let levels: Levels = [0.0, 1.0, 254.0, 255.0].into_iter().collect();
        assert_eq!(levels.all(), Ok(vec![0, 1, 254, 255]));
        for wrong in [-1.0, 0.5, 254.999, 256.0, f64::INFINITY, f64::NEG_INFINITY] {
            let levels: Levels = [7.0, wrong, 0.25].into_iter().collect();
            assert_eq!(levels.count(), 3);
            assert_eq!(levels.all(), Err((1, wrong)));
        }
        let nan: Levels = [f64::NAN].into_iter().collect();
        assert!(
            nan.all()
                .is_err_and(|(at, value)| at == 0 && value.is_nan())
        );
    }

    #[test]
    fn strings_stand_behind_their_length() {
        let strings = Values::Strings(vec!["cat".to_owned(), String::new()]);
        assert_eq!(strings.raw()[..], *b"\x03\0\0\0cat\0\0\0\0");
        let floats = Values::Floats(vec![1.0]);
        assert_eq!(floats.raw()[..], [0, 0, 128, 63]);
    }
}
