//! The Informs of all devices: one text, and where in it the serial number stands.

use std::time::Duration;

use cwmp::Event;

use super::LoadConfig;
use crate::{Clock, Cpe, CpeConfig};

/// Eight digits, as a place for eight others.
const PLACE: &str = "LOAD88888888";
const DIGITS: usize = 8;

#[derive(Debug)]
pub(super) struct Informs {
    text: Vec<u8>,
    /// Where the digits are.
    places: Vec<usize>,
}

impl Informs {
    pub(super) fn new(config: &LoadConfig) -> Informs {
        let now = Clock::system().now();
        let device = CpeConfig {
            connection_request_url: format!("http://{}/cr/{PLACE}", config.connection_request_host),
            periodic_interval: Duration::from_secs(3600),
            ..CpeConfig::of(
                config.vendor,
                PLACE,
                &format!("http://{}{}", config.host, config.target),
            )
        };
        let events: Vec<Event> = config
            .events
            .iter()
            .map(|code| Event {
                code: code.clone(),
                command_key: String::new(),
            })
            .collect();
        let text = Cpe::new(device, now).inform_with(&events, now);
        let found = memchr::memmem::find_iter(&text, PLACE.as_bytes());
        let places = found.map(|at| at + PLACE.len() - DIGITS).collect();
        Informs { text, places }
    }

    /// The Inform of device `number`.
    pub(super) fn of(&self, number: u64) -> Vec<u8> {
        let mut text = self.text.clone();
        let digits = format!("{:0DIGITS$}", number % 10_u64.pow(DIGITS as u32));
        for at in &self.places {
            if let Some(place) = text.get_mut(*at..*at + DIGITS) {
                place.copy_from_slice(digits.as_bytes());
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_has_its_serial_number_everywhere() {
        let address = "127.0.0.1:7547".parse().unwrap();
        let informs = Informs::new(&LoadConfig::new(address, "/"));
        let text = String::from_utf8(informs.of(4711)).unwrap();
        assert!(
            text.contains("<SerialNumber>LOAD00004711</SerialNumber>"),
            "{text}"
        );
        assert!(text.contains("/cr/LOAD00004711"));
        assert!(!text.contains(PLACE));
    }
}
