//! `host`, `memory` and `lookup`: what every plugin may use.

use rand::Rng as _;

use super::super::guest::Guest;
use super::super::lookup::{self as http, LookupError};
use super::{host, lookup, matching, memory, types};

/// `random` gives no more at a time.
const RANDOM_BYTES_MAX: u32 = 1024;

impl types::Host for Guest {}
impl matching::Host for Guest {}

impl host::Host for Guest {
    fn log(&mut self, level: host::Level, mut text: String) -> wasmtime::Result<()> {
        self.count()?;
        let Some(left) = self.call.log_lines_left.checked_sub(1) else {
            return Ok(());
        };
        self.call.log_lines_left = left;
        cut(&mut text, self.identity.limits.log_line_bytes_max);
        if left == 0 {
            text.push_str(" (no more lines of this call are kept)");
        }
        let plugin = &*self.identity.name;
        let device = self.call.device.as_ref().map(tracing::field::display);
        match level {
            host::Level::Debug => {
                tracing::debug!(target: "patchbay::plugin", plugin, device, "{text}")
            }
            host::Level::Info => {
                tracing::info!(target: "patchbay::plugin", plugin, device, "{text}")
            }
            host::Level::Warn => {
                tracing::warn!(target: "patchbay::plugin", plugin, device, "{text}")
            }
            host::Level::Error => {
                tracing::error!(target: "patchbay::plugin", plugin, device, "{text}")
            }
        }
        Ok(())
    }

    fn now(&mut self) -> wasmtime::Result<i64> {
        self.count()?;
        Ok(self.call.now)
    }

    fn random(&mut self, count: u32) -> wasmtime::Result<Vec<u8>> {
        self.count()?;
        let mut bytes = vec![0; count.min(RANDOM_BYTES_MAX) as usize];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn settings(&mut self) -> wasmtime::Result<String> {
        self.count()?;
        Ok(Guest::settings(self).as_ref().to_owned())
    }
}

impl memory::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.count()?;
        let Some(device) = &self.call.device else {
            return Ok(None);
        };
        Ok(self.identity.memory.get(&self.identity.name, device, &key))
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), String>> {
        self.count()?;
        let identity = &*self.identity;
        let limits = &identity.limits;
        let Some(device) = &self.call.device else {
            return Ok(Err("there is no device yet".to_owned()));
        };
        if key.is_empty() || key.len() > limits.memory_key_bytes_max {
            let most = limits.memory_key_bytes_max;
            return Ok(Err(format!(
                "a key has 1 to {most} bytes, not {}",
                key.len()
            )));
        }
        if value.len() > limits.memory_value_bytes_max {
            let most = limits.memory_value_bytes_max;
            return Ok(Err(format!(
                "a value has at most {most} bytes, not {}",
                value.len()
            )));
        }
        let (keys, known) = identity.memory.keys(&identity.name, device, &key);
        if !known && keys >= limits.memory_keys_max {
            return Ok(Err(format!(
                "a device has at most {} keys",
                limits.memory_keys_max
            )));
        }
        Ok(identity.memory.set(&identity.name, device, &key, value))
    }

    fn remove(&mut self, key: String) -> wasmtime::Result<()> {
        self.count()?;
        if let Some(device) = &self.call.device {
            self.identity
                .memory
                .remove(&self.identity.name, device, &key);
        }
        Ok(())
    }
}

impl lookup::Host for Guest {
    async fn send(
        &mut self,
        query: lookup::Query,
    ) -> wasmtime::Result<Result<lookup::Answer, lookup::Error>> {
        self.count()?;
        self.call.slept = true;
        let question = http::Question {
            method: query.method,
            url: query.url,
            headers: query.headers,
            body: query.body,
        };
        let limits = &self.identity.limits;
        let answer = http::send(
            &self.identity.lookup,
            question,
            limits.lookup_timeout,
            limits.lookup_answer_bytes_max,
        )
        .await;
        Ok(match answer {
            Ok(answer) => Ok(lookup::Answer {
                status: answer.status,
                headers: answer.headers,
                body: answer.body,
            }),
            Err(LookupError::NotAllowed) => Err(lookup::Error::NotAllowed),
            Err(LookupError::Timeout) => Err(lookup::Error::Timeout),
            Err(LookupError::Failed(text)) => Err(lookup::Error::Failed(text)),
        })
    }
}

/// Cuts a text at a character's border, and makes one line of it.
fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    if text.contains(|c: char| c.is_control()) {
        *text = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
    }
}
