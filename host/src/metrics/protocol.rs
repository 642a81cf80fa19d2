//! What is counted of sessions and what happens in them.

use super::histogram::{ANSWERS, DEVICES};
use super::{Counter, Histogram, Labelled};
use crate::device::Mode;

/// The methods that an ACS has (TR-069 A.3.2, A.4.1).
const METHODS: &[&str] = &[
    "GetParameterValues",
    "SetParameterValues",
    "GetParameterNames",
    "GetRPCMethods",
    "AddObject",
    "DeleteObject",
    "GetParameterAttributes",
    "SetParameterAttributes",
    "Download",
    "Upload",
    "Reboot",
    "FactoryReset",
    "ScheduleInform",
    "ScheduleDownload",
    "GetQueuedTransfers",
    "GetAllQueuedTransfers",
    "CancelTransfer",
    "ChangeDUState",
    "GetOptions",
    "SetVouchers",
];
/// The methods that a device has (A.3.3, A.4.2).
const REQUESTS: &[&str] = &[
    "Inform",
    "TransferComplete",
    "AutonomousTransferComplete",
    "DUStateChangeComplete",
    "AutonomousDUStateChangeComplete",
    "RequestDownload",
    "Kicked",
    "GetRPCMethods",
];
/// The fault codes of a device (A.5); those of vendors are `vendor`.
const FAULTS: &[&str] = &[
    "9000", "9001", "9002", "9003", "9004", "9005", "9006", "9007", "9008", "9009", "9010", "9011",
    "9012", "9013", "9014", "9015", "9016", "9017", "9018", "9019", "9020", "9021", "9022", "9023",
    "9024", "9025", "9026", "9027", "9028", "9029", "9030", "9031", "9032", VENDOR,
];
const VENDOR: &str = "vendor";
/// What a vendor's own codes are (A.5.1).
const VENDOR_CODES: std::ops::RangeInclusive<u32> = 9800..=9899;
/// The names of [`Mode::ALL`].
const MODES: &[&str] = &["direct-http", "http-proxy", "xmpp", "stun", "short-inform"];

/// What sessions are made of, since the host started.
#[derive(Debug)]
pub struct Protocol {
    /// From an Inform that was read to its answer.
    pub inform_seconds: Histogram,
    /// From the Inform to the end of the session.
    pub session_seconds: Histogram,
    /// RPCs that left, by method.
    pub rpcs: Labelled<Counter>,
    /// From an RPC to the device's answer, by method.
    pub rpc_seconds: Labelled<Histogram>,
    /// What devices ask by themselves, by method.
    pub requests: Labelled<Counter>,
    /// From a connection request to the session, by mode.
    pub wake_seconds: Labelled<Histogram>,
    faults: Labelled<Counter>,
}

impl Default for Protocol {
    fn default() -> Protocol {
        Protocol {
            inform_seconds: Histogram::new(ANSWERS),
            session_seconds: Histogram::new(DEVICES),
            rpcs: Labelled::new(METHODS, Counter::default),
            rpc_seconds: Labelled::new(METHODS, || Histogram::new(DEVICES)),
            requests: Labelled::new(REQUESTS, Counter::default),
            wake_seconds: Labelled::new(MODES, || Histogram::new(DEVICES)),
            faults: Labelled::new(FAULTS, Counter::default),
        }
    }
}

impl Protocol {
    /// Counts a fault of a device.
    pub fn fault(&self, code: u32) {
        let counter = match VENDOR_CODES.contains(&code) {
            true => self.faults.of(VENDOR),
            false => self.faults.of(&code.to_string()),
        };
        counter.add(1);
    }

    /// Faults of devices, by code.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, &Counter)> {
        self.faults.iter()
    }

    /// A session of a device began so long after it was called by this mode.
    pub fn woken(&self, mode: Mode, took: std::time::Duration) {
        self.wake_seconds.of(mode.name()).observe(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_has_its_histogram_and_each_code_its_counter() {
        assert_eq!(MODES, Mode::ALL.map(Mode::name));
        let protocol = Protocol::default();
        for code in [9005, 9005, 9800, 9899, 9900, 42] {
            protocol.fault(code);
        }
        let some = protocol.faults().filter(|(_, counter)| counter.get() > 0);
        let some: Vec<_> = some.map(|(code, counter)| (code, counter.get())).collect();
        assert_eq!(some, [("9005", 2), ("vendor", 2), ("other", 2)]);
    }
}
