//! `sqlite:PATH`, `redis://...`, `memory:`: where jobs are kept.
//!
//! Must not know: how to reach it.

use std::fmt;
use std::path::PathBuf;

/// Where jobs are kept. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In this process' memory, for tests.
    Memory,
    /// In a file of this machine.
    Sqlite(PathBuf),
    /// In Redis, at this URL.
    Redis(String),
}

/// Beginnings of URLs that Redis' client reads.
const REDIS: [&str; 5] = [
    "redis://",
    "rediss://",
    "redis+unix://",
    "unix://",
    "valkey://",
];

impl StoreUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// A sentence that names what can be said.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "memory:" {
            return Ok(Self::Memory);
        }
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if REDIS.iter().any(|start| text.starts_with(start)) {
            return Ok(Self::Redis(text.to_owned()));
        }
        Err(format!(
            "'{}' is no store: say sqlite:PATH, redis://HOST:PORT, rediss://HOST:PORT, \
             unix:///SOCKET or memory:",
            without_password(text)
        ))
    }
}

/// Replaces what stands between `:` and `@`.
fn without_password(url: &str) -> String {
    let Some((start, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    match rest.rsplit_once('@') {
        Some((credentials, place)) => match credentials.split_once(':') {
            Some((user, _)) => format!("{start}://{user}:***@{place}"),
            None => format!("{start}://{credentials}@{place}"),
        },
        None => url.to_owned(),
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_shown_without_secrets() {
        let shown = |text: &str| StoreUrl::parse(text).unwrap().to_string();
        for text in [
            "memory:",
            "sqlite:/a/b.db",
            "redis://h:1/2",
            "unix:///run/r.sock",
        ] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown("rediss://u:se@cret@h"), "rediss://u:***@h");
        assert_eq!(shown("redis://:secret@h:1"), "redis://:***@h:1");
        let error = StoreUrl::parse("postgres://u:secret@h").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
        assert!(StoreUrl::parse("sqlite:").is_err());
    }
}
