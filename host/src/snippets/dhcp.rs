//! What a DHCP server tells a device (TR-069 §3.1): the ACS URL, and a provisioning code.
//! A device that wants to know announces itself with `dslforum.org` in its vendor class; others
//! are told nothing.

use std::net::IpAddr;
use std::str::FromStr;

use super::{Choice, Facts, SnippetError};

/// What stands somewhere in option 60 (DHCPv6: 16) of a device.
pub(super) const VENDOR_CLASS: &str = "dslforum.org";
/// The Broadband Forum, in options that name whose they are.
pub(super) const ENTERPRISE: u32 = 3561;
/// Bytes of an option of DHCPv4.
const OPTION_BYTES_MAX: usize = 255;

pub(super) const SUBNET: Choice = Choice {
    name: "subnet",
    about: "the devices' network, such as 192.0.2.0/24, for a whole configuration",
};
pub(super) const POOL: Choice = Choice {
    name: "pool",
    about: "the addresses for devices, such as 192.0.2.100-192.0.2.200",
};

/// What devices are told.
pub(super) struct Told<'a> {
    pub(super) url: &'a str,
    pub(super) code: Option<&'a str>,
}

impl<'a> Told<'a> {
    pub(super) fn of(facts: &'a Facts<'_>) -> Result<Told<'a>, SnippetError> {
        let told = Told {
            url: facts.acs_url()?,
            code: facts.choice("provisioning_code"),
        };
        match told.vendor_identifying().len() {
            0..=OPTION_BYTES_MAX => Ok(told),
            _ => Err(SnippetError::Value {
                name: "acs_url",
                got: told.url.into(),
                expected: "a shorter one: an option of DHCPv4 has 255 bytes",
            }),
        }
    }

    /// Option 43: 1 is the URL, 2 the provisioning code.
    pub(super) fn vendor_specific(&self) -> Vec<u8> {
        self.encoded(1, 2)
    }

    /// Option 125: the same under the Broadband Forum's number, as 11 and 12.
    pub(super) fn vendor_identifying(&self) -> Vec<u8> {
        let data = self.encoded(11, 12);
        let mut option = ENTERPRISE.to_be_bytes().to_vec();
        option.push(data.len().min(OPTION_BYTES_MAX) as u8);
        option.extend(data);
        option
    }

    fn encoded(&self, url: u8, code: u8) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, text) in [(url, Some(self.url)), (code, self.code)] {
            if let Some(text) = text {
                out.extend([number, text.len().min(OPTION_BYTES_MAX) as u8]);
                out.extend(text.as_bytes());
            }
        }
        out
    }
}

/// `0123ab` or, between bytes, whatever the language wants.
pub(super) fn hexadecimal(bytes: &[u8], between: &str) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(between)
}

/// A network and the addresses in it that devices get.
pub(super) struct Pool {
    pub(super) network: IpAddr,
    pub(super) prefix: u8,
    pub(super) first: IpAddr,
    pub(super) last: IpAddr,
}

impl Pool {
    /// What the operator chose; `None`: the network is configured elsewhere.
    pub(super) fn of(facts: &Facts<'_>, is_v4: bool) -> Result<Option<Pool>, SnippetError> {
        const SUBNET_EXPECTED: &str =
            "a network of the right family such as 192.0.2.0/24 or 2001:db8::/64";
        const POOL_EXPECTED: &str = "first and last address such as 192.0.2.100-192.0.2.200";
        let subnet = facts.read::<Pair<'/'>>("subnet", SUBNET_EXPECTED)?;
        let pool = facts.read::<Pair<'-'>>("pool", POOL_EXPECTED)?;
        let (subnet, pool) = match (subnet, pool) {
            (None, None) => return Ok(None),
            (Some(subnet), Some(pool)) => (subnet, pool),
            (None, Some(_)) => return Err(missing(SUBNET)),
            (Some(_), None) => return Err(missing(POOL)),
        };
        let wrong = |name, expected| SnippetError::Value {
            name,
            got: facts.choice(name).unwrap_or_default().into(),
            expected,
        };
        let bits = if is_v4 { 32 } else { 128 };
        let network: IpAddr = subnet
            .0
            .parse()
            .map_err(|_| wrong("subnet", SUBNET_EXPECTED))?;
        let prefix: u8 = subnet
            .1
            .parse()
            .map_err(|_| wrong("subnet", SUBNET_EXPECTED))?;
        if network.is_ipv4() != is_v4 || prefix > bits {
            return Err(wrong("subnet", SUBNET_EXPECTED));
        }
        let address = |text: &str| {
            let address: Option<IpAddr> = text.parse().ok();
            let address = address.filter(|address| address.is_ipv4() == is_v4);
            address.ok_or_else(|| wrong("pool", POOL_EXPECTED))
        };
        Ok(Some(Pool {
            network,
            prefix,
            first: address(&pool.0)?,
            last: address(&pool.1)?,
        }))
    }
}

fn missing(choice: Choice) -> SnippetError {
    SnippetError::Missing {
        name: choice.name,
        about: choice.about,
    }
}

/// Two texts with a character between them.
struct Pair<const BETWEEN: char>(String, String);

impl<const BETWEEN: char> FromStr for Pair<BETWEEN> {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, last) = text.split_once(BETWEEN).ok_or(())?;
        Ok(Pair(first.into(), last.into()))
    }
}
