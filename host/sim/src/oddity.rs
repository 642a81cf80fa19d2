//! What real devices do differently, one by one selectable.

/// One deviation from the standard, or one habit that an ACS has to live with.
///
/// All but the ones that say so were seen in real devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Oddity {
    /// The OUI of the DeviceId in lower case.
    LowerCaseOui,
    /// An empty ParameterKey reads `(null)`.
    NullParameterKey,
    /// Envelopes without a SOAP header.
    NoHeader,
    /// `<cwmp:ID/>`, empty, in all messages.
    EmptyId,
    /// The same `cwmp:ID` in all requests of the device.
    ConstantId,
    /// Responses carry an ID of the device's own instead of the request's.
    IdNotEchoed,
    /// `arrayType` counts are wrong by one.
    WrongArrayCounts,
    /// A boolean must be written `1` or `0`; `true` and `false` are fault 9007.
    BooleanDigitsOnly,
    /// GetParameterValues of more than 16 names is fault 9004.
    GetLimit16,
    /// One bad name in GetParameterValues: those that exist are answered, the bad ones left out.
    BadNamesLeftOut,
    /// GetParameterNames of the empty path is fault 9005.
    RootNamesRefused,
    /// GetParameterNames of the whole tree (`""` or the root object, not NextLevel) is fault 9004.
    FullNamesExhaust,
    /// GetParameterNames is answered with an empty POST.
    NamesAnsweredEmpty,
    /// Every first answer to a request is an empty POST (not seen; the worst of its kind).
    AnswersEmpty,
    /// TransferComplete and its event carry an empty CommandKey.
    TransferWithoutKey,
    /// Transfers are done, TransferComplete never comes.
    TransferNever,
    /// TransferComplete comes twice.
    TransferTwice,
    /// Cookies are not sent back.
    CookieIgnored,
    /// Cookies come back as `$Version="0"; name=value;$Path=/`.
    CookieVersioned,
    /// Cookies without `Path=/` are dropped.
    CookieNeedsPath,
    /// A new TCP connection for every POST.
    ConnectionPerPost,
    /// Bodies are chunked.
    Chunked,
    /// `Expect: 100-continue` is sent, and the answer to it waited for.
    ExpectContinue,
    /// An empty POST after the ACS has ended the session.
    ExtraEmptyPost,
    /// The empty POST has a line end as its body.
    WhitespaceAsEmpty,
    /// A NoMoreRequests header in the Inform (2004 rules).
    NoMoreRequests,
    /// `MaxEnvelopes` 2 in the Inform.
    MaxEnvelopes2,
    /// The clock was never set: it began at 1970 with the last boot.
    Clock1970,
    /// `0 BOOTSTRAP` with every boot.
    BootstrapEveryBoot,
    /// The connection is dropped where the RebootResponse is due.
    DropsAtReboot,
    /// Inform without a single event.
    NoEvents,
    /// No ProductClass.
    NoProductClass,
    /// The connection request: the connection is closed after the 401.
    RequestClosedAfter401,
    /// The connection request: Basic instead of Digest authentication.
    RequestBasic,
    /// The connection request: 200 for anybody, no session without credentials.
    Request200BeforeAuth,
    /// The connection request: no answer at all, and no session.
    RequestNeverAnswered,
    /// The connection request: answered by a redirect, and no session.
    RequestRedirected,
    /// The connection request: a huge answer, then a session.
    RequestHugeAnswer,
    /// The connection request while a session runs waits for its end instead of a 503.
    RequestWaits,
    /// A request of the device's own comes where the answer to a request of the ACS is due.
    RequestsOutOfTurn,
    /// The first answer of a session is the response to something else.
    AnswersOtherwise,
    /// Bodies are compressed with gzip.
    GzipBody,
    /// Bodies are compressed with deflate, without the zlib header that belongs to it.
    RawDeflateBody,
    /// Digest of MD5 is the only one it knows.
    DigestMd5Only,
    /// `qop` and `algorithm` are quoted in the Digest that it sends.
    DigestQuoted,
    /// Basic is sent before anybody asks for it.
    BasicUnasked,
    /// GetParameterValues of more than 16 names is fault 9002.
    GetLimit16Internal,
    /// GetParameterValues of more than 16 names is fault 9003.
    GetLimit16Arguments,
    /// GetParameterValues of more than 16 names is never answered; seconds later it hangs up.
    GetLimit16Hangs,
    /// GetParameterValues of more than 16 names: the connection is dropped.
    GetLimit16Drops,
    /// GetParameterValues of more than 16 names makes it reboot.
    GetLimit16Reboots,
    /// Fault 9005 of GetParameterValues says which name it is.
    BadNameNamed,
    /// GetParameterValues of a partial path is fault 9005.
    PartialPathsRefused,
    /// GetParameterNames of the whole tree: the connection is dropped.
    FullNamesDrop,
    /// NextLevel of GetParameterNames is not looked at: all below comes.
    NextLevelIgnored,
    /// Objects in GetParameterNamesResponse lack their dot.
    ObjectsWithoutDots,
    /// AddObject is always fault 9002.
    AddObjectRefused,
    /// AddObjectResponse has the InstanceNumber 0.
    AddObjectUncounted,
    /// GetParameterAttributes is fault 9000.
    AttributesUnsupported,
    /// SetParameterValues of more than 4 values is fault 9004.
    SetLimit4,
    /// TransferComplete of a firmware comes before the boot that it brings.
    TransferBeforeBoot,
    /// TransferComplete of a firmware tells fault 9010, then the device boots with it.
    TransferFaultFlashed,
    /// Download with DelaySeconds 0 is fault 9003.
    TransferDelayNeeded,
    /// Diagnostics are run, `8 DIAGNOSTICS COMPLETE` never comes.
    DiagnosticsSilent,
    /// STUN: CONNECTION-REQUEST-BINDING of 19 bytes, and no padding between attributes.
    StunShortBinding,
    /// STUN: the user name is filled up with blanks, and they count.
    StunBlankUsername,
    /// STUN: MESSAGE-INTEGRITY without the zeros of RFC 3489.
    StunUnpaddedIntegrity,
    /// STUN: never asks for an answer to another port, to learn how long its binding lasts.
    StunNoResponseAddress,
    /// The connection request by UDP: its last timestamp was in milliseconds.
    UdpMilliseconds,
    /// XMPP: errors with the misspelt condition `not-autorized`, code 503, and the request sent back.
    XmppMisspelled,
    /// XMPP: every connection request is answered with service-unavailable.
    XmppUnavailable,
    /// XMPP: no connection request is answered.
    XmppSilent,
    /// XMPP: nothing but connection requests is answered, no ping either.
    XmppIgnoresOthers,
    /// XMPP: another resource than it was told, and another one each time.
    XmppOtherResource,
}

impl Oddity {
    /// All of them.
    pub const ALL: [Oddity; 74] = [
        Oddity::LowerCaseOui,
        Oddity::NullParameterKey,
        Oddity::NoHeader,
        Oddity::EmptyId,
        Oddity::ConstantId,
        Oddity::IdNotEchoed,
        Oddity::WrongArrayCounts,
        Oddity::BooleanDigitsOnly,
        Oddity::GetLimit16,
        Oddity::BadNamesLeftOut,
        Oddity::RootNamesRefused,
        Oddity::FullNamesExhaust,
        Oddity::NamesAnsweredEmpty,
        Oddity::AnswersEmpty,
        Oddity::TransferWithoutKey,
        Oddity::TransferNever,
        Oddity::TransferTwice,
        Oddity::CookieIgnored,
        Oddity::CookieVersioned,
        Oddity::CookieNeedsPath,
        Oddity::ConnectionPerPost,
        Oddity::Chunked,
        Oddity::ExpectContinue,
        Oddity::ExtraEmptyPost,
        Oddity::WhitespaceAsEmpty,
        Oddity::NoMoreRequests,
        Oddity::MaxEnvelopes2,
        Oddity::Clock1970,
        Oddity::BootstrapEveryBoot,
        Oddity::DropsAtReboot,
        Oddity::NoEvents,
        Oddity::NoProductClass,
        Oddity::RequestClosedAfter401,
        Oddity::RequestBasic,
        Oddity::Request200BeforeAuth,
        Oddity::RequestNeverAnswered,
        Oddity::RequestRedirected,
        Oddity::RequestHugeAnswer,
        Oddity::RequestWaits,
        Oddity::RequestsOutOfTurn,
        Oddity::AnswersOtherwise,
        Oddity::GzipBody,
        Oddity::RawDeflateBody,
        Oddity::DigestMd5Only,
        Oddity::DigestQuoted,
        Oddity::BasicUnasked,
        Oddity::GetLimit16Internal,
        Oddity::GetLimit16Arguments,
        Oddity::GetLimit16Hangs,
        Oddity::GetLimit16Drops,
        Oddity::GetLimit16Reboots,
        Oddity::BadNameNamed,
        Oddity::PartialPathsRefused,
        Oddity::FullNamesDrop,
        Oddity::NextLevelIgnored,
        Oddity::ObjectsWithoutDots,
        Oddity::AddObjectRefused,
        Oddity::AddObjectUncounted,
        Oddity::AttributesUnsupported,
        Oddity::SetLimit4,
        Oddity::TransferBeforeBoot,
        Oddity::TransferFaultFlashed,
        Oddity::TransferDelayNeeded,
        Oddity::DiagnosticsSilent,
        Oddity::StunShortBinding,
        Oddity::StunBlankUsername,
        Oddity::StunUnpaddedIntegrity,
        Oddity::StunNoResponseAddress,
        Oddity::UdpMilliseconds,
        Oddity::XmppMisspelled,
        Oddity::XmppUnavailable,
        Oddity::XmppSilent,
        Oddity::XmppIgnoresOthers,
        Oddity::XmppOtherResource,
    ];

    /// As a command line writes it: `no-header`.
    pub fn name(self) -> &'static str {
        match self {
            Oddity::LowerCaseOui => "lower-case-oui",
            Oddity::NullParameterKey => "null-parameter-key",
            Oddity::NoHeader => "no-header",
            Oddity::EmptyId => "empty-id",
            Oddity::ConstantId => "constant-id",
            Oddity::IdNotEchoed => "id-not-echoed",
            Oddity::WrongArrayCounts => "wrong-array-counts",
            Oddity::BooleanDigitsOnly => "boolean-digits-only",
            Oddity::GetLimit16 => "get-limit-16",
            Oddity::BadNamesLeftOut => "bad-names-left-out",
            Oddity::RootNamesRefused => "root-names-refused",
            Oddity::FullNamesExhaust => "full-names-exhaust",
            Oddity::NamesAnsweredEmpty => "names-answered-empty",
            Oddity::AnswersEmpty => "answers-empty",
            Oddity::TransferWithoutKey => "transfer-without-key",
            Oddity::TransferNever => "transfer-never",
            Oddity::TransferTwice => "transfer-twice",
            Oddity::CookieIgnored => "cookie-ignored",
            Oddity::CookieVersioned => "cookie-versioned",
            Oddity::CookieNeedsPath => "cookie-needs-path",
            Oddity::ConnectionPerPost => "connection-per-post",
            Oddity::Chunked => "chunked",
            Oddity::ExpectContinue => "expect-continue",
            Oddity::ExtraEmptyPost => "extra-empty-post",
            Oddity::WhitespaceAsEmpty => "whitespace-as-empty",
            Oddity::NoMoreRequests => "no-more-requests",
            Oddity::MaxEnvelopes2 => "max-envelopes-2",
            Oddity::Clock1970 => "clock-1970",
            Oddity::BootstrapEveryBoot => "bootstrap-every-boot",
            Oddity::DropsAtReboot => "drops-at-reboot",
            Oddity::NoEvents => "no-events",
            Oddity::NoProductClass => "no-product-class",
            Oddity::RequestClosedAfter401 => "request-closed-after-401",
            Oddity::RequestBasic => "request-basic",
            Oddity::Request200BeforeAuth => "request-200-before-auth",
            Oddity::RequestNeverAnswered => "request-never-answered",
            Oddity::RequestRedirected => "request-redirected",
            Oddity::RequestHugeAnswer => "request-huge-answer",
            Oddity::RequestWaits => "request-waits",
            Oddity::RequestsOutOfTurn => "requests-out-of-turn",
            Oddity::AnswersOtherwise => "answers-otherwise",
            Oddity::GzipBody => "gzip-body",
            Oddity::RawDeflateBody => "raw-deflate-body",
            Oddity::DigestMd5Only => "digest-md5-only",
            Oddity::DigestQuoted => "digest-quoted",
            Oddity::BasicUnasked => "basic-unasked",
            Oddity::GetLimit16Internal => "get-limit-16-internal",
            Oddity::GetLimit16Arguments => "get-limit-16-arguments",
            Oddity::GetLimit16Hangs => "get-limit-16-hangs",
            Oddity::GetLimit16Drops => "get-limit-16-drops",
            Oddity::GetLimit16Reboots => "get-limit-16-reboots",
            Oddity::BadNameNamed => "bad-name-named",
            Oddity::PartialPathsRefused => "partial-paths-refused",
            Oddity::FullNamesDrop => "full-names-drop",
            Oddity::NextLevelIgnored => "next-level-ignored",
            Oddity::ObjectsWithoutDots => "objects-without-dots",
            Oddity::AddObjectRefused => "add-object-refused",
            Oddity::AddObjectUncounted => "add-object-uncounted",
            Oddity::AttributesUnsupported => "attributes-unsupported",
            Oddity::SetLimit4 => "set-limit-4",
            Oddity::TransferBeforeBoot => "transfer-before-boot",
            Oddity::TransferFaultFlashed => "transfer-fault-flashed",
            Oddity::TransferDelayNeeded => "transfer-delay-needed",
            Oddity::DiagnosticsSilent => "diagnostics-silent",
            Oddity::StunShortBinding => "stun-short-binding",
            Oddity::StunBlankUsername => "stun-blank-username",
            Oddity::StunUnpaddedIntegrity => "stun-unpadded-integrity",
            Oddity::StunNoResponseAddress => "stun-no-response-address",
            Oddity::UdpMilliseconds => "udp-milliseconds",
            Oddity::XmppMisspelled => "xmpp-misspelled",
            Oddity::XmppUnavailable => "xmpp-unavailable",
            Oddity::XmppSilent => "xmpp-silent",
            Oddity::XmppIgnoresOthers => "xmpp-ignores-others",
            Oddity::XmppOtherResource => "xmpp-other-resource",
        }
    }

    /// The one with this [`Oddity::name`].
    pub fn from_name(name: &str) -> Option<Oddity> {
        Oddity::ALL.into_iter().find(|oddity| oddity.name() == name)
    }
}

/// A set of [`Oddity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Oddities(u128);

impl Oddities {
    /// By the standard.
    pub const NONE: Oddities = Oddities(0);

    /// With `oddity` too.
    #[must_use]
    pub const fn with(self, oddity: Oddity) -> Oddities {
        Oddities(self.0 | 1 << oddity as u8)
    }

    /// But for `oddity`.
    #[must_use]
    pub const fn without(self, oddity: Oddity) -> Oddities {
        Oddities(self.0 & !(1 << oddity as u8))
    }

    /// Whether `oddity` is one of them.
    pub const fn has(self, oddity: Oddity) -> bool {
        self.0 & (1 << oddity as u8) != 0
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Oddities) -> Oddities {
        Oddities(self.0 | others.0)
    }
}

impl FromIterator<Oddity> for Oddities {
    fn from_iter<I: IntoIterator<Item = Oddity>>(oddities: I) -> Oddities {
        oddities.into_iter().fold(Oddities::NONE, Oddities::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_named_and_found_again() {
        for (number, oddity) in Oddity::ALL.into_iter().enumerate() {
            assert_eq!(oddity as usize, number);
            assert_eq!(Oddity::from_name(oddity.name()), Some(oddity));
        }
        assert_eq!(Oddity::MaxEnvelopes2.name(), "max-envelopes-2");
        // The set is a u128.
        assert!(Oddity::ALL.len() <= 128);
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: Oddities = [Oddity::NoHeader, Oddity::RequestWaits]
            .into_iter()
            .collect();
        let held: Vec<Oddity> = Oddity::ALL
            .into_iter()
            .filter(|oddity| set.has(*oddity))
            .collect();
        assert_eq!(held, [Oddity::NoHeader, Oddity::RequestWaits]);
    }
}
