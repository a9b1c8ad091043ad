//! Which addresses may be called: public ones, and those of networks that are named.
//!
//! Pure. An IPv4 address inside an IPv6 one (mapped, translated, tunnelled) is judged as itself.
//! Must not know: names, connections, who asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// The first port that any program may listen on.
const FIRST_FREE_PORT: u16 = 1024;

/// Why an address is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It is not for everybody.
    #[error(
        "the address {address} is {kind}: only public addresses are called, and networks that --webhook-allow names"
    )]
    Address {
        /// Which.
        address: IpAddr,
        /// Of what kind.
        kind: &'static str,
    },
    /// It is a port of another protocol.
    #[error(
        "port {0} is not called: say 443, 80 or one from 1024 on, or name the network with --webhook-allow"
    )]
    Port(u16),
    /// It would go through the open in plain text.
    #[error("plain http is only for networks that --webhook-allow names: use https")]
    Plain,
}

/// A block of addresses, such as `10.0.0.0/8` or `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same(
                own.to_bits().into(),
                other.to_bits().into(),
                32,
                self.prefix,
            ),
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                same(own.to_bits(), other.to_bits(), 128, self.prefix)
            }
            _ => false,
        }
    }
}

/// Whether two addresses of so many bits have the same beginning.
fn same(one: u128, other: u128, bits: u8, prefix: u8) -> bool {
    prefix == 0 || (one ^ other) >> (bits - prefix.min(bits)) == 0
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("'{text}' is no network: say 10.0.0.0/8, 127.0.0.1 or fd00::/8");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) => prefix.parse().map_err(|_| wrong())?,
        };
        if prefix > bits {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

/// Who may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    allowed: Vec<Network>,
}

impl Guard {
    /// Lets public addresses pass, and these networks.
    #[must_use]
    pub const fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// Whether any network is named, so that more than a look at the URL is needed.
    #[must_use]
    pub const fn allows_some(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether an address may be called.
    ///
    /// # Errors
    /// [`Refused`], with the reason.
    pub fn check(&self, encrypted: bool, address: SocketAddr) -> Result<(), Refused> {
        let (ip, inner) = (address.ip(), inner(address.ip()));
        if self
            .allowed
            .iter()
            .any(|network| network.contains(ip) || network.contains(inner))
        {
            return Ok(());
        }
        if let Some(kind) = kind(inner) {
            return Err(Refused::Address { address: ip, kind });
        }
        check_port(address.port())?;
        if encrypted {
            Ok(())
        } else {
            Err(Refused::Plain)
        }
    }
}

/// Whether a port of a public address may be called.
pub(super) const fn check_port(port: u16) -> Result<(), Refused> {
    match port {
        80 | 443 | FIRST_FREE_PORT.. => Ok(()),
        _ => Err(Refused::Port(port)),
    }
}

/// The IPv4 address that an IPv6 one stands for, or the address itself.
fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(outer) = address else {
        return address;
    };
    let low = |bits: u128| IpAddr::V4(Ipv4Addr::from_bits(bits as u32));
    let bits = outer.to_bits();
    match outer.segments() {
        // Mapped, and what was once called compatible; ::1 and :: are IPv6's own.
        [0, 0, 0, 0, 0, 0xffff, ..] => low(bits),
        [0, 0, 0, 0, 0, 0, ..] if bits > 1 => low(bits),
        // Translated: RFC 2765's form and RFC 6052's.
        [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => low(bits),
        // 6to4.
        [0x2002, ..] => low(bits >> 80),
        _ => address,
    }
}

/// What an address is that is not for everybody.
fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

/// By the registry of special addresses (RFC 6890 and its successors).
fn kind_v4(address: Ipv4Addr) -> Option<&'static str> {
    Some(match address.octets() {
        [0, ..] => "unspecified",
        [127, ..] => "loopback",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared by a provider (CGNAT)",
        [169, 254, ..] => "link-local",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "for documentation",
        [192, 0, 0, _] | [192, 88, 99, _] => "for protocols",
        [198, 18 | 19, ..] => "for benchmarks",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    })
}

/// Only what is given out as global unicast (2000::/3) is for everybody, and not all of that.
fn kind_v6(address: Ipv6Addr) -> Option<&'static str> {
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0, 0, 0, 0, 0, 0, 0, 1] => "loopback",
        [0x2001, 0, ..] => "a tunnel (Teredo)",
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "for documentation",
        [0x2001, 1..=0x1ff, ..] => "for protocols",
        [0x2000..=0x3fff, ..] => return None,
        [0x64, 0xff9b, ..] => "for translation",
        [0xfc00..=0xfdff, ..] => "private",
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        _ => "reserved",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(guard: &Guard, address: &str) -> Result<(), Refused> {
        let ip: IpAddr = address.parse().unwrap();
        guard.check(true, SocketAddr::new(ip, 443))
    }

    #[test]
    fn public_addresses_are_called() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
            "2002:101:101::1",
        ] {
            assert_eq!(check(&Guard::default(), address), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_is_not_for_everybody_is_not_called() {
        for (address, wanted) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "shared by a provider (CGNAT)"),
            ("169.254.169.254", "link-local"),
            ("192.0.0.170", "for protocols"),
            ("192.0.2.1", "for documentation"),
            ("198.51.100.1", "for documentation"),
            ("203.0.113.1", "for documentation"),
            ("198.18.0.1", "for benchmarks"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.0.0.1", "private"),
            ("::127.0.0.1", "loopback"),
            ("::ffff:0:169.254.169.254", "link-local"),
            ("64:ff9b::10.0.0.1", "private"),
            ("64:ff9b:1::1.1.1.1", "for translation"),
            ("2002:7f00:1::1", "loopback"),
            ("2002:a9fe:a9fe::", "link-local"),
            ("2001::1", "a tunnel (Teredo)"),
            ("2001:db8::1", "for documentation"),
            ("2001:10::1", "for protocols"),
            ("3fff::1", "for documentation"),
            ("100::1", "reserved"),
            ("4000::1", "reserved"),
            ("fc00::1", "private"),
            ("fd12::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ] {
            match check(&Guard::default(), address) {
                Err(Refused::Address { kind, .. }) => assert_eq!(kind, wanted, "{address}"),
                other => panic!("{address}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_named_network_is_called_and_its_neighbours_are_not() {
        let guard = |text: &str| Guard::new(vec![text.parse().unwrap()]);
        let ten = guard("10.1.0.0/16");
        assert_eq!(check(&ten, "10.1.255.255"), Ok(()));
        assert_eq!(check(&ten, "::ffff:10.1.0.1"), Ok(()));
        check(&ten, "10.2.0.0").unwrap_err();
        check(&ten, "127.0.0.1").unwrap_err();
        let own = guard("fd00::/8");
        assert_eq!(check(&own, "fdff::1"), Ok(()));
        check(&own, "fc00::1").unwrap_err();
        assert_eq!(check(&guard("0.0.0.0/0"), "255.255.255.255"), Ok(()));
        check(&guard("::/0"), "10.0.0.1").unwrap_err();
        // A host's bits may stand in the name of its network.
        assert_eq!(check(&guard("10.1.2.3/8"), "10.9.9.9"), Ok(()));
    }

    #[test]
    fn a_network_that_is_none_is_named() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0",
            "10.0.0.0/x",
            "localhost",
            "/8",
        ] {
            let error = Network::from_str(text).unwrap_err();
            assert!(error.contains(&format!("'{text}'")), "{error}");
        }
    }

    #[test]
    fn ports_of_other_protocols_and_plain_http_are_for_named_networks_alone() {
        let at = |guard: &Guard, encrypted, address: &str| {
            guard.check(encrypted, address.parse().unwrap())
        };
        let nobody = Guard::default();
        for port in [0, 1, 22, 25, 53, 110, 993, 1023] {
            let refused = at(&nobody, true, &format!("1.1.1.1:{port}"));
            assert_eq!(refused, Err(Refused::Port(port)));
        }
        for port in [80, 443, 1024, 8443, 65535] {
            assert_eq!(at(&nobody, true, &format!("1.1.1.1:{port}")), Ok(()));
        }
        assert_eq!(at(&nobody, false, "1.1.1.1:80"), Err(Refused::Plain));
        let own = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        assert_eq!(at(&own, false, "127.0.0.1:25"), Ok(()));
        assert_eq!(at(&own, false, "1.1.1.1:80"), Err(Refused::Plain));
    }
}
