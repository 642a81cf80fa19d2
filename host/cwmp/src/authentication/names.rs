//! What a device is called where it shows who it is: in its user name (TR-069 §3.4.4) and in its
//! certificate (§3.3).
//!
//! `OUI-SerialNumber` or `OUI-ProductClass-SerialNumber`. All three may hold a `-` themselves, so
//! a name is never taken apart: it is compared with what the device says of itself.

use crate::DeviceId;

/// Before the name, where it is a URN.
const URNS: [&str; 4] = [
    "urn:dslforum-org:cpe:",
    "urn:dslforum-org:cpe-",
    "urn:broadband-forum-org:cpe:",
    "urn:bbf:usp:id:ops::",
];

/// Stands for a `-` within a part.
const INNER_DASH: char = '\u{1F}';

/// The name that TR-069 §3.4.4 gives the device: everything but letters, digits and `_` in its
/// parts is percent-encoded.
pub fn user_name(id: &DeviceId) -> String {
    let parts = parts(id).map(|part| {
        let mut out = String::with_capacity(part.len());
        for byte in part.bytes() {
            if byte.is_ascii_alphanumeric() || byte == b'_' {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    });
    parts.collect::<Vec<_>>().join("-")
}

/// Whether this is a name of the device: with or without its product class, in any case, with
/// or without percent-encoding; alone, in a URN, or as the first label of a DNS name.
pub fn names_device(name: &str, id: &DeviceId) -> bool {
    let name = decoded(name.trim()).to_lowercase();
    let name = URNS
        .iter()
        .find_map(|urn| name.strip_prefix(urn))
        .unwrap_or(&name);
    if id.serial_number.trim().is_empty() {
        return false;
    }
    let whole: Vec<&str> = parts(id).collect();
    let short = [id.oui.trim(), id.serial_number.trim()];
    [&whole[..], &short[..]].into_iter().any(|parts| {
        let plain = parts.join("-").to_lowercase();
        let encoded = parts
            .iter()
            .map(|part| part.replace('-', &INNER_DASH.to_string()))
            .collect::<Vec<_>>()
            .join("-")
            .to_lowercase();
        [plain, encoded].iter().any(|expected| {
            name.strip_prefix(expected.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    })
}

/// Those that are there.
fn parts(id: &DeviceId) -> impl Iterator<Item = &str> {
    let parts = [&id.oui, &id.product_class, &id.serial_number].into_iter();
    let parts = parts.map(|part| part.trim()).enumerate();
    parts
        .filter(|(place, part)| *place != 1 || !part.is_empty())
        .map(|(_, part)| part)
}

/// Percent-encoding undone. A `-` that was encoded stays apart from those between the parts.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        let digits = behind.get(..2).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            let is_plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_plain
                .then(|| u8::from_str_radix(digits, 16).ok())
                .flatten()
        });
        match digits {
            Some(byte_encoded) if *byte == b'%' => {
                match byte_encoded {
                    b'-' => bytes.push(INNER_DASH as u8),
                    other => bytes.push(other),
                }
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(oui: &str, class: &str, serial: &str) -> DeviceId {
        DeviceId {
            oui: oui.into(),
            product_class: class.into(),
            serial_number: serial.into(),
            ..DeviceId::default()
        }
    }

    #[test]
    fn names_that_are_given() {
        assert_eq!(
            user_name(&id("00AABB", "HG 1", "1-2")),
            "00AABB-HG%201-1%2D2"
        );
        assert_eq!(user_name(&id("00AABB", "", "12")), "00AABB-12");
    }

    #[test]
    fn names_that_are_known() {
        let device = id("00AABB", "hAP lite", "SR-1");
        for name in [
            "00AABB-SR-1",
            "00aabb-hap lite-sr-1",
            "00AABB-hAP%20lite-SR%2D1",
            "00AABB-hAP%20lite-SR%2d1",
            " 00AABB-SR%2D1 ",
            "urn:dslforum-org:cpe:00AABB-SR-1",
            "URN:dslforum-org:cpe-00AABB-SR-1",
            "urn:bbf:usp:id:ops::00AABB-hAP%20lite-SR%2D1",
            "00aabb-sr-1.cpe.example.net",
        ] {
            assert!(names_device(name, &device), "{name}");
        }
        for name in [
            "",
            "00AABB",
            "SR-1",
            "00AABB-SR-12",
            "00AABB-SR",
            "00AABB--SR-1",
            "x00AABB-SR-1",
            "urn:other:00AABB-SR-1",
            "cpe.example.net",
            "00AABB%2DSR-1",
        ] {
            assert!(!names_device(name, &device), "{name}");
        }
        assert!(!names_device("00AABB-", &id("00AABB", "", "")));
    }

    #[test]
    fn a_dash_within_a_part_is_none_between_parts() {
        let name = user_name(&id("00AABB", "A-B", "C"));
        assert!(names_device(&name, &id("00AABB", "A-B", "C")));
        assert!(!names_device(&name, &id("00AABB", "A", "B-C")));
    }

    proptest! {
        #[test]
        fn a_device_has_the_name_it_is_given(
            oui in "[0-9A-F]{6}", class in ".{0,12}", serial in "[ -~]{1,12}",
        ) {
            prop_assume!(!serial.trim().is_empty());
            let device = id(&oui, &class, &serial);
            prop_assert!(names_device(&user_name(&device), &device));
        }

        #[test]
        fn no_name_panics(name in ".{0,40}", class in ".{0,8}", serial in ".{0,8}") {
            let _ = names_device(&name, &id("00AABB", &class, &serial));
        }
    }
}
