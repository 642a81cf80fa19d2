//! The adapter for `patchbay:plugin@0.1`: bindings, what a component exports, and the calls in
//! the host's own words. A later version of the WIT gets a module like this one beside it.

mod calls;
mod changes;
mod convert;
mod convert_inform;
mod convert_policy;
mod convert_request;
mod convert_response;
mod imports;
mod session;

use wasmtime::Engine;
use wasmtime::component::{HasSelf, InstancePre, Linker};

use super::guest::Guest;

/// What `bindgen!` makes of `wit/plugin.wit`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::restriction,
    clippy::pedantic
)]
pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package patchbay:host;
            world everything {
                import patchbay:plugin/host@0.1.0;
                import patchbay:plugin/memory@0.1.0;
                import patchbay:plugin/lookup@0.1.0;
                import patchbay:plugin/session@0.1.0;
                export patchbay:plugin/quirks@0.1.0;
                export patchbay:plugin/flow@0.1.0;
                export patchbay:plugin/nat-policy@0.1.0;
            }
        ",
        world: "patchbay:host/everything",
        imports: {
            "patchbay:plugin/lookup": async | trappable,
            "patchbay:plugin/session.tag": trappable,
            "patchbay:plugin/session.untag": trappable,
            "patchbay:plugin/session": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        additional_derives: [PartialEq],
    });
}

use bindings::exports::patchbay::plugin::{flow, nat_policy, quirks};
use bindings::patchbay::plugin::session as wit_session;
use bindings::patchbay::plugin::{host, lookup, matching, memory, types};
pub(super) use calls::{
    decide, map_path, on_fault, on_inform, on_request, on_response, repair, run_flow,
};

/// The version of the package, but for its last part.
pub(super) const VERSION: (u64, u64) = (0, 1);

/// Where a component's exports are.
#[derive(Clone)]
pub(super) struct Indices {
    quirks: Option<quirks::GuestIndices>,
    flow: Option<flow::GuestIndices>,
    policy: Option<nat_policy::GuestIndices>,
}

/// The exports of one instance.
pub(super) struct Exports {
    quirks: Option<quirks::Guest>,
    flow: Option<flow::Guest>,
    policy: Option<nat_policy::Guest>,
}

/// Everything a component may import, linked once. `with_wasi`: for those that import it.
pub(super) fn linker(engine: &Engine, with_wasi: bool) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    types::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    matching::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    host::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    memory::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    lookup::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    wit_session::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    if with_wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    }
    Ok(linker)
}

impl Indices {
    /// Looks up the functions of the interfaces that the component exports.
    pub(super) fn new(
        pre: &InstancePre<Guest>,
        kinds: super::load::Kinds,
    ) -> wasmtime::Result<Indices> {
        Ok(Indices {
            quirks: kinds
                .quirks
                .then(|| quirks::GuestIndices::new(pre))
                .transpose()?,
            flow: kinds
                .flow
                .then(|| flow::GuestIndices::new(pre))
                .transpose()?,
            policy: kinds
                .policy
                .then(|| nat_policy::GuestIndices::new(pre))
                .transpose()?,
        })
    }

    /// Binds them in an instance; fails when a function's type is not what it must be.
    pub(super) fn load(
        &self,
        store: &mut wasmtime::Store<Guest>,
        instance: &wasmtime::component::Instance,
    ) -> wasmtime::Result<Exports> {
        Ok(Exports {
            quirks: self
                .quirks
                .as_ref()
                .map(|one| one.load(&mut *store, instance))
                .transpose()?,
            flow: self
                .flow
                .as_ref()
                .map(|one| one.load(&mut *store, instance))
                .transpose()?,
            policy: self
                .policy
                .as_ref()
                .map(|one| one.load(&mut *store, instance))
                .transpose()?,
        })
    }
}
