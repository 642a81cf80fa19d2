//! Which ways a wake-up tries, in which order, and into which network it calls.

use std::net::IpAddr;

use cwmp::connection_request::CallbackUrl;

use super::pace::Network;
use super::udp::UdpAddress;
use crate::Acs;
use crate::device::{DeviceKey, Mode, Summary, UnixTime};
use crate::store::DeviceCell;

/// What is open between the device and the host at this moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Open {
    /// Its XMPP stream.
    pub xmpp: bool,
    /// Its UDP binding.
    pub stun: bool,
}

/// The ways to try: the decided one, then its fallbacks but for those that are closed, then what is
/// open although nobody has decided for it, and a direct request if that has worked or nothing
/// speaks against it. A short Inform is waited for only where it is the device's mode.
pub fn modes(summary: &Summary, open: Open, closed: &[Mode]) -> Vec<Mode> {
    let Some(decision) = &summary.nat else {
        return vec![Mode::DirectHttp];
    };
    let mut modes = vec![decision.mode];
    let mut add = |mode: Mode, if_so: bool| {
        if if_so && !modes.contains(&mode) {
            modes.push(mode);
        }
    };
    for mode in &decision.fallbacks {
        add(*mode, *mode != Mode::ShortInform && !closed.contains(mode));
    }
    add(Mode::Xmpp, open.xmpp);
    add(Mode::Stun, open.stun);
    let history = summary.nat_history.get(&Mode::DirectHttp);
    let direct = !decision.behind_nat || history.is_some_and(|history| history.opened > 0);
    add(
        Mode::DirectHttp,
        direct && !summary.connection_request.url.is_empty(),
    );
    // It is waited for, not called: what can be called goes before.
    if modes.first() == Some(&Mode::ShortInform) {
        modes.rotate_left(1);
    }
    modes
}

/// Whether something is sent in this mode.
pub fn calls(mode: Mode) -> bool {
    mode != Mode::ShortInform
}

/// Where the device is, as far as its calls meet those of others.
pub fn network(summary: &Summary) -> Network {
    let peer = summary.peer_address.parse::<IpAddr>().ok();
    let address = peer.or_else(|| {
        let url = CallbackUrl::parse(&summary.connection_request.url).ok()?;
        url.host.parse().ok()
    });
    address.map_or(Network::Unknown, Network::from)
}

impl Acs {
    /// The ways to try at this moment.
    pub(super) fn modes_to_try(&self, device: &DeviceKey, summary: &Summary) -> Vec<Mode> {
        let now = self.clock.unix();
        let open = self.open_ways(device, now);
        let udp = match self.store.device(device) {
            Ok(Some(cell)) => self.udp_address(device, Some(&cell.lock()), now),
            _ => None,
        };
        modes(summary, open, &self.closed_ways(open, udp.as_ref()))
    }

    /// What is open between the device and the host.
    pub fn open_ways(&self, device: &DeviceKey, now: UnixTime) -> Open {
        let xmpp = self.xmpp.as_ref().and_then(|xmpp| xmpp.presence(device));
        let binding = self.stun.binding(device);
        Open {
            xmpp: xmpp.is_some(),
            stun: binding.is_some_and(|binding| self.stun.is_alive(&binding, now)),
        }
    }

    /// The ways of which the host knows that they cannot work at this moment.
    pub fn closed_ways(&self, open: Open, udp: Option<&UdpAddress>) -> Vec<Mode> {
        let xmpp = self.xmpp.as_ref().is_some_and(|xmpp| xmpp.sees_presence());
        let usable = udp.is_some_and(|udp| udp.usable);
        let closed = [
            (Mode::Xmpp, xmpp && !open.xmpp),
            (Mode::Stun, !open.stun && !usable),
        ];
        let closed = closed.into_iter().filter(|(_, is_closed)| *is_closed);
        closed.map(|(mode, _)| mode).collect()
    }

    /// When the device should inform by itself next; `None`: nobody knows.
    pub fn next_inform(&self, cell: &DeviceCell) -> Option<UnixTime> {
        let device = cell.lock();
        let root = device.summary().data_model.root();
        let value = |name: &str| {
            let reading = device
                .tree()
                .get(&format!("{root}ManagementServer.PeriodicInform{name}"))?;
            (reading.read_at != 0).then(|| reading.value.to_string())
        };
        if value("Enable").and_then(|value| cwmp::value::boolean(&value)) == Some(false) {
            return None;
        }
        let interval = value("Interval").and_then(|value| value.trim().parse::<u32>().ok())?;
        let last = cell.contacts().last_contact;
        (last != 0).then(|| last + i64::from(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::NatDecision;
    use crate::nat::history::ModeHistory;
    use Mode::{DirectHttp, HttpProxy, ShortInform, Stun, Xmpp};

    fn decided(behind_nat: bool, mode: Mode, fallbacks: &[Mode]) -> Summary {
        let mut summary = Summary {
            nat: Some(NatDecision {
                behind_nat,
                mode,
                fallbacks: fallbacks.to_vec(),
                reason: String::new(),
                decided_by: String::new(),
                decided_at: 0,
                decided_from: Default::default(),
                facts: 0,
            }),
            ..Summary::default()
        };
        summary.connection_request.url = "http://192.168.1.1:7547/".into();
        summary
    }

    #[test]
    fn what_is_tried_and_in_which_order() {
        let nothing = Open::default();
        let all = Open {
            xmpp: true,
            stun: true,
        };
        assert_eq!(
            modes(
                &decided(true, Xmpp, &[Stun, HttpProxy]),
                nothing,
                &[Xmpp, Stun]
            ),
            [Xmpp, HttpProxy],
            "the device's own mode is tried, open or not"
        );
        for (summary, open, expected) in [
            (Summary::default(), all, vec![DirectHttp]),
            (
                decided(false, DirectHttp, &[HttpProxy, ShortInform]),
                nothing,
                vec![DirectHttp, HttpProxy],
            ),
            (decided(true, Stun, &[ShortInform]), nothing, vec![Stun]),
            (
                decided(true, Xmpp, &[Stun, Xmpp, ShortInform]),
                nothing,
                vec![Xmpp, Stun],
            ),
            (
                decided(true, HttpProxy, &[ShortInform]),
                all,
                vec![HttpProxy, Xmpp, Stun],
            ),
            (decided(true, ShortInform, &[]), nothing, vec![ShortInform]),
            (
                decided(true, ShortInform, &[Stun]),
                all,
                vec![Stun, Xmpp, ShortInform],
            ),
            (decided(false, Stun, &[]), nothing, vec![Stun, DirectHttp]),
        ] {
            assert_eq!(modes(&summary, open, &[]), expected, "{:?}", summary.nat);
        }
        // Behind NAT a direct request is worth a try if it ever worked.
        let mut summary = decided(true, Stun, &[ShortInform]);
        let history = ModeHistory {
            opened: 1,
            ..ModeHistory::default()
        };
        summary.nat_history.insert(DirectHttp, history);
        assert_eq!(modes(&summary, nothing, &[]), [Stun, DirectHttp]);
        summary.connection_request.url.clear();
        assert_eq!(modes(&summary, nothing, &[]), [Stun]);
    }

    #[test]
    fn networks_of_devices() {
        let mut summary = decided(true, Stun, &[]);
        assert_eq!(network(&summary), Network::V4([192, 168, 1]));
        summary.peer_address = "203.0.113.9".into();
        assert_eq!(network(&summary), Network::V4([203, 0, 113]));
        assert_eq!(network(&Summary::default()), Network::Unknown);
    }
}
