//! `patchbay sim --stun-bench`: STUN requests per core-second.
//!
//! Servers take turns under the same load, each a process of its own so that its CPU time can be
//! told: our STUN server with plain requests, and with requests that it has to authenticate, keep
//! the binding of, and sign the answer to; and coturn's `turnserver`, if it is installed, with
//! plain requests.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use cwmp::stun::{Binding, Flavour, Kind, Message, Request, TransactionId};

use super::bench::{cpu_of, median};
use crate::clock::Clock;
use crate::config;
use crate::device::DeviceKey;
use crate::nat::stun::{SECRET_BYTES, Stun, bind};

const ROUNDS: usize = 3;
const DEVICES: usize = 1_000;
/// Requests that wait for their answer at a time.
const WINDOW: usize = 64;
/// Of both sides.
const SECRET: [u8; SECRET_BYTES] = [42; SECRET_BYTES];
const START_TIME: Duration = Duration::from_secs(10);
const ANSWER_TIME: Duration = Duration::from_millis(200);

/// Serves STUN alone until it is killed.
pub(super) async fn serve(listen: SocketAddr) -> anyhow::Result<()> {
    let stun = std::sync::Arc::new(server());
    stun.open(vec![bind(listen, None)?])?;
    stun.serve(super::shutdown_signal()?).await;
    Ok(())
}

fn server() -> Stun {
    let settings = config::Stun {
        requests_per_second_max: u32::MAX,
        ..config::Stun::default()
    };
    Stun::new(settings, &SECRET, Clock, Box::new(|_| true))
}

/// Measures for about `seconds` seconds and prints what came out.
pub(super) fn run(seconds: u64) -> anyhow::Result<()> {
    let (plain, signed) = (plain(), signed());
    let ours = Server::start(|address| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["stun-alone", "--listen", &address.to_string()]);
        Ok(command)
    })?;
    let coturn = Server::start(|address| {
        let mut command = Command::new("turnserver");
        command.args(["-n", "--stun-only", "--no-tls", "--no-dtls", "--no-cli"]);
        command.args(["--listening-ip", "127.0.0.1", "--relay-threads", "1"]);
        command.args(["--listening-port", &address.port().to_string()]);
        command.args(["--log-file", "/dev/null", "--pidfile", "/dev/null"]);
        Ok(command)
    });
    let coturn = match coturn {
        Ok(coturn) => Some(coturn),
        Err(error) => {
            println!("without coturn: {error:#} (Debian: apt-get install coturn)");
            None
        }
    };
    let runs = 2 + u64::from(coturn.is_some());
    let time = Duration::from_secs((seconds / (ROUNDS as u64 * runs)).max(1));
    println!("answers per core-second of the server; {WINDOW} requests under way");
    println!(
        "{:>6} {:>12} {:>12} {:>12}",
        "round", "plain", "signed", "coturn plain"
    );
    let mut results: [Vec<f64>; 3] = Default::default();
    let [plains, signeds, coturns] = &mut results;
    for round in 1..=ROUNDS {
        plains.push(ours.measure(&plain, time)?);
        signeds.push(ours.measure(&signed, time)?);
        if let Some(coturn) = &coturn {
            coturns.push(coturn.measure(&plain, time)?);
        }
        let last = |results: &[f64]| results.last().copied().unwrap_or(f64::NAN);
        let (plain, signed) = (last(plains), last(signeds));
        println!(
            "{round:>6} {plain:>12.0} {signed:>12.0} {:>12.0}",
            last(coturns)
        );
    }
    let (plain, signed, coturn) = (median(plains), median(signeds), median(coturns));
    println!("median: plain {plain:.0}, signed {signed:.0}, coturn plain {coturn:.0}");
    if coturn > 0.0 {
        println!(
            "against coturn's plain requests: plain {:.2}, signed {:.2}",
            plain / coturn,
            signed / coturn
        );
    }
    Ok(())
}

/// Requests of anybody.
fn plain() -> Vec<Vec<u8>> {
    requests(|id, _| Request::new(id).to_bytes(None))
}

/// Keepalives of devices.
fn signed() -> Vec<Vec<u8>> {
    let stun = server();
    requests(|id, number| {
        let account = stun.account(&DeviceKey {
            instance: "default".into(),
            id: format!("00AABB-Bench-{number:06}").into(),
        });
        let request = Request {
            binding: Some(Binding::Standard),
            username: Some(account.username.into_bytes().into()),
            ..Request::new(id)
        };
        request.to_bytes(Some((account.password.as_bytes(), Flavour::Padded)))
    })
}

fn requests(make: impl Fn(TransactionId, usize) -> Vec<u8>) -> Vec<Vec<u8>> {
    let request = |number: usize| {
        let mut id = [7; 16];
        for (place, byte) in id.iter_mut().rev().zip(number.to_le_bytes()) {
            *place = byte;
        }
        make(TransactionId(id), number)
    };
    (0..DEVICES).map(request).collect()
}

/// A server in a process of its own, ended when it is dropped.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(
        command: impl FnOnce(SocketAddr) -> anyhow::Result<Command>,
    ) -> anyhow::Result<Server> {
        let address = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = command(address)?;
        let program = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let server = Server { process, address };
        let end = Instant::now() + START_TIME;
        let request = plain();
        while !server.is_up(request.first().map(Vec::as_slice).unwrap_or_default())? {
            anyhow::ensure!(Instant::now() < end, "{program} does not answer");
        }
        Ok(server)
    }

    fn socket(&self) -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(self.address)?;
        socket.set_read_timeout(Some(ANSWER_TIME))?;
        Ok(socket)
    }

    fn is_up(&self, request: &[u8]) -> std::io::Result<bool> {
        let socket = self.socket()?;
        // Until somebody listens, the system says that nobody does.
        let up = socket
            .send(request)
            .and_then(|_| socket.recv(&mut [0; 1500]));
        if up.is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(up.is_ok())
    }

    /// Answers per second of CPU time.
    fn measure(&self, requests: &[Vec<u8>], time: Duration) -> anyhow::Result<f64> {
        let socket = self.socket()?;
        let mut answers = 0_u32;
        let mut waiting = 0;
        let mut bytes = [0; 1500];
        let before = cpu_of(self.process.id())?;
        let end = Instant::now() + time;
        let mut next = requests.iter().cycle();
        while Instant::now() < end {
            while waiting < WINDOW
                && let Some(request) = next.next()
            {
                socket.send(request)?;
                waiting += 1;
            }
            match socket.recv(&mut bytes) {
                Ok(length) => {
                    let answer = Message::parse(bytes.get(..length).unwrap_or_default())?;
                    anyhow::ensure!(answer.kind == Kind::Response, "refused: {answer:?}");
                    answers += 1;
                    waiting -= 1;
                }
                // Lost: the window is filled again.
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    waiting = 0;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let cpu = cpu_of(self.process.id())?.saturating_sub(before);
        anyhow::ensure!(answers > 0 && !cpu.is_zero(), "too short to measure");
        Ok(f64::from(answers) / cpu.as_secs_f64())
    }
}
