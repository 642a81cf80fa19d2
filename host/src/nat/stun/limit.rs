//! How many requests of one source address are answered.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;

/// Source addresses that are told apart. Others share a place, which only means that they share
/// its limit.
const PLACES: usize = 1 << 14;

/// Counts the requests of this second, by source address. Its size never changes.
pub(super) struct Limit {
    per_second_max: u32,
    /// Not to be predicted from outside: nobody can choose whom he shares a place with.
    hasher: RandomState,
    places: Box<[Place]>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    second: u32,
    count: u32,
}

impl Limit {
    pub(super) fn new(per_second_max: u32) -> Limit {
        Limit {
            per_second_max,
            hasher: RandomState::new(),
            places: vec![Place::default(); PLACES].into(),
        }
    }

    /// Whether a request from there is still answered in this second.
    pub(super) fn admits(&mut self, from: IpAddr, second: u32) -> bool {
        let network = match from {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            // A host of IPv6 has a whole /64.
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64 | 1 << 63,
        };
        let number = usize::try_from(self.hasher.hash_one(network)).unwrap_or_default() % PLACES;
        let Some(place) = self.places.get_mut(number) else {
            return false;
        };
        if place.second != second {
            *place = Place { second, count: 0 };
        }
        place.count = place.count.saturating_add(1);
        place.count <= self.per_second_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_second() {
        let mut limit = Limit::new(3);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let admitted = |limit: &mut Limit, from, second| {
            (0..10).filter(|_| limit.admits(from, second)).count()
        };
        assert_eq!(admitted(&mut limit, one, 1), 3);
        assert_eq!(admitted(&mut limit, one, 1), 0);
        assert_eq!(admitted(&mut limit, one, 2), 3);
        // A whole network of IPv6 addresses is one source.
        let v6 = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
        assert_eq!(admitted(&mut limit, v6(1), 2), 3);
        assert_eq!(admitted(&mut limit, v6(2), 2), 0);
    }
}
