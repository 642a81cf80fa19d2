use std::sync::Arc;

use parking_lot::Mutex;

use super::super::{CampaignDeviceFilter, Store, StoreError, Told};
use super::{Records, check, key, summary};
use crate::work::campaign::{
    CampaignId, Definition, DeviceState, Head, LOG_LINES_MAX, LogLine, Phase, Record, Start,
    Withdrawal,
};
use crate::work::task::{Operation, TaskId, TaskState};

const ID: CampaignId = CampaignId(77);

fn definition() -> Definition {
    serde_json::from_value(serde_json::json!({ "name": "n", "operation": { "op": "reboot" } }))
        .unwrap()
}

fn head(phase: Phase) -> Head {
    Head {
        phase,
        created: 5,
        ..Head::default()
    }
}

async fn open(records: &Records) -> Store {
    let store = records.open();
    for id in ["1", "2", "3"] {
        store.register(&key("a", id), summary(id)).unwrap();
    }
    store.flush().await.unwrap();
    store
}

fn start(at: usize, device: &str) -> (Start, Operation) {
    let start = Start {
        at,
        device: device.into(),
        record: Record {
            state: DeviceState::Queued,
            attempts: 1,
            ..Record::default()
        },
        expires: Some(900),
        priority: 7,
    };
    (start, Operation::Reboot)
}

async fn all(store: &Store, filter: CampaignDeviceFilter) -> Vec<(Arc<str>, Record)> {
    store
        .campaign_devices("a", ID, filter, None, 100)
        .unwrap()
        .0
}

#[test]
fn a_campaign_is_kept_whole() {
    check(async |records| {
        let store = open(records).await;
        assert_eq!(store.campaign("a", ID).unwrap(), None);
        let mut definition = definition();
        // Over one record's size, and then below it again: no chunk of the first may stay.
        let parameters = (0..3_000).map(|n| {
            let digits = n * 7_919 % 104_729;
            serde_json::from_value(serde_json::json!({
                "path": format!("Device.X.{digits}.{}", digits * 31), "value": format!("{}", n * 6_131),
            }))
            .unwrap()
        });
        definition.operation = Operation::Set {
            parameters: parameters.collect(),
        };
        for definition in [definition, self::definition()] {
            store
                .put_campaign("a", ID, &definition, &head(Phase::Draft))
                .await
                .unwrap();
            assert_eq!(store.campaign("a", ID).unwrap(), Some(definition));
        }
        let younger = CampaignId(78);
        store
            .put_campaign("a", younger, &self::definition(), &head(Phase::Done))
            .await
            .unwrap();
        store
            .put_campaign("b", ID, &self::definition(), &head(Phase::Done))
            .await
            .unwrap();
        drop(store);
        let store = records.open();
        let ids = |listed: Vec<(CampaignId, Head)>| {
            listed.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!(ids(store.campaigns("a", None, 9).unwrap()), [younger, ID]);
        assert_eq!(ids(store.campaigns("a", Some(younger), 9).unwrap()), [ID]);
        assert_eq!(ids(store.campaigns("c", None, 9).unwrap()), []);
        let instances = store.instances_with_campaigns().unwrap();
        assert_eq!(instances, ["a".into(), "b".into()]);
        store.remove_campaign("a", ID).await.unwrap();
        assert_eq!(store.campaign("a", ID).unwrap(), None);
        assert_eq!(ids(store.campaigns("a", None, 9).unwrap()), [younger]);
        assert!(store.campaign("b", ID).unwrap().is_some());
    });
}

#[test]
fn a_task_is_made_with_the_record_that_names_it() {
    check(async |records| {
        let store = open(records).await;
        let given = [start(0, "1"), start(1, "2"), start(2, "nobody")];
        let made = store.begin_for_campaign("a", ID, &given, 10).await.unwrap();
        let [Ok(one), Ok(two), Err(StoreError::NoSuchDevice(_))] = made.as_slice() else {
            panic!("{made:?}")
        };
        drop(store); // without close
        let store = records.open();
        let task = store.task("a", *one).unwrap().unwrap();
        assert_eq!(
            (task.state, task.campaign, task.expires, task.priority),
            (TaskState::Queued, Some(ID), Some(900), 7)
        );
        let record = store.campaign_device("a", ID, "1").unwrap().unwrap();
        assert_eq!(
            (record.state, record.task),
            (DeviceState::Queued, Some(*one))
        );
        assert_eq!(store.campaign_device("a", ID, "nobody").unwrap(), None);
        // Further numbers are not those of tasks that were there.
        let made = store
            .begin_for_campaign("a", ID, &[start(0, "3")], 10)
            .await
            .unwrap();
        assert!(made[0].as_ref().unwrap() > two);
    });
}

#[test]
fn a_task_is_taken_back_with_the_record_that_says_so_or_not_at_all() {
    check(async |records| {
        let store = open(records).await;
        let made = store
            .begin_for_campaign("a", ID, &[start(0, "1"), start(1, "2")], 10)
            .await
            .unwrap();
        let tasks: Vec<TaskId> = made.into_iter().map(Result::unwrap).collect();
        store.mark_sent(tasks[1], 11).await.unwrap();
        let withdrawals: Vec<Withdrawal> = ["1", "2"]
            .into_iter()
            .zip(&tasks)
            .enumerate()
            .map(|(at, (device, task))| Withdrawal {
                at,
                device: device.into(),
                task: *task,
                record: Record::default(),
            })
            .collect();
        let results = store
            .withdraw_for_campaign("a", ID, &withdrawals, 12)
            .await
            .unwrap();
        assert!(
            matches!(
                results.as_slice(),
                [Ok(()), Err(StoreError::TaskState { .. })]
            ),
            "{results:?}"
        );
        drop(store);
        let store = records.open();
        assert_eq!(
            store.task("a", tasks[0]).unwrap().unwrap().state,
            TaskState::Cancelled
        );
        assert_eq!(
            store.campaign_device("a", ID, "1").unwrap().unwrap().state,
            DeviceState::Pending
        );
        assert_eq!(
            store.task("a", tasks[1]).unwrap().unwrap().state,
            TaskState::Sent
        );
        assert_eq!(
            store.campaign_device("a", ID, "2").unwrap().unwrap().state,
            DeviceState::Queued
        );
    });
}

#[test]
fn devices_come_in_pages_and_by_state() {
    check(async |records| {
        let store = open(records).await;
        let devices: Vec<(Arc<str>, Record)> = [
            ("1", DeviceState::Done, 0),
            ("2", DeviceState::Failed, 1),
            ("3", DeviceState::Done, 1),
        ]
        .into_iter()
        .map(|(device, state, wave)| {
            let record = Record {
                state,
                wave,
                ..Record::default()
            };
            (Arc::from(device), record)
        })
        .collect();
        let mut with_a_stranger = devices.clone();
        with_a_stranger.push((Arc::from("nobody"), Record::default()));
        store
            .put_campaign_changes("a", ID, None, &with_a_stranger, &[])
            .await
            .unwrap();
        assert_eq!(all(&store, CampaignDeviceFilter::default()).await, devices);
        let done = CampaignDeviceFilter {
            state: Some(DeviceState::Done),
            wave: None,
        };
        assert_eq!(all(&store, done).await.len(), 2);
        let done_there = CampaignDeviceFilter {
            wave: Some(1),
            ..done
        };
        assert_eq!(all(&store, done_there).await, &devices[2..]);
        let (page, next) = store.campaign_devices("a", ID, done, None, 1).unwrap();
        assert_eq!((page.len(), next.as_deref()), (1, Some("1")));
        let (page, next) = store
            .campaign_devices("a", ID, done, next.as_deref(), 5)
            .unwrap();
        assert_eq!((page.as_slice(), next), (&devices[2..], None));
        // A device that is deleted is in no campaign any more.
        store
            .put_campaign("a", ID, &definition(), &head(Phase::Active))
            .await
            .unwrap();
        let deleted = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&deleted);
        store.listen_for_campaigns(move |what| {
            if let Told::Deleted(key) = what {
                told.lock().push(key.clone());
            }
        });
        assert!(store.delete(&key("a", "1")).await.unwrap());
        assert_eq!(*deleted.lock(), [key("a", "1")]);
        assert_eq!(
            all(&store, CampaignDeviceFilter::default()).await,
            &devices[1..]
        );
        store.clear_campaign_devices("a", ID).await.unwrap();
        assert_eq!(all(&store, CampaignDeviceFilter::default()).await, []);
    });
}

#[test]
fn the_log_is_bounded() {
    check(async |records| {
        let store = open(records).await;
        let line = |number: u64| LogLine {
            at: 9,
            text: format!("line {number}"),
        };
        for number in 0..LOG_LINES_MAX + 10 {
            store
                .put_campaign_changes("a", ID, None, &[], &[(number, line(number))])
                .await
                .unwrap();
        }
        let log = store.campaign_log("a", ID, None, usize::MAX).unwrap();
        assert_eq!(log.len() as u64, LOG_LINES_MAX);
        assert_eq!(log[0], (LOG_LINES_MAX + 9, line(LOG_LINES_MAX + 9)));
        let before = store.campaign_log("a", ID, Some(20), 5).unwrap();
        assert_eq!(
            before.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            [19, 18, 17, 16, 15]
        );
    });
}

#[test]
fn the_steps_of_its_tasks_are_told_in_their_order() {
    check(async |records| {
        let store = open(records).await;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&heard);
        store.listen_for_campaigns(move |what| {
            if let Told::Task(task) = what {
                told.lock().push((task.id, task.state));
            }
        });
        let own = super::tasks::get(&key("a", "1"));
        let own = store.enqueue(own, 1).await.unwrap();
        store.cancel(own.id, 2).await.unwrap();
        let made = store
            .begin_for_campaign("a", ID, &[start(0, "1")], 10)
            .await
            .unwrap();
        let task = *made[0].as_ref().unwrap();
        store.mark_sent(task, 11).await.unwrap();
        store
            .finish(task, TaskState::Done, None, None, 12)
            .await
            .unwrap();
        assert_eq!(
            *heard.lock(),
            [(task, TaskState::Sent), (task, TaskState::Done)]
        );
    });
}

#[test]
fn a_backup_has_the_campaigns() {
    check(async |records| {
        let store = open(records).await;
        store
            .put_campaign("a", ID, &definition(), &head(Phase::Paused))
            .await
            .unwrap();
        store
            .begin_for_campaign("a", ID, &[start(0, "1")], 10)
            .await
            .unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        store.export(file.reopen().unwrap()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let config = super::config(&directory.path().join("restored"));
        Store::import(&config, file.reopen().unwrap()).unwrap();
        let restored = Store::open(config).unwrap();
        assert_eq!(
            restored.campaign_head("a", ID).unwrap().unwrap().phase,
            Phase::Paused
        );
        assert_eq!(restored.campaign("a", ID).unwrap(), Some(definition()));
        assert_eq!(
            all(&restored, CampaignDeviceFilter::default()).await.len(),
            1
        );
    });
}
