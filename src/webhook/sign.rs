//! Signatures after Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, and who checks them.
//!
//! Pure. Must not know: who is called, what a body says.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;

/// Header with the event's name, the same for every try.
pub const ID: &str = "webhook-id";
/// Header with the time of the try, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Header with a signature for each key, the newest first: `v1,` and base64.
pub const SIGNATURE: &str = "webhook-signature";
/// Header with the names of the keys, in the order of their signatures.
pub const KEY_ID: &str = "webhook-key-id";

/// What a signature of this form begins with.
const VERSION: &str = "v1,";
/// What other programs write before a secret.
const PREFIX: &str = "whsec_";
/// Fewest and most bytes of a secret, by Standard Webhooks.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Most keys at a time.
const KEYS: usize = 8;
/// Longest name of a key.
const NAME: usize = 64;

/// Secrets that cannot be used. The secrets themselves are never said.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeysError {
    /// A line is not a key.
    #[error("line {line} is no key: say NAME:SECRET, the name of letters, digits, - and _, the secret {} to {} bytes in base64", BYTES.start(), BYTES.end())]
    Line {
        /// Its number, from 1 on.
        line: usize,
    },
    /// Two keys have one name.
    #[error("line {line} has a name that an earlier one has: each key has its own")]
    Twice {
        /// Its number, from 1 on.
        line: usize,
    },
    /// There is nothing to sign with.
    #[error("there is no key in it: write one a line, NAME:SECRET, the newest first")]
    None,
    /// There are more than a receiver wants to see.
    #[error(
        "there are more than {KEYS} keys in it: take out those that no receiver needs any more"
    )]
    TooMany,
}

/// A signature that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Forged {
    /// None of the signatures is of one of the keys.
    #[error("the signature is not of a known key, or what it signs was changed")]
    Signature,
    /// It was made too long ago, or is of the future.
    #[error("the signature is older or newer than is allowed")]
    Time,
}

/// A secret with a name.
struct Key {
    id: String,
    secret: Vec<u8>,
}

/// Secrets, the newest first.
pub struct Keyring(Vec<Key>);

/// What a message is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The value of [`SIGNATURE`].
    pub signature: String,
    /// The value of [`KEY_ID`].
    pub key_ids: String,
}

impl fmt::Debug for Keyring {
    /// Names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| &key.id))
            .finish()
    }
}

impl Keyring {
    /// Reads secrets, one a line: `NAME:BASE64`. Empty lines and those that begin with # are
    /// passed over.
    ///
    /// # Errors
    /// [`KeysError`], naming the line.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys: Vec<Key> = Vec::new();
        let mut names = HashSet::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = key(line).ok_or(KeysError::Line { line: number })?;
            if !names.insert(key.id.clone()) {
                return Err(KeysError::Twice { line: number });
            }
            keys.push(key);
        }
        match keys.len() {
            0 => Err(KeysError::None),
            1..=KEYS => Ok(Self(keys)),
            _ => Err(KeysError::TooMany),
        }
    }

    /// Signs a message with every key, so that a receiver that has not heard of the newest one
    /// yet can check it too.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> Signed {
        let signature = |key: &Key| {
            let code = code(key, id, &timestamp.to_string(), body)?;
            Some(format!(
                "{VERSION}{}",
                STANDARD.encode(code.finalize().into_bytes())
            ))
        };
        let signatures: Vec<String> = self.0.iter().filter_map(signature).collect();
        let names: Vec<&str> = self.0.iter().map(|key| &key.id[..]).collect();
        Signed {
            signature: signatures.join(" "),
            key_ids: names.join(" "),
        }
    }

    /// Checks a message as a receiver does: one of its signatures must be of one of the keys, and
    /// made within `window` of `now`. Compares in constant time. A message that was heard before
    /// has a known `id`: receivers remember those for as long as the window.
    ///
    /// # Errors
    /// [`Forged`].
    pub fn verify(
        &self,
        (id, timestamp, signature): (&str, &str, &str),
        body: &[u8],
        now: u64,
        window: Duration,
    ) -> Result<(), Forged> {
        let given = signature
            .split(' ')
            .filter_map(|one| STANDARD.decode(one.strip_prefix(VERSION)?).ok());
        let mut genuine = false;
        for given in given.take(2 * KEYS) {
            for key in &self.0 {
                let code = code(key, id, timestamp, body);
                genuine |= code.is_some_and(|code| code.verify_slice(&given).is_ok());
            }
        }
        if !genuine {
            return Err(Forged::Signature);
        }
        let made: u64 = timestamp.parse().map_err(|_| Forged::Time)?;
        if now.abs_diff(made) > window.as_secs() {
            return Err(Forged::Time);
        }
        Ok(())
    }
}

fn key(line: &str) -> Option<Key> {
    let (id, secret) = line.split_once(':')?;
    let is_name = (1..=NAME).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let secret = STANDARD
        .decode(secret.strip_prefix(PREFIX).unwrap_or(secret))
        .ok()?;
    (is_name && BYTES.contains(&secret.len())).then(|| Key {
        id: id.to_owned(),
        secret,
    })
}

/// The code of a message; HMAC takes keys of any length, so there always is one.
fn code(key: &Key, id: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut code = Hmac::<Sha256>::new_from_slice(&key.secret).ok()?;
    code.update(id.as_bytes());
    code.update(b".");
    code.update(timestamp.as_bytes());
    code.update(b".");
    code.update(body);
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(300);
    const NOW: u64 = 1_764_000_000;

    /// 24 bytes, 0 to 23.
    const OLD: &str = "old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    /// 32 bytes, each 7.
    const NEW: &str = "new:whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

    fn ring(lines: &[&str]) -> Keyring {
        Keyring::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn a_signature_is_the_one_that_python_makes() {
        // From Python: base64.b64encode(hmac.new(bytes(range(24)), b'msg-1.1764000000.{"a":1}',
        // 'sha256').digest()), and the same with bytes([7] * 32).
        let signed = ring(&[NEW, OLD]).sign("msg-1", NOW, br#"{"a":1}"#);
        assert_eq!(signed.key_ids, "new old");
        assert_eq!(
            signed.signature,
            "v1,dYcyMrCfh58coxY9zT4YvR/I6wed9TYehkJ+3ugQmFs= v1,8zQUUxgZqAM8+o2kfCx8VttB8oI6yMGIxmyoEplIcao="
        );
    }

    #[test]
    fn a_receiver_with_either_key_believes_it() {
        let (both, body) = (ring(&[NEW, OLD]), b"{}");
        let signature = both.sign("msg-1", NOW, body).signature;
        let time = NOW.to_string();
        let seen = ("msg-1", &time[..], &signature[..]);
        for receiver in [ring(&[OLD]), ring(&[NEW]), both] {
            assert_eq!(receiver.verify(seen, body, NOW, WINDOW), Ok(()));
        }
        let other = ring(&["other:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwA="]);
        assert_eq!(
            other.verify(seen, body, NOW, WINDOW),
            Err(Forged::Signature)
        );
    }

    #[test]
    fn nothing_that_is_signed_can_be_changed() {
        let ring = ring(&[NEW]);
        let signature = ring.sign("msg-1", NOW, b"{}").signature;
        let time = NOW.to_string();
        let later = (NOW + 1).to_string();
        let mut flipped = signature.clone().into_bytes();
        flipped[10] ^= 1;
        let flipped = String::from_utf8(flipped).unwrap();
        for (id, time, signature, body) in [
            ("msg-2", &time[..], &signature[..], &b"{}"[..]),
            ("msg-1", &later, &signature, b"{}"),
            ("msg-1", &time, &signature, b"{ }"),
            ("msg-1", &time, &flipped, b"{}"),
            ("msg-1", &time, "", b"{}"),
            ("msg-1", &time, "v1,", b"{}"),
            ("msg-1", &time, &signature[3..], b"{}"),
            ("msg-1", &time, &signature.replace("v1,", "v2,"), b"{}"),
        ] {
            let judged = ring.verify((id, time, signature), body, NOW, WINDOW);
            assert_eq!(judged, Err(Forged::Signature), "{id} {time} {signature}");
        }
    }

    #[test]
    fn a_message_is_not_believed_for_ever() {
        let ring = ring(&[NEW]);
        let time = NOW.to_string();
        let signature = ring.sign("msg-1", NOW, b"{}").signature;
        let judge = |now| ring.verify(("msg-1", &time, &signature), b"{}", now, WINDOW);
        for now in [NOW - 300, NOW, NOW + 300] {
            assert_eq!(judge(now), Ok(()));
        }
        for now in [0, NOW - 301, NOW + 301, u64::MAX] {
            assert_eq!(judge(now), Err(Forged::Time));
        }
    }

    #[test]
    fn a_line_that_is_no_key_is_named_and_not_repeated() {
        let ring = ring(&["# the keys", "", NEW, OLD]);
        assert_eq!(format!("{ring:?}"), r#"["new", "old"]"#);
        for (text, wanted) in [
            ("", KeysError::None),
            ("# nothing\n", KeysError::None),
            ("just-a-name", KeysError::Line { line: 1 }),
            (
                "a b:AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
                KeysError::Line { line: 1 },
            ),
            (
                ":AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
                KeysError::Line { line: 1 },
            ),
            ("a:not base64", KeysError::Line { line: 1 }),
            ("\na:AAECAwQF", KeysError::Line { line: 2 }),
            (&format!("{OLD}\n{OLD}"), KeysError::Twice { line: 2 }),
        ] {
            let error = Keyring::parse(text).unwrap_err();
            assert_eq!(error, wanted);
            assert!(!error.to_string().contains("AAEC"), "{error}");
        }
        let many: Vec<String> = (0..9).map(|at| format!("k{at}{}", &OLD[3..])).collect();
        assert_eq!(
            Keyring::parse(&many.join("\n")).unwrap_err(),
            KeysError::TooMany
        );
    }
}
