//! `patchbay sim --bench --large-names`: does a huge answer of one device make others wait?
//!
//! A device answers GetParameterNames with 3,343 entries (600 kB) again and again, while others
//! have their usual sessions. Rounds with and without it take turns; what counts is how long
//! the sessions of the others took.

use std::net::SocketAddr;
use std::time::Duration;

use cpe_sim::{Connection, CpeConfig, Load, LoadConfig, LoadReport, Vendor};
use cwmp::{Applied, Body, Fault, Header, Message, ParameterInfo, Request, Response};
use tokio::time::{Instant, sleep};

use super::{Host, ROUNDS, check, load, request_api};
use crate::device::device_id;

const ENTRIES: usize = 3_343;
/// Of all entries together, nearly.
const BYTES: usize = 600_000;
/// Others at once: not so many that they wait for each other.
const SESSIONS_AT_ONCE: usize = 4;
/// Between two sessions of the device with the large answer.
const PAUSE: Duration = Duration::from_millis(100);
const POSTS_MAX: usize = 50;

/// Measures for about `seconds` seconds and prints what came out.
pub(in crate::cli) async fn run(seconds: u64) -> anyhow::Result<()> {
    let time = Duration::from_secs((seconds / (2 * ROUNDS as u64)).max(2));
    let host = Host::start().await?;
    let device = Device::new(&host);
    // Their first sessions are other ones.
    device.session().await?;
    check(&measure(&host, Duration::from_secs(2)).await)?;

    println!(
        "{ENTRIES} names in {} bytes; {SESSIONS_AT_ONCE} others at once",
        device.names.len()
    );
    println!(
        "{:>6} {:>10} {:>12} {:>12} {:>12} {:>12} {:>8} {:>14}",
        "round", "others", "median", "99th", "99.9th", "longest", "large", "one large"
    );
    for round in 1..=ROUNDS {
        for with_large in [false, true] {
            let (report, large) = if with_large {
                let deadline = Instant::now() + time;
                tokio::join!(measure(&host, time), device.sessions(deadline))
            } else {
                (measure(&host, time).await, Ok(Vec::new()))
            };
            check(&report)?;
            let mut large = large?;
            large.sort_unstable();
            let median = large.get(large.len() / 2).copied().unwrap_or_default();
            let others = &report.latency;
            println!(
                "{round:>6} {:>10} {:>12.1?} {:>12.1?} {:>12.1?} {:>12.1?} {:>8} {median:>14.1?}",
                report.sessions_ok,
                others.quantile(0.5),
                others.quantile(0.99),
                others.quantile(0.999),
                others.quantile(1.0),
                large.len(),
            );
        }
    }
    Ok(())
}

async fn measure(host: &Host, time: Duration) -> LoadReport {
    Load::run(LoadConfig {
        sessions_at_once: SESSIONS_AT_ONCE,
        time_max: Some(time),
        ..load(host.server.address)
    })
    .await
}

/// The device with the large answer.
struct Device {
    address: SocketAddr,
    api: SocketAddr,
    tasks: String,
    inform: Vec<u8>,
    names: Vec<u8>,
}

impl Device {
    fn new(host: &Host) -> Device {
        let clock = cpe_sim::Clock::system();
        let url = format!("http://{}/", host.server.address);
        let config = CpeConfig::of(Vendor::tr098(), "LARGE000001", &url);
        let mut cpe = config.start(clock.now());
        Device {
            address: host.server.address,
            api: host.api,
            tasks: format!("/v1/devices/{}/tasks", device_id(&cpe.device_id())),
            inform: cpe.begin_session(clock.now()),
            names: answer(Response::GetParameterNames(names())),
        }
    }

    /// Sessions until then: from the large answer to the ACS's next word, each.
    async fn sessions(&self, deadline: Instant) -> anyhow::Result<Vec<Duration>> {
        let mut took = Vec::new();
        while Instant::now() < deadline {
            let task = r#"{"operation":{"op":"names","path":"","next_level":false}}"#;
            request_api(self.api, "POST", &self.tasks, task).await?;
            took.extend(self.session().await?);
            sleep(PAUSE).await;
        }
        Ok(took)
    }

    async fn session(&self) -> anyhow::Result<Option<Duration>> {
        let address = self.address.to_string();
        let mut connection = Connection::open(&address, &address, None).await?;
        let mut cookie = String::new();
        let mut body = self.inform.clone();
        let mut took = None;
        for _ in 0..POSTS_MAX {
            let is_large = body.len() == self.names.len();
            let began = Instant::now();
            let headers = [("Cookie", cookie.as_str())];
            let response = connection.post("/", &headers, &body).await?;
            if is_large {
                took = Some(began.elapsed());
            }
            if let Some(set) = response.header("set-cookie") {
                cookie = set.split(';').next().unwrap_or_default().to_owned();
            }
            body = match response.status {
                204 => return Ok(took),
                200 => self.next(&response.body)?,
                other => anyhow::bail!("the host answered {other}"),
            };
        }
        anyhow::bail!("the session does not end")
    }

    fn next(&self, asked: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(match Message::parse(asked)?.body {
            Body::Request(Request::GetParameterNames(_)) => self.names.clone(),
            Body::Request(Request::SetParameterValues(_)) => {
                answer(Response::SetParameterValues(Applied::Now))
            }
            Body::Request(_) => message(Body::Fault(Fault::new(9000))),
            Body::Response(Response::Inform) => Vec::new(),
            other => anyhow::bail!("the host sent {}", other.name()),
        })
    }
}

/// Names as long as it takes.
fn names() -> Vec<ParameterInfo> {
    const MARKUP: usize =
        "<ParameterInfoStruct><Name></Name><Writable>0</Writable></ParameterInfoStruct>".len();
    let length = BYTES / ENTRIES - MARKUP;
    (0..ENTRIES)
        .map(|number| {
            let (device, entry) = (number / 100, number % 100);
            let mut path = format!(
                "InternetGatewayDevice.LANDevice.{device}.X_Table.{entry}.X_ParameterOfAConsiderableLength"
            );
            let filler = length.saturating_sub(path.len());
            path.extend(std::iter::repeat_n('x', filler));
            ParameterInfo {
                path,
                writable: false,
            }
        })
        .collect()
}

fn answer(response: Response) -> Vec<u8> {
    message(Body::Response(response))
}

fn message(body: Body) -> Vec<u8> {
    let message = Message {
        version: cwmp::Version::V1_0,
        header: Header {
            id: Some("1".to_owned()),
            ..Header::default()
        },
        body,
    };
    message.to_xml().into_bytes()
}
