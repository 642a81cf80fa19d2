use super::super::super::record::Waits;
use super::*;

/// So many devices like the first one that there was.
fn come(world: &mut World, count: usize) -> Vec<(Arc<str>, Option<String>)> {
    let newcomers = (0..count).map(|number| (Arc::from(format!("n{number}")), None));
    let newcomers: Vec<(Arc<str>, Option<String>)> = newcomers.collect();
    for (name, _) in &newcomers {
        let device = world.devices["d0000"].clone();
        let device = Device {
            version: OLD.to_owned(),
            sent: Vec::new(),
            ..device
        };
        world.devices.insert(Arc::clone(name), device);
    }
    newcomers
}

#[test]
fn devices_that_come_later_join_a_wave_that_is_not_over() {
    let mut world = World::new(
        json!({ "also_new_devices": true, "waves": [{ "devices": 2 }], "between_waves": { "approval": true } }),
        &[GOOD; 6],
    );
    world.run(120);
    assert_eq!(world.counts(DeviceState::Done), 2);
    let newcomers = come(&mut world, 10);
    assert_eq!(world.engine().add(newcomers.clone()), 10);
    assert_eq!(world.engine().add(newcomers), 0);
    world.run(120);
    let now = world.now;
    let _ = world.engine().approve("anna", now);
    world.run(300);
    assert_eq!(world.counts(DeviceState::Done), 16, "{}", world.log());
    // It goes on: more may come.
    let now = world.now;
    assert_eq!(
        world.engine().state(now),
        (CampaignState::Waiting, Some(Waits::Devices))
    );
}

/// A campaign of two waves, with two newcomers in the first; the second of them is in another one.
fn with_a_conflict(schedule: Value) -> World {
    let changes = json!({
        "also_new_devices": true,
        "waves": [{ "devices": 2 }],
        "schedule": schedule,
        "between_waves": { "pause_seconds": 600 },
    });
    let mut world = World::new(changes, &[GOOD; 6]);
    world.run(60);
    let newcomers = come(&mut world, 2);
    world.in_the_way = BTreeMap::from([("n1".into(), "in conflict with c-1".to_owned())]);
    world.engine().add(newcomers);
    for record in ["n0", "n1"] {
        let at = world.engine().by_id[record];
        world.engine().change(at, |entry| entry.record.wave = 0);
        world.engine().line_up(at);
    }
    world.run(60);
    world
}

#[test]
fn a_newcomer_waits_for_another_campaign_and_nobody_waits_for_it() {
    let mut world = with_a_conflict(json!({ "time_zone": "UTC" }));
    let n1: Arc<str> = "n1".into();
    let record = &world.kept.records[&n1];
    assert_eq!(
        (record.state, record.reason.as_deref(), record.task),
        (DeviceState::Conflict, Some("in conflict with c-1"), None)
    );
    // The first wave is over, the second follows.
    world.run(900);
    assert_eq!(world.counts(DeviceState::Done), 7, "{}", world.log());
    let now = world.now;
    let waits = Some(Waits::Devices);
    assert_eq!(world.engine().state(now), (CampaignState::Waiting, waits));
    // Nor does a restart make it forget.
    world.engine = None;
    world.run(60);
    assert_eq!(world.counts(DeviceState::Conflict), 1);
    world.in_the_way.clear();
    world.run(120);
    assert_eq!(world.counts(DeviceState::Done), 8, "{}", world.log());
    assert_eq!(world.kept.records[&n1].reason, None);
}

#[test]
fn a_newcomer_for_which_there_was_no_time_says_which_campaign_it_was() {
    let end = "2026-06-01T01:00:00Z";
    let mut world = with_a_conflict(json!({ "time_zone": "UTC", "end": end }));
    world.run(2 * 3_600);
    assert_eq!(world.state(), CampaignState::Done, "{}", world.log());
    let record = &world.kept.records["n1"];
    assert_eq!(
        (record.state, record.reason.as_deref()),
        (
            DeviceState::Skipped,
            Some("the end of the campaign came first; in conflict with c-1")
        )
    );
    assert!(world.devices["n1"].sent.is_empty());
}
