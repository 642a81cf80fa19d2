//! TP-Link TD-W9970 answers fault 9007 to a boolean written as `true` or `false` (genieacs/genieacs issue 228).

use patchbay_plugin::prelude::*;

struct TpLink;

impl Profile for TpLink {
    fn matches() -> Vec<Match> {
        vec![
            Match::any()
                .manufacturer("TP-Link*")
                .product_class("TD-W9970*"),
        ]
    }

    fn overrides() -> Overrides {
        Overrides::new().boolean_words("0/1")
    }
}

export_profile!(TpLink);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_this_model_only() {
        let device = |product_class: &str| Device {
            manufacturer: "TP-LINK".into(),
            product_class: product_class.into(),
            ..Device::default()
        };
        let fits = |device| TpLink::matches().iter().any(|one| one.fits(&device));
        assert!(fits(device("TD-W9970")));
        assert!(fits(device("TD-W9970v3")));
        assert!(!fits(device("Archer C7")));
    }

    #[test]
    fn booleans_in_figures_and_no_hook() {
        assert_eq!(
            TpLink::overrides().into_vec(),
            [("boolean-words".into(), "0/1".into())]
        );
        assert_eq!(TpLink::HOOKS, Hooks::empty());
    }
}
