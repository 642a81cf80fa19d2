use super::*;

const STANDARD: u32 = 14_400;
const START: UnixTime = 1_800_000_000;

fn device(number: usize) -> DeviceKey {
    DeviceKey {
        instance: "default".into(),
        id: format!("00AABB-HG1-SIM{number:06}").into(),
    }
}

/// Of so many times, how many fall into the fullest second.
fn largest_second(times: impl Iterator<Item = i64>) -> usize {
    let mut seconds = BTreeMap::new();
    for time in times {
        *seconds.entry(time).or_insert(0) += 1;
    }
    seconds.into_values().max().unwrap_or_default()
}

#[test]
fn a_fleet_is_spread_over_each_interval() {
    const DEVICES: usize = 20_000;
    for interval in [20, 900, i64::from(STANDARD)] {
        let times = (0..DEVICES).map(|number| {
            let text = inform_time(&device(number).id, STANDARD);
            DateTime(text).to_unix().unwrap() % interval
        });
        let even = DEVICES / usize::try_from(interval).unwrap();
        let largest = largest_second(times);
        // Five standard deviations of what chance makes of it.
        assert!(
            largest <= even + 5 * even.isqrt() + 5,
            "{largest} in one second of {interval}, {even} if they were even"
        );
    }
}

#[test]
fn one_full_session_in_each_standard_interval() {
    let informs = ShortInforms::new(START);
    let id = device(1).id;
    let mut last = START;
    let mut full = Vec::new();
    // Twenty intervals of 720 short Informs, none of which comes on time.
    for number in 1..=20 * 720 {
        let now = START + number * 20 + number % 3;
        if informs.is_full_due(&id, last, now, STANDARD) {
            last = now;
            full.push(now);
        }
    }
    assert_eq!(full.len(), 20);
    assert!(
        full.windows(2)
            .all(|two| (two[1] - two[0] - 14_400).abs() < 40)
    );
}

#[test]
fn no_full_session_right_after_another() {
    let informs = ShortInforms::new(START);
    let id = device(1).id;
    let due = |last, now| informs.is_full_due(&id, last, now, STANDARD);
    let crossed = |now: UnixTime| due(now - 1_000, now);
    let boundary = (START + 14_400..).find(|now| crossed(*now) && !crossed(now - 1));
    let boundary = boundary.unwrap();
    assert!(!due(boundary - 10, boundary));
    assert!(!due(boundary - 10, boundary + 800));
    assert!(due(boundary - 10, boundary + 890));
    // A clock that was put back does not put it off.
    assert!(due(boundary + 1_000_000, boundary));
}

#[test]
fn full_sessions_after_the_host_was_away_are_spread() {
    const DEVICES: usize = 10_000;
    let informs = ShortInforms::new(START);
    let first_due = |number: usize| {
        let id = device(number).id;
        (START..).find(|now| informs.is_full_due(&id, START - 20_000, *now, STANDARD))
    };
    let times: Vec<i64> = (0..DEVICES).filter_map(first_due).collect();
    assert!(times.iter().all(|time| *time < START + 900));
    let largest = largest_second(times.into_iter());
    assert!(largest < 40, "{largest} in one second");
}

#[test]
fn the_longest_lease_counts() {
    let informs = ShortInforms::new(START);
    let device = device(1);
    let lease = |until: UnixTime, why: &str| Lease {
        until,
        why: why.into(),
    };
    informs.lease(&device, lease(START + 60, "a page"));
    informs.lease(&device, lease(START + 30, "another page"));
    assert_eq!(
        informs.leased(&device, START).unwrap(),
        lease(START + 60, "a page")
    );
    assert_eq!(informs.leased(&device, START + 60), None);
    informs.lease(&device, lease(START + 90, "a campaign"));
    informs.release(&device);
    assert_eq!(informs.leased(&device, START), None);
}

#[test]
fn what_they_cost_and_what_is_saved() {
    let informs = ShortInforms::new(START);
    for number in 0..10 {
        informs.note(&device(number), Some(20));
    }
    assert_eq!(informs.load(&"default".into(), 20).informs_per_hour, 1_800);
    for number in 0..4 {
        informs.note(&device(number), Some(900));
    }
    informs.note(&device(9), None);
    informs.note(&device(9), None);
    informs.note_known(&device(0), 20);
    let expected = Load {
        devices: 9,
        idle: 4,
        informs_per_hour: 5 * 180 + 4 * 4,
        informs_per_hour_saved: 4 * (180 - 4),
    };
    assert_eq!(informs.load(&"default".into(), 20), expected);
}
