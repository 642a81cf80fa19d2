use super::super::super::record::{CampaignState, DeviceState, Waits};
use super::*;

fn good(count: usize) -> Vec<Behaviour> {
    vec![GOOD; count]
}

#[test]
fn all_at_once_to_the_end() {
    let mut world = World::new(json!({}), &good(20));
    world.run(300);
    assert_eq!(world.counts(DeviceState::Done), 20, "{}", world.log());
    assert_eq!(world.state(), CampaignState::Done);
    assert_eq!(
        world.log(),
        "started: 20 devices in 1 waves\n\
         done: 20 done, 0 failed, 0 unreachable, 0 not back, 0 skipped, 0 rolled back"
    );
    assert!(world.devices.values().all(|device| device.sent.len() == 1));
}

#[test]
fn waves_with_pause_age_and_approval() {
    let mut world = World::new(
        json!({
            "waves": [{ "devices": 2 }, { "percent": 50 }],
            "between_waves": { "pause_seconds": 300, "age_seconds": 600, "approval": true },
        }),
        &good(12),
    );
    world.run(120);
    assert_eq!(world.counts(DeviceState::Done), 2);
    let now = world.now;
    assert_eq!(
        world.engine().state(now),
        (CampaignState::Waiting, Some(Waits::Approval))
    );
    world.run(3600);
    assert_eq!(world.counts(DeviceState::Done), 2);
    let now = world.now;
    assert_eq!(world.engine().approve("anna", now), Ok(1));
    world.run(60);
    assert_eq!(world.counts(DeviceState::Done), 7);
    let now = world.now;
    assert_eq!(world.engine().approve("anna", now), Ok(2));
    assert!(
        world
            .engine()
            .approve("anna", now)
            .unwrap_err()
            .contains("waiting")
    );
    // Not before the second wave is ten minutes old.
    world.run(480);
    assert_eq!(world.counts(DeviceState::Done), 7);
    world.run(300);
    assert_eq!(world.counts(DeviceState::Done), 12, "{}", world.log());
    assert_eq!(world.state(), CampaignState::Done);
}

#[test]
fn the_next_wave_need_not_wait_for_the_last_device() {
    let mut devices = good(20);
    for device in devices.iter_mut().take(3) {
        device.can_be_called = false;
    }
    let changes = json!({
        "waves": [{ "percent": 100 }],
        "between_waves": { "ended_percent": 80 },
        "unreachable_seconds": 3600,
    });
    let mut world = World::new(changes.clone(), &devices);
    world.run(600);
    assert_eq!(world.counts(DeviceState::Done), 17);
    assert_eq!(world.state(), CampaignState::Running);
    world.run(3600);
    assert_eq!(world.counts(DeviceState::Unreachable), 3, "{}", world.log());
    assert_eq!(world.state(), CampaignState::Done);
}

#[test]
fn what_a_stop_rule_does() {
    for (on, state, rolled_back) in [
        ("pause", CampaignState::Paused, 0),
        ("abort", CampaignState::Aborted, 0),
        ("roll-back", CampaignState::Aborted, 1),
    ] {
        let devices = good(40).into_iter().enumerate().map(|(number, does)| {
            let faults = u32::from(number % 3 == 0);
            Behaviour { faults, ..does }
        });
        let devices: Vec<Behaviour> = devices.collect();
        let mut world = World::new(
            json!({
                "waves": [{ "devices": 20 }],
                "pace": { "at_once": 4 },
                "stop": { "failed": { "percent": 20, "at_least": 3 } },
                "on_failed_wave": on,
            }),
            &devices,
        );
        world.run(1200);
        let (done, failed) = (
            world.counts(DeviceState::Done),
            world.counts(DeviceState::Failed),
        );
        let back = world.counts(DeviceState::RolledBack);
        assert_eq!(world.state(), state, "{}", world.log());
        assert!(
            world
                .log()
                .contains("devices of wave 1 failed, more than 20 %"),
            "{}",
            world.log()
        );
        assert_eq!(usize::from(back > 0), rolled_back, "{}", world.log());
        if on == "pause" {
            assert!(done + failed < 20, "{done} {failed}");
            let now = world.now;
            world.engine().resume("anna", now).unwrap();
            world.run(60);
            assert!(world.counts(DeviceState::Done) > done, "{}", world.log());
        }
        if on == "roll-back" {
            // Those that failed have what they had before; so have those that were done.
            assert_eq!(done + failed, 0, "{}", world.log());
            assert!(world.devices.values().all(|device| device.version == OLD));
        }
    }
}

#[test]
fn devices_that_cannot_be_rolled_back_say_why() {
    let mut devices = good(6);
    devices[0].faults = 9;
    let mut world = World::new(
        json!({ "stop": { "failed": { "percent": 1 } }, "on_failed_wave": "roll-back", "pace": { "at_once": 1 } }),
        &devices,
    );
    world.files.remove(OLD);
    world.run(1200);
    let done = |record: &&Record| {
        record.reason.as_deref()
            == Some("not rolled back: the file store has no firmware 1.0 for it")
    };
    let told = world.kept.records.values().filter(done).count();
    let has_new = world
        .devices
        .values()
        .filter(|device| device.version == NEW)
        .count();
    assert_eq!(world.state(), CampaignState::Aborted, "{}", world.log());
    assert!(told >= has_new, "{:?}", world.kept.records);
}

#[test]
fn not_back_and_unreachable_are_told_apart() {
    for operation in [firmware(), json!({ "op": "reboot" })] {
        let mut devices = good(4);
        devices[0].stays_away = true;
        devices[1].can_be_called = false;
        let mut world = World::new(
            json!({ "operation": operation, "not_back_seconds": 600, "unreachable_seconds": 1200 }),
            &devices,
        );
        world.run(3600);
        assert_eq!(world.state(), CampaignState::Done, "{}", world.log());
        assert_eq!(world.counts(DeviceState::Done), 2);
        let reasons: Vec<(DeviceState, String)> = world
            .kept
            .records
            .values()
            .filter_map(|record| Some((record.state, record.reason.clone()?)))
            .collect();
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert!(
            reasons.contains(&(DeviceState::Unreachable, "it did not come in 1200 s".into())),
            "{reasons:?}"
        );
        assert!(
            reasons
                .iter()
                .any(|(state, _)| *state == DeviceState::NotBack),
            "{reasons:?}"
        );
    }
}

#[test]
fn a_device_that_does_not_come_holds_up_nobody() {
    let mut devices = good(12);
    for device in devices.iter_mut().take(6) {
        device.can_be_called = false;
        device.comes_every = 1800;
    }
    let mut world = World::new(json!({ "pace": { "at_once": 1 } }), &devices);
    world.run(900);
    assert_eq!(world.counts(DeviceState::Done), 6, "{}", world.log());
    // Those that cannot be called get theirs when they come, one at a time all the same.
    world.run(6 * 1800 + 3600);
    assert_eq!(world.counts(DeviceState::Done), 12, "{}", world.log());
}

#[test]
fn a_device_that_did_not_come_is_called_again_later_and_later() {
    let mut world = World::new(
        json!({ "unreachable_seconds": 7200 }),
        &[Behaviour {
            can_be_called: false,
            ..GOOD
        }],
    );
    world.run(3600);
    assert!(
        (6..9).contains(&world.called.len()),
        "{}",
        world.called.len()
    );
    world.devices.get_mut("d0000").unwrap().does.can_be_called = true;
    world.run(3600);
    assert_eq!(world.counts(DeviceState::Done), 1, "{}", world.log());
}

#[test]
fn a_device_to_which_there_was_no_way_is_called_soon() {
    for (called, expected) in [(Called::NoWay, 1), (Called::InVain, 0)] {
        let does = Behaviour {
            can_be_called: false,
            ..GOOD
        };
        let mut world = World::new(json!({}), &[does]);
        world.run(STEP);
        world.wakes.clear();
        let now = world.now;
        world.engine().wake_ended("d0000", called, now);
        world.devices.get_mut("d0000").unwrap().does.can_be_called = true;
        world.run(20);
        assert_eq!(world.devices["d0000"].sent.len(), expected, "{called:?}");
    }
}

#[test]
fn short_informs_are_not_called() {
    let short = Behaviour {
        can_be_called: false,
        comes_every: 30,
        short: true,
        ..GOOD
    };
    let mut world = World::new(json!({}), &[short; 10]);
    world.run(300);
    assert_eq!(world.counts(DeviceState::Done), 10);
    assert!(world.called.is_empty(), "{:?}", world.called);
}

#[test]
fn inside_its_windows_only() {
    let windows = json!({ "time_zone": "UTC", "windows": [{ "days": ["mon", "tue"], "from": "01:00", "to": "02:00" }] });
    let mut devices = good(30);
    for device in devices.iter_mut().take(4) {
        device.can_be_called = false;
        device.comes_every = 3 * 3600;
    }
    let mut world = World::new(
        json!({ "schedule": windows, "pace": { "devices_per_minute": 1 }, "unreachable_seconds": 3600 }),
        &devices,
    );
    let now = world.now;
    assert_eq!(
        world.engine().state(now),
        (CampaignState::Waiting, Some(Waits::Window))
    );
    world.run(3 * 86_400);
    let hour = |at: UnixTime| (at - START).rem_euclid(86_400) / 3600;
    for device in world.devices.values() {
        assert!(
            device.sent.iter().all(|(at, _)| hour(*at) == 1),
            "{:?}",
            device.sent
        );
    }
    assert!(
        world
            .log()
            .contains("waits for its window, 2026-06-02T01:00:00Z"),
        "{}",
        world.log()
    );
    assert_eq!(world.counts(DeviceState::Done), 26, "{}", world.log());
    // They come at three o'clock, never in the window, and were waited for in both.
    assert_eq!(world.counts(DeviceState::Unreachable), 4, "{}", world.log());
    let queued = world
        .kept
        .tasks
        .values()
        .filter(|task| task.state == TaskState::Queued);
    assert_eq!(queued.count(), 0);
}

#[test]
fn each_in_its_own_time_zone() {
    let schedule = json!({ "time_zone": "UTC", "device_time": true, "windows": [{ "from": "01:00", "to": "02:00" }] });
    let world = World::new(json!({ "schedule": schedule }), &good(2));
    let mut records = world.kept.records.clone();
    let zones = ["Europe/Berlin", "America/New_York"];
    for (record, zone) in records.values_mut().zip(zones) {
        record.zone = Some(zone.to_owned());
    }
    let (head, definition) = (world.kept.head.clone(), Arc::clone(&world.definition));
    let mut world = World {
        engine: Some(Engine::new(ID, definition, head, records.clone())),
        kept: Kept {
            records,
            ..world.kept
        },
        ..world
    };
    world.engine().go_on();
    world.run(86_400);
    let hours: Vec<i64> = world
        .devices
        .values()
        .map(|device| (device.sent[0].0 - START) / 3600)
        .collect();
    // 01:00 in Berlin (UTC+2 in June), after midnight of the first day: the next one.
    assert_eq!(hours, [23, 5]);
}

#[test]
fn from_its_start_to_its_end() {
    let mut devices = good(4);
    devices[0].can_be_called = false;
    let schedule = json!({ "time_zone": "UTC", "start": "2026-06-01T01:00:00Z", "end": "2026-06-01T02:00:00Z" });
    let mut world = World::new(
        json!({ "schedule": schedule, "pace": { "at_once": 1 } }),
        &devices,
    );
    assert_eq!(world.state(), CampaignState::Scheduled);
    world.run(3600);
    assert!(world.devices.values().all(|device| device.sent.is_empty()));
    world.run(3700);
    assert_eq!(world.state(), CampaignState::Done, "{}", world.log());
    assert_eq!(world.counts(DeviceState::Done), 3);
    assert_eq!(world.counts(DeviceState::Unreachable), 1);
}

#[test]
fn the_pace_is_kept() {
    let mut world = World::new(
        json!({ "pace": { "devices_per_minute": 6, "at_once": 100 } }),
        &good(40),
    );
    world.run(900);
    let mut sent: Vec<UnixTime> = world.devices.values().map(|d| d.sent[0].0).collect();
    sent.sort_unstable();
    for window in sent.windows(7) {
        assert!(window[6] - window[0] >= 60, "{sent:?}");
    }
    assert_eq!(sent.len(), 40);
}

#[test]
fn which_failures_are_tried_again() {
    for (fault, retries, done, times) in [
        (9010, json!({ "times": 2, "after_seconds": 300 }), 1, 2),
        (
            9010,
            json!({ "times": 2, "after_seconds": 300, "faults": [9015] }),
            0,
            1,
        ),
        (
            9015,
            json!({ "times": 2, "after_seconds": 300, "faults": [9015] }),
            1,
            2,
        ),
        // That may mean that it was done.
        (9002, json!({ "times": 2 }), 0, 1),
        (9002, json!({ "times": 2, "faults": [9002] }), 1, 2),
    ] {
        let device = Behaviour {
            faults: 1,
            fault,
            ..GOOD
        };
        let mut world = World::new(json!({ "retries": retries }), &[device]);
        world.run(1200);
        let sent = world.devices["d0000"].sent.len();
        assert_eq!(
            (world.counts(DeviceState::Done), sent),
            (done, times),
            "{fault} {retries}"
        );
    }
    let mut device = Behaviour { faults: 9, ..GOOD };
    device.takes = 5;
    let mut world = World::new(json!({ "retries": { "times": 3 } }), &[device]);
    world.run(1200);
    assert_eq!(world.devices["d0000"].sent.len(), 4);
    assert_eq!(world.counts(DeviceState::Failed), 1);
}

#[test]
fn a_firmware_whose_outcome_is_unknown_is_told_by_its_version() {
    let device = Behaviour {
        breaks_off: true,
        ..GOOD
    };
    let mut world = World::new(
        json!({ "not_back_seconds": 600, "retries": { "times": 3 } }),
        &[device; 2],
    );
    world.run(60);
    // One of them had taken it.
    world.devices.get_mut("d0000").unwrap().version = NEW.to_owned();
    world.run(1800);
    assert_eq!(
        world.counts(DeviceState::Done),
        1,
        "{:?}",
        world.kept.records
    );
    assert_eq!(
        world.counts(DeviceState::Failed),
        1,
        "{:?}",
        world.kept.records
    );
    assert!(world.devices.values().all(|device| device.sent.len() == 1));
}

#[test]
fn a_pause_takes_back_what_waits_and_leaves_what_is_under_way() {
    let mut devices = good(10);
    for device in devices.iter_mut().take(5) {
        device.can_be_called = false;
    }
    let mut world = World::new(json!({ "pace": { "at_once": 2 } }), &devices);
    world.run(30);
    let now = world.now;
    world.engine().pause("by anna", now).unwrap();
    assert!(world.engine().pause("again", now).is_err());
    world.run(3600);
    let queued = |world: &World| {
        let tasks = world.kept.tasks.values();
        tasks.filter(|task| task.state == TaskState::Queued).count()
    };
    assert_eq!(queued(&world), 0);
    let done = world.counts(DeviceState::Done);
    assert!((1..5).contains(&done), "{done}");
    assert_eq!(world.counts(DeviceState::Pending), 10 - done);
    let now = world.now;
    world.engine().resume("anna", now).unwrap();
    world.run(600);
    assert_eq!(world.counts(DeviceState::Done), 5, "{}", world.log());
    let now = world.now;
    world.engine().abort("by anna", now).unwrap();
    world.run(60);
    assert_eq!(world.state(), CampaignState::Aborted);
    assert_eq!((world.counts(DeviceState::Skipped), queued(&world)), (5, 0));
    let now = world.now;
    assert!(world.engine().abort("again", now).is_err());
    assert!(world.engine().resume("anna", now).is_err());
}

#[test]
fn a_campaign_that_has_ended_can_be_rolled_back() {
    let mut world = World::new(json!({ "waves": [{ "devices": 4 }] }), &good(10));
    world.run(300);
    assert_eq!(world.state(), CampaignState::Done);
    let now = world.now;
    assert_eq!(world.engine().roll_back(Some(0), "by anna", now), Ok(4));
    world.run(300);
    assert_eq!(world.counts(DeviceState::RolledBack), 4, "{}", world.log());
    assert_eq!(world.counts(DeviceState::Done), 6);
    let now = world.now;
    assert_eq!(world.engine().roll_back(None, "by anna", now), Ok(6));
    world.run(300);
    assert_eq!(world.counts(DeviceState::RolledBack), 10, "{}", world.log());
    assert!(world.devices.values().all(|device| device.version == OLD));
}

#[test]
fn a_rollback_that_a_crash_cut_short_goes_on() {
    let mut world = World::new(json!({}), &good(6));
    world.run(300);
    // The host stopped when half of them were marked, and the campaign was not yet.
    for record in world.kept.records.values_mut().take(3) {
        (record.back, record.state, record.attempts) = (true, DeviceState::Pending, 0);
    }
    world.restart();
    let now = world.now;
    assert_eq!(world.engine().roll_back(None, "by anna", now), Ok(6));
    world.run(600);
    assert_eq!(world.counts(DeviceState::RolledBack), 6, "{}", world.log());
    assert!(world.devices.values().all(|device| device.version == OLD));
}

#[test]
fn a_rollback_after_the_end_of_the_campaign_has_its_tasks() {
    let mut world = World::new(
        json!({ "schedule": { "time_zone": "UTC", "end": "2026-06-01T01:00:00Z" }, "priority": 7 }),
        &good(5),
    );
    world.run(600);
    assert_eq!(world.state(), CampaignState::Done, "{}", world.log());
    let end = START + 3_600;
    let expire = |world: &World| world.kept.tasks.values().map(|t| t.expires).collect();
    let expiries: Vec<Option<UnixTime>> = expire(&world);
    assert_eq!(expiries, [Some(end); 5]);
    assert!(world.kept.tasks.values().all(|task| task.priority == 7));
    world.run(2 * 3_600);
    let now = world.now;
    assert_eq!(world.engine().roll_back(None, "by anna", now), Ok(5));
    world.run(300);
    assert_eq!(world.counts(DeviceState::RolledBack), 5, "{}", world.log());
}

#[test]
fn devices_that_have_it_already_and_devices_that_are_deleted() {
    let mut world = World::new(json!({ "pace": { "at_once": 1 } }), &good(5));
    world.devices.get_mut("d0000").unwrap().version = NEW.to_owned();
    let gone: Arc<str> = "d0001".into();
    world.engine().remove(&gone);
    world.run(600);
    assert_eq!(world.counts(DeviceState::Skipped), 1);
    assert_eq!(world.counts(DeviceState::Done), 3);
    assert!(world.devices["d0001"].sent.is_empty());
    assert_eq!(world.state(), CampaignState::Done);
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut world = World::new(json!({ "pace": { "devices_per_minute": 6 } }), &good(30));
    world.run(60);
    let before = world.counts(DeviceState::Done);
    world.now -= 86_400;
    for device in world.devices.values_mut() {
        device.busy = device.busy.map(|(until, id)| (until - 86_400, id));
    }
    world.run(900);
    assert!(before < 30);
    assert_eq!(world.counts(DeviceState::Done), 30, "{}", world.log());
    assert!(world.devices.values().all(|device| device.sent.len() == 1));
}

#[test]
fn a_device_that_comes_back_late_is_done_after_all() {
    let mut world = World::new(
        json!({ "operation": { "op": "reboot" }, "not_back_seconds": 300, "stop": { "not_back": { "percent": 50 } } }),
        &[Behaviour {
            stays_away: true,
            ..GOOD
        }],
    );
    world.run(900);
    assert_eq!(world.state(), CampaignState::Paused, "{}", world.log());
    assert_eq!(world.counts(DeviceState::NotBack), 1);
    let name: Arc<str> = "d0000".into();
    world.session(&name, true);
    world.run(10);
    assert_eq!(world.counts(DeviceState::Done), 1);
    assert_eq!(
        world.kept.records[&name].reason.as_deref(),
        Some("it came back late")
    );
}
