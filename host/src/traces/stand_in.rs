//! Stand-ins for identities: the same for the same, and of the same form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hashbrown::HashMap;

/// What a text identifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Serial and telephone numbers, IMSIs: letters stay letters and digits digits.
    Number,
    /// Of a Wi-Fi network.
    Ssid,
    /// Of a person or a line.
    User,
    /// Of a machine.
    Host,
}

/// Hosts in the namespaces of every message.
const PUBLIC_HOSTS: [&str; 4] = [
    "xmlsoap.org",
    "w3.org",
    "dslforum.org",
    "broadband-forum.org",
];

/// Everything that was replaced so far.
#[derive(Debug, Default)]
pub(super) struct StandIns {
    texts: HashMap<String, String>,
    counts: HashMap<Kind, u64>,
    macs: HashMap<[u8; 6], u64>,
    private: HashMap<Ipv4Addr, u32>,
    public: HashMap<Ipv4Addr, u32>,
    v6: HashMap<Ipv6Addr, u32>,
}

impl StandIns {
    /// Those that stand for texts, by the text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(text, stand_in)| (text.as_str(), stand_in.as_str()))
    }

    /// The stand-in for an identity; addresses keep their form whatever they are said to be.
    pub(super) fn of(&mut self, kind: Kind, text: &str) -> String {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        if let Some(address) = self.address(text) {
            return address;
        }
        if kind == Kind::Host && is_public(text) {
            return text.to_owned();
        }
        let count = self.counts.entry(kind).or_default();
        let stand_in = loop {
            *count += 1;
            let stand_in = match kind {
                Kind::Number => number(text, *count),
                Kind::Ssid => format!("network-{count}"),
                Kind::User => format!("user-{count}"),
                Kind::Host => format!("host-{count}.example.net"),
            };
            if stand_in != text || *count > 100 {
                break stand_in;
            }
        };
        self.texts.insert(text.to_owned(), stand_in.clone());
        stand_in
    }

    /// The stand-in for a MAC or IP address; `None`: it is neither.
    pub(super) fn address(&mut self, text: &str) -> Option<String> {
        if let Some(mac) = mac(text) {
            return Some(self.mac(mac, text));
        }
        Some(match text.parse::<IpAddr>().ok()? {
            IpAddr::V4(address) => self.v4(address).to_string(),
            IpAddr::V6(address) => self.v6(address).to_string(),
        })
    }

    /// Of the range for documentation (RFC 7042 §2.1.2), written as the original is.
    fn mac(&mut self, mac: [u8; 6], written: &str) -> String {
        if mac == [0; 6] || mac == [0xFF; 6] {
            return written.to_owned();
        }
        let next = self.macs.len() as u64;
        let number = *self.macs.entry(mac).or_insert(next);
        let first: u64 = if number < 256 {
            0x0000_5E00_5300
        } else {
            0x0200_5E00_0000
        };
        let digits = format!("{:012X}", first + number);
        let is_lower = !written.bytes().any(|byte| byte.is_ascii_uppercase());
        let mut digits = digits.chars();
        written
            .chars()
            .map(|c| match c {
                c if !c.is_ascii_hexdigit() => c,
                _ if is_lower => digits.next().unwrap_or('0').to_ascii_lowercase(),
                _ => digits.next().unwrap_or('0'),
            })
            .collect()
    }

    /// Private ones in 192.0.2.0/24, public ones in 198.51.100.0/24 and 203.0.113.0/24
    /// (RFC 5737), those for which there is no room in 198.18.0.0/15 (RFC 2544).
    fn v4(&mut self, address: Ipv4Addr) -> Ipv4Addr {
        let [first, ..] = address.octets();
        if address.is_unspecified() || address.is_loopback() || first >= 224 {
            return address;
        }
        let shared = u32::from(address) >> 22 == u32::from(Ipv4Addr::new(100, 64, 0, 0)) >> 22;
        let private = address.is_private() || address.is_link_local() || shared;
        let known = if private {
            &mut self.private
        } else {
            &mut self.public
        };
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let number = *known.entry(address).or_insert(next);
        let host = |network: [u8; 3], number: u32| {
            let [a, b, c] = network;
            Ipv4Addr::new(a, b, c, u8::try_from(number + 1).unwrap_or(254))
        };
        match (private, number) {
            (true, 0..254) => host([192, 0, 2], number),
            (false, 0..254) => host([198, 51, 100], number),
            (false, 254..508) => host([203, 0, 113], number - 254),
            (_, number) => {
                let half = u32::from(private) << 16;
                Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + half + (number & 0xFFFF))
            }
        }
    }

    fn v6(&mut self, address: Ipv6Addr) -> Ipv6Addr {
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return address;
        }
        let next = u32::try_from(self.v6.len()).unwrap_or(u32::MAX);
        let number = *self.v6.entry(address).or_insert(next);
        let first = u128::from(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 1));
        Ipv6Addr::from(first + u128::from(number))
    }
}

fn is_public(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let is = |public: &&str| host == **public || host.ends_with(&format!(".{public}"));
    PUBLIC_HOSTS.iter().any(is) || host == "localhost"
}

/// Six pairs of hexadecimal digits with one kind of separator, or without.
pub(super) fn mac(text: &str) -> Option<[u8; 6]> {
    let separator = match (text.len(), text.as_bytes().get(2)) {
        (17, Some(separator @ (b':' | b'-'))) => Some(*separator),
        _ => return None,
    };
    let mut pairs = text.split(|c: char| Some(c as u32) == separator.map(u32::from));
    let mut mac = [0; 6];
    for byte in &mut mac {
        let pair = pairs.next().filter(|pair| pair.len() == 2)?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(mac)
}

/// The `count`th text of the same shape: punctuation stays, digits and letters count.
fn number(shape: &str, mut count: u64) -> String {
    let mut out: Vec<char> = Vec::with_capacity(shape.len());
    for c in shape.chars().rev() {
        let (first, radix) = match c {
            '0'..='9' => (b'0', 10),
            'a'..='z' => (b'a', 26),
            'A'..='Z' => (b'A', 26),
            c if c.is_alphanumeric() => (b'x', 1),
            c => {
                out.push(c);
                continue;
            }
        };
        let digit = u8::try_from(count % radix).unwrap_or_default();
        count /= radix;
        out.push(char::from(first + digit));
    }
    out.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_kept_and_the_same_stays_the_same() {
        let mut to = StandIns::default();
        for (kind, text, expected) in [
            (Kind::Number, "SN-00123abC", "AA-00000aaB"),
            (Kind::Number, "+49 170 1234567", "+00 000 0000002"),
            (Kind::Ssid, "Müller", "network-1"),
            (Kind::User, "m@isp.example", "user-1"),
            (Kind::Host, "acs.isp.example", "host-1.example.net"),
            (Kind::Host, "schemas.xmlsoap.org", "schemas.xmlsoap.org"),
            (Kind::Host, "192.168.1.1", "192.0.2.1"),
            (Kind::User, "00:1A:2b:3c:4d:5e", "00:00:5E:00:53:00"),
            (Kind::User, "00-1a-2b-3c-4d-5f", "00-00-5e-00-53-01"),
            (Kind::Host, "100.64.7.7", "192.0.2.2"),
            (Kind::Host, "8.8.8.8", "198.51.100.1"),
            (Kind::Host, "0.0.0.0", "0.0.0.0"),
            (Kind::Host, "255.255.255.0", "255.255.255.0"),
            (Kind::Host, "2a02::7", "2001:db8::1"),
            (Kind::Host, "::1", "::1"),
        ] {
            let first = to.of(kind, text);
            assert_eq!(to.of(kind, text), first);
            assert_eq!(first, expected, "{text}");
        }
        assert_eq!(
            to.address("00:1a:2B:3C:4D:5E").unwrap(),
            "00:00:5E:00:53:00"
        );
        assert_eq!(to.address("1.2.3"), None);
        assert_eq!(to.address("00:1A:2b:3c:4d"), None);
    }

    #[test]
    fn there_is_room_for_many_addresses() {
        let mut to = StandIns::default();
        let addresses = (0..2_000_u32).map(|n| Ipv4Addr::from(0x0B00_0000 + n));
        let distinct: hashbrown::HashSet<String> = addresses
            .map(|a| to.address(&a.to_string()).unwrap())
            .collect();
        assert_eq!(distinct.len(), 2_000);
    }
}
