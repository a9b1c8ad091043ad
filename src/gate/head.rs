//! The head of a request as its bytes arrive: where it ends, and how long it and what is behind it
//! may be.
//!
//! Pure. Must not know: HTTP but for the empty line after a head.

use std::time::Instant;

/// Most bytes behind a head whose request has not begun: more than whoever reads requests keeps.
const BEHIND: usize = 256 << 10;

/// A head that is arriving.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Requests that had begun before it.
    pub(super) behind_request: u64,
    /// When it must be there.
    pub(super) until: Instant,
    bytes: usize,
    behind: usize,
    ending: Ending,
}

/// How much of an empty line the last bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ending {
    /// Nothing of it.
    #[default]
    Line,
    /// The end of a line.
    Feed,
    /// The end of a line, and perhaps of the next.
    Return,
    /// All of it.
    Over,
}

impl Ending {
    const fn then(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Over, _) | (Self::Feed | Self::Return, b'\n') => Self::Over,
            (_, b'\n') => Self::Feed,
            (Self::Feed, b'\r') => Self::Return,
            _ => Self::Line,
        }
    }
}

impl Head {
    /// One of which nothing is there yet.
    pub(super) fn new(behind_request: u64, until: Instant) -> Self {
        Self {
            behind_request,
            until,
            bytes: 0,
            behind: 0,
            ending: Ending::default(),
        }
    }

    /// Whether these bytes still make a head.
    pub(super) fn grows(&mut self, bytes: &[u8], most: usize) -> bool {
        for (at, byte) in bytes.iter().enumerate() {
            if self.ending == Ending::Over {
                self.behind += bytes.len() - at;
                break;
            }
            self.ending = self.ending.then(*byte);
            self.bytes += 1;
        }
        self.bytes <= most && self.behind <= BEHIND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head::new(0, Instant::now())
    }

    #[test]
    fn a_head_ends_at_an_empty_line_wherever_it_is_cut() {
        for text in [
            "GET / HTTP/1.1\r\nA: b\r\n\r\n",
            "GET / HTTP/1.1\nA: b\n\n",
            "GET /\r\n\nbody",
        ] {
            for cut in 0..text.len() {
                let (first, rest) = text.as_bytes().split_at(cut);
                let mut head = head();
                assert!(head.grows(first, 100) && head.grows(rest, 100));
                assert_eq!(head.ending, Ending::Over, "{text:?} at {cut}");
            }
        }
        let mut unended = head();
        assert!(unended.grows(b"GET / HTTP/1.1\r\nA: b\r\n\rc\r\n", 100));
        assert_ne!(unended.ending, Ending::Over);
    }

    #[test]
    fn a_head_and_what_is_behind_it_have_bounds_of_their_own() {
        let mut long = head();
        assert!(long.grows(&[b'a'; 100], 100));
        assert!(!long.grows(b"a", 100));
        let mut short = head();
        assert!(short.grows(b"GET /\r\n\r\n", 10));
        assert!(short.grows(&vec![b'a'; BEHIND], 10));
        assert!(!short.grows(b"a", 10));
    }
}
