//! A device profile: how a vendor's devices differ from the standard.

use patchbay_plugin::prelude::*;

struct MyProfile;

impl Profile for MyProfile {
    /// Which hooks the host shall call. Without one a profile costs nothing.
    const HOOKS: Hooks = Hooks::ON_INFORM;

    fn matches() -> Vec<Match> {
        vec![
            Match::any()
                .manufacturer("Example*")
                .product_class("EX-1?00"),
        ]
    }

    /// Differences that need no code.
    fn overrides() -> Overrides {
        Overrides::new().max_names_per_get(16)
    }

    fn on_inform(mut inform: Inform) -> Inform {
        inform.device.oui = inform.device.oui.to_uppercase();
        inform
    }
}

export_profile!(MyProfile);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oui_is_in_upper_case() {
        let mut inform = Inform::default();
        inform.device.oui = "00a1bc".into();
        assert_eq!(MyProfile::on_inform(inform).device.oui, "00A1BC");
    }
}
