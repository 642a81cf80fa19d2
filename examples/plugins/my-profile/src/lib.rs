//! A device profile: small GetParameterValues, and serial numbers without the blanks this maker puts around them.

use patchbay_plugin::prelude::*;

struct MyProfile;

impl Profile for MyProfile {
    const HOOKS: Hooks = Hooks::ON_INFORM;

    fn matches() -> Vec<Match> {
        vec![
            Match::any()
                .manufacturer("Example Networks*")
                .product_class("EN-1?00"),
        ]
    }

    fn overrides() -> Overrides {
        Overrides::new().max_names_per_get(16).names_by_level()
    }

    fn on_inform(mut inform: Inform) -> Inform {
        inform.device.serial_number = inform.device.serial_number.trim().into();
        inform
    }
}

export_profile!(MyProfile);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_trimmed() {
        let device = Device {
            serial_number: " 4711 ".into(),
            ..Device::default()
        };
        let inform = MyProfile::on_inform(Inform {
            device,
            ..Inform::default()
        });
        assert_eq!(inform.device.serial_number, "4711");
    }
}
