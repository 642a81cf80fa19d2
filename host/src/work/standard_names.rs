//! Standard names: paths without a root object, the same for all devices.
//!
//! `WiFi.SSID.1.SSID` is `Device.WiFi.SSID.1.SSID` or
//! `InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.SSID`. What a device's profile says goes
//! first; then comes the table below, of what TR-181 and TR-098 name differently; what is in
//! neither has the same name in both. Answers come back under the name that was asked.

use std::borrow::Cow;

use cwmp::{Request, Response};

use super::exchange::Outcome;
use crate::device::DataModel;

/// TR-181 and TR-098, without their roots. `*` is an instance number, carried over. A row that
/// ends in a dot is for all below it that no row before says otherwise of.
const TABLE: [(&str, &str); 37] = [
    (
        "IP.Interface.*.IPv4Address.1.IPAddress",
        "WANDevice.1.WANConnectionDevice.1.WANIPConnection.*.ExternalIPAddress",
    ),
    (
        "IP.Interface.*.IPv4Address.1.SubnetMask",
        "WANDevice.1.WANConnectionDevice.1.WANIPConnection.*.SubnetMask",
    ),
    (
        "PPP.Interface.*.IPCP.LocalIPAddress",
        "WANDevice.1.WANConnectionDevice.1.WANPPPConnection.*.ExternalIPAddress",
    ),
    (
        "PPP.Interface.*.IPCP.RemoteIPAddress",
        "WANDevice.1.WANConnectionDevice.1.WANPPPConnection.*.RemoteIPAddress",
    ),
    (
        "PPP.Interface.",
        "WANDevice.1.WANConnectionDevice.1.WANPPPConnection.",
    ),
    (
        "WiFi.AccessPoint.*.Security.KeyPassphrase",
        "LANDevice.1.WLANConfiguration.*.PreSharedKey.1.KeyPassphrase",
    ),
    (
        "WiFi.AccessPoint.*.Security.PreSharedKey",
        "LANDevice.1.WLANConfiguration.*.PreSharedKey.1.PreSharedKey",
    ),
    (
        "WiFi.AccessPoint.*.AssociatedDevice.*.MACAddress",
        "LANDevice.1.WLANConfiguration.*.AssociatedDevice.*.AssociatedDeviceMACAddress",
    ),
    (
        "WiFi.AccessPoint.*.AssociatedDevice.",
        "LANDevice.1.WLANConfiguration.*.AssociatedDevice.",
    ),
    (
        "WiFi.AccessPoint.*.SSIDAdvertisementEnabled",
        "LANDevice.1.WLANConfiguration.*.SSIDAdvertisementEnabled",
    ),
    (
        "WiFi.AccessPoint.*.WMMEnable",
        "LANDevice.1.WLANConfiguration.*.WMMEnable",
    ),
    (
        "WiFi.Radio.*.Channel",
        "LANDevice.1.WLANConfiguration.*.Channel",
    ),
    (
        "WiFi.Radio.*.AutoChannelEnable",
        "LANDevice.1.WLANConfiguration.*.AutoChannelEnable",
    ),
    (
        "WiFi.Radio.*.PossibleChannels",
        "LANDevice.1.WLANConfiguration.*.PossibleChannels",
    ),
    (
        "WiFi.Radio.*.TransmitPower",
        "LANDevice.1.WLANConfiguration.*.TransmitPower",
    ),
    (
        "WiFi.Radio.*.Enable",
        "LANDevice.1.WLANConfiguration.*.RadioEnabled",
    ),
    ("WiFi.SSID.", "LANDevice.1.WLANConfiguration."),
    ("WiFi.AccessPoint.", "LANDevice.1.WLANConfiguration."),
    ("WiFi.Radio.", "LANDevice.1.WLANConfiguration."),
    (
        "Hosts.Host.*.PhysAddress",
        "LANDevice.1.Hosts.Host.*.MACAddress",
    ),
    ("Hosts.", "LANDevice.1.Hosts."),
    (
        "DHCPv4.Server.Pool.*.Enable",
        "LANDevice.*.LANHostConfigManagement.DHCPServerEnable",
    ),
    (
        "DHCPv4.Server.Pool.*.LeaseTime",
        "LANDevice.*.LANHostConfigManagement.DHCPLeaseTime",
    ),
    (
        "DHCPv4.Server.Pool.*.",
        "LANDevice.*.LANHostConfigManagement.",
    ),
    (
        "NAT.PortMapping.*.Enable",
        "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping.*.PortMappingEnabled",
    ),
    (
        "NAT.PortMapping.*.Protocol",
        "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping.*.PortMappingProtocol",
    ),
    (
        "NAT.PortMapping.*.Description",
        "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping.*.PortMappingDescription",
    ),
    (
        "NAT.PortMapping.*.LeaseDuration",
        "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping.*.PortMappingLeaseDuration",
    ),
    (
        "NAT.PortMapping.",
        "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping.",
    ),
    (
        "Ethernet.Interface.",
        "LANDevice.1.LANEthernetInterfaceConfig.",
    ),
    ("IP.Diagnostics.IPPing.", "IPPingDiagnostics."),
    ("IP.Diagnostics.TraceRoute.", "TraceRouteDiagnostics."),
    (
        "IP.Diagnostics.DownloadDiagnostics.",
        "DownloadDiagnostics.",
    ),
    ("IP.Diagnostics.UploadDiagnostics.", "UploadDiagnostics."),
    (
        "DNS.Diagnostics.NSLookupDiagnostics.",
        "NSLookupDiagnostics.",
    ),
    ("Time.LocalTimeZone", "Time.LocalTimeZoneName"),
    ("DSL.Line.", "WANDevice.1.WANDSLInterfaceConfig."),
];

/// Whether a path has no root object: a standard name. The empty path is the whole tree.
pub fn is_standard(path: &str) -> bool {
    let rooted = [DataModel::Tr098, DataModel::Tr181]
        .iter()
        .any(|model| path.starts_with(model.root()));
    !path.is_empty() && !rooted
}

/// The name that a device of this model has for a standard one, with its root.
pub fn own_name(standard: &str, model: DataModel) -> String {
    let own = match model {
        DataModel::Tr098 => TABLE
            .iter()
            .find_map(|(tr181, tr098)| rewritten(tr181, tr098, standard)),
        DataModel::Tr181 => TABLE
            .iter()
            .find_map(|(tr181, tr098)| rewritten(tr098, tr181, standard)),
    };
    format!("{}{}", model.root(), own.as_deref().unwrap_or(standard))
}

/// A path with its root: as it is, or as [`own_name`] has it.
pub fn rooted(path: &str, model: DataModel) -> Cow<'_, str> {
    if is_standard(path) {
        Cow::Owned(own_name(path, model))
    } else {
        Cow::Borrowed(path)
    }
}

/// Under which names a request was asked, and what the device calls them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Names {
    pairs: Vec<Pair>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    asked: String,
    own: String,
}

impl Names {
    /// The standard names in a request; usually none.
    pub fn standard(request: &mut Request) -> Vec<String> {
        let mut found = Vec::new();
        each_name(request, |name| {
            if is_standard(name) && !found.contains(name) {
                found.push(name.clone());
            }
        });
        found
    }

    /// `asked` is `own` to the device.
    pub fn insert(&mut self, asked: String, own: String) {
        self.pairs.push(Pair { asked, own });
    }

    /// The request as it can be sent.
    pub fn apply(&self, request: &mut Request) {
        if self.pairs.is_empty() {
            return;
        }
        each_name(request, |name| {
            if let Some(pair) = self.pairs.iter().find(|pair| pair.asked == *name) {
                name.clone_from(&pair.own);
            }
        });
    }

    /// The outcome under the names that were asked.
    pub fn restore(&self, outcome: &mut Outcome) {
        if self.pairs.is_empty() {
            return;
        }
        let restored = |path: &mut String| {
            if let Some(asked) = self.asked(path) {
                *path = asked;
            }
        };
        match outcome {
            Ok(Response::GetParameterValues(all)) => {
                all.iter_mut().for_each(|one| restored(&mut one.path));
            }
            Ok(Response::GetParameterNames(all)) => {
                all.iter_mut().for_each(|one| restored(&mut one.path));
            }
            Ok(Response::GetParameterAttributes(all)) => {
                all.iter_mut().for_each(|one| restored(&mut one.path));
            }
            Err(fault) => fault
                .parameters
                .iter_mut()
                .for_each(|one| restored(&mut one.path)),
            Ok(_) => {}
        }
    }

    /// What a name of the device was asked as; `None`: under its own name.
    pub fn asked(&self, own: &str) -> Option<String> {
        if let Some(pair) = self.pairs.iter().find(|pair| pair.own == own) {
            return Some(pair.asked.clone());
        }
        // Below an object: by the table if it leads into what was asked, else by the rest.
        let objects = self.pairs.iter().filter(|pair| pair.own.ends_with('.'));
        let (pair, rest) = objects
            .filter_map(|pair| Some((pair, own.strip_prefix(&pair.own)?)))
            .min_by_key(|(_, rest)| rest.len())?;
        let bare = [DataModel::Tr098, DataModel::Tr181]
            .iter()
            .find_map(|model| own.strip_prefix(model.root()))?;
        let by_table = TABLE
            .iter()
            .flat_map(|(tr181, tr098)| [(tr098, tr181), (tr181, tr098)])
            .filter_map(|(from, to)| rewritten(from, to, bare))
            .find(|standard| standard.starts_with(&pair.asked));
        Some(by_table.unwrap_or_else(|| format!("{}{rest}", pair.asked)))
    }
}

/// Every parameter or object that a request names.
fn each_name(request: &mut Request, mut visit: impl FnMut(&mut String)) {
    match request {
        Request::GetParameterValues(names) | Request::GetParameterAttributes(names) => {
            names.iter_mut().for_each(visit);
        }
        Request::SetParameterValues(set) => {
            set.parameters
                .iter_mut()
                .for_each(|one| visit(&mut one.path));
        }
        Request::SetParameterAttributes(set) => {
            set.iter_mut().for_each(|one| visit(&mut one.path));
        }
        Request::GetParameterNames(get) => visit(&mut get.path),
        Request::AddObject(add) => visit(&mut add.object_name),
        Request::DeleteObject(delete) => visit(&mut delete.object_name),
        _ => {}
    }
}

/// The path, written as `to` where it fits `from`; below `from` if that ends in a dot.
fn rewritten(from: &str, to: &str, path: &str) -> Option<String> {
    let mut numbers = Vec::new();
    let mut rest = path;
    let mut segments = from.split('.').peekable();
    while let Some(wanted) = segments.next() {
        if wanted.is_empty() && segments.peek().is_none() {
            // `from` ended in a dot: what is left stands below it.
            break;
        }
        let is_last = segments.peek().is_none();
        let (found, after) = match rest.split_once('.') {
            Some((found, after)) if !is_last => (found, after),
            None if is_last => (rest, ""),
            _ => return None,
        };
        match wanted {
            "*" if found.bytes().all(|byte| byte.is_ascii_digit()) && !found.is_empty() => {
                numbers.push(found);
            }
            wanted if wanted == found => {}
            _ => return None,
        }
        rest = after;
    }
    let mut numbers = numbers.into_iter();
    let mut out = String::with_capacity(path.len() + 16);
    for (at, segment) in to.split('.').enumerate() {
        if at > 0 {
            out.push('.');
        }
        out.push_str(match segment {
            "*" => numbers.next()?,
            segment => segment,
        });
    }
    if from.ends_with('.') {
        out.push_str(rest);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use cwmp::{Fault, ParameterFault, ParameterValue};

    use super::*;

    /// Each name in both models, and back.
    #[test]
    fn both_ways() {
        for (standard, tr181, tr098) in [
            (
                "DeviceInfo.SoftwareVersion",
                "DeviceInfo.SoftwareVersion",
                "DeviceInfo.SoftwareVersion",
            ),
            (
                "ManagementServer.PeriodicInformInterval",
                "ManagementServer.PeriodicInformInterval",
                "ManagementServer.PeriodicInformInterval",
            ),
            (
                "WiFi.SSID.2.SSID",
                "WiFi.SSID.2.SSID",
                "LANDevice.1.WLANConfiguration.2.SSID",
            ),
            (
                "WiFi.SSID.2.Enable",
                "WiFi.SSID.2.Enable",
                "LANDevice.1.WLANConfiguration.2.Enable",
            ),
            ("WiFi.SSID.", "WiFi.SSID.", "LANDevice.1.WLANConfiguration."),
            (
                "WiFi.AccessPoint.1.Security.KeyPassphrase",
                "WiFi.AccessPoint.1.Security.KeyPassphrase",
                "LANDevice.1.WLANConfiguration.1.PreSharedKey.1.KeyPassphrase",
            ),
            (
                "WiFi.AccessPoint.3.AssociatedDevice.7.MACAddress",
                "WiFi.AccessPoint.3.AssociatedDevice.7.MACAddress",
                "LANDevice.1.WLANConfiguration.3.AssociatedDevice.7.AssociatedDeviceMACAddress",
            ),
            (
                "WiFi.Radio.1.Channel",
                "WiFi.Radio.1.Channel",
                "LANDevice.1.WLANConfiguration.1.Channel",
            ),
            (
                "WiFi.Radio.1.Enable",
                "WiFi.Radio.1.Enable",
                "LANDevice.1.WLANConfiguration.1.RadioEnabled",
            ),
            (
                "Hosts.Host.4.PhysAddress",
                "Hosts.Host.4.PhysAddress",
                "LANDevice.1.Hosts.Host.4.MACAddress",
            ),
            (
                "Hosts.HostNumberOfEntries",
                "Hosts.HostNumberOfEntries",
                "LANDevice.1.Hosts.HostNumberOfEntries",
            ),
            (
                "IP.Interface.2.IPv4Address.1.IPAddress",
                "IP.Interface.2.IPv4Address.1.IPAddress",
                "WANDevice.1.WANConnectionDevice.1.WANIPConnection.2.ExternalIPAddress",
            ),
            (
                "PPP.Interface.1.Username",
                "PPP.Interface.1.Username",
                "WANDevice.1.WANConnectionDevice.1.WANPPPConnection.1.Username",
            ),
            (
                "PPP.Interface.1.IPCP.LocalIPAddress",
                "PPP.Interface.1.IPCP.LocalIPAddress",
                "WANDevice.1.WANConnectionDevice.1.WANPPPConnection.1.ExternalIPAddress",
            ),
            (
                "DHCPv4.Server.Pool.1.MinAddress",
                "DHCPv4.Server.Pool.1.MinAddress",
                "LANDevice.1.LANHostConfigManagement.MinAddress",
            ),
            (
                "DHCPv4.Server.Pool.2.Enable",
                "DHCPv4.Server.Pool.2.Enable",
                "LANDevice.2.LANHostConfigManagement.DHCPServerEnable",
            ),
            (
                "NAT.PortMapping.5.Protocol",
                "NAT.PortMapping.5.Protocol",
                "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping.5.PortMappingProtocol",
            ),
            (
                "NAT.PortMapping.5.ExternalPort",
                "NAT.PortMapping.5.ExternalPort",
                "WANDevice.1.WANConnectionDevice.1.WANIPConnection.1.PortMapping.5.ExternalPort",
            ),
            (
                "IP.Diagnostics.IPPing.Host",
                "IP.Diagnostics.IPPing.Host",
                "IPPingDiagnostics.Host",
            ),
            (
                "Time.LocalTimeZone",
                "Time.LocalTimeZone",
                "Time.LocalTimeZoneName",
            ),
            (
                "X_ACME_Thing.1.Value",
                "X_ACME_Thing.1.Value",
                "X_ACME_Thing.1.Value",
            ),
        ] {
            assert_eq!(
                own_name(standard, DataModel::Tr181),
                format!("Device.{tr181}")
            );
            let own = own_name(standard, DataModel::Tr098);
            assert_eq!(own, format!("InternetGatewayDevice.{tr098}"));
            let mut names = Names::default();
            names.insert(standard.to_owned(), own.clone());
            assert_eq!(names.asked(&own).as_deref(), Some(standard));
        }
        // A name of the older model on a device of the newer one.
        assert_eq!(
            own_name(
                "LANDevice.1.WLANConfiguration.2.PreSharedKey.1.KeyPassphrase",
                DataModel::Tr181
            ),
            "Device.WiFi.AccessPoint.2.Security.KeyPassphrase"
        );
    }

    #[test]
    fn what_is_standard() {
        for (path, expected) in [
            ("WiFi.SSID.1.SSID", true),
            ("ManagementServer.", true),
            ("DeviceInfo.SoftwareVersion", true),
            ("Device.WiFi.SSID.1.SSID", false),
            ("InternetGatewayDevice.", false),
            ("", false),
        ] {
            assert_eq!(is_standard(path), expected, "{path}");
        }
    }

    fn names(asked: &[&str]) -> Names {
        let mut names = Names::default();
        for name in asked {
            names.insert((*name).to_owned(), own_name(name, DataModel::Tr098));
        }
        names
    }

    #[test]
    fn answers_come_back_under_the_names_that_were_asked() {
        let asked = ["WiFi.AccessPoint.", "Hosts.", "WiFi.SSID.1.SSID"];
        let names = names(&asked);
        let mut request =
            Request::GetParameterValues(asked.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(Names::standard(&mut request), asked);
        names.apply(&mut request);
        assert_eq!(
            request,
            Request::GetParameterValues(vec![
                "InternetGatewayDevice.LANDevice.1.WLANConfiguration.".into(),
                "InternetGatewayDevice.LANDevice.1.Hosts.".into(),
                "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.SSID".into(),
            ])
        );
        let lan = "InternetGatewayDevice.LANDevice.1.";
        let answers = [
            (
                "WLANConfiguration.1.PreSharedKey.1.KeyPassphrase",
                "WiFi.AccessPoint.1.Security.KeyPassphrase",
            ),
            (
                "WLANConfiguration.1.BeaconType",
                "WiFi.AccessPoint.1.BeaconType",
            ),
            ("WLANConfiguration.1.SSID", "WiFi.SSID.1.SSID"),
            ("Hosts.Host.2.MACAddress", "Hosts.Host.2.PhysAddress"),
            ("Hosts.Host.2.HostName", "Hosts.Host.2.HostName"),
        ];
        let value = |path: String| ParameterValue::string(path, "x");
        let mut outcome = Ok(Response::GetParameterValues(
            answers
                .iter()
                .map(|(own, _)| value(format!("{lan}{own}")))
                .collect(),
        ));
        names.restore(&mut outcome);
        let expected = answers
            .iter()
            .map(|(_, asked)| value((*asked).to_owned()))
            .collect();
        assert_eq!(outcome, Ok(Response::GetParameterValues(expected)));
    }

    #[test]
    fn faults_name_what_was_asked() {
        let names = names(&["PPP.Interface.1.Username"]);
        let fault = |path: &str| Fault {
            code: 9003,
            text: String::new(),
            parameters: vec![ParameterFault {
                path: path.to_owned(),
                code: 9006,
                text: String::new(),
            }],
        };
        let own =
            "InternetGatewayDevice.WANDevice.1.WANConnectionDevice.1.WANPPPConnection.1.Username";
        let mut outcome: Outcome = Err(fault(own));
        names.restore(&mut outcome);
        assert_eq!(outcome, Err(fault("PPP.Interface.1.Username")));
    }

    #[test]
    fn what_has_a_root_is_left_alone() {
        let mut request = Request::GetParameterValues(vec!["Device.X".into()]);
        assert!(Names::standard(&mut request).is_empty());
        let mut outcome = Ok(Response::GetParameterValues(vec![ParameterValue::string(
            "Device.X", "1",
        )]));
        let before = outcome.clone();
        Names::default().restore(&mut outcome);
        assert_eq!(outcome, before);
    }
}
