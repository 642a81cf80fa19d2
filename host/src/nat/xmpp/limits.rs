//! How many connections there may be: in all, of one address, and of one address before login.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The limits and what counts against them.
#[derive(Debug)]
pub struct Admission {
    connections_max: usize,
    connections_per_address_max: usize,
    logins_per_address_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Connections, and those of them before login.
    addresses: HashMap<IpAddr, (usize, usize)>,
}

/// A connection that was let in. It counts until this is dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
    before_login: bool,
}

impl Admission {
    /// With these limits.
    pub fn new(all: usize, per_address: usize, logins_per_address: usize) -> Arc<Admission> {
        Arc::new(Admission {
            connections_max: all,
            connections_per_address_max: per_address,
            logins_per_address_max: logins_per_address,
            counts: Mutex::default(),
        })
    }

    /// Connections now.
    pub fn connections(&self) -> usize {
        self.counts.lock().all
    }

    /// Lets a connection in.
    ///
    /// # Errors
    /// The name of the setting that is its limit.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, &'static str> {
        let address = network(address);
        let mut counts = self.counts.lock();
        if counts.all >= self.connections_max {
            return Err("connections_max");
        }
        let (connections, logins) = counts.addresses.entry(address).or_default();
        if *connections >= self.connections_per_address_max {
            return Err("connections_per_address_max");
        }
        if *logins >= self.logins_per_address_max {
            return Err("logins_per_address_max");
        }
        *connections += 1;
        *logins += 1;
        counts.all += 1;
        Ok(Admitted {
            admission: Arc::clone(self),
            address,
            before_login: true,
        })
    }
}

impl Admitted {
    /// It has logged in.
    pub fn logged_in(&mut self) {
        if std::mem::take(&mut self.before_login)
            && let Some((_, logins)) = self
                .admission
                .counts
                .lock()
                .addresses
                .get_mut(&self.address)
        {
            *logins = logins.saturating_sub(1);
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.counts.lock();
        counts.all = counts.all.saturating_sub(1);
        let Some((connections, logins)) = counts.addresses.get_mut(&self.address) else {
            return;
        };
        *connections = connections.saturating_sub(1);
        *logins = logins.saturating_sub(usize::from(self.before_login));
        if *connections == 0 {
            counts.addresses.remove(&self.address);
        }
    }
}

/// What counts as one address: of IPv6 the network that one customer has (/64).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_and_is_given_back() {
        let admission = Admission::new(5, 3, 2);
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let mut one = admit("192.0.2.1").unwrap();
        let two = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").unwrap_err(), "logins_per_address_max");
        one.logged_in();
        let three = admit("192.0.2.1").unwrap();
        drop(two);
        let mut four = admit("192.0.2.1").unwrap();
        four.logged_in();
        assert_eq!(
            admit("192.0.2.1").unwrap_err(),
            "connections_per_address_max"
        );
        let _v6 = admit("2001:db8::1").unwrap();
        let _v6 = (
            admit("2001:db8::2").unwrap(),
            assert!(admit("2001:db8::3").is_err()),
        );
        assert_eq!(admit("192.0.2.9").unwrap_err(), "connections_max");
        drop((one, three, four));
        assert_eq!(admission.connections(), 2);
        assert!(admit("192.0.2.1").is_ok());
        assert_eq!(admission.counts.lock().addresses.len(), 1);
    }
}
