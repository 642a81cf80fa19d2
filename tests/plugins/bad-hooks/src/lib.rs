//! A profile for every device, with every hook. `{"hook": "on-inform", "how": "trap"}` says which one does what:
//! `trap`, `loop`, `empty` (gives back nothing, or nothing of what it got) or `flood` (much more than it got).
//! `{"overrides": {"name": "value"}}` are its overrides, for tests of what the host refuses.

use std::collections::BTreeMap;

use patchbay_plugin::prelude::*;
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    hook: String,
    how: String,
    overrides: BTreeMap<String, String>,
}

struct BadHooks;

impl Profile for BadHooks {
    const HOOKS: Hooks = Hooks::all();

    fn matches() -> Vec<Match> {
        vec![Match::any()]
    }

    fn overrides() -> Overrides {
        let settings: Settings = settings().unwrap_or_default();
        settings
            .overrides
            .iter()
            .fold(Overrides::new(), |all, (name, value)| all.with(name, value))
    }

    fn repair(body: Vec<u8>, _: &HttpMeta) -> std::result::Result<Vec<u8>, String> {
        match turn("repair") {
            Turn::Innocent => Err("nothing to repair".into()),
            Turn::Empty => Ok(Vec::new()),
            Turn::Flood => Ok(body.repeat(100)),
        }
    }

    fn on_inform(inform: Inform) -> Inform {
        match turn("on-inform") {
            Turn::Innocent => inform,
            Turn::Empty => Inform::default(),
            Turn::Flood => {
                let parameters = vec![inform.parameters; 1000].concat();
                Inform {
                    parameters,
                    ..inform
                }
            }
        }
    }

    fn on_request(_: &Device, request: Request) -> Vec<Request> {
        match turn("on-request") {
            Turn::Innocent => vec![request],
            Turn::Empty => Vec::new(),
            Turn::Flood => vec![request; 1000],
        }
    }

    fn on_response(_: &Device, _: &Request, response: Response) -> Response {
        match turn("on-response") {
            Turn::Innocent => response,
            Turn::Empty => Response::Values(Vec::new()),
            Turn::Flood => Response::Values(vec![string("Device.X", "x".repeat(100)); 10_000]),
        }
    }

    fn on_fault(_: &Device, request: &Request, _: &Fault) -> AfterFault {
        match turn("on-fault") {
            Turn::Innocent => AfterFault::GiveUp,
            Turn::Empty => AfterFault::Retry(Vec::new()),
            // The same again, for ever.
            Turn::Flood => AfterFault::Retry(vec![request.clone()]),
        }
    }

    fn map_path(_: &Device, path: &str) -> Option<String> {
        match turn("map-path") {
            Turn::Innocent => None,
            Turn::Empty => Some(String::new()),
            Turn::Flood => Some(path.repeat(1000)),
        }
    }
}

export_profile!(BadHooks);

enum Turn {
    Innocent,
    Empty,
    Flood,
}

/// What the hook shall do; does not return from `trap` and `loop`.
fn turn(hook: &str) -> Turn {
    let settings: Settings = settings().unwrap_or_default();
    if settings.hook != hook {
        return Turn::Innocent;
    }
    match settings.how.as_str() {
        "loop" => loop {
            std::hint::black_box(0);
        },
        "empty" => Turn::Empty,
        "flood" => Turn::Flood,
        _ => panic!("{hook} traps"),
    }
}
