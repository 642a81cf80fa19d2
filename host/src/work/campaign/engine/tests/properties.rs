use proptest::prelude::*;

use super::*;

/// What devices of a fleet do, all kinds among them.
fn fleet(seed: &mut Seed, count: usize) -> Vec<Behaviour> {
    let kind = |seed: &mut Seed| Behaviour {
        can_be_called: seed.below(4) > 0,
        comes_every: [0, 30, 600, 7_200][seed.below(4) as usize],
        faults: seed.below(3) as u32,
        fault: [9002, 9010, 9015][seed.below(3) as usize],
        stays_away: seed.below(12) == 0,
        breaks_off: seed.below(10) == 0,
        takes: 5 + seed.below(200) as i64,
        short: seed.below(5) == 0,
    };
    (0..count).map(|_| kind(seed)).collect()
}

fn campaign(seed: &mut Seed) -> Value {
    let windows = match seed.below(2) {
        0 => json!([]),
        _ => json!([{ "from": "01:00", "to": "05:00" }, { "from": "12:00", "to": "13:00" }]),
    };
    let operations = [
        firmware(),
        json!({ "op": "reboot" }),
        json!({ "op": "set", "parameters": [{ "path": "Device.A", "value": "1" }] }),
    ];
    let operation = operations[seed.below(3) as usize].clone();
    let on_failed = match seed.below(3) {
        0 if operation == firmware() => "roll-back",
        1 => "abort",
        _ => "pause",
    };
    json!({
        "operation": operation,
        "schedule": { "time_zone": "UTC", "windows": windows },
        "waves": [{ "devices": 3 }, { "percent": 30 }],
        "between_waves": { "pause_seconds": seed.below(1200) },
        "pace": { "at_once": 1 + seed.below(6), "devices_per_minute": 1 + seed.below(8) },
        "retries": { "times": seed.below(3), "after_seconds": seed.below(600), "unreachable": seed.below(2) == 0 },
        "stop": { "failed": { "percent": 60, "at_least": 4 } },
        "on_failed_wave": on_failed,
        "not_back_seconds": 600,
        "unreachable_seconds": 7200,
    })
}

/// Whether sending the operation once more is not doing it twice: the last time it failed for sure,
/// or it does not matter.
fn may_be_sent_again(world: &World, first: TaskId, second: TaskId) -> bool {
    let task = &world.kept.tasks[&first];
    if task.operation.is_repeatable() || world.kept.tasks[&second].campaign.is_none() {
        return true;
    }
    let failed = task.error.as_ref();
    let is_known = failed.is_some_and(|e| e.code.is_some() && e.code != Some(9002));
    // Going back is another operation.
    first != second
        && (task.state == TaskState::Failed && is_known || task.state == TaskState::Done)
}

fn each_device_has_it_once(number: u64) -> Result<(), TestCaseError> {
    let mut seed = Seed::new(number);
    let count = 5 + seed.below(30) as usize;
    let devices = fleet(&mut seed, count);
    let changes = campaign(&mut seed);
    let mut world = World::new(changes.clone(), &devices);
    world.crash = Some(Crash {
        seed: seed.of(1),
        share: 0.002,
        crashes: 0,
    });
    world.meanwhile = Some(seed.of(2));
    let definition = Arc::clone(&world.definition);
    let zone = definition.schedule.operators_zone();
    for _ in 0..(6 * 86_400 / STEP) {
        let sent_before: usize = world.devices.values().map(|d| d.sent.len()).sum();
        let rolling = world.kept.head.phase == super::super::super::record::Phase::RollingBack;
        world.run(STEP);
        let sent: usize = world.devices.values().map(|d| d.sent.len()).sum();
        // None outside the window, but what had begun in it and what is made good for.
        if sent > sent_before && !definition.schedule.open(&zone, world.now - STEP).is_open() {
            let at = world.now - STEP;
            for device in world.devices.values() {
                for (n, (when, id)) in device.sent.iter().enumerate() {
                    let again = device.sent[..n].iter().any(|(_, before)| before == id);
                    let back = world.kept.head.phase.is_end()
                        || rolling
                        || world.kept.head.phase == super::super::super::record::Phase::RollingBack;
                    prop_assert!(
                        *when != at || again || back,
                        "{changes} sent outside its window"
                    );
                }
            }
        }
        // Never more at once than allowed.
        let under_way = world
            .devices
            .values()
            .filter(|d| d.busy.is_some() && !d.gone)
            .count();
        prop_assert!(
            under_way <= definition.pace.at_once as usize,
            "{changes}: {under_way} at once"
        );
        if let Some(engine) = &mut world.engine {
            if engine.head().phase.is_end() {
                break;
            }
            if engine.head().phase == super::super::super::record::Phase::Paused {
                let now = world.now;
                let _ = engine.resume("the test", now);
            }
        }
    }
    // No device has its operation twice.
    for (name, device) in &world.devices {
        for pair in device.sent.windows(2) {
            prop_assert!(
                may_be_sent_again(&world, pair[0].1, pair[1].1),
                "{name} had it twice: {:?} after {:?} {changes}",
                device.sent,
                world.kept.tasks[&pair[0].1].error
            );
        }
    }
    // The pace, over any minute.
    let mut begun: Vec<UnixTime> = world
        .devices
        .values()
        .flat_map(|device| {
            let mut seen = BTreeSet::new();
            device
                .sent
                .iter()
                .filter(move |(_, id)| seen.insert(*id))
                .map(|(at, _)| *at)
                .collect::<Vec<_>>()
        })
        .collect();
    begun.sort_unstable();
    let pace = definition.pace.devices_per_minute as usize;
    for minute in begun.windows(pace + 1) {
        prop_assert!(minute[pace] - minute[0] >= 60, "{changes}: {minute:?}");
    }
    // Every device has come to one end, and no task waits.
    if world.engine.is_none() {
        world.crash = None;
        world.restart();
        world.run(60);
    }
    world.crash = None;
    world.run(60);
    let engine = world.engine.as_ref().unwrap();
    prop_assert!(
        engine.head().phase.is_end(),
        "{changes}: {:?} {:?}",
        engine.head(),
        world.kept.records
    );
    for (name, record) in &world.kept.records {
        prop_assert!(record.state.is_end(), "{name} {record:?} {changes}");
    }
    let queued = world
        .kept
        .tasks
        .values()
        .filter(|task| task.state == TaskState::Queued)
        .count();
    prop_assert_eq!(queued, 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_device_has_it_once(number in any::<u64>()) {
        each_device_has_it_once(number)?;
    }
}

/// What once went wrong.
#[test]
fn each_device_has_it_once_as_before() {
    for number in [11_889_915_089_604_839_619, 3_279_172_210_543_796_521] {
        each_device_has_it_once(number).unwrap();
    }
}
