//! Addresses as attributes hold them: a zero, the family, the port, the address (RFC 3489 §11.2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAGIC_COOKIE, TransactionId};

const IPV4: u8 = 1;
const IPV6: u8 = 2;

pub(super) fn read(value: &[u8]) -> Option<SocketAddr> {
    let (head, address) = value.split_first_chunk::<4>()?;
    let [_, family, high, low] = *head;
    let ip = match family {
        IPV4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?)),
        IPV6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([high, low])))
}

/// An IPv4 address in IPv6 clothes is written as IPv4.
pub(super) fn write(address: SocketAddr) -> Vec<u8> {
    let mut value = Vec::with_capacity(20);
    value.push(0);
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            value.push(IPV4);
            value.extend_from_slice(&address.port().to_be_bytes());
            value.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            value.push(IPV6);
            value.extend_from_slice(&address.port().to_be_bytes());
            value.extend_from_slice(&ip.octets());
        }
    }
    value
}

/// To or from what XOR-MAPPED-ADDRESS holds (RFC 8489 §14.2).
pub(super) fn xor(address: SocketAddr, id: &TransactionId) -> SocketAddr {
    let [high, low, ..] = MAGIC_COOKIE;
    let port = address.port() ^ u16::from_be_bytes([high, low]);
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let bits = ip.to_bits() ^ u32::from_be_bytes(MAGIC_COOKIE);
            IpAddr::V4(Ipv4Addr::from_bits(bits))
        }
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(
            ip.to_bits() ^ u128::from_be_bytes(id.0),
        )),
    };
    SocketAddr::new(ip, port)
}
