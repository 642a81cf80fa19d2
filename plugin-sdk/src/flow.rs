//! Provisioning logic.

/// Why a session began, and of which device.
pub use crate::bindings::types::Occasion;

/// When a flow runs: all given conditions must hold; of several triggers one is enough.
pub use crate::bindings::flow_exports::Trigger;

use crate::device::{Device, Match};
use crate::error::Result;

/// A flow. Export it with [`export_flow!`](crate::export_flow).
pub trait Flow {
    /// Flows run in this order, lower first.
    const PRIORITY: i32 = 0;

    /// When it runs. Asked once, when the plugin is loaded or its settings change; none = only when a task asks for it.
    fn triggers() -> Vec<Trigger>;

    /// The work, in each session that a trigger fits, or when a task asks for it. An error is recorded as the device's
    /// fault, and the host tries again, later and later; so it does after a session that broke off in the middle.
    fn run(occasion: &Occasion) -> Result;
}

impl Trigger {
    /// Every full session of any device.
    pub const fn every_session() -> Self {
        Self {
            events: Vec::new(),
            devices: Vec::new(),
            tags: Vec::new(),
            without_tags: Vec::new(),
        }
    }

    /// Sessions with one of these event codes, such as `0 BOOTSTRAP`.
    pub fn on_events<const N: usize>(codes: [&str; N]) -> Self {
        Self {
            events: codes.map(Into::into).into(),
            ..Self::every_session()
        }
    }

    /// Only for these devices; called again, for those too.
    pub fn device(mut self, device: Match) -> Self {
        self.devices.push(device);
        self
    }

    /// Only for devices with this tag; called again, with both.
    pub fn tag(mut self, name: &str) -> Self {
        self.tags.push(name.into());
        self
    }

    /// Only for devices without this tag. A flow that tags the devices it is done with runs until it succeeded.
    pub fn without_tag(mut self, name: &str) -> Self {
        self.without_tags.push(name.into());
        self
    }
}

/// A session of a TR-181 device without a name, begun by no event: for tests.
impl Default for Occasion {
    fn default() -> Self {
        Self {
            device: Device::default(),
            events: Vec::new(),
            current_time: None,
            retry_count: 0,
        }
    }
}

impl Occasion {
    /// Whether the session began with this event, `0 BOOTSTRAP` for example.
    pub fn has_event(&self, code: &str) -> bool {
        self.events.iter().any(|event| event.code == code)
    }
}

/// Makes the type the component's flow: `export_flow!(MyFlow);`.
///
/// Its name and version are those of the crate; others can be given: `export_flow!(MyFlow, "name", "1.2.0");`.
#[macro_export]
macro_rules! export_flow {
    ($flow:ty) => {
        $crate::export_flow!(
            $flow,
            ::std::env!("CARGO_PKG_NAME"),
            ::std::env!("CARGO_PKG_VERSION")
        );
    };
    ($flow:ty, $name:expr, $version:expr) => {
        const _: () = {
            #[allow(dead_code)]
            struct Exported;
            impl $crate::bindings::flow_exports::Guest for Exported {
                fn describe() -> $crate::bindings::flow_exports::Description {
                    $crate::host::enter();
                    $crate::bindings::flow_exports::Description {
                        name: $name.into(),
                        version: $version.into(),
                        priority: <$flow as $crate::Flow>::PRIORITY,
                        triggers: <$flow as $crate::Flow>::triggers(),
                    }
                }

                fn run(
                    occasion: $crate::Occasion,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    $crate::host::enter();
                    <$flow as $crate::Flow>::run(&occasion).map_err(|error| error.to_string())
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::flow::__export_flow! { Exported with_types_in $crate::bindings::flow }
            // Natively nothing is exported, and nothing shall count as unused.
            #[cfg(not(target_family = "wasm"))]
            const _: () = {
                use $crate::bindings::flow_exports::Guest as _;
                let _ = (Exported::describe, Exported::run);
            };
        };
    };
}
