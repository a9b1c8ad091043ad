//! The file of keys: one TOML table a key, named by its id.
//!
//! Must not know: who reads it when, what is used of a key.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::secret::Digest;
use crate::store::Priority;

/// Most keys in a file: each is compared with what is shown, for every request.
const MOST: usize = 1000;
/// Longest id in bytes.
const LONGEST: usize = 32;

/// A file of keys that cannot be used.
#[derive(Debug, Error)]
pub enum KeysError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no file of keys.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Where, and what is wrong.
        reason: String,
    },
    /// A key is not one.
    #[error("{path}: key '{id}': {reason}")]
    Key {
        /// The file.
        path: String,
        /// The key.
        id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There are too many, or none.
    #[error("{path} has {count} keys: write 1 to {MOST}; beagle keys new makes one")]
    Count {
        /// The file.
        path: String,
        /// How many.
        count: usize,
    },
}

/// How much of the server a key may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Requests a second, in the long run.
    pub requests_per_second: NonZeroU32,
    /// Requests at once, after a rest.
    pub burst: NonZeroU32,
    /// Images whose requests are not answered yet.
    pub in_flight: NonZeroU32,
}

impl Default for Bounds {
    fn default() -> Self {
        const HUNDRED: NonZeroU32 = NonZeroU32::new(100).unwrap();
        Self {
            requests_per_second: HUNDRED,
            burst: HUNDRED,
            in_flight: HUNDRED,
        }
    }
}

/// A key, as it is written.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name, which is no secret.
    pub id: String,
    /// The digest of its secret.
    pub digest: Digest,
    /// How much it may use.
    pub bounds: Bounds,
    /// The highest priority that it may ask for.
    pub priority: Priority,
    /// When it ends.
    pub expires: Option<SystemTime>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Table {
    sha256: String,
    requests_per_second: Option<NonZeroU32>,
    burst: Option<NonZeroU32>,
    in_flight: Option<NonZeroU32>,
    #[serde(default)]
    priority: Priority,
    #[serde(
        default,
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none"
    )]
    expires: Option<SystemTime>,
}

/// Reads a file.
///
/// # Errors
/// [`KeysError`], naming the file and the key.
pub fn read(path: &Path) -> Result<Vec<Entry>, KeysError> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| KeysError::Io {
        path: name.clone(),
        source,
    })?;
    parse(&name, &text)
}

fn parse(path: &str, text: &str) -> Result<Vec<Entry>, KeysError> {
    let file = |error: toml::de::Error| KeysError::File {
        path: path.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    };
    let tables: toml::Table = toml::from_str(text).map_err(file)?;
    if !(1..=MOST).contains(&tables.len()) {
        return Err(KeysError::Count {
            path: path.to_owned(),
            count: tables.len(),
        });
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(tables.len());
    for (id, table) in tables {
        let wrong = |reason: String| KeysError::Key {
            path: path.to_owned(),
            id: id.clone(),
            reason,
        };
        let table: Table = table
            .try_into()
            .map_err(|error: toml::de::Error| wrong(error.to_string().trim_end().to_owned()))?;
        let entry = entry(&id, table).map_err(wrong)?;
        if let Some(other) = entries.iter().find(|other| other.digest.is(&entry.digest)) {
            return Err(wrong(format!("its secret is that of '{}'", other.id)));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(id: &str, table: Table) -> Result<Entry, String> {
    check_id(id)?;
    let usual = Bounds::default();
    let requests_per_second = table
        .requests_per_second
        .unwrap_or(usual.requests_per_second);
    Ok(Entry {
        id: id.to_owned(),
        digest: table.sha256.parse()?,
        bounds: Bounds {
            requests_per_second,
            burst: table.burst.unwrap_or(requests_per_second),
            in_flight: table.in_flight.unwrap_or(usual.in_flight),
        },
        priority: table.priority,
        expires: table.expires,
    })
}

/// Whether this can be an id.
///
/// # Errors
/// What an id is.
pub fn check_id(id: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=LONGEST).contains(&id.len()) && id.bytes().all(plain) {
        return Ok(());
    }
    Err(format!("an id has 1 to {LONGEST} letters, digits, - and _"))
}

/// The table of a key, as it is read.
///
/// # Errors
/// Never in practice: what is written is plain.
pub fn table(entry: &Entry) -> Result<String, toml::ser::Error> {
    let table = Table {
        sha256: entry.digest.to_string(),
        requests_per_second: Some(entry.bounds.requests_per_second),
        burst: Some(entry.bounds.burst),
        in_flight: Some(entry.bounds.in_flight),
        priority: entry.priority,
        expires: entry.expires,
    };
    let mut text = format!("[{}]\n", entry.id);
    // A string takes whatever is written.
    let _ = write!(text, "{}", toml::to_string(&table)?);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse("keys.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let entry = Entry {
            id: "shop".to_owned(),
            digest: Digest::of(b"secret"),
            bounds: Bounds {
                burst: 7.try_into().unwrap(),
                ..Bounds::default()
            },
            priority: Priority::High,
            expires: Some(humantime::parse_rfc3339("2030-01-02T03:04:05Z").unwrap()),
        };
        let read = parse("keys.toml", &table(&entry).unwrap()).unwrap();
        let [read] = &read[..] else {
            panic!("{read:?}")
        };
        assert_eq!(format!("{read:?}"), format!("{entry:?}"));
    }

    #[test]
    fn what_is_not_said_has_a_bound() {
        let text = format!(
            "[a]\nsha256 = \"{}\"\nrequests-per-second = 5",
            Digest::of(b"a")
        );
        let read = parse("keys.toml", &text).unwrap();
        assert_eq!(read[0].bounds.burst.get(), 5);
        assert_eq!(read[0].bounds.in_flight, Bounds::default().in_flight);
        assert_eq!(read[0].priority, Priority::Normal);
        assert_eq!(read[0].expires, None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key_and_file() {
        let good = format!("sha256 = \"{}\"", Digest::of(b"a"));
        for (text, told) in [
            ("", "0 keys"),
            ("[a", "keys.toml"),
            ("[a]\nsha256 = \"12\"", "key 'a': a SHA-256"),
            (&format!("[a]\n{good}\nbrust = 1"), "brust"),
            (&format!("[a]\n{good}\nburst = 0"), "key 'a'"),
            (&format!("[a]\n{good}\nexpires = \"soon\""), "key 'a'"),
            (&format!("[a]\n{good}\npriority = \"top\""), "top"),
            (&format!("[\"a/b\"]\n{good}"), "letters, digits"),
            (&format!("[a]\n{good}\n[b]\n{good}"), "key 'b': its secret"),
            (&format!("[a]\n{good}\n[a]\n{good}"), "keys.toml"),
            ("a = 1", "key 'a'"),
        ] {
            let error = error(text);
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
