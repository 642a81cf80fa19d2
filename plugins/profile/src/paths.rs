//! The device's own name for a standard one.

use std::collections::BTreeMap;

use patchbay_plugin::Device;

/// `None`: the file says nothing of it.
pub(crate) fn own(paths: &BTreeMap<String, String>, device: &Device, path: &str) -> Option<String> {
    // A name that is written out goes before one with `*`.
    let exact = paths.get(path).map(|own| (own, Vec::new()));
    let (own, carried) = exact.or_else(|| {
        paths
            .iter()
            .find_map(|(standard, own)| Some((own, carried(standard, path)?)))
    })?;
    let mut carried = carried.into_iter();
    let segments = own.split('.').map(|segment| match segment {
        "*" => carried.next().unwrap_or("*"),
        segment => segment,
    });
    let own = segments.collect::<Vec<_>>().join(".");
    if own.starts_with("Device.") || own.starts_with("InternetGatewayDevice.") {
        return Some(own);
    }
    Some(format!("{}{own}", device.root()))
}

/// What stands where the pattern has `*`, if the rest is the same.
fn carried<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut found = Vec::new();
    let mut segments = path.split('.');
    for wanted in pattern.split('.') {
        match (wanted, segments.next()?) {
            ("*", segment) if !segment.is_empty() => found.push(segment),
            (wanted, segment) if wanted == segment => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use patchbay_plugin::DataModel;

    use super::*;
    use crate::tests::written;

    #[test]
    fn names_with_their_numbers() {
        let file = written(
            "[paths]\n\
             'WiFi.SSID.*.SSID' = 'LANDevice.1.WLANConfiguration.*.SSID'\n\
             'WiFi.SSID.5.SSID' = 'Device.X_Guest.SSID'\n\
             'NAT.*.Of.*' = 'X.*.*'",
        );
        let device = Device {
            data_model: DataModel::Tr098,
            ..Device::default()
        };
        for (standard, expected) in [
            (
                "WiFi.SSID.2.SSID",
                Some("InternetGatewayDevice.LANDevice.1.WLANConfiguration.2.SSID"),
            ),
            ("WiFi.SSID.5.SSID", Some("Device.X_Guest.SSID")),
            ("NAT.7.Of.8", Some("InternetGatewayDevice.X.7.8")),
            ("WiFi.SSID.2.Enable", None),
            ("WiFi.SSID.2.SSID.More", None),
            ("WiFi.SSID..SSID", None),
        ] {
            assert_eq!(
                own(&file.paths, &device, standard).as_deref(),
                expected,
                "{standard}"
            );
        }
    }
}
