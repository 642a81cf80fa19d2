//! Why a session began: the events of an Inform (TR-069 §3.7.1.5, EventStruct of A.3.3.1).

use std::fmt;

/// EventStruct.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// `0 BOOTSTRAP`, `M Reboot`, `X CT-COM BIND`, …; as sent, empty where the device sent none.
    pub code: String,
    /// The CommandKey of the RPC that caused it, else empty.
    pub command_key: String,
}

impl Event {
    /// What its code means.
    pub fn kind(&self) -> EventKind<'_> {
        EventKind::new(&self.code)
    }
}

/// What an event code means. Two that mean the same are equal, whatever their case.
#[derive(Debug, Clone, Copy)]
pub enum EventKind<'e> {
    /// 0: the first contact with this ACS, or after a factory reset: nothing that was known of
    /// the device holds any more.
    Bootstrap,
    /// 1: power came back, or it rebooted.
    Boot,
    /// 2: PeriodicInformInterval is over.
    Periodic,
    /// 3: a ScheduleInform is due.
    Scheduled,
    /// 4: parameters with notification have changed; they come with the Inform.
    ValueChange,
    /// 5: a browser was sent to the device, Kicked follows.
    Kicked,
    /// 6: a connection request came.
    ConnectionRequest,
    /// 7: TransferComplete follows.
    TransferComplete,
    /// 8: a diagnostic that was asked for is done.
    DiagnosticsComplete,
    /// 9: RequestDownload follows.
    RequestDownload,
    /// 10: AutonomousTransferComplete follows.
    AutonomousTransferComplete,
    /// 11: DUStateChangeComplete follows.
    DuStateChangeComplete,
    /// 12: AutonomousDUStateChangeComplete follows.
    AutonomousDuStateChangeComplete,
    /// 13: it woke from standby (1.4).
    WakeUp,
    /// 14: a sign of life (Amendment 6).
    Heartbeat,
    /// `M Reboot`: the named RPC of the ACS is done. With its CommandKey.
    Method(&'e str),
    /// `X CT-COM BIND`: what stands behind the `X`.
    Vendor(&'e str),
    /// Anything else, as sent; empty where there is nothing.
    Unknown(&'e str),
}

/// The numbered ones, each at its number.
const NUMBERED: [(EventKind<'_>, &str); 15] = [
    (EventKind::Bootstrap, "BOOTSTRAP"),
    (EventKind::Boot, "BOOT"),
    (EventKind::Periodic, "PERIODIC"),
    (EventKind::Scheduled, "SCHEDULED"),
    (EventKind::ValueChange, "VALUE CHANGE"),
    (EventKind::Kicked, "KICKED"),
    (EventKind::ConnectionRequest, "CONNECTION REQUEST"),
    (EventKind::TransferComplete, "TRANSFER COMPLETE"),
    (EventKind::DiagnosticsComplete, "DIAGNOSTICS COMPLETE"),
    (EventKind::RequestDownload, "REQUEST DOWNLOAD"),
    (
        EventKind::AutonomousTransferComplete,
        "AUTONOMOUS TRANSFER COMPLETE",
    ),
    (EventKind::DuStateChangeComplete, "DU STATE CHANGE COMPLETE"),
    (
        EventKind::AutonomousDuStateChangeComplete,
        "AUTONOMOUS DU STATE CHANGE COMPLETE",
    ),
    (EventKind::WakeUp, "WAKEUP"),
    (EventKind::Heartbeat, "HEARTBEAT"),
];

impl<'e> EventKind<'e> {
    /// Reads a code: the number counts where there is one, whatever its text; the text where
    /// there is no number. White space and case do not matter.
    pub fn new(code: &'e str) -> EventKind<'e> {
        let code = code.trim();
        let text = code.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = code.get(..code.len() - text.len()).unwrap_or_default();
        let numbered = match number.parse::<usize>() {
            Ok(number) => NUMBERED.get(number),
            Err(_) => NUMBERED.iter().find(|(_, name)| same_words(name, text)),
        };
        if let Some((kind, _)) = numbered {
            return *kind;
        }
        match code.split_once(char::is_whitespace) {
            Some((letter, method)) if letter.eq_ignore_ascii_case("M") => {
                EventKind::Method(method.trim())
            }
            Some((letter, text)) if letter.eq_ignore_ascii_case("X") => {
                EventKind::Vendor(text.trim())
            }
            _ => EventKind::Unknown(code),
        }
    }

    /// Its number; `None` for those that have none.
    pub fn number(self) -> Option<usize> {
        NUMBERED.iter().position(|(kind, _)| *kind == self)
    }

    /// Whether an Inform has it at most once, however often it happened; others come once for
    /// each time, with the CommandKey of that.
    pub fn is_single(self) -> bool {
        !matches!(
            self,
            EventKind::Method(_) | EventKind::Vendor(_) | EventKind::Unknown(_)
        )
    }

    /// Whether it says no more than that the device is there. All others are told once, and
    /// would be lost if they were not kept.
    pub fn is_routine(self) -> bool {
        matches!(
            self,
            EventKind::Periodic | EventKind::ConnectionRequest | EventKind::Heartbeat
        )
    }
}

fn same_words(one: &str, other: &str) -> bool {
    let mut others = other.split_whitespace();
    one.split_whitespace().all(|word| {
        others
            .next()
            .is_some_and(|other| word.eq_ignore_ascii_case(other))
    }) && others.next().is_none()
}

impl PartialEq for EventKind<'_> {
    fn eq(&self, other: &EventKind<'_>) -> bool {
        use EventKind::{Method, Unknown, Vendor};
        match (self, other) {
            (Method(one), Method(other))
            | (Vendor(one), Vendor(other))
            | (Unknown(one), Unknown(other)) => one.eq_ignore_ascii_case(other),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for EventKind<'_> {}

/// As the standard writes it.
impl fmt::Display for EventKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventKind::Method(method) => write!(f, "M {method}"),
            EventKind::Vendor(text) => write!(f, "X {text}"),
            EventKind::Unknown(code) => f.write_str(code),
            numbered => {
                let mut all = NUMBERED.iter().enumerate();
                match all.find(|(_, (kind, _))| kind == numbered) {
                    Some((number, (_, name))) => write!(f, "{number} {name}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_as_devices_send_them() {
        for (code, kind) in [
            ("0 BOOTSTRAP", "0 BOOTSTRAP"),
            (" 1 boot\n", "1 BOOT"),
            ("2", "2 PERIODIC"),
            ("2PERIODIC", "2 PERIODIC"),
            ("02 PERIODIC", "2 PERIODIC"),
            ("4  VALUE   CHANGE", "4 VALUE CHANGE"),
            ("Value Change", "4 VALUE CHANGE"),
            (
                "10 AUTONOMOUS TRANSFER COMPLETE",
                "10 AUTONOMOUS TRANSFER COMPLETE",
            ),
            ("11", "11 DU STATE CHANGE COMPLETE"),
            ("14 HEARTBEAT", "14 HEARTBEAT"),
            ("15 LATER", "15 LATER"),
            ("99999999999999999999999", "99999999999999999999999"),
            ("M Reboot", "M Reboot"),
            ("m  Reboot", "M Reboot"),
            ("M X_00005E_Do", "M X_00005E_Do"),
            ("X CT-COM BIND", "X CT-COM BIND"),
            ("x BC0304 Alarm", "X BC0304 Alarm"),
            ("M", "M"),
            ("", ""),
            ("Ünknown", "Ünknown"),
        ] {
            assert_eq!(EventKind::new(code).to_string(), kind, "{code:?}");
        }
    }

    #[test]
    fn what_means_the_same_is_equal() {
        assert_eq!(EventKind::new("m reboot"), EventKind::Method("Reboot"));
        assert_ne!(EventKind::new("M Download"), EventKind::Method("Reboot"));
        assert_ne!(EventKind::new("X Reboot"), EventKind::Method("Reboot"));
        assert_eq!(
            EventKind::new("X ct-com bind"),
            EventKind::Vendor("CT-COM BIND")
        );
        assert_ne!(EventKind::new("1 BOOT"), EventKind::Bootstrap);
    }

    #[test]
    fn numbers_are_their_places() {
        for (number, (kind, _)) in NUMBERED.iter().enumerate() {
            assert_eq!(kind.number(), Some(number));
            assert_eq!(EventKind::new(&kind.to_string()), *kind);
            assert!(kind.is_single());
        }
        assert_eq!(EventKind::Method("Reboot").number(), None);
        assert!(!EventKind::Method("Reboot").is_single());
        assert!(EventKind::Periodic.is_routine() && !EventKind::Boot.is_routine());
    }
}
