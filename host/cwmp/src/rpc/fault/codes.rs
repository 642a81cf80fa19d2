//! The fault codes of TR-069 A.5: their names, and what to do about them.

use std::ops::RangeInclusive;

/// Of the ACS: method not supported.
pub const METHOD_NOT_SUPPORTED: u32 = 8000;
/// Of the ACS: request denied.
pub const REQUEST_DENIED: u32 = 8001;
/// Of the ACS: internal error.
pub const INTERNAL_ERROR: u32 = 8002;
/// Of the ACS: resources exceeded.
pub const RESOURCES_EXCEEDED: u32 = 8004;
/// Of the ACS: send that again, at once.
pub const RETRY_REQUEST: u32 = 8005;
/// Of the ACS: no version in common.
pub const VERSION_INCOMPATIBLE: u32 = 8006;
/// Of the device: internal error; also what a fault without any code is taken for.
pub const CPE_INTERNAL_ERROR: u32 = 9002;
/// Of the device: invalid arguments; the outer code of faulty SetParameterValues.
pub const CPE_INVALID_ARGUMENTS: u32 = 9003;

/// What the vendor of an ACS may define.
const ACS_VENDOR: RangeInclusive<u32> = 8800..=8899;
/// What the vendor of a device may define.
const CPE_VENDOR: RangeInclusive<u32> = 9800..=9899;

/// The standard's name of a fault code.
pub fn name(code: u32) -> Option<&'static str> {
    if ACS_VENDOR.contains(&code) {
        return Some("Fault defined by the vendor of the ACS");
    }
    if CPE_VENDOR.contains(&code) {
        return Some("Fault defined by the vendor of the device");
    }
    of(code).map(|(_, name, _)| *name)
}

/// What somebody who looks after the device can do about a fault; one sentence.
pub fn advice(code: u32) -> Option<&'static str> {
    if ACS_VENDOR.contains(&code) {
        return Some("Look the code up where the plugin that sent it is documented.");
    }
    if CPE_VENDOR.contains(&code) {
        return Some("Look the code up in the vendor's documentation of this model and firmware.");
    }
    of(code).map(|(_, _, advice)| *advice)
}

fn of(code: u32) -> Option<&'static (u32, &'static str, &'static str)> {
    CODES.iter().find(|(known, _, _)| *known == code)
}

#[rustfmt::skip]
const CODES: [(u32, &str, &str); 40] = [
    (8000, "Method not supported",
     "The device asked for what no ACS has to know; nothing is to be done unless a function of it is missing."),
    (8001, "Request denied",
     "Check whether this device may do what it asked for."),
    (8002, "Internal error",
     "The ACS gave up: the text says why, the trace of the session shows after what."),
    (8003, "Invalid arguments",
     "Look at the trace of the session for what the device sent, and report it to its vendor."),
    (8004, "Resources exceeded",
     "Try again later; if it stays, raise the limit that the text names."),
    (8005, "Retry request",
     "Nothing: the device sends its request again; if this repeats, look at the status of the store."),
    (8006, "ACS version incompatible with CPE",
     "Let the device offer a version of CWMP up to 1.4, by its settings or another firmware."),
    (9000, "Method not supported",
     "Ask the device what it has (rpc-methods), and do it another way: a setting instead of the RPC, or a newer firmware."),
    (9001, "Request denied",
     "Look whether the device is locked, busy with an upgrade, or set by somebody else, and try again later."),
    (9002, "Internal error",
     "Try again; if it repeats, ask for fewer parameters at once, then reboot the device."),
    (9003, "Invalid arguments",
     "Look at the parameters at fault below, and at the order and number of what was sent."),
    (9004, "Resources exceeded",
     "Ask for less at once, or delete rows and queued transfers of the device, then try again."),
    (9005, "Invalid parameter name",
     "Read the names that the device has (names), because firmware and rows differ from device to device."),
    (9006, "Invalid parameter type",
     "Read the parameter once so that its type is known, or give the type with the value."),
    (9007, "Invalid parameter value",
     "Look up which values the data model and this vendor allow, and whether another parameter has to be set first."),
    (9008, "Attempt to set a non-writable parameter",
     "Look with names whether it is writable on this device; what it shows may follow from another parameter."),
    (9009, "Notification request rejected",
     "Ask for passive instead of active notification, or for that of fewer parameters."),
    (9010, "File transfer failure",
     "Check that the device reaches the file's address and that the file is meant for this model."),
    (9011, "Upload failure",
     "Check that the address takes uploads by PUT from the device, and that there is room."),
    (9012, "File transfer server authentication failure",
     "Check user name and password of the file server, and whether the device can do its kind of authentication."),
    (9013, "Unsupported protocol for file transfer",
     "Offer the file by http, which all devices have."),
    (9014, "File transfer failure: unable to join multicast group",
     "Check the multicast in the network of the device, or offer the file by http."),
    (9015, "File transfer failure: unable to contact file server",
     "Check that the name resolves and the address is reached from the network of the device."),
    (9016, "File transfer failure: unable to access file",
     "Check that the file is there and may be read at the very URL that was sent."),
    (9017, "File transfer failure: unable to complete download",
     "Try again when the line is quiet; check the size announced and the file server's timeouts."),
    (9018, "File transfer failure: file corrupted or otherwise unusable",
     "Check size, checksum and model of the file, and whether the device takes this version from its present one."),
    (9019, "File transfer failure: file authentication failure",
     "Use a file that the vendor signed for this model."),
    (9020, "File transfer failure: unable to complete download within specified time windows",
     "Give a longer or another window in which the device is on and the user can confirm."),
    (9021, "Cancelation of file transfer not permitted in current transfer state",
     "Wait for its end: the transfer is under way or done already."),
    (9022, "Invalid UUID format",
     "Give the UUID in the form 01234567-89ab-cdef-0123-456789abcdef."),
    (9023, "Unknown execution environment",
     "Read SoftwareModules.ExecEnv for those that there are, or leave the choice to the device."),
    (9024, "Disabled execution environment",
     "Set Enable of this execution environment, or choose another."),
    (9025, "Deployment unit to execution environment mismatch",
     "Choose an execution environment that this module was made for."),
    (9026, "Duplicate deployment unit",
     "It is installed already: update it, or uninstall it first."),
    (9027, "System resources exceeded",
     "Uninstall modules that are not needed, or choose an execution environment with more room."),
    (9028, "Unknown deployment unit",
     "Read SoftwareModules.DeploymentUnit for UUID and version of those that there are."),
    (9029, "Invalid deployment unit state",
     "Wait until the change under way is over, and try again."),
    (9030, "Invalid deployment unit update: downgrade not permitted",
     "Uninstall the newer version first."),
    (9031, "Invalid deployment unit update: version not specified",
     "Name the version to be updated, because several are installed."),
    (9032, "Invalid deployment unit update: version already exists",
     "Nothing: the device has this version."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_the_standard_has_a_name_and_advice() {
        for code in (8000..=8006)
            .chain(9000..=9032)
            .chain([8800, 8899, 9800, 9899])
        {
            assert!(name(code).is_some_and(|name| name.len() < 256), "{code}");
            let advice = advice(code).unwrap_or_default();
            assert!(
                advice.ends_with('.') && !advice.contains(". "),
                "{code}: {advice}"
            );
        }
        for code in [0, 7999, 8007, 8799, 8900, 9033, 9799, 9900] {
            assert_eq!((name(code), advice(code)), (None, None), "{code}");
        }
        assert!(name(9850).is_some_and(|name| name.contains("vendor of the device")));
    }
}
