//! Which parameters hold secrets, by their names.
//!
//! There is no list of them in any standard, and vendors add their own; so it goes by the words
//! that names end with. Too much hidden costs an operator a look at the device, too little costs
//! a subscriber his network.

/// Of the last part of the name, without digits at its end, in lower case.
const ENDINGS: [&str; 17] = [
    "passwd",
    "pwd",
    "passcode",
    "presharedkey",
    "psk",
    "secret",
    "pincode",
    "puk",
    "community",
    "communityname",
    "communitystring",
    "token",
    "credential",
    "credentials",
    "voucher",
    "voucherlist",
    "key",
];
/// Names with one of these anywhere are secret too, but for [`ABOUT`].
const WORDS: [&str; 3] = ["password", "passphrase", "passwd"];
/// What is said about a password is no password.
const ABOUT: [&str; 20] = [
    "required",
    "selectable",
    "reset",
    "enable",
    "enabled",
    "expiry",
    "expires",
    "length",
    "policy",
    "type",
    "mode",
    "status",
    "changed",
    "format",
    "strength",
    "retries",
    "max",
    "min",
    "lockout",
    "supported",
];
/// Keys that are no secrets.
const OPEN_KEYS: [&str; 4] = ["parameterkey", "commandkey", "publickey", "hotkey"];

/// Whether a parameter holds a secret: the API does not show its value, no trace has it, and a
/// device that reads it back as empty (most do) does not undo what is known of it.
///
/// Takes a full name or its last part, in any case.
pub fn is_secret(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or_default();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_');
    // `PIN` only in capitals: names end with "pin" for other reasons.
    if name.ends_with("PIN") || name == "Pin" {
        return true;
    }
    let name = name.to_ascii_lowercase();
    if WORDS.iter().any(|word| name.contains(word)) {
        return !ABOUT.iter().any(|about| name.ends_with(about));
    }
    ENDINGS.iter().any(|ending| name.ends_with(ending))
        && !OPEN_KEYS.iter().any(|open| name.ends_with(open))
}

/// A URL with `word` in the place of a user's name and password, and of its query: whoever has a
/// key in a URL has it there. `None`: it has neither, or is no URL of http.
pub fn hidden_in_url(url: &str, word: &str) -> Option<String> {
    let scheme = ["http://", "https://"];
    let scheme = scheme.iter().find(|scheme| url.starts_with(**scheme))?;
    let rest = url.get(scheme.len()..)?;
    let (open, query) = match rest.find(['?', '#']) {
        Some(at) => (rest.get(..at)?, Some(rest.get(at..=at)?)),
        None => (rest, None),
    };
    let authority = open.find('/').unwrap_or(open.len());
    let user = open.get(..authority)?.rfind('@');
    if user.is_none() && query.is_none() {
        return None;
    }
    let (before, after) = match user {
        Some(at) => (word, open.get(at..)?),
        None => ("", open),
    };
    let (mark, hidden) = query.map_or(("", ""), |mark| (mark, word));
    Some(format!("{scheme}{before}{after}{mark}{hidden}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_a_url() {
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(hidden_in_url(url, "(x)").as_deref(), expected, "{url}");
        };
        check(
            "https://a.example/hook?key=1",
            Some("https://a.example/hook?(x)"),
        );
        check(
            "http://me:pw@a.example:80/p",
            Some("http://(x)@a.example:80/p"),
        );
        check("http://me:p@w@a?x#y", Some("http://(x)@a?(x)"));
        check("http://a/@b#token=1", Some("http://a/@b#(x)"));
        check("https://a.example/hook", None);
        check("ftp://me:pw@a", None);
        check("https://", None);
        check("?key=1", None);
    }

    #[test]
    fn what_is_secret_by_its_name() {
        for path in [
            "Device.ManagementServer.ConnectionRequestPassword",
            "Device.ManagementServer.STUNPassword",
            "Device.WiFi.AccessPoint.1.Security.KeyPassphrase",
            "Device.WiFi.AccessPoint.1.Security.SAEPassphrase",
            "Device.WiFi.AccessPoint.1.Security.RadiusSecret",
            "Device.WiFi.AccessPoint.1.Security.WEPKey",
            "Device.WiFi.EndPoint.1.WPS.PIN",
            "Device.XMPP.Connection.1.Password",
            "Device.Cellular.AccessPoint.1.Password",
            "Device.DHCPv4.Server.Pool.1.X_Secret",
            "Device.IPsec.Filter.1.PreSharedKey",
            "Device.WireGuard.PrivateKey",
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.WEPKey.2.WEPKey",
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.PreSharedKey.1.PreSharedKey",
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.PreSharedKey.1.AssociatedDeviceMACAddress.KeyPassphrase",
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.X_DefaultKey1",
            "InternetGatewayDevice.X_SNMP.ROCommunity",
            "InternetGatewayDevice.X_SNMP.WriteCommunityName",
            "InternetGatewayDevice.Services.VoiceService.1.VoiceProfile.1.Line.1.SIP.AuthPassword",
            "InternetGatewayDevice.X_ACME.SIMPIN",
            "InternetGatewayDevice.X_ACME.WPAPSK_2",
            "InternetGatewayDevice.X_ACME.AdminPasswd",
            "Password",
            "password",
        ] {
            assert!(is_secret(path), "{path}");
        }
    }

    #[test]
    fn what_only_sounds_like_it() {
        for path in [
            "Device.ManagementServer.ParameterKey",
            "Device.ManagementServer.ConnectionRequestUsername",
            "Device.UserInterface.PasswordRequired",
            "Device.UserInterface.PasswordUserSelectable",
            "Device.WireGuard.PublicKey",
            "Device.WiFi.AccessPoint.1.Security.WEPKeyIndex",
            "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.WEPKey.1.",
            "InternetGatewayDevice.X_ACME.Mapping",
            "InternetGatewayDevice.X_ACME.Shopin",
            "InternetGatewayDevice.X_SNMP.Communities",
            "CommandKey",
            "",
        ] {
            assert!(!is_secret(path), "{path}");
        }
    }
}
