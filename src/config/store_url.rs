//! `sqlite:PATH`, `redis://...` once or several times, `memory:`: where jobs are kept.
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
    /// In Redis, at this URL, or over the servers at these.
    Redis(Vec<String>),
}

/// Beginnings of URLs that Redis' client reads.
const REDIS: [&str; 9] = [
    "redis://",
    "rediss://",
    "redis+unix://",
    "unix://",
    "valkey://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
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
        let shards = shards(text);
        let known = |url: &String| REDIS.iter().any(|start| url.starts_with(start));
        if shards.iter().all(known) {
            return Ok(Self::Redis(shards));
        }
        Err(format!(
            "'{}' is no store: say sqlite:PATH, redis://HOST:PORT, rediss://HOST:PORT, \
             unix:///SOCKET, redis+sentinel://HOST,HOST/NAME, redis+cluster://HOST,HOST or memory:, of \
             Redis also several with commas between",
            without_passwords(&shards)
        ))
    }
}

/// Where a comma stands before the beginning of a URL, another one begins.
fn shards(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for part in text.split(',') {
        match all.last_mut() {
            Some(last) if !part.contains("://") => {
                last.push(',');
                last.push_str(part);
            }
            _ => all.push(part.to_owned()),
        }
    }
    all
}

fn without_passwords(urls: &[String]) -> String {
    let urls: Vec<String> = urls.iter().map(|url| without_password(url)).collect();
    urls.join(",")
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
            Self::Redis(urls) => f.write_str(&without_passwords(urls)),
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
        let two = "redis://:secret@h:1,rediss://u:secret@i,unix:///r.sock";
        assert_eq!(
            shown(two),
            "redis://:***@h:1,rediss://u:***@i,unix:///r.sock"
        );
        assert!(matches!(StoreUrl::parse(two), Ok(StoreUrl::Redis(urls)) if urls.len() == 3));
        assert!(
            StoreUrl::parse("redis://h:1,http://:secret@i")
                .is_err_and(|error| { !error.contains("secret") })
        );
        let error = StoreUrl::parse("postgres://u:secret@h").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
        assert!(StoreUrl::parse("sqlite:").is_err());
    }
}
