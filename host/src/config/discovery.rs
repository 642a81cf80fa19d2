//! How devices find the instance, and the tags that their provisioning codes give them.

use super::{ConfigError, Instance};

/// `ManagementServer.URL` holds no more; an option of DHCPv4 holds one byte less.
const ACS_URL_BYTES_MAX: usize = 255;
/// `DeviceInfo.ProvisioningCode` holds no more.
const CODE_CHARS_MAX: usize = 64;
/// Codes that give tags, of an instance.
const CODES_MAX: usize = 1_000;
/// Tags of one code.
const TAGS_MAX: usize = 20;
/// Characters of one tag.
const TAG_CHARS_MAX: usize = 64;

pub(super) fn check(instance: &Instance) -> Result<(), ConfigError> {
    let wrong = |name, got: &dyn std::fmt::Debug, expected| {
        Err(ConfigError::Value {
            name,
            got: format!("{got:?}"),
            expected,
        })
    };
    if let Some(url) = &instance.acs_url
        && !is_acs_url(url)
    {
        return wrong(
            "instance.acs_url",
            url,
            "an http or https URL of at most 255 characters such as \"http://acs.example.net:7547/\"",
        );
    }
    let codes = &instance.provisioning_codes;
    if codes.len() > CODES_MAX {
        return wrong(
            "instance.provisioning_codes",
            &codes.len(),
            "at most 1000 provisioning codes",
        );
    }
    for (code, tags) in codes {
        if code.chars().count() > CODE_CHARS_MAX {
            return wrong(
                "instance.provisioning_codes",
                code,
                "a provisioning code of at most 64 characters, * for any text",
            );
        }
        let is_tag = |tag: &String| {
            !tag.trim().is_empty()
                && tag.chars().count() <= TAG_CHARS_MAX
                && !tag.chars().any(char::is_control)
        };
        if tags.is_empty() || tags.len() > TAGS_MAX || !tags.iter().all(is_tag) {
            return wrong(
                "instance.provisioning_codes",
                tags,
                "1 to 20 tags of 1 to 64 characters",
            );
        }
    }
    Ok(())
}

/// Whether a device, a DHCP server and a shell take it as it is.
fn is_acs_url(url: &str) -> bool {
    let authority = ["http://", "https://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme))
        .and_then(|rest| rest.split('/').next());
    let plain = |c: char| c.is_ascii_alphanumeric() || ":/.-_~[]?=&%+,".contains(c);
    authority.is_some_and(|authority| !authority.is_empty() && !authority.starts_with(':'))
        && url.len() <= ACS_URL_BYTES_MAX
        && url.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(toml: &str, part: &str) {
        let instance: Instance = toml::from_str(toml).unwrap();
        let error = super::check(&instance).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn what_is_no_acs_url_and_no_tag() {
        for url in [
            "acs.example.net",
            "ftp://a/",
            "http://",
            "http://:7547/",
            "http://a b/",
            "http://a/'",
        ] {
            refused(&format!("acs_url = \"{url}\""), "instance.acs_url");
        }
        refused(&format!("acs_url = \"http://{}/\"", "a".repeat(250)), "255");
        refused("provisioning_codes = { gold = [] }", "1 to 20 tags");
        refused("provisioning_codes = { gold = [' '] }", "1 to 20 tags");
        let good = "acs_url = \"https://[2001:db8::1]:7548/acs?x=1\"\nprovisioning_codes = { \"gold*\" = [\"tier-gold\"] }";
        let instance: Instance = toml::from_str(good).unwrap();
        assert!(super::check(&instance).is_ok());
    }
}
