//! Where a key stands in a request: in one of two headers, or entries of metadata, of these names.
//!
//! Pure. Must not know: which protocol, how a key is checked.

/// A key as it is.
pub const API_KEY: &str = "x-api-key";
/// A key behind `Bearer` (RFC 6750).
pub const AUTHORIZATION: &str = "authorization";
/// The scheme, and what parts it from the key.
const BEARER: &[u8] = b"Bearer ";

/// What is shown as a key, by the values of [`API_KEY`] and [`AUTHORIZATION`].
#[must_use]
pub fn shown<'a>(api_key: Option<&'a [u8]>, authorization: Option<&'a [u8]>) -> Option<&'a [u8]> {
    if api_key.is_some() {
        return api_key;
    }
    let (scheme, key) = authorization?.split_at_checked(BEARER.len())?;
    scheme
        .eq_ignore_ascii_case(BEARER)
        .then(|| key.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_in_either_place() {
        for (value, found) in [
            ("Bearer k", Some("k")),
            ("bearer  k ", Some("k")),
            ("Basic k", None),
            ("Bearer", None),
            ("", None),
        ] {
            let found = found.map(str::as_bytes);
            assert_eq!(shown(None, Some(value.as_bytes())), found, "{value}");
        }
        assert_eq!(shown(Some(b"k"), Some(b"Bearer other")), Some(&b"k"[..]));
        assert_eq!(shown(None, None), None);
    }
}
