//! How a device differs from the standard where no code is needed: the host applies it.

/// The differences of one device, merged over its profiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `max-names-per-get`: names in one GetParameterValues.
    pub max_names_per_get: Option<u32>,
    /// `max-parameters-per-set`: parameters in one SetParameterValues.
    pub max_parameters_per_set: Option<u32>,
    /// `names-by-level`: ask GetParameterNames level by level.
    pub names_by_level: bool,
    /// `skip-root-names`: never ask the names of the whole tree at once.
    pub skip_root_names: bool,
    /// `boolean-words`: how booleans are written to the device.
    pub boolean_words: BooleanWords,
    /// `date-time-milliseconds`: write dateTimes with milliseconds.
    pub date_time_milliseconds: bool,
    /// `no-parameter-key`: leave the ParameterKey empty.
    pub no_parameter_key: bool,
    /// `no-transfer-complete`: the device never sends one.
    pub no_transfer_complete: bool,
    /// `no-xml-declaration`: begin at the envelope.
    pub no_xml_declaration: bool,
    /// `min-periodic-inform-interval`: seconds; a shorter one is never set.
    pub min_periodic_inform_interval: Option<u32>,
    /// `connection-request-basic-auth`: the device knows no digest authentication.
    pub connection_request_basic_auth: bool,
    /// `udp-timestamp-milliseconds`: the `ts` of a UDP connection request in milliseconds.
    pub udp_timestamp_milliseconds: bool,
    /// `no-xmpp`: what it reports of XMPP is not to be trusted.
    pub no_xmpp: bool,
    /// `no-stun`: what it reports of STUN is not to be trusted.
    pub no_stun: bool,
    /// `no-partial-paths`: GetParameterValues knows full names only.
    pub no_partial_paths: bool,
    /// `cwmp-version`: the version to speak, whatever its Informs say.
    pub cwmp_version: Option<cwmp::Version>,
}

/// How booleans are written to the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BooleanWords {
    /// `1` and `0`.
    #[default]
    Digits,
    /// `true` and `false`.
    Words,
}

/// One difference, as a profile names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Override {
    MaxNamesPerGet(u32),
    MaxParametersPerSet(u32),
    NamesByLevel(bool),
    SkipRootNames(bool),
    BooleanWords(BooleanWords),
    DateTimeMilliseconds(bool),
    NoParameterKey(bool),
    NoTransferComplete(bool),
    NoXmlDeclaration(bool),
    MinPeriodicInformInterval(u32),
    ConnectionRequestBasicAuth(bool),
    UdpTimestampMilliseconds(bool),
    NoXmpp(bool),
    NoStun(bool),
    NoPartialPaths(bool),
    CwmpVersion(cwmp::Version),
}

const NAMES: &str = "max-names-per-get, max-parameters-per-set, names-by-level, skip-root-names, \
    boolean-words, date-time-milliseconds, no-parameter-key, no-transfer-complete, no-xml-declaration, \
    min-periodic-inform-interval, connection-request-basic-auth, \
    udp-timestamp-milliseconds, no-xmpp, no-stun, no-partial-paths, cwmp-version";

impl Override {
    /// An error says what was expected.
    pub(super) fn parse(name: &str, value: &str) -> Result<Override, String> {
        let yes = || match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!(
                "override {name} is {value:?}; expected \"true\" or \"false\""
            )),
        };
        let number = || match value.parse::<u32>() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!(
                "override {name} is {value:?}; expected a number from 1 on"
            )),
        };
        Ok(match name {
            "max-names-per-get" => Override::MaxNamesPerGet(number()?),
            "max-parameters-per-set" => Override::MaxParametersPerSet(number()?),
            "names-by-level" => Override::NamesByLevel(yes()?),
            "skip-root-names" => Override::SkipRootNames(yes()?),
            "boolean-words" => Override::BooleanWords(match value {
                "0/1" => BooleanWords::Digits,
                "false/true" => BooleanWords::Words,
                _ => {
                    return Err(format!(
                        "override {name} is {value:?}; expected \"0/1\" or \"false/true\""
                    ));
                }
            }),
            "date-time-milliseconds" => Override::DateTimeMilliseconds(yes()?),
            "no-parameter-key" => Override::NoParameterKey(yes()?),
            "no-transfer-complete" => Override::NoTransferComplete(yes()?),
            "no-xml-declaration" => Override::NoXmlDeclaration(yes()?),
            "min-periodic-inform-interval" => Override::MinPeriodicInformInterval(number()?),
            "connection-request-basic-auth" => Override::ConnectionRequestBasicAuth(yes()?),
            "udp-timestamp-milliseconds" => Override::UdpTimestampMilliseconds(yes()?),
            "no-xmpp" => Override::NoXmpp(yes()?),
            "no-stun" => Override::NoStun(yes()?),
            "no-partial-paths" => Override::NoPartialPaths(yes()?),
            "cwmp-version" => Override::CwmpVersion(version(name, value)?),
            _ => {
                return Err(format!(
                    "override {name:?} is not known; expected one of {NAMES}"
                ));
            }
        })
    }
}

fn version(name: &str, value: &str) -> Result<cwmp::Version, String> {
    cwmp::Version::from_number(value)
        .ok_or_else(|| format!("override {name} is {value:?}; expected \"1.0\" to \"1.4\""))
}

impl Overrides {
    /// A later one has the last word.
    pub(super) fn apply(&mut self, one: Override) {
        match one {
            Override::MaxNamesPerGet(names) => self.max_names_per_get = Some(names),
            Override::MaxParametersPerSet(parameters) => {
                self.max_parameters_per_set = Some(parameters)
            }
            Override::NamesByLevel(yes) => self.names_by_level = yes,
            Override::SkipRootNames(yes) => self.skip_root_names = yes,
            Override::BooleanWords(words) => self.boolean_words = words,
            Override::DateTimeMilliseconds(yes) => self.date_time_milliseconds = yes,
            Override::NoParameterKey(yes) => self.no_parameter_key = yes,
            Override::NoTransferComplete(yes) => self.no_transfer_complete = yes,
            Override::NoXmlDeclaration(yes) => self.no_xml_declaration = yes,
            Override::MinPeriodicInformInterval(seconds) => {
                self.min_periodic_inform_interval = Some(seconds);
            }
            Override::ConnectionRequestBasicAuth(yes) => self.connection_request_basic_auth = yes,
            Override::UdpTimestampMilliseconds(yes) => self.udp_timestamp_milliseconds = yes,
            Override::NoXmpp(yes) => self.no_xmpp = yes,
            Override::NoStun(yes) => self.no_stun = yes,
            Override::NoPartialPaths(yes) => self.no_partial_paths = yes,
            Override::CwmpVersion(version) => self.cwmp_version = Some(version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_known_and_its_values_checked() {
        for name in NAMES.split(", ") {
            let fits: Vec<&str> = ["true", "7", "0/1", "1.2"]
                .into_iter()
                .filter(|value| Override::parse(name, value).is_ok())
                .collect();
            assert_eq!(fits.len(), 1, "{name} takes {fits:?}");
            let error = Override::parse(name, "nonsense").unwrap_err();
            assert!(
                error.contains(name) && error.contains("expected"),
                "{error}"
            );
        }
        assert!(Override::parse("max-names-per-get", "0").is_err());
        assert!(
            Override::parse("max-name-per-get", "1")
                .unwrap_err()
                .contains("max-names-per-get")
        );
    }

    #[test]
    fn the_last_word_counts() {
        let mut overrides = Overrides::default();
        for (name, value) in [
            ("no-stun", "true"),
            ("max-names-per-get", "16"),
            ("no-stun", "false"),
            ("boolean-words", "false/true"),
        ] {
            overrides.apply(Override::parse(name, value).unwrap());
        }
        let expected = Overrides {
            max_names_per_get: Some(16),
            boolean_words: BooleanWords::Words,
            ..Overrides::default()
        };
        assert_eq!(overrides, expected);
    }
}
