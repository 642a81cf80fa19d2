//! What `wit-bindgen` makes of `wit/plugin.wit`: one module a world, all sharing the types of the first.
//! Authors do not need it: the crate's other modules say the same in fewer words.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::restriction)]

pub mod flow {
    wit_bindgen::generate!({
        path: "../wit",
        world: "flow-plugin",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "__export_flow",
        generate_unused_types: true,
    });
}

pub mod profile {
    wit_bindgen::generate!({
        path: "../wit",
        world: "quirks-plugin",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "__export_profile",
        generate_unused_types: true,
        with: {
            "patchbay:plugin/types@0.1.0": crate::bindings::flow::patchbay::plugin::types,
            "patchbay:plugin/host@0.1.0": crate::bindings::flow::patchbay::plugin::host,
            "patchbay:plugin/memory@0.1.0": crate::bindings::flow::patchbay::plugin::memory,
            "patchbay:plugin/matching@0.1.0": crate::bindings::flow::patchbay::plugin::matching,
        },
    });
}

pub mod policy {
    wit_bindgen::generate!({
        path: "../wit",
        world: "nat-policy-plugin",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "__export_policy",
        generate_unused_types: true,
        with: {
            "patchbay:plugin/types@0.1.0": crate::bindings::flow::patchbay::plugin::types,
            "patchbay:plugin/host@0.1.0": crate::bindings::flow::patchbay::plugin::host,
        },
    });
}

pub use flow::exports::patchbay::plugin::flow as flow_exports;
pub use flow::patchbay::plugin::{host, lookup, matching, memory, session, types};
pub use policy::exports::patchbay::plugin::nat_policy as policy_exports;
pub use profile::exports::patchbay::plugin::quirks as profile_exports;
