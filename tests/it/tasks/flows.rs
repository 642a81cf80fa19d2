//! Flows that a task asks for.

use cpe_sim::Vendor;
use serde_json::{Value, json};

use super::{done, failed, of, queue, run, task};
use crate::harness::{Host, Setup, rpcs};

fn flow(name: &str) -> Value {
    json!({ "op": "flow", "flow": name })
}

/// What a task that cannot be is answered with.
async fn refused(host: &Host, at: &str, operation: Value) -> String {
    let body = json!({ "operation": operation });
    let (status, answer) = host.api("POST", &format!("{at}/tasks"), Some(body)).await;
    assert_eq!(status, 400, "{answer}");
    answer["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn it_runs_although_nothing_triggers_it() {
    let host = Setup::new()
        .plugin("shipped", "first-contact")
        .start()
        .await;
    for vendor in super::both() {
        let sim = &mut of(&host, vendor).await;
        let sets = sim.cpe.times_served("SetParameterValues");
        // It is done with this device, by its own tag.
        let session = sim.periodic().await;
        assert!(rpcs(&session).is_empty(), "{session:?}");
        let result = done(&host, sim, flow("first-contact")).await;
        assert_eq!(result["requests"], 1, "{result}");
        assert!(result["version"].is_string(), "{result}");
        assert_eq!(sim.cpe.times_served("SetParameterValues"), sets + 1);
    }
    host.stop().await;
}

#[tokio::test]
async fn in_its_session_it_runs_once() {
    let host = Setup::new().plugin("examples", "read-five").start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let (task, sessions) = run(&host, sim, flow("read-five")).await;
    assert_eq!(task["state"], "done", "{task}");
    assert_eq!(rpcs(&sessions[0]), ["GetParameterValues"]);
    host.stop().await;
}

#[tokio::test]
async fn its_error_is_that_of_the_task() {
    let settings = "[settings]\nbehaviour = 'fail'\n";
    let setup = Setup::new().plugin_with("test", "misbehave", settings);
    let host = setup.start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let error = failed(&host, sim, flow("misbehave")).await;
    assert_eq!(
        error["text"], "the flow \"misbehave\" failed: failed on purpose",
        "{error}"
    );
    let faults = host.get("/v1/faults").await;
    let fault = &faults["items"][0]["faults"][0];
    assert_eq!(
        (&fault["plugin"], &fault["text"], fault["task"].is_string()),
        (&json!("misbehave"), &json!("failed on purpose"), true),
        "{faults}"
    );
    host.stop().await;
}

#[tokio::test]
async fn what_cannot_run_is_refused() {
    let host = Setup::new()
        .plugin("shipped", "nat-default")
        .plugin("examples", "read-five")
        .start()
        .await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let at = sim.at();
    for name in ["nothing", "nat-default"] {
        let told = refused(&host, &at, flow(name)).await;
        let expected = format!("there is no flow {name:?}; there are: read-five");
        assert_eq!(told, expected);
    }
    let settings = json!({ "text": "[[matches]]\nproduct_class = 'X*'\n" });
    let path = "/v1/plugins/read-five/settings";
    assert_eq!(host.api("PUT", path, Some(settings)).await.0, 200);
    let told = refused(&host, &at, flow("read-five")).await;
    assert_eq!(told, "the flow \"read-five\" is not for this device");
    assert_eq!(
        host.api("PUT", path, Some(json!({ "text": "" }))).await.0,
        200
    );

    // What goes after it was asked for fails, and says so.
    let id = queue(&host, sim, flow("read-five")).await;
    let off = json!({ "enabled": false });
    let (status, _) = host.api("PATCH", "/v1/plugins/read-five", Some(off)).await;
    assert_eq!(status, 200);
    let told = refused(&host, &at, flow("read-five")).await;
    assert_eq!(told, "the plugin \"read-five\" is disabled; there are none");
    sim.periodic().await;
    let ended = task(&host, &id).await;
    assert_eq!(
        (&ended["state"], &ended["error"]["text"]),
        (&json!("failed"), &json!(told)),
        "{ended}"
    );
    host.stop().await;
}

#[tokio::test]
async fn a_session_that_breaks_off_in_the_middle_is_made_good_for() {
    let host = Setup::new().plugin("examples", "read-five").start().await;
    let sim = &mut of(&host, Vendor::tr181()).await;
    let id = queue(&host, sim, flow("read-five")).await;
    sim.post_until(&host, "GetParameterValues").await;
    assert_eq!(task(&host, &id).await["state"], "sent");
    sim.hang_up();
    sim.periodic().await;
    let ended = task(&host, &id).await;
    assert_eq!(
        (&ended["state"], &ended["attempts"]),
        (&json!("done"), &json!(2)),
        "{ended}"
    );
    host.stop().await;
}
