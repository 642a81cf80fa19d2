//! Flows, good and bad.

use cwmp::{ParameterValue, Request, Response};

use super::*;

async fn misbehave(behaviour: &str, limits: Limits) -> (Host, Vec<Request>, FlowStep, Arc<Record>) {
    let settings = format!("[settings]\nbehaviour = '{behaviour}'\n");
    let files: [(&str, &[u8]); 2] = [
        ("misbehave.wasm", &guest("test/misbehave")),
        ("misbehave.toml", settings.as_bytes()),
    ];
    let host = Host::with_limits(&files, limits).await;
    let record = Arc::new(Record::default());
    let (asked, end) = drive(&mut host.start("misbehave", &record)).await;
    (host, asked, end, record)
}

#[track_caller]
fn failed(end: FlowStep) -> PluginErrorKind {
    match end {
        FlowStep::Failed(error) => error.kind,
        other => panic!("did not fail: {other:?}"),
    }
}

/// For what shall end by its computing time.
fn quick() -> Limits {
    Limits {
        flow_deadline: Duration::from_millis(100),
        ..Limits::default()
    }
}

/// For what shall end by another budget, however slow the machine is.
fn slow() -> Limits {
    Limits {
        flow_deadline: Duration::from_secs(20),
        ..Limits::default()
    }
}

#[tokio::test]
async fn one_request_and_its_answer() {
    let host = Host::with(&[("read-five.wasm", &guest("examples/read-five"))]).await;
    let record = Arc::new(Record::default());
    for _ in 0..3 {
        let (asked, end) = drive(&mut host.start("read-five", &record)).await;
        assert!(matches!(end, FlowStep::Ended(Ok(()))), "{end:?}");
        let [Request::GetParameterValues(names)] = asked.as_slice() else {
            panic!("{asked:?}")
        };
        assert_eq!(names.len(), 5);
        assert_eq!(names[2], "InternetGatewayDevice.DeviceInfo.UpTime");
    }
    let counters = host.status("read-five").counters;
    assert_eq!(
        (
            counters.calls,
            counters.errors,
            counters.in_flight,
            counters.warm
        ),
        (3, 0, 0, 1)
    );
}

#[tokio::test]
async fn what_a_guest_does_wrong_ends_its_flow_only() {
    let (_, _, end, _) = misbehave("behave", quick()).await;
    assert!(matches!(end, FlowStep::Ended(Ok(()))));

    let (host, _, end, _) = misbehave("fail", quick()).await;
    assert!(matches!(end, FlowStep::Ended(Err(text)) if text == "failed on purpose"));
    assert_eq!(
        (
            host.status("misbehave").counters.errors,
            host.status("misbehave").counters.warm
        ),
        (1, 1)
    );

    let (_, _, end, _) = misbehave("fail-at-length", quick()).await;
    assert!(matches!(end, FlowStep::Ended(Err(text)) if text.len() < 1000));

    for behaviour in ["panic", "out-of-bounds", "ask-then-panic"] {
        let (host, _, end, _) = misbehave(behaviour, slow()).await;
        let PluginErrorKind::Trap(text) = failed(end) else {
            panic!("{behaviour}")
        };
        assert!(text.contains("unreachable"), "{text}");
        let counters = host.status("misbehave").counters;
        assert_eq!(
            (counters.traps, counters.warm, counters.in_flight),
            (1, 0, 0)
        );
    }
    let PluginErrorKind::Trap(text) = failed(misbehave("deep-recursion", slow()).await.2) else {
        panic!()
    };
    assert!(text.ends_with(" in misbehave::deeper"), "{text}");
    assert_eq!(
        failed(misbehave("loop", quick()).await.2),
        PluginErrorKind::Deadline { milliseconds: 100 }
    );
    assert_eq!(
        failed(misbehave("eat-memory", slow()).await.2),
        PluginErrorKind::Memory { bytes: 16 << 20 }
    );
    for behaviour in ["flood-host", "flood-log", "flood-tags"] {
        let (_, _, end, record) = misbehave(behaviour, slow()).await;
        assert_eq!(
            failed(end),
            PluginErrorKind::HostCalls(10_000),
            "{behaviour}"
        );
        assert!(record.tags().len() <= 64);
    }
    let (host, _, end, _) = misbehave("flood-memory", slow()).await;
    assert_eq!(failed(end), PluginErrorKind::HostCalls(10_000));
    assert_eq!(host.memory.0.lock().len(), 64);
    // Each of these calls costs time, so that either budget may end first.
    for behaviour in ["flood-random", "flood-log-long"] {
        let kind = failed(misbehave(behaviour, quick()).await.2);
        assert!(
            matches!(
                kind,
                PluginErrorKind::Deadline { .. } | PluginErrorKind::HostCalls(_)
            ),
            "{behaviour}: {kind:?}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    for (behaviour, expected) in [
        ("huge-request", "at most 10000"),
        ("bad-names", "is not a path"),
        ("bad-xml", "X_Bad"),
    ] {
        let (_, asked, end, _) = misbehave(behaviour, slow()).await;
        assert!(asked.is_empty(), "{behaviour}");
        assert!(
            matches!(&end, FlowStep::Ended(Err(text)) if text.contains(expected)),
            "{behaviour}: {end:?}"
        );
    }
    let (_, asked, end, _) = misbehave("many-rpcs", slow()).await;
    assert_eq!(asked.len(), 200);
    assert!(
        matches!(&end, FlowStep::Ended(Err(text)) if text.contains("budget of 200 RPCs")),
        "{end:?}"
    );
    let (_, asked, end, _) = misbehave(
        "deaf",
        Limits {
            rpcs_max: 7,
            ..slow()
        },
    )
    .await;
    assert_eq!(asked.len(), 7);
    assert_eq!(failed(end), PluginErrorKind::HostCalls(10_000));
}

#[tokio::test]
async fn a_session_that_ends() {
    let host = Host::with(&[("read-five.wasm", &guest("examples/read-five"))]).await;
    let record = Arc::new(Record::default());
    let mut run = host.start("read-five", &record);
    assert!(matches!(run.next(None).await, FlowStep::Ask(_)));
    assert_eq!(host.status("read-five").counters.in_flight, 1);
    run.end_session();
    assert!(matches!(run.next(None).await, FlowStep::Ended(Err(_))));
    // Polled again after its end.
    assert!(matches!(run.next(None).await, FlowStep::Ended(Ok(()))));
    // Dropped half-way: the instance is freed.
    let mut run = host.start("read-five", &record);
    assert!(matches!(run.next(None).await, FlowStep::Ask(_)));
    drop(run);
    let counters = host.status("read-five").counters;
    assert_eq!((counters.in_flight, counters.warm), (0, 0));
    // A fault reaches the guest.
    let mut run = host.start("read-five", &record);
    run.next(None).await;
    let fault = cwmp::Fault {
        code: 9005,
        text: "Invalid parameter name".into(),
        parameters: vec![],
    };
    let end = run.next(Some(Err(AskError::Fault(fault)))).await;
    assert!(
        matches!(&end, FlowStep::Ended(Err(text)) if text.contains("9005")),
        "{end:?}"
    );
    // An answer of another kind.
    let mut run = host.start("read-five", &record);
    run.next(None).await;
    let end = run.next(Some(Ok(Response::Reboot))).await;
    assert!(
        matches!(&end, FlowStep::Ended(Err(text)) if text.contains("RebootResponse")),
        "{end:?}"
    );
}

/// More ticks pass than its budget has, but it does not compute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sleeping_costs_nothing_and_any_thread_may_wake_it() {
    let host =
        Host::with_limits(&[("read-five.wasm", &guest("examples/read-five"))], quick()).await;
    let record = Arc::new(Record::default());
    let mut asleep = Vec::new();
    for _ in 0..50 {
        let mut run = host.start("read-five", &record);
        let FlowStep::Ask(request) = run.next(None).await else {
            panic!()
        };
        asleep.push((run, request));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let woken = asleep.into_iter().map(|(mut run, request)| {
        tokio::spawn(async move {
            matches!(
                run.next(Some(answer(&request))).await,
                FlowStep::Ended(Ok(()))
            )
        })
    });
    for woken in woken {
        assert!(woken.await.unwrap());
    }
    let counters = host.status("read-five").counters;
    assert_eq!(
        (counters.errors, counters.in_flight, counters.warm),
        // All of them are kept for the next fifty.
        (0, 0, 50)
    );
}

#[tokio::test]
async fn further_sessions_wait_their_turn() {
    let limits = Limits {
        flow_wait_max: Duration::from_millis(200),
        ..Limits::default()
    };
    let toml = b"[budgets]\nflows_in_flight = 1\n";
    let files: [(&str, &[u8]); 2] = [
        ("read-five.wasm", &guest("examples/read-five")),
        ("read-five.toml", toml),
    ];
    let host = Host::with_limits(&files, limits).await;
    let record = Arc::new(Record::default());
    let mut first = host.start("read-five", &record);
    let FlowStep::Ask(request) = first.next(None).await else {
        panic!()
    };
    let mut second = host.start("read-five", &record);
    assert_eq!(failed(second.next(None).await), PluginErrorKind::Busy);
    let mut third = host.start("read-five", &record);
    let (step, end) = tokio::join!(third.next(None), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        first.next(Some(answer(&request))).await
    });
    assert!(matches!(
        (step, end),
        (FlowStep::Ask(_), FlowStep::Ended(Ok(())))
    ));
}

#[tokio::test]
async fn a_fresh_instance_for_each() {
    let files: [(&str, &[u8]); 2] = [
        ("read-five.wasm", &guest("examples/read-five")),
        ("read-five.toml", b"isolation = 'session'"),
    ];
    let host = Host::with(&files).await;
    let record = Arc::new(Record::default());
    for _ in 0..3 {
        assert!(matches!(
            drive(&mut host.start("read-five", &record)).await.1,
            FlowStep::Ended(Ok(()))
        ));
    }
    assert_eq!(host.status("read-five").counters.warm, 0);
}

const INTERVAL: &str = "InternetGatewayDevice.ManagementServer.PeriodicInformInterval";
const ENABLE: &str = "InternetGatewayDevice.ManagementServer.PeriodicInformEnable";

/// `ensure` of two values, by the shipped plugin that does nothing else.
async fn ensure(known: Vec<(ParameterValue, UnixTime)>, bootstrap: bool) -> Vec<Request> {
    let toml = format!(
        "[[settings.rules]]\n[settings.rules.values]\n{INTERVAL:?} = 300\n{ENABLE:?} = true\n"
    );
    let files: [(&str, &[u8]); 2] = [
        ("desired-state.wasm", &guest("shipped/desired-state")),
        ("desired-state.toml", toml.as_bytes()),
    ];
    let host = Host::with(&files).await;
    let record = Arc::new(Record {
        known: Mutex::new(known),
        ..Record::default()
    });
    let matched = host.matched();
    let flow = matched
        .flows
        .first()
        .unwrap_or_else(|| panic!("{}", host.error("desired-state")));
    let codes: &[&str] = if bootstrap {
        &["0 BOOTSTRAP", "1 BOOT"]
    } else {
        &["2 PERIODIC"]
    };
    let occasion = Occasion {
        events: events(codes),
        ..Occasion::default()
    };
    let mut run = FlowRun::start(flow, &about(&key(), &device()), occasion, record);
    let mut asked = Vec::new();
    let mut reply = None;
    loop {
        match run.next(reply.take()).await {
            FlowStep::Ask(request) => {
                reply = Some(Ok(match &request {
                    Request::GetParameterValues(names) => Response::GetParameterValues(
                        names
                            .iter()
                            .map(|name| ParameterValue::unsigned_int(name, 1))
                            .collect(),
                    ),
                    _ => Response::SetParameterValues(cwmp::Applied::Now),
                }));
                asked.push(request);
            }
            FlowStep::Ended(Ok(())) => return asked,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn ensure_reads_what_is_not_known_and_writes_what_differs() {
    let set = |asked: &Request| match asked {
        Request::SetParameterValues(set) => set
            .parameters
            .iter()
            .map(|one| one.path.clone())
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let interval = |value| ParameterValue::unsigned_int(INTERVAL, value);
    let enable = ParameterValue::new(ENABLE, "true", cwmp::XsdType::BOOLEAN);
    // All known and as wanted: nothing is asked.
    let asked = ensure(
        vec![(interval(300), NOW - 10), (enable.clone(), NOW - 10)],
        false,
    )
    .await;
    assert!(asked.is_empty(), "{asked:?}");
    // One differs.
    let asked = ensure(
        vec![(interval(60), NOW - 10), (enable.clone(), NOW - 10)],
        false,
    )
    .await;
    assert_eq!(asked.len(), 1);
    assert_eq!(set(&asked[0]), [INTERVAL]);
    // One is not known; the device says `1`, which is true.
    let asked = ensure(vec![(interval(300), NOW - 10)], false).await;
    assert_eq!(asked, [Request::GetParameterValues(vec![ENABLE.into()])]);
    // Too old to rely on.
    let old = NOW - 2 * 24 * 60 * 60;
    let asked = ensure(vec![(interval(300), old), (enable.clone(), NOW)], false).await;
    assert_eq!(asked[0], Request::GetParameterValues(vec![INTERVAL.into()]));
    assert_eq!(set(&asked[1]), [INTERVAL]);
    // The device was reset: what was known before says nothing.
    let asked = ensure(vec![(interval(300), NOW - 10), (enable, NOW - 10)], true).await;
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn a_flow_that_is_asked_for_by_name() {
    let host = Host::with(&[
        ("read-five.wasm", &guest("examples/read-five")),
        ("desired-state.wasm", &guest("shipped/desired-state")),
        ("nat-default.wasm", &guest("shipped/nat-default")),
        ("other.wasm", &guest("examples/read-five")),
        ("other.toml", b"[[matches]]\nproduct_class = 'X*'\n"),
        ("north.wasm", &guest("examples/read-five")),
        ("north.toml", b"instances = ['north']\n"),
        ("off.wasm", &guest("examples/read-five")),
        ("off.toml", b"enabled = false\n"),
        ("broken.wasm", b"no component"),
    ])
    .await;
    let device = device();
    let check = |name: &str, device: Option<&Summary>| {
        let checked = host.plugins.check_flow("default", name, device);
        checked.map_err(|error| error.to_string())
    };
    let there = "there are: desired-state, other, read-five";
    for (name, expected) in [
        ("nothing", format!("there is no flow \"nothing\"; {there}")),
        (
            "nat-default",
            format!("there is no flow \"nat-default\"; {there}"),
        ),
        // Of another instance nothing is told.
        ("north", format!("there is no flow \"north\"; {there}")),
        ("off", format!("the plugin \"off\" is disabled; {there}")),
    ] {
        assert_eq!(check(name, None), Err(expected.clone()));
        assert_eq!(check(name, Some(&device)), Err(expected));
    }
    let broken = check("broken", None).unwrap_err();
    assert!(
        broken.starts_with("the plugin \"broken\" does not run: "),
        "{broken}"
    );
    assert_eq!(check("other", None), Ok(()));
    let not_for_it = "the flow \"other\" is not for this device".to_owned();
    assert_eq!(check("other", Some(&device)), Err(not_for_it));

    // Without rules it has no trigger, and is for any device: when it is asked for.
    let matched = host.matched();
    let flow = matched.flow("desired-state").unwrap();
    assert!(!flow.triggered(&events(&["0 BOOTSTRAP"]), &BTreeSet::new()));
    assert_eq!(
        host.status("desired-state").matches,
        ["flow: only when it is asked for"]
    );
    assert_eq!(check("desired-state", Some(&device)), Ok(()));
    assert!(matched.flow("other").is_none());
    let mut run = host.start("read-five", &Arc::new(Record::default()));
    drive(&mut run).await;
    assert_eq!(run.requests(), 1);
}
