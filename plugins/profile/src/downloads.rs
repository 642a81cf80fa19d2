//! Download as the device wants to be asked for it.

use patchbay_plugin::session::Transfer;
use profile_format::Downloads;

pub(crate) fn fit(rules: &Downloads, mut transfer: Transfer) -> Transfer {
    if let Some(file_type) = rules.file_types.get(transfer.file_type.trim()) {
        transfer.file_type.clone_from(file_type);
    }
    if rules.target_file_name && transfer.target_file_name.is_empty() {
        transfer.target_file_name = file_name(&transfer.url).to_owned();
    }
    transfer.delay_seconds = transfer.delay_seconds.max(rules.delay_seconds_min);
    if rules.credentials_in_url
        && !transfer.username.is_empty()
        && let Some((scheme, rest)) = transfer.url.split_once("://")
    {
        let (username, password) = (escaped(&transfer.username), escaped(&transfer.password));
        transfer.url = format!("{scheme}://{username}:{password}@{rest}");
        transfer.username.clear();
        transfer.password.clear();
    }
    transfer
}

/// The last part of a URL's path.
fn file_name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    path.rsplit_once('/').map_or("", |(_, name)| name)
}

/// For the user information of a URL.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::written;

    fn transfer(url: &str) -> Transfer {
        Transfer {
            command_key: "k".into(),
            file_type: "1 Firmware Upgrade Image".into(),
            url: url.into(),
            username: "me".into(),
            password: "p@ss".into(),
            file_size: 7,
            target_file_name: String::new(),
            delay_seconds: 0,
        }
    }

    #[test]
    fn a_firmware_by_another_name() {
        let rules = "[downloads]\ntarget_file_name = true\ndelay_seconds_min = 3\n\
            file_types = { '1 Firmware Upgrade Image' = 'X 00005E Firmware' }";
        let fitted = fit(
            &written(rules).downloads,
            transfer("http://files/v2/fw.bin?sig=1"),
        );
        let expected = Transfer {
            file_type: "X 00005E Firmware".into(),
            target_file_name: "fw.bin".into(),
            delay_seconds: 3,
            ..transfer("http://files/v2/fw.bin?sig=1")
        };
        assert_eq!(fitted, expected);
        assert_eq!(file_name("http://files"), "");
    }

    #[test]
    fn credentials_in_the_url() {
        let rules = "[downloads]\ncredentials_in_url = true";
        let fitted = fit(&written(rules).downloads, transfer("http://files/fw.bin"));
        assert_eq!(fitted.url, "http://me:p%40ss@files/fw.bin");
        assert_eq!(
            (fitted.username.as_str(), fitted.password.as_str()),
            ("", "")
        );
    }
}
