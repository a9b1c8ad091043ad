//! Whether a protobuf message is all there: it ends where its last field ends.
//!
//! The parser takes the end of the bytes for the end of every message that is open, so a file cut
//! short between two weights would be read as a network without the second. Must not know: ONNX.

/// Whether the outermost fields of a message end exactly with the bytes. What is inside them is
/// the parser's affair: it minds the ends of inner fields.
pub(crate) fn is_whole(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match after_field(bytes) {
            Some(rest) => bytes = rest,
            None => return false,
        }
    }
    true
}

/// What follows the first field; the numbers are protobuf's wire types.
fn after_field(bytes: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = varint(bytes)?;
    match tag & 7 {
        0 => varint(rest).map(|(_, rest)| rest),
        1 => rest.get(8..),
        2 => {
            let (length, rest) = varint(rest)?;
            rest.get(usize::try_from(length).ok()?..)
        }
        5 => rest.get(4..),
        _ => None,
    }
}

/// A number in groups of seven bits, the lowest first; of the last group the top bit is clear.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, &byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cut_inside_any_field_is_not_whole() {
        // 1: varint 300; 2: "abc"; 3: eight bytes; 4: four bytes.
        let message = b"\x08\xac\x02\x12\x03abc\x1912345678\x251234";
        let ends = [0, 3, 8, 17, 22];
        for length in 0..=message.len() {
            let whole = ends.contains(&length);
            assert_eq!(is_whole(&message[..length]), whole, "{length} bytes");
        }
    }

    #[test]
    fn a_length_beyond_all_bytes_or_an_endless_number_is_not_whole() {
        for bytes in [
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".as_slice(),
            &[0xff; 20],
            b"\x0b",
        ] {
            assert!(!is_whole(bytes), "{bytes:?}");
        }
    }
}
