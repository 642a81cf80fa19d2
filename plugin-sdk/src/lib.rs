//! For authors of Patchbay plugins in Rust. A plugin is a WebAssembly component that exports one or more of
//!
//! - a [`Flow`]: provisioning logic, straight code that asks the device and waits for its answers;
//! - a [`Profile`]: how a vendor's devices differ from the standard;
//! - a [`Policy`]: which way leads to a device behind NAT.
//!
//! ```ignore
//! use patchbay_plugin::prelude::*;
//!
//! struct Ntp;
//!
//! impl Flow for Ntp {
//!     fn triggers() -> Vec<Trigger> {
//!         vec![Trigger::on_events(["0 BOOTSTRAP"]).device(Match::any().manufacturer("ZTE*"))]
//!     }
//!
//!     fn run(occasion: &Occasion) -> Result {
//!         let root = occasion.device.root();
//!         session::ensure([string(format!("{root}Time.NTPServer1"), "ntp.example.net")])?;
//!         Ok(())
//!     }
//! }
//!
//! export_flow!(Ntp);
//! ```
//!
//! The plugin's name and version are those of its crate. It is built as a `cdylib` for `wasm32-unknown-unknown`
//! with `wasm-component-ld` as the linker; `patchbay plugin build DIR` does that on any machine.
//!
//! A plugin is a guest: it has no files, sockets, clock or environment, only what [`session`], [`host`], [`memory`]
//! and [`lookup`] give. An instance serves many devices one after the other: keep nothing in statics, use
//! [`memory`]. A panic is logged under the plugin's name and ends the call, never the host.
//!
//! The same code runs under plain `cargo test`: there the host is a pretended one, see [`testing`].

#[doc(hidden)]
pub mod bindings;

pub mod device;
pub mod error;
pub mod flow;
pub mod host;
pub mod lookup;
pub mod memory;
pub mod nat;
pub mod policy;
pub mod profile;
pub mod session;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod value;

pub use device::{DataModel, Device, Event, Match};
pub use error::{Error, Result};
pub use flow::{Flow, Occasion, Trigger};
pub use policy::{Decision, Facts, Mode, Policy};
pub use profile::{Hooks, Overrides, Profile};
pub use value::Parameter;

/// What most plugins need: `use patchbay_plugin::prelude::*;`.
pub mod prelude {
    pub use crate::flow::{Flow, Occasion, Trigger};
    pub use crate::host::settings;
    pub use crate::policy::{Decision, Facts, Mode, Policy};
    pub use crate::profile::{
        AfterFault, Fault, Hooks, HttpMeta, Inform, Overrides, Profile, Request, Response,
    };
    pub use crate::value::{Parameters, boolean, date_time, int, string, unsigned_int};
    pub use crate::{
        DataModel, Device, Error, Event, Match, Parameter, Result, debug, error, export_flow,
        export_policy, export_profile, host, info, lookup, memory, session, warn,
    };
}

// What `patchbay plugin new` writes must compile and pass its own tests.
#[cfg(test)]
extern crate self as patchbay_plugin;
#[cfg(test)]
#[path = "../templates/flow.rs"]
mod template_flow;
#[cfg(test)]
#[path = "../templates/policy.rs"]
mod template_policy;
#[cfg(test)]
#[path = "../templates/profile.rs"]
mod template_profile;
