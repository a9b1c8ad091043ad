//! An input to its rows, an image each.
//!
//! Pure. Must not know: which protocol, what is in an image file.

use bytes::{Buf as _, Bytes};

use super::error::OipError;
use super::model::{self, Described};
use super::tensor::{Content, Datatype, Input, Levels};
use crate::classify::catalog::Served;
use crate::message::Form;

/// Images of one form.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// What they are.
    pub form: Form,
    /// One each.
    pub images: Vec<Bytes>,
}

/// Takes an input apart, without copying.
///
/// # Errors
/// [`OipError`], naming the input and what is wrong with it.
pub fn of(input: Input, model: &Served, most: usize) -> Result<Rows, OipError> {
    let inputs = model::inputs(model);
    let Some(described) = inputs.iter().find(|known| known.name == input.name) else {
        return Err(OipError::UnknownInput(input.name));
    };
    input.parameters.check_here()?;
    let wanted = described.datatype;
    if input.datatype != wanted.name() {
        return Err(OipError::Datatype {
            input: input.name,
            found: input.datatype,
            wanted: wanted.name(),
        });
    }
    let count = count(&input, described, most)?;
    if wanted == Datatype::Bytes {
        return Ok(Rows {
            form: Form::File,
            images: files(input, count)?,
        });
    }
    let row = model.geometry.pixel_bytes();
    let pixels = pixels(input, wanted, count * row, row)?;
    Ok(Rows {
        form: Form::Pixels,
        images: (0..count)
            .map(|at| pixels.slice(at * row..(at + 1) * row))
            .collect(),
    })
}

/// How many rows the shape says that there are.
fn count(input: &Input, described: &Described, most: usize) -> Result<usize, OipError> {
    let rest = described.shape.get(1..).unwrap_or_default();
    let wanted = || OipError::Shape {
        input: input.name.clone(),
        found: input.shape.clone(),
        wanted: format!("{:?}, the first being the number of rows", described.shape),
    };
    let (count, found) = input.shape.split_first().ok_or_else(wanted)?;
    let count = usize::try_from(*count).map_err(|_| wanted())?;
    if count == 0 || found != rest {
        return Err(wanted());
    }
    if count > most {
        return Err(OipError::TooManyRows { most });
    }
    Ok(count)
}

fn files(input: Input, count: usize) -> Result<Vec<Bytes>, OipError> {
    let files = match input.content {
        Content::Raw(raw) => return unpacked(input.name, raw, count),
        Content::Strings(strings) => strings,
        Content::NotBase64(row) => {
            return Err(OipError::Base64 {
                input: input.name,
                row,
            });
        }
        Content::Numbers(_) => {
            return Err(OipError::Data {
                input: input.name,
                found: "numbers for data and not strings",
            });
        }
        Content::None(found) => {
            return Err(OipError::Data {
                input: input.name,
                found,
            });
        }
    };
    if files.len() != count {
        return Err(OipError::Size {
            input: input.name,
            found: files.len(),
            unit: "strings",
            wanted: count,
        });
    }
    Ok(files)
}

/// Strings that each stand behind their length.
fn unpacked(input: String, mut raw: Bytes, count: usize) -> Result<Vec<Bytes>, OipError> {
    let mut files = Vec::with_capacity(count);
    while !raw.is_empty() {
        let length = raw.try_get_u32_le().ok();
        let length = length.and_then(|length| usize::try_from(length).ok());
        match length {
            Some(length) if length <= raw.len() && files.len() < count => {
                files.push(raw.split_to(length));
            }
            _ => {
                return Err(OipError::Data {
                    input,
                    found: "binary data that is not as many strings as its shape says, each behind \
                            its length in 4 bytes",
                });
            }
        }
    }
    if files.len() == count {
        return Ok(files);
    }
    Err(OipError::Size {
        input,
        found: files.len(),
        unit: "strings",
        wanted: count,
    })
}

fn pixels(input: Input, datatype: Datatype, wanted: usize, row: usize) -> Result<Bytes, OipError> {
    let size = |found: usize, unit: &'static str, wanted: usize| {
        if found == wanted {
            return Ok(());
        }
        Err(OipError::Size {
            input: input.name.clone(),
            found,
            unit,
            wanted,
        })
    };
    let levels = match input.content {
        Content::Raw(raw) if datatype == Datatype::Uint8 => {
            size(raw.len(), "bytes", wanted)?;
            return Ok(raw);
        }
        Content::Raw(raw) => {
            size(raw.len(), "bytes", wanted * size_of::<f32>())?;
            let floats = raw.as_chunks().0.iter();
            floats
                .map(|float| f64::from(f32::from_le_bytes(*float)))
                .collect::<Levels>()
        }
        Content::Numbers(levels) => levels,
        Content::Strings(_) | Content::NotBase64(_) => {
            return Err(OipError::Data {
                input: input.name,
                found: "strings for data and not numbers",
            });
        }
        Content::None(found) => {
            return Err(OipError::Data {
                input: input.name,
                found,
            });
        }
    };
    size(levels.count(), "numbers", wanted)?;
    let levels = levels.all().map_err(|(at, value)| OipError::Level {
        input: input.name.clone(),
        row: at / row,
        value,
    })?;
    Ok(Bytes::from(levels))
}
