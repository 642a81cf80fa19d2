//! What anybody can send to an open UDP port.

use cwmp::stun::{Binding, Flavour, Message, Request, TransactionId};
use serde_json::Value;
use tokio::net::UdpSocket;

use super::{behind_nat, bound, setup};
use crate::harness::{Host, Live, PATIENCE};
use cpe_sim::Vendor;

struct Attacker {
    socket: UdpSocket,
    number: u8,
}

impl Attacker {
    async fn at(address: &str, host: &Host) -> Attacker {
        let socket = UdpSocket::bind((address, 0)).await.unwrap();
        socket
            .connect(host.acs.config.stun.listen[0])
            .await
            .unwrap();
        Attacker { socket, number: 0 }
    }

    fn request(&mut self) -> Request<'static> {
        self.number += 1;
        Request::new(TransactionId([self.number; 16]))
    }

    async fn answer(&self) -> Vec<u8> {
        let mut bytes = [0; 2000];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv(&mut bytes)).await;
        let length = received.expect("no answer").unwrap();
        bytes[..length].to_vec()
    }

    /// Sends these and then a plain request; its answer is the only one that may come.
    async fn unanswered(&mut self, datagrams: &[Vec<u8>]) {
        for datagram in datagrams {
            self.socket.send(datagram).await.unwrap();
        }
        let plain = self.request();
        self.socket.send(&plain.to_bytes(None)).await.unwrap();
        let answer = self.answer().await;
        assert_eq!(Message::parse(&answer).unwrap().id, plain.id);
    }
}

async fn counters(host: &Host) -> Value {
    host.get("/v1/status").await["stun"]["counters"].clone()
}

#[tokio::test]
async fn nobody_else_moves_the_binding_of_a_device() {
    let host = setup().start().await;
    let live = Live::start(behind_nat(&host, Vendor::tr181())).await;
    let before = bound(&host, &live.at).await["address"].clone();
    let username = live.at.rsplit('/').next().unwrap().to_owned();
    let mut attacker = Attacker::at("127.0.0.1", &host).await;
    for (key, code) in [(None, 401), (Some(b"guessed".as_slice()), 431)] {
        let request = Request {
            binding: Some(Binding::Standard),
            username: Some(username.clone().into_bytes().into()),
            ..attacker.request()
        };
        let bytes = request.to_bytes(key.map(|key| (key, Flavour::Padded)));
        attacker.socket.send(&bytes).await.unwrap();
        let answer = attacker.answer().await;
        let answer = Message::parse(&answer).unwrap();
        assert_eq!(answer.error_code, Some(code));
    }
    // Another device's password is no help.
    let other = host.acs.stun.account(&patchbay::device::DeviceKey {
        instance: "default".into(),
        id: "00AABB-Other-1".into(),
    });
    let request = Request {
        binding: Some(Binding::Standard),
        username: Some(username.into_bytes().into()),
        ..attacker.request()
    };
    let bytes = request.to_bytes(Some((other.password.as_bytes(), Flavour::Padded)));
    attacker.socket.send(&bytes).await.unwrap();
    let answer = attacker.answer().await;
    assert_eq!(Message::parse(&answer).unwrap().error_code, Some(431));
    let after = host.get(&live.at).await["reachability"]["udp"]["address"].clone();
    assert_eq!(after, before);
    assert!(counters(&host).await["integrity_failed"].as_u64().unwrap() >= 2);
    host.stop().await;
}

#[tokio::test]
async fn no_answer_goes_to_a_third_party() {
    let host = setup().start().await;
    let victim = UdpSocket::bind("127.0.0.3:0").await.unwrap();
    let mut attacker = Attacker::at("127.0.0.1", &host).await;
    let reflected: Vec<Vec<u8>> = (0..10)
        .map(|_| {
            let response_address = Some(victim.local_addr().unwrap());
            let request = attacker.request();
            let request = Request {
                response_address,
                ..request
            };
            request.to_bytes(None)
        })
        .collect();
    attacker.unanswered(&reflected).await;
    // The answers before this one have all been decided on.
    let mut bytes = [0; 100];
    assert!(
        victim.try_recv(&mut bytes).is_err(),
        "the victim got an answer"
    );
    assert_eq!(counters(&host).await["reflections_refused"], 10);
    host.stop().await;
}

#[tokio::test]
async fn garbage_is_counted_and_not_answered() {
    let host = setup().start().await;
    let mut attacker = Attacker::at("127.0.0.1", &host).await;
    let whole = Request {
        binding: Some(Binding::Standard),
        username: Some(b"somebody".into()),
        ..attacker.request()
    };
    let whole = whole.to_bytes(Some((b"key", Flavour::Padded)));
    // Cut short at each of its bytes; and with each of its lengths too long.
    let mut garbage: Vec<Vec<u8>> = (1..whole.len()).map(|end| whole[..end].to_vec()).collect();
    for at in [2, 3, 22, 46, 58] {
        let mut bytes = whole.clone();
        bytes[at] = 0xFF;
        garbage.push(bytes);
    }
    garbage.push(b"GET http://127.0.0.1?ts=1 HTTP/1.1\r\n\r\n".to_vec());
    garbage.push(vec![0; 1400]);
    attacker.unanswered(&garbage).await;
    assert_eq!(counters(&host).await["garbage"], garbage.len());
    host.stop().await;
}

#[tokio::test]
async fn a_flood_from_one_address_is_no_flood_for_another() {
    let host = setup()
        .config(|config| config.stun.requests_per_second_max = 50)
        .start()
        .await;
    let mut attacker = Attacker::at("127.0.0.1", &host).await;
    for _ in 0..2_000 {
        let request = attacker.request_of_many();
        attacker.socket.send(&request).await.unwrap();
    }
    let mut honest = Attacker::at("127.0.0.9", &host).await;
    honest.unanswered(&[]).await;
    let counted = counters(&host).await;
    let limited = counted["limited"].as_u64().unwrap();
    let answered = counted["answered"].as_u64().unwrap();
    assert!(limited > 1_000, "{counted}");
    assert!(answered < 1_000, "{counted}");
    host.stop().await;
}

impl Attacker {
    /// More requests than there are numbers for.
    fn request_of_many(&mut self) -> Vec<u8> {
        self.number = self.number.wrapping_add(1);
        Request::new(TransactionId([self.number; 16])).to_bytes(None)
    }
}
