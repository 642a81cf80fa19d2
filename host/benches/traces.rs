//! What a trace costs: while the session runs, when it is kept, and at the next start. A session
//! is an Inform of 20 parameters, one GetParameterValues of 5 and its answer, with a secret.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that cannot run says so by panicking"
)]

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use http::{HeaderMap, Request, StatusCode};
use patchbay::clock::Clock;
use patchbay::device::DeviceKey;
use patchbay::store::{Store, StoreConfig};
use patchbay::traces::{Limits, RequestHead, Traces, Whose};

/// Fewer than may wait to be written.
const AT_ONCE: usize = 1_000;
const KEPT: usize = 100_000;
const LIMITS: Limits = Limits {
    sessions_per_device_max: 50,
    age_seconds_max: 604_800,
};

fn main() {
    divan::main();
}

struct Messages {
    head: RequestHead,
    bodies: Vec<Bytes>,
}

fn messages() -> Messages {
    let list = |count: usize| {
        let mut list = String::new();
        for n in 0..count {
            let name = if n == 3 {
                "KeyPassphrase"
            } else {
                "SomeParameter"
            };
            let _ = write!(
                list,
                "<ParameterValueStruct><Name>Device.WiFi.AccessPoint.{n}.{name}</Name>\
                 <Value xsi:type=\"xsd:string\">value number {n}</Value></ParameterValueStruct>"
            );
        }
        list
    };
    let envelope = |body: &str| {
        Bytes::from(format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>{body}</e:Body></e:Envelope>"
        ))
    };
    let inform = envelope(&format!("<cwmp:Inform>{}</cwmp:Inform>", list(20)));
    let names = "<string>Device.WiFi.AccessPoint.1.SomeParameter</string>".repeat(5);
    let head = Request::post("/")
        .header("content-type", "text/xml")
        .header("cookie", "s=1");
    Messages {
        head: Arc::new(head.body(()).unwrap().into_parts().0),
        bodies: vec![
            inform,
            envelope("<cwmp:InformResponse/>"),
            Bytes::new(),
            envelope(&format!(
                "<cwmp:GetParameterValues>{names}</cwmp:GetParameterValues>"
            )),
            envelope(&format!(
                "<cwmp:GetParameterValuesResponse>{}</cwmp:GetParameterValuesResponse>",
                list(5)
            )),
            Bytes::new(),
        ],
    }
}

/// Records a session of the `n`th device.
fn session(traces: &Traces, messages: &Messages, n: usize, keep: bool) {
    let now = Clock.now();
    let recording = traces.begin(now);
    traces.known(
        &recording,
        Whose {
            device: DeviceKey {
                instance: "default".into(),
                id: format!("00AABB-Box-{n}").into(),
            },
            peer: "192.0.2.7".into(),
            events: vec!["2 PERIODIC".into()],
        },
    );
    let headers = HeaderMap::new();
    for pair in messages.bodies.chunks(2) {
        let [request, answer] = pair else { continue };
        recording.request(now, &messages.head, request);
        recording.answer(now, StatusCode::OK, &headers, answer);
    }
    recording.ended(now, "done");
    if keep {
        traces.keep(recording);
    } else {
        traces.forget(&recording);
    }
}

#[divan::bench]
fn recorded_and_not_kept(bencher: Bencher) {
    let (traces, messages) = (
        Traces::open(Store::memory().unwrap(), LIMITS).unwrap(),
        messages(),
    );
    bencher.bench(|| session(&traces, &messages, 1, false));
}

#[divan::bench(sample_count = 20)]
fn kept(bencher: Bencher) {
    let (store, messages) = (Store::memory().unwrap(), messages());
    bencher
        .counter(ItemsCount::new(AT_ONCE))
        .with_inputs(|| Traces::open(store.clone(), LIMITS).unwrap())
        .bench_local_values(|traces| {
            for n in 0..AT_ONCE {
                session(&traces, &messages, n, true);
            }
            traces.close();
            assert_eq!(traces.counters().lost.get(), 0);
        });
}

#[divan::bench(sample_count = 5)]
fn opened_with_100_000_kept(bencher: Bencher) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig::new(directory.path())).unwrap();
    let messages = messages();
    let traces = Traces::open(store.clone(), LIMITS).unwrap();
    for n in 0..KEPT {
        session(&traces, &messages, n, true);
        while n % AT_ONCE == 0 && traces.count() < n {
            std::thread::yield_now();
        }
    }
    traces.close();
    println!("{} bytes", store.traces().bytes());
    bencher.bench_local(|| {
        let traces = Traces::open(store.clone(), LIMITS).unwrap();
        assert_eq!(traces.count(), KEPT);
    });
}
