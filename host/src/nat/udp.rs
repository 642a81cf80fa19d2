//! The connection request by UDP (TR-069 Annex G.2.2): where the device is, and the call.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cwmp::connection_request::UdpRequest;
use serde::Serialize;

use super::guard;
use super::outcome::{Failure, Outcome};
use super::stun::Way;
use crate::Acs;
use crate::device::{Credentials, DeviceKey, UnixTime};
use crate::store::{Device, DeviceCell};

/// Copies of each request: a datagram may be lost.
const COPIES: u32 = 3;
/// Between two copies: what loses one is over by then, mostly.
const PAUSE: Duration = Duration::from_millis(100);
/// UDPConnectionRequestAddress without a port means this one.
const DEFAULT_PORT: u16 = 80;

/// How the ACS knows a device's UDP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Its binding requests come from there.
    Stun,
    /// Its parameter UDPConnectionRequestAddress says so.
    Parameter,
}

/// Where a device takes connection requests by UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpAddress {
    /// The address.
    pub address: SocketAddr,
    /// How it is known.
    pub source: Source,
    /// When it was last confirmed.
    pub seen: UnixTime,
    /// Whether it can still be in force.
    pub usable: bool,
    way: Option<Way>,
}

impl Acs {
    /// A binding that is alive; else the fresher of what the STUN server and, if its parameters
    /// are at hand, the device itself say.
    pub fn udp_address(
        &self,
        key: &DeviceKey,
        device: Option<&Device>,
        now: UnixTime,
    ) -> Option<UdpAddress> {
        let binding = self.stun.binding(key).map(|binding| UdpAddress {
            address: binding.address,
            source: Source::Stun,
            seen: binding.seen,
            usable: self.stun.is_alive(&binding, now),
            way: Some(binding.way),
        });
        let told = device.and_then(told);
        // A binding that the device has ceased to keep alive is gone, even if an older word of
        // the device still names it.
        match (binding, told) {
            (Some(binding), Some(told)) if !binding.usable && told.seen > binding.seen => {
                let same_family = told.address.is_ipv4() == binding.address.is_ipv4();
                let way = binding.way.filter(|_| same_family);
                Some(UdpAddress { way, ..told })
            }
            (binding, told) => binding.or(told),
        }
    }

    /// Sends a connection request by UDP, in copies. Whether the device took it shows only when
    /// its session comes.
    pub(super) async fn call_by_udp(&self, key: &DeviceKey) -> Result<(), Failure> {
        let ours = |error: String| Failure::new(Outcome::NotServed, error);
        let cell = self
            .store
            .device(key)
            .map_err(|error| ours(error.to_string()))?;
        let cell = cell.ok_or_else(|| ours("the device is not known any more".into()))?;
        let now = self.clock.unix();
        let (to, summary) = {
            let device = cell.lock();
            (
                self.udp_address(key, Some(&device), now),
                device.summary().clone(),
            )
        };
        let to = to.ok_or_else(|| {
            let text = "the device has not told where it takes connection requests by UDP";
            Failure::new(Outcome::NoAddress, text)
        })?;
        if !to.usable {
            let text = format!(
                "the last binding request from {} came {} s ago: the binding is gone (limit {} s)",
                to.address,
                now - to.seen,
                self.stun.binding_seconds_max()
            );
            return Err(Failure::new(Outcome::BindingExpired, text));
        }
        guard::permit(
            to.address.ip(),
            &self.instances.of(key).settings.connection_request_allow,
        )?;
        let candidates = summary.connection_request.candidates();
        if candidates.is_empty() {
            let text = "the ACS has no connection-request credentials for it yet";
            return Err(Failure::new(Outcome::NoCredentials, text));
        }
        let overrides = &self
            .plugins
            .table()
            .matched(&key.instance, &summary)
            .overrides
            .clone();
        let unit = if overrides.udp_timestamp_milliseconds {
            1000
        } else {
            1
        };
        let first = self
            .promise_timestamps(&cell, now, unit, candidates.len())
            .await
            .map_err(ours)?;
        let datagrams = datagrams(&candidates, first, to.address);
        for copy in 0..COPIES {
            if copy > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            for datagram in &datagrams {
                self.stun
                    .send(to.address, to.way, datagram.as_bytes())
                    .await
                    .map_err(ours)?;
            }
        }
        self.stun.counters.connection_requests.add(1);
        Ok(())
    }

    /// Takes as many timestamps as there are requests to sign: each newer than all before, also
    /// after a crash and if the clock was set back. Durable on return.
    async fn promise_timestamps(
        &self,
        cell: &std::sync::Arc<DeviceCell>,
        now: UnixTime,
        unit: u64,
        count: usize,
    ) -> Result<u64, String> {
        let now = u64::try_from(now).unwrap_or_default().saturating_mul(unit);
        let mut first = now;
        cell.lock().summary_mut(|summary| {
            let last = &mut summary.connection_request.udp_timestamp;
            first = now.max(last.saturating_add(1));
            *last = first.saturating_add(count.saturating_sub(1) as u64);
        });
        self.store
            .persist(cell)
            .await
            .map_err(|error| format!("the time of the request cannot be kept: {error}"))?;
        Ok(first)
    }
}

/// One request for each of the credentials. The likeliest has the newest timestamp and goes last:
/// a device that takes an older one still takes it.
fn datagrams(candidates: &[Credentials], first: u64, to: SocketAddr) -> Vec<String> {
    let newest_last = candidates.iter().rev().zip(first..);
    newest_last
        .map(|(credentials, timestamp)| {
            let request = UdpRequest {
                timestamp,
                // Another one each time, because the timestamp is.
                id: u32::try_from(timestamp & 0x7FFF_FFFF).unwrap_or_default(),
                username: credentials.username.clone(),
                nonce: format!("{:016X}", rand::random::<u64>()),
            };
            request.to_datagram(&to.to_string(), &credentials.password)
        })
        .collect()
}

/// What the device says itself.
fn told(device: &Device) -> Option<UdpAddress> {
    let root = device.summary().data_model.root();
    let path = format!("{root}ManagementServer.UDPConnectionRequestAddress");
    let reading = device.tree().get(&path)?;
    let address = parse(&reading.value)?;
    (reading.read_at != 0).then_some(UdpAddress {
        address,
        source: Source::Parameter,
        seen: reading.read_at,
        usable: true,
        way: None,
    })
}

/// `host:port` or `host`; only addresses, because a name would be looked up for whoever gave it.
fn parse(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() != 0).then_some(address);
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip: IpAddr = bare.parse().ok()?;
    Some(SocketAddr::new(ip, DEFAULT_PORT))
}

#[cfg(test)]
mod tests {
    use cwmp::connection_request::SignedUdpRequest;

    use super::*;

    #[test]
    fn addresses_of_devices() {
        for (text, expected) in [
            ("192.0.2.7:30303", Some("192.0.2.7:30303")),
            (" 192.0.2.7 ", Some("192.0.2.7:80")),
            ("[2001:db8::1]:7547", Some("[2001:db8::1]:7547")),
            ("2001:db8::1", Some("[2001:db8::1]:80")),
            ("[2001:db8::1]", Some("[2001:db8::1]:80")),
            ("192.0.2.7:0", None),
            ("metadata.internal:80", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn one_request_for_each_of_the_credentials() {
        let candidates = ["new", "old"].map(|password| Credentials {
            username: "cpe".into(),
            password: password.into(),
        });
        let to = "192.0.2.7:30303".parse().unwrap();
        let requests: Vec<SignedUdpRequest> = datagrams(&candidates, 1_000, to)
            .iter()
            .map(|datagram| SignedUdpRequest::parse(datagram.as_bytes()).unwrap())
            .collect();
        let [old, new] = requests.as_slice() else {
            panic!("{requests:?}")
        };
        assert_eq!(old.check("cpe", "old", None), Ok(()));
        // Whoever took the first takes the second too.
        let last = (old.request.timestamp, old.request.id);
        assert_eq!(new.check("cpe", "new", Some(last)), Ok(()));
    }
}
