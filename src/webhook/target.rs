//! Which URLs can be called back, as far as that can be seen without looking a name up.
//!
//! Pure. Must not know: connections, who asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;
use ureq::http::Uri;

use super::guard::{Guard, Refused, check_port};

/// Longest URL, in bytes.
const LONGEST: usize = 2048;

/// Why a URL is not called.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadUrl {
    /// It is too long, or has letters that no URL has.
    #[error("it must be 1 to {LONGEST} visible ASCII characters, without # and what follows it")]
    Text,
    /// It cannot be understood.
    #[error("it is no URL: say https://HOST/PATH")]
    Syntax,
    /// It is of another protocol.
    #[error("it must begin with https://")]
    Scheme,
    /// It holds a user or a password.
    #[error("it must not hold a user or a password: what is sent is signed, check the signature")]
    User,
    /// Its host is not a name, nor an address as people write it.
    #[error("its host must be a name, or an address such as 192.0.2.1 or [2001:db8::1]")]
    Host,
    /// It says where, and nobody is called there.
    #[error("{0}")]
    Refused(#[from] Refused),
}

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is https.
    pub encrypted: bool,
    /// Its host without brackets: a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Target {
    /// The address, if its host is one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let ip: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(ip, self.port))
    }
}

/// Reads a URL and refuses what could only be refused later.
///
/// # Errors
/// [`BadUrl`], with the reason.
pub fn check(url: &str, guard: &Guard) -> Result<Target, BadUrl> {
    let target = read(url)?;
    match target.address() {
        Some(address) => guard.check(target.encrypted, address)?,
        // Where a name leads is seen when it is looked up. It may lead into a named network.
        None if guard.allows_some() => {}
        None if target.encrypted => check_port(target.port)?,
        None => return Err(Refused::Plain.into()),
    }
    Ok(target)
}

/// Reads a URL.
pub(super) fn read(url: &str) -> Result<Target, BadUrl> {
    let visible = url
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if url.is_empty() || url.len() > LONGEST || !visible {
        return Err(BadUrl::Text);
    }
    let uri: Uri = url.parse().map_err(|_| BadUrl::Syntax)?;
    let encrypted = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) => return Err(BadUrl::Scheme),
        None => return Err(BadUrl::Syntax),
    };
    let authority = uri.authority().ok_or(BadUrl::Syntax)?;
    if authority.as_str().contains('@') {
        return Err(BadUrl::User);
    }
    // What stands after the host must be a port and nothing else.
    let rest = authority.as_str().strip_prefix(authority.host());
    let port = match rest.ok_or(BadUrl::Host)? {
        "" => {
            if encrypted {
                443
            } else {
                80
            }
        }
        rest => {
            let digits = rest.strip_prefix(':').ok_or(BadUrl::Host)?;
            digits.parse().map_err(|_| BadUrl::Syntax)?
        }
    };
    let host = host(authority.host()).ok_or(BadUrl::Host)?;
    Ok(Target {
        encrypted,
        host,
        port,
    })
}

/// A host without its brackets. Numbers that some programs take for an address (`127.1`,
/// `0x7f000001`, `2130706433`) are neither a name nor an address here.
fn host(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(address.to_string());
    }
    let labels = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let last = labels.rsplit('.').next().unwrap_or_default();
    let is_name = labels.len() <= 253
        && labels.split('.').all(is_label)
        && !last.starts_with(|first: char| first.is_ascii_digit());
    is_name.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_read() {
        for (url, host, port) in [
            ("https://example.net", "example.net", 443),
            ("https://a-b.example.net./x?y=%20z", "a-b.example.net.", 443),
            ("https://example.net:8443/", "example.net", 8443),
            ("https://1.1.1.1/", "1.1.1.1", 443),
            ("https://[2606:4700::1111]:4443/", "2606:4700::1111", 4443),
            ("HTTPS://EXAMPLE.net/", "EXAMPLE.net", 443),
        ] {
            let target = check(url, &Guard::default()).unwrap();
            assert_eq!((&target.host[..], target.port), (host, port), "{url}");
            assert!(target.encrypted);
        }
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        let long = format!("https://example.net/{}", "a".repeat(LONGEST));
        for (url, wanted) in [
            ("", BadUrl::Text),
            (&long[..], BadUrl::Text),
            ("https://example.net/ x", BadUrl::Text),
            ("https://example.net/#x", BadUrl::Text),
            ("https://ex\u{e4}mple.net/", BadUrl::Text),
            ("example.net", BadUrl::Syntax),
            ("/path", BadUrl::Syntax),
            ("https://", BadUrl::Syntax),
            ("https://example.net:99999/", BadUrl::Syntax),
            ("https://example.net:/", BadUrl::Syntax),
            ("ftp://example.net/", BadUrl::Scheme),
            ("file://example.net/etc/passwd", BadUrl::Scheme),
            ("https://me:secret@example.net/", BadUrl::User),
            ("https://me@example.net/", BadUrl::User),
            ("https://2130706433/", BadUrl::Host),
            ("https://0x7f000001/", BadUrl::Host),
            ("https://127.1/", BadUrl::Host),
            ("https://0177.0.0.1/", BadUrl::Host),
            ("https://127.0.0.1./", BadUrl::Host),
            ("https://a..b/", BadUrl::Host),
            ("https://example.net:0/", Refused::Port(0).into()),
            ("https://example.net:25/", Refused::Port(25).into()),
            ("http://example.net/", Refused::Plain.into()),
        ] {
            assert_eq!(check(url, &Guard::default()), Err(wanted), "{url}");
        }
    }

    #[test]
    fn addresses_in_a_url_are_judged_at_once() {
        for url in [
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://[fe80::1]/",
        ] {
            let refused = check(url, &Guard::default());
            assert!(
                matches!(refused, Err(BadUrl::Refused(Refused::Address { .. }))),
                "{url}"
            );
        }
    }

    #[test]
    fn named_networks_may_be_called_in_plain_text_at_any_port() {
        let guard = Guard::new(vec!["10.0.0.0/8".parse().unwrap()]);
        check("http://10.1.2.3:81/", &guard).unwrap();
        check("http://inner.example.net:81/", &guard).unwrap();
        let refused = check("http://1.1.1.1/", &guard);
        assert_eq!(refused, Err(Refused::Plain.into()));
    }
}
