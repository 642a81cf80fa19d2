//! When devices may be begun: from a start to an end, inside service windows, in the operator's
//! time zone or in that of each device.
//!
//! A window is told in the time that a clock on the wall shows. Where that time is skipped (the
//! clock goes forward) the window begins or ends with what comes after the gap; where it comes
//! twice (the clock goes back) the first of the two is meant.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::device::UnixTime;

/// Windows of a campaign.
const WINDOWS_MAX: usize = 50;
/// Days that are looked at for the next window: each weekday comes in a week, and one window may
/// fall into the gap of a clock that goes forward.
const DAYS_AHEAD: i64 = 15;

/// When devices may be begun.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Not before; absent: at once.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start: Option<Timestamp>,
    /// No device is begun after it, and the campaign is over.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end: Option<Timestamp>,
    /// Of the windows: `Europe/Berlin`, `+01:00`, or as POSIX has it. Absent: that of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Each device has its windows in its own time zone: that of its tag `tz:Europe/Berlin`, or
    /// that of its Time object, or else the campaign's.
    #[serde(default)]
    pub device_time: bool,
    /// None: always.
    #[serde(default)]
    pub windows: Vec<ServiceWindow>,
}

/// A time of day in which devices may be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceWindow {
    /// `mon` to `sun`, on which it begins; none: every day.
    #[serde(default)]
    pub days: Vec<Day>,
    /// `22:00`.
    #[serde(with = "wall_time")]
    #[schema(value_type = String, example = "22:00")]
    pub from: Time,
    /// `05:00`: if not after `from`, of the next day.
    #[serde(with = "wall_time")]
    #[schema(value_type = String, example = "05:00")]
    pub to: Time,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Day::Mon => Weekday::Monday,
            Day::Tue => Weekday::Tuesday,
            Day::Wed => Weekday::Wednesday,
            Day::Thu => Weekday::Thursday,
            Day::Fri => Weekday::Friday,
            Day::Sat => Weekday::Saturday,
            Day::Sun => Weekday::Sunday,
        }
    }
}

/// `2026-12-01T22:00:00Z`.
mod moment {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde gives a reference")]
    pub(super) fn serialize<S: Serializer>(
        moment: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => serializer.collect_str(moment),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let expected = |_| format!("expected a time like 2026-12-01T22:00:00Z, got {text:?}");
        text.parse()
            .map(Some)
            .map_err(expected)
            .map_err(D::Error::custom)
    }
}

/// `22:00`.
mod wall_time {
    use jiff::civil::Time;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        let format = match time.second() {
            0 => "%H:%M",
            _ => "%H:%M:%S",
        };
        serializer.collect_str(&time.strftime(format))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Time, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = |_| format!("expected a time of day like 22:00, got {text:?}");
        text.parse().map_err(expected).map_err(D::Error::custom)
    }
}

/// Whether devices may be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// They may, and something else holds from then on; `None`: as long as one likes.
    Until(Option<UnixTime>),
    /// They may not before then; `None`: never.
    Not(Option<UnixTime>),
}

impl Open {
    pub(super) fn is_open(self) -> bool {
        matches!(self, Open::Until(_))
    }
}

impl Schedule {
    pub(super) fn check(&self) -> Result<(), String> {
        if let (Some(start), Some(end)) = (self.start, self.end)
            && end <= start
        {
            return Err(format!(
                "expected a schedule.end after its start {start}, got {end}"
            ));
        }
        if self.windows.len() > WINDOWS_MAX {
            let got = self.windows.len();
            return Err(format!("expected at most {WINDOWS_MAX} windows, got {got}"));
        }
        match &self.time_zone {
            Some(name) if zone(name).is_none() => Err(format!(
                "expected schedule.time_zone like Europe/Berlin, +01:00 or \
                 CET-1CEST,M3.5.0,M10.5.0/3, got {name:?}"
            )),
            _ => Ok(()),
        }
    }

    /// The time zone of windows that no device has its own for.
    pub(super) fn operators_zone(&self) -> TimeZone {
        let named = self.time_zone.as_deref().and_then(zone);
        named.unwrap_or_else(TimeZone::system)
    }

    /// Whether the windows of two devices may differ.
    pub(super) fn is_by_device(&self) -> bool {
        self.device_time && !self.windows.is_empty()
    }

    pub(super) fn is_over(&self, now: UnixTime) -> bool {
        self.end.is_some_and(|end| end.as_second() <= now)
    }

    /// Whether a device with this time zone may be begun now.
    pub(super) fn open(&self, zone: &TimeZone, now: UnixTime) -> Open {
        let end = self.end.map(Timestamp::as_second);
        if end.is_some_and(|end| end <= now) {
            return Open::Not(None);
        }
        let start = self.start.map(Timestamp::as_second);
        if let Some(start) = start.filter(|start| *start > now) {
            return match self.open_in_windows(zone, start) {
                Open::Until(_) => Open::Not(Some(start)),
                not => not,
            };
        }
        match self.open_in_windows(zone, now) {
            Open::Until(until) => Open::Until(match (until, end) {
                (Some(until), Some(end)) => Some(until.min(end)),
                (until, end) => until.or(end),
            }),
            Open::Not(Some(from)) if end.is_some_and(|end| end <= from) => Open::Not(None),
            not => not,
        }
    }

    fn open_in_windows(&self, zone: &TimeZone, at: UnixTime) -> Open {
        if self.windows.is_empty() {
            return Open::Until(None);
        }
        let Ok(now) = Timestamp::from_second(at) else {
            return Open::Not(None);
        };
        let today = zone.to_datetime(now).date();
        let mut until: Option<UnixTime> = None;
        let mut next: Option<UnixTime> = None;
        // Windows that overlap or touch are one: it ends where the last of them does.
        let mut spans = self.spans(zone, today);
        spans.sort_unstable();
        for (from, to) in spans {
            let reached = until.unwrap_or(at);
            if from <= reached && to > reached {
                until = Some(to);
            } else if from > reached && until.is_none() {
                next = Some(next.map_or(from, |next| next.min(from)));
            }
        }
        match until {
            Some(until) => Open::Until(Some(until)),
            None => Open::Not(next),
        }
    }

    /// All windows from yesterday on, as times.
    fn spans(&self, zone: &TimeZone, today: Date) -> Vec<(UnixTime, UnixTime)> {
        let mut spans = Vec::new();
        for ahead in -1..=DAYS_AHEAD {
            let Ok(day) = today.checked_add(Span::new().days(ahead)) else {
                continue;
            };
            for window in &self.windows {
                let days = &window.days;
                let is_its_day = |of: &Day| of.weekday() == day.weekday();
                if days.is_empty() || days.iter().any(is_its_day) {
                    spans.extend(window.on(zone, day));
                }
            }
        }
        spans
    }
}

impl ServiceWindow {
    /// As it is on a day; `None`: the clock skips it.
    fn on(&self, zone: &TimeZone, day: Date) -> Option<(UnixTime, UnixTime)> {
        let last = if self.to > self.from {
            day
        } else {
            day.tomorrow().ok()?
        };
        let at = |day: Date, time: Time| {
            let at = zone.to_timestamp(day.to_datetime(time));
            at.ok().map(Timestamp::as_second)
        };
        let (from, to) = (at(day, self.from)?, at(last, self.to)?);
        (from < to).then_some((from, to))
    }
}

/// A time zone by its name, its offset, or the rules that POSIX has for TZ (what CPEs have in
/// `Time.LocalTimeZone`).
pub(super) fn zone(text: &str) -> Option<TimeZone> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if let Some(offset) = offset(text) {
        return Some(TimeZone::fixed(offset));
    }
    let named = TimeZone::get(text).ok();
    named.or_else(|| TimeZone::posix(text).ok())
}

/// `+01:00`, as devices with TR-098 tell it.
fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let fits = (0..=15).contains(&hours) && (0..60).contains(&minutes);
    let seconds = sign * (hours * 3_600 + minutes * 60);
    fits.then(|| Offset::from_seconds(seconds).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixTime {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    fn schedule(windows: &[(&str, &str, &str)]) -> Schedule {
        let windows = windows.iter().map(|(days, from, to)| ServiceWindow {
            days: serde_json::from_str(&format!("[{days}]")).unwrap(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
        });
        Schedule {
            windows: windows.collect(),
            ..Schedule::default()
        }
    }

    /// Whether it is open, and until or from when.
    fn shown(schedule: &Schedule, zone_name: &str, now: &str) -> String {
        let zone = zone(zone_name).unwrap();
        let time = |at: Option<UnixTime>| {
            at.map_or("ever".to_owned(), |at| {
                Timestamp::from_second(at).unwrap().to_string()
            })
        };
        match schedule.open(&zone, at(now)) {
            Open::Until(until) => format!("open until {}", time(until)),
            Open::Not(from) => format!("not before {}", time(from)),
        }
    }

    #[test]
    fn windows_by_the_clock_on_the_wall() {
        let nights = schedule(&[("", "22:00", "05:00")]);
        let sunday = schedule(&[("\"sun\"", "22:00", "02:30")]);
        let gap = schedule(&[("", "02:00", "03:00")]);
        let fold = schedule(&[("", "01:00", "02:30")]);
        let two = schedule(&[
            ("", "22:00", "23:00"),
            ("", "23:00", "01:00"),
            ("", "12:00", "13:00"),
        ]);
        let berlin = "Europe/Berlin";
        for (schedule, zone, now, expected) in [
            (
                &nights,
                "UTC",
                "2026-06-01T21:59:59Z",
                "not before 2026-06-01T22:00:00Z",
            ),
            (
                &nights,
                "UTC",
                "2026-06-01T22:00:00Z",
                "open until 2026-06-02T05:00:00Z",
            ),
            (
                &nights,
                "UTC",
                "2026-06-02T04:59:59Z",
                "open until 2026-06-02T05:00:00Z",
            ),
            (
                &nights,
                "UTC",
                "2026-06-02T05:00:00Z",
                "not before 2026-06-02T22:00:00Z",
            ),
            // Summer: two hours before UTC; winter: one.
            (
                &nights,
                berlin,
                "2026-06-01T20:00:00Z",
                "open until 2026-06-02T03:00:00Z",
            ),
            (
                &nights,
                berlin,
                "2026-12-01T20:30:00Z",
                "not before 2026-12-01T21:00:00Z",
            ),
            (
                &nights,
                "CET-1CEST,M3.5.0,M10.5.0/3",
                "2026-06-01T20:00:00Z",
                "open until 2026-06-02T03:00:00Z",
            ),
            (
                &nights,
                "+05:30",
                "2026-06-01T16:30:00Z",
                "open until 2026-06-01T23:30:00Z",
            ),
            // The night in which the clock goes forward is an hour shorter, the other one longer.
            (
                &nights,
                berlin,
                "2026-03-28T21:00:00Z",
                "open until 2026-03-29T03:00:00Z",
            ),
            (
                &nights,
                berlin,
                "2026-10-24T20:00:00Z",
                "open until 2026-10-25T04:00:00Z",
            ),
            // A window that the clock skips is not there that day.
            (
                &gap,
                berlin,
                "2026-03-28T02:30:00Z",
                "not before 2026-03-30T00:00:00Z",
            ),
            (
                &gap,
                berlin,
                "2026-03-28T01:30:00Z",
                "open until 2026-03-28T02:00:00Z",
            ),
            // 02:30 comes twice: the first ends it.
            (
                &fold,
                berlin,
                "2026-10-24T23:30:00Z",
                "open until 2026-10-25T00:30:00Z",
            ),
            (
                &fold,
                berlin,
                "2026-10-25T00:45:00Z",
                "not before 2026-10-26T00:00:00Z",
            ),
            // Of the day on which it begins.
            (
                &sunday,
                "UTC",
                "2026-06-01T01:00:00Z",
                "open until 2026-06-01T02:30:00Z",
            ),
            (
                &sunday,
                "UTC",
                "2026-06-01T03:00:00Z",
                "not before 2026-06-07T22:00:00Z",
            ),
            // Those that touch are one.
            (
                &two,
                "UTC",
                "2026-06-01T22:30:00Z",
                "open until 2026-06-02T01:00:00Z",
            ),
            (
                &two,
                "UTC",
                "2026-06-02T01:00:00Z",
                "not before 2026-06-02T12:00:00Z",
            ),
            (
                &Schedule::default(),
                "UTC",
                "2026-06-01T00:00:00Z",
                "open until ever",
            ),
        ] {
            assert_eq!(shown(schedule, zone, now), expected, "{zone} {now}");
        }
    }

    #[test]
    fn from_a_start_to_an_end() {
        let mut nights = schedule(&[("", "22:00", "05:00")]);
        nights.start = Some("2026-06-03T23:00:00Z".parse().unwrap());
        nights.end = Some("2026-06-05T23:30:00Z".parse().unwrap());
        for (now, expected) in [
            ("2026-06-01T23:00:00Z", "not before 2026-06-03T23:00:00Z"),
            ("2026-06-03T23:00:00Z", "open until 2026-06-04T05:00:00Z"),
            ("2026-06-05T22:30:00Z", "open until 2026-06-05T23:30:00Z"),
            ("2026-06-05T23:30:00Z", "not before ever"),
        ] {
            assert_eq!(shown(&nights, "UTC", now), expected, "{now}");
        }
        nights.end = Some("2026-06-04T12:00:00Z".parse().unwrap());
        assert_eq!(
            shown(&nights, "UTC", "2026-06-04T06:00:00Z"),
            "not before ever"
        );
    }

    #[test]
    fn zones_of_devices() {
        for known in [
            "Europe/Berlin",
            "+01:00",
            "-03:30",
            "CET-1CEST,M3.5.0,M10.5.0/3",
            "EST5EDT",
            "UTC",
        ] {
            assert!(zone(known).is_some(), "{known}");
        }
        for unknown in ["", "+1", "+99:00", "nowhere at all"] {
            assert!(zone(unknown).is_none(), "{unknown}");
        }
    }
}
