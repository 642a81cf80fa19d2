//! Devices that cannot be woken: when they have full sessions, how they are spread, and who keeps them at the short
//! interval.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cpe_sim::{Cpe, CpeConfig, Due, Step, UnixTime};
use cwmp::Message;
use patchbay::Acs;
use patchbay::clock::Now;
use patchbay::conversation::{Caller, Conversation, Opened, ReachedAt};
use patchbay::door::{Peer, Proof, Word};
use serde_json::json;

use crate::harness::{Host, Setup, Sim, codes, rpcs};

/// An address that its device does not come from: it is behind NAT.
const PRIVATE_URL: &str = "http://192.168.1.1:7547/cr";
const STANDARD_SECONDS: u64 = 14_400;

fn behind_nat(serial: &str, url: &str) -> CpeConfig {
    CpeConfig {
        connection_request_url: PRIVATE_URL.into(),
        ..CpeConfig::tr181(serial, url)
    }
}

fn setup() -> Setup {
    Setup::new()
        .plugin("shipped", "nat-default")
        // Asks for five parameters in each full session.
        .plugin("examples", "read-five")
}

/// A session of a device at a time of the test's choosing, without a network; what it was asked.
async fn session_at(acs: &Arc<Acs>, cpe: &mut Cpe, at: UnixTime) -> (Vec<String>, Vec<String>) {
    let now = Now {
        instant: Instant::now(),
        unix: at.as_secs().try_into().unwrap(),
        milliseconds: 0,
    };
    let head = Arc::new(http::Request::post("/").body(()).unwrap().into_parts().0);
    let address = "198.51.100.7".parse().unwrap();
    let peer = Peer {
        address,
        tcp: address,
        word: Word::default(),
        through_proxy: false,
        tls: false,
        believed: None,
    };
    let raw = Bytes::from(cpe.begin_session(at));
    let mut message = Message::parse(&raw).unwrap();
    let caller = Caller::identify(
        acs,
        &acs.instances.get("default").unwrap(),
        &mut message,
        &head,
        &raw,
        now,
    )
    .await
    .unwrap();
    let begun = Conversation::begin(
        acs,
        peer,
        ReachedAt::default(),
        caller,
        Proof::NotAsked,
        &message,
        now,
    )
    .await;
    let Opened {
        mut conversation,
        mut reply,
    } = begun.unwrap();
    loop {
        match cpe.receive(&reply.body(), at).unwrap() {
            Step::Post(raw) => {
                let raw = Bytes::from(raw);
                let message = (!raw.is_empty()).then(|| Message::parse(&raw).unwrap());
                let answered = conversation.post(message.as_ref(), &head, &raw, now).await;
                reply = answered.unwrap();
            }
            Step::Done => break,
            other => panic!("{other:?}"),
        }
    }
    let record = cpe.finish_session(at);
    let codes = record.events.iter().map(|event| event.code.clone());
    let served = record
        .served
        .iter()
        .map(|served| served.method().to_owned());
    (codes.collect(), served.collect())
}

/// The device's sessions until then, each at its time.
async fn sessions_until(
    acs: &Arc<Acs>,
    cpe: &mut Cpe,
    mut now: UnixTime,
    end: UnixTime,
) -> Vec<(UnixTime, Vec<String>, Vec<String>)> {
    let mut sessions = Vec::new();
    loop {
        match cpe.poll(now) {
            Due::Session => {
                let (codes, rpcs) = session_at(acs, cpe, now).await;
                sessions.push((now, codes, rpcs));
            }
            Due::Later(Some(at)) if at <= end => now = at,
            Due::Later(_) => return sessions,
            other => panic!("{other:?}"),
        }
    }
}

fn start() -> UnixTime {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map(|since| Duration::from_secs(since.as_secs()))
        .unwrap()
}

#[tokio::test]
async fn of_720_short_informs_one_is_a_full_session() {
    let host = setup().start().await;
    let start = start();
    let mut cpe = behind_nat("V1", &host.url()).start(start);
    let first = sessions_until(&host.acs, &mut cpe, start, start).await;
    assert_eq!(
        first[0].2,
        ["SetParameterValues", "GetParameterValues"],
        "{first:?}"
    );
    for day_part in 0..2 {
        let begin = start + Duration::from_secs(1 + day_part * STANDARD_SECONDS);
        let end = begin + Duration::from_secs(STANDARD_SECONDS - 1);
        let sessions = sessions_until(&host.acs, &mut cpe, begin, end).await;
        assert_eq!(sessions.len(), 720);
        assert!(
            sessions
                .iter()
                .all(|(_, codes, _)| *codes == ["2 PERIODIC"])
        );
        let full: Vec<_> = sessions
            .iter()
            .filter(|(.., rpcs)| !rpcs.is_empty())
            .collect();
        assert_eq!(full.len(), 1, "{full:?}");
        assert_eq!(full[0].2, ["GetParameterValues"]);
    }
    host.stop().await;
}

#[tokio::test]
async fn a_fleet_that_boots_together_does_not_inform_together() {
    const DEVICES: usize = 400;
    const INTERVAL: u64 = 20;
    // With a choice of ways the devices are asked which parameters they have.
    let host = setup().stun().start().await;
    host.until("/v1/status", |status| status["stun"]["serving"] == true)
        .await;
    let start = start();
    let mut fleet: Vec<Cpe> = (0..DEVICES)
        .map(|number| {
            let mut config = behind_nat(&format!("F{number:04}"), &host.url());
            (config.vendor.supports_stun, config.vendor.supports_xmpp) = (false, false);
            config.start(start)
        })
        .collect();
    for cpe in &mut fleet {
        sessions_until(&host.acs, cpe, start, start).await;
    }
    // The power comes back for all of them in the same second.
    let back = start + Duration::from_secs(3_000);
    let mut informs: BTreeMap<u64, usize> = BTreeMap::new();
    for cpe in &mut fleet {
        cpe.power_cycle(back);
        let end = back + Duration::from_secs(INTERVAL + 10);
        for (at, codes, _) in sessions_until(&host.acs, cpe, back, end).await {
            if codes == ["2 PERIODIC"] {
                *informs.entry(at.as_secs() % INTERVAL).or_default() += 1;
            }
        }
    }
    let all: usize = informs.values().sum();
    let largest = informs.values().max().copied().unwrap_or_default();
    assert!(all >= DEVICES, "{informs:?}");
    // Twenty in each second if they were even; all 400 in one if nobody spread them.
    assert!(largest <= 3 * all / 20, "{informs:?}");
    host.stop().await;
}

#[tokio::test]
async fn whatever_else_an_inform_says_makes_it_a_full_session() {
    let host = setup().start().await;
    let mut sim = Sim::new(behind_nat("M1", &host.url()));
    sim.session().await;
    assert!(rpcs(&sim.periodic().await).is_empty());
    sim.later(Duration::from_secs(20));
    let (now, url) = (sim.now(), "Device.ManagementServer.ConnectionRequestURL");
    assert!(sim.cpe.set(url, "http://192.168.1.2:7547/cr", now));
    let [mixed] = sim.settle().await.try_into().unwrap();
    assert_eq!(codes(&mixed), ["2 PERIODIC", "4 VALUE CHANGE"]);
    assert_eq!(rpcs(&mixed), ["GetParameterValues"]);
    assert!(rpcs(&sim.periodic().await).is_empty());
    host.stop().await;
}

#[tokio::test]
async fn a_queued_task_runs_alone_in_the_nearest_session() {
    let host = setup().start().await;
    let mut sim = Sim::new(behind_nat("T1", &host.url()));
    sim.session().await;
    let full = host.get(&sim.at()).await["last_full_refresh"].clone();
    queue(
        &host,
        &sim,
        json!({ "op": "get", "paths": ["Device.DeviceInfo.UpTime"] }),
    )
    .await;
    // Were it a full session, read-five would ask too.
    assert_eq!(rpcs(&sim.periodic().await), ["GetParameterValues"]);
    assert_eq!(sim.cpe.times_served("GetParameterValues"), 2);
    let device = host.get(&sim.at()).await;
    assert_eq!(device["last_full_refresh"], full);
    host.stop().await;
}

async fn queue(host: &Host, sim: &Sim, operation: serde_json::Value) {
    let task = json!({ "operation": operation });
    host.post(&format!("{}/tasks", sim.at()), task).await;
}

#[tokio::test]
async fn the_short_interval_only_while_somebody_needs_the_device() {
    let host = setup()
        .config(|config| {
            config.instance.short_inform.lease = true;
            config.instance.short_inform.advice_devices = 1;
        })
        .start()
        .await;
    let mut sim = Sim::new(behind_nat("L1", &host.url()));
    let interval = |sim: &Sim| sim.value("ManagementServer.PeriodicInformInterval");
    let first = sim.session().await;
    assert_eq!(rpcs(&first), ["GetParameterValues", "SetParameterValues"]);
    assert_eq!(interval(&sim), "900");
    assert!(rpcs(&sim.periodic().await).is_empty());
    let informs = host.get(&sim.at()).await["reachability"]["periodic_inform"].clone();
    assert_eq!(
        informs,
        json!({ "seconds": 900, "wanted_seconds": 900, "why": "nobody needs it", "leased_until": null })
    );
    let status = host.get("/v1/status").await;
    assert_eq!(
        status["short_inform"],
        json!({ "devices": 1, "idle": 1, "informs_per_hour": 4, "informs_per_hour_saved": 176 })
    );
    let advice = status["advice"][0].as_str().unwrap();
    assert!(advice.starts_with("1 devices cannot be woken"), "{advice}");

    // A task that is done in the session changes no interval.
    queue(
        &host,
        &sim,
        json!({ "op": "get", "paths": ["Device.DeviceInfo.UpTime"] }),
    )
    .await;
    assert_eq!(rpcs(&sim.periodic().await), ["GetParameterValues"]);
    assert_eq!(interval(&sim), "900");

    // Somebody opens a page.
    let lease = format!("{}/lease", sim.at());
    let leased = host
        .post(&lease, json!({ "seconds": 600, "why": "a page is open" }))
        .await;
    assert_eq!(
        (
            &leased["seconds"],
            &leased["wanted_seconds"],
            &leased["why"]
        ),
        (&900.into(), &20.into(), &"a page is open".into())
    );
    assert_eq!(rpcs(&sim.periodic().await), ["SetParameterValues"]);
    assert_eq!(interval(&sim), "20");
    assert!(
        rpcs(&sim.periodic().await).is_empty(),
        "nothing is written twice"
    );

    // … and closes it.
    assert_eq!(host.api("DELETE", &lease, None).await.0, 204);
    let undone = sim.periodic().await;
    assert_eq!(rpcs(&undone), ["SetParameterValues"]);
    assert_eq!(interval(&sim), "900");
    assert!(rpcs(&sim.periodic().await).is_empty());
    host.stop().await;
}

#[tokio::test]
async fn a_lease_is_checked() {
    let host = setup().start().await;
    let mut sim = Sim::new(behind_nat("L2", &host.url()));
    sim.session().await;
    let lease = format!("{}/lease", sim.at());
    for bad in [
        json!({ "seconds": 0 }),
        json!({ "seconds": 86_401 }),
        json!({ "why": "a\nb" }),
    ] {
        let (status, body) = host.api("POST", &lease, Some(bad)).await;
        assert_eq!(status, 400, "{body}");
    }
    let leased = host.post(&lease, json!({})).await;
    assert_eq!(leased["why"], "it cannot be woken, and leases are off");
    host.stop().await;
}
