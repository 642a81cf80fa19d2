//! A profile and a flow in one component: the flow reads what the profile has made of it.

use patchbay_plugin::prelude::*;

struct Both;

impl Profile for Both {
    const HOOKS: Hooks = Hooks::ON_RESPONSE;

    fn matches() -> Vec<Match> {
        vec![Match::any()]
    }

    fn overrides() -> Overrides {
        Overrides::new().max_names_per_get(2)
    }

    fn on_response(_: &Device, _: &Request, mut response: Response) -> Response {
        if let Response::Values(parameters) = &mut response {
            parameters
                .iter_mut()
                .for_each(|parameter| parameter.value.push_str(" (seen by both)"));
        }
        response
    }
}

impl Flow for Both {
    fn triggers() -> Vec<Trigger> {
        vec![Trigger::every_session()]
    }

    fn run(occasion: &Occasion) -> Result {
        let names = [
            "DeviceInfo.SoftwareVersion",
            "DeviceInfo.HardwareVersion",
            "DeviceInfo.UpTime",
        ];
        for parameter in session::get(names.map(|name| occasion.device.path(name)))? {
            info!("{} = {}", parameter.path, parameter.value);
        }
        session::tag("both");
        Ok(())
    }
}

export_profile!(Both);
export_flow!(Both);
