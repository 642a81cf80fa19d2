//! The rules of a session, where devices or the host cannot keep to the usual order.

use cpe_sim::{CpeConfig, Oddity};
use serde_json::{Value, json};

use crate::harness::{Host, Setup, Sim, codes, http, inform, rpcs};

fn sim(host: &Host, oddity: Oddity) -> Sim {
    Sim::new(CpeConfig::tr181(&format!("{oddity:?}"), &host.url()).with(oddity))
}

async fn get(host: &Host, sim: &Sim) -> String {
    let operation = json!({ "op": "get", "paths": [sim.path("DeviceInfo.SoftwareVersion")] });
    let body = json!({ "operation": operation });
    let task = host.post(&format!("{}/tasks", sim.at()), body).await;
    task["id"].as_str().unwrap().to_owned()
}

async fn task(host: &Host, id: &str) -> Value {
    host.get(&format!("/v1/tasks/{id}")).await
}

/// It is answered, told to hold the others (HoldRequests), and asked no second time.
#[tokio::test]
async fn a_request_of_the_device_before_its_answer() {
    let host = Setup::new().start().await;
    let sim = &mut sim(&host, Oddity::RequestsOutOfTurn);
    sim.session().await;
    for file_type in ["2 Web Content", "4 Tone File"] {
        sim.cpe.request_download(file_type, &[]);
    }
    let id = get(&host, sim).await;
    let session = sim.session().await;
    assert_eq!(codes(&session), ["9 REQUEST DOWNLOAD"]);
    assert_eq!(rpcs(&session), ["GetParameterValues"]);
    assert_eq!(session.record.requests_answered, 1);
    assert_eq!(task(&host, &id).await["state"], "done");
    // The other one was held, and comes with the next session.
    assert_eq!(sim.session().await.record.requests_answered, 1);
    let requests = host.get(&sim.at()).await["device_requests"].clone();
    assert_eq!(requests[0]["text"], "asks for \"4 Tone File\"");
    assert_eq!(requests[1]["text"], "asks for \"2 Web Content\"");
    host.stop().await;
}

/// The task fails, with what came; the session goes on.
#[tokio::test]
async fn another_response_than_asked_for() {
    let host = Setup::new().start().await;
    let sim = &mut sim(&host, Oddity::AnswersOtherwise);
    sim.session().await;
    let first = get(&host, sim).await;
    let second = get(&host, sim).await;
    let session = sim.periodic().await;
    assert_eq!(rpcs(&session), ["GetParameterValues", "GetParameterValues"]);
    let failed = task(&host, &first).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    let text = failed["error"]["text"].as_str().unwrap();
    assert!(
        text.contains("answered GetParameterValues with X_OtherResponse"),
        "{text}"
    );
    assert_eq!(task(&host, &second).await["state"], "done");
    let faults = host.get(&format!("{}/faults", sim.at())).await;
    assert!(
        faults["items"][0]["advice"]
            .as_str()
            .unwrap()
            .contains("trace"),
        "{faults}"
    );
    host.stop().await;
}

/// Events that are told once are not acknowledged; a sign of life is.
#[tokio::test]
async fn a_store_that_takes_nothing() {
    let host = Setup::new().start().await;
    host.acs.store.close().await.unwrap();
    let events: [(&[&str], &str); 4] = [
        (&["1 BOOT", "M Reboot"], "<FaultCode>8005</FaultCode>"),
        (
            &["2 PERIODIC", "7 TRANSFER COMPLETE"],
            "<FaultCode>8005</FaultCode>",
        ),
        (&["2 PERIODIC"], "<cwmp:InformResponse>"),
        (
            &["6 CONNECTION REQUEST", "14 HEARTBEAT"],
            "<cwmp:InformResponse>",
        ),
    ];
    for (events, expected) in events {
        let inform = inform("full", events);
        let answer = http(host.cwmp, "POST", "/", "", inform.as_bytes()).await;
        assert!(
            answer.text().contains(expected),
            "{events:?}: {}",
            answer.text()
        );
    }
}
