//! A flow that does harm in the way its settings say: `{"behaviour": "loop"}`. The host must survive each of them.

use std::hint::black_box;

use patchbay_plugin::prelude::*;
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    behaviour: Behaviour,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Behaviour {
    /// Does nothing, as a flow should that has nothing to do.
    #[default]
    Behave,
    /// Returns an error.
    Fail,
    /// Returns an error of a megabyte.
    FailAtLength,
    /// A panic with a text.
    Panic,
    /// Index out of bounds.
    OutOfBounds,
    /// An endless loop without host calls.
    Loop,
    /// Memory until there is no more.
    EatMemory,
    /// Recursion without end.
    DeepRecursion,
    /// `host.now` without end.
    FloodHost,
    /// A log line without end.
    FloodLog,
    /// Log lines of a megabyte without end.
    FloodLogLong,
    /// `host.random` without end, asking for more than it may.
    FloodRandom,
    /// Values in `memory` until it refuses, and then on.
    FloodMemory,
    /// Tags without end.
    FloodTags,
    /// Asks the device for ever.
    ManyRpcs,
    /// Asks the device for ever, whatever the host says.
    Deaf,
    /// Asks for a list of a hundred thousand names.
    HugeRequest,
    /// Asks the device, then traps, so that an answer is at hand.
    AskThenPanic,
    /// Names that cannot be written as XML.
    BadNames,
    /// An RPC whose XML is none.
    BadXml,
}

struct Misbehave;

impl Flow for Misbehave {
    fn triggers() -> Vec<Trigger> {
        vec![Trigger::every_session()]
    }

    fn run(occasion: &Occasion) -> Result {
        let up_time = occasion.device.path("DeviceInfo.UpTime");
        match settings::<Settings>()?.behaviour {
            Behaviour::Behave => Ok(()),
            Behaviour::Fail => Err("failed on purpose".into()),
            Behaviour::FailAtLength => Err("failed on purpose ".repeat(60_000).into()),
            Behaviour::Panic => panic!("panicked on purpose"),
            Behaviour::OutOfBounds => {
                let three = black_box(vec![1, 2, 3]);
                Err(three[black_box(3)].to_string().into())
            }
            Behaviour::Loop => loop {
                black_box(0);
            },
            Behaviour::EatMemory => {
                let mut eaten = Vec::new();
                loop {
                    eaten.push(black_box(vec![1u8; 1 << 20]));
                }
            }
            Behaviour::DeepRecursion => Err(deeper(1).to_string().into()),
            Behaviour::FloodHost => loop {
                black_box(host::now());
            },
            Behaviour::FloodLog => loop {
                info!("flood");
            },
            Behaviour::FloodLogLong => {
                let line = "flood ".repeat(170_000);
                loop {
                    info!("{line}");
                }
            }
            Behaviour::FloodRandom => loop {
                black_box(host::random(u32::MAX));
            },
            Behaviour::FloodMemory => {
                let value = "x".repeat(1000);
                for key in 0.. {
                    // Its refusal is what the test looks for, in the host.
                    let _ = memory::set(&key.to_string(), &value);
                }
                Ok(())
            }
            Behaviour::FloodTags => {
                for number in 0.. {
                    session::tag(&format!("flood-{number}"));
                }
                Ok(())
            }
            Behaviour::ManyRpcs => loop {
                session::get([up_time.as_str()])?;
            },
            Behaviour::Deaf => loop {
                let _ = session::get([up_time.as_str()]);
            },
            Behaviour::HugeRequest => {
                session::get((0..100_000).map(|number| format!("{up_time}.{number}")))?;
                Ok(())
            }
            Behaviour::AskThenPanic => {
                session::get([up_time])?;
                panic!("panicked on purpose")
            }
            Behaviour::BadNames => {
                session::get(["", "\u{0}", "Device.<&>\"'", "\u{1}\u{b}\u{fffe}"])?;
                Ok(())
            }
            Behaviour::BadXml => {
                let request = Request::Other(session::RawRpc {
                    method: "X_Bad><Method".into(),
                    xml: "<open><![CDATA[".into(),
                });
                session::call(&request)?;
                Ok(())
            }
        }
    }
}

export_flow!(Misbehave);

#[allow(unconditional_recursion, reason = "that is the harm")]
fn deeper(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    room.iter().sum::<u64>() + deeper(black_box(depth + 1))
}
