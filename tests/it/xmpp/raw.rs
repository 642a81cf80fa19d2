//! A client that sends what the test says.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::PATIENCE;

pub const HEADER: &str = "<?xml version='1.0'?><stream:stream to='acs.example' version='1.0' \
    xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// A connection in clear.
pub struct Raw {
    stream: TcpStream,
    read: String,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Raw {
        Raw {
            stream: TcpStream::connect(address).await.unwrap(),
            read: String::new(),
        }
    }

    pub async fn send(&mut self, text: &str) {
        // The server may have closed already.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// Reads up to and with this; what came before it too.
    pub async fn until(&mut self, wanted: &str) -> String {
        let reading = async {
            loop {
                if let Some(at) = self.read.find(wanted) {
                    return self.read.drain(..at + wanted.len()).collect();
                }
                assert!(
                    self.more().await,
                    "closed before {wanted:?}: {:?}",
                    self.read
                );
            }
        };
        timeout(PATIENCE, reading).await.expect("no answer")
    }

    /// All that comes until the server closes.
    pub async fn rest(mut self) -> String {
        timeout(PATIENCE, async { while self.more().await {} })
            .await
            .expect("it stays open");
        self.read
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes).await {
            Ok(read) => {
                self.read += &String::from_utf8_lossy(&bytes[..read]);
                read > 0
            }
            Err(_) => false,
        }
    }

    /// Logs in with PLAIN and binds `wan`.
    pub async fn login(address: SocketAddr, username: &str, password: &str) -> Raw {
        let mut raw = Raw::connect(address).await;
        raw.send(HEADER).await;
        raw.until("</stream:features>").await;
        let text = STANDARD.encode(format!("\0{username}\0{password}"));
        let sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
        raw.send(&format!(
            "<auth xmlns='{sasl}' mechanism='PLAIN'>{text}</auth>\n"
        ))
        .await;
        raw.until("</success>").await;
        raw.send(HEADER).await;
        raw.until("</stream:features>").await;
        raw.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>wan</resource></bind></iq>").await;
        raw.until("</iq>").await;
        raw
    }
}
