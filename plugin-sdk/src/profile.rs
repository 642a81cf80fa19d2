//! A vendor's device profile: how its devices differ from the standard.

pub use crate::bindings::profile_exports::{AfterFault, Hooks, HttpMeta};
pub use crate::bindings::types::{Fault, Inform, Request, Response};
use crate::device::{Device, Match};

/// Priorities: a profile of higher priority goes later and so has the last word.
pub mod priority {
    /// All devices built on one software, whoever sells them.
    pub const FAMILY: i32 = 0;
    /// All devices of one vendor.
    pub const VENDOR: i32 = 100;
    /// One model.
    pub const MODEL: i32 = 200;
    /// One firmware of a model.
    pub const FIRMWARE: i32 = 300;
}

/// A profile. Export it with [`export_profile!`](crate::export_profile).
///
/// What [`overrides`](Self::overrides) can say needs no code and costs nothing. A hook is called only when
/// [`HOOKS`](Self::HOOKS) names it.
pub trait Profile {
    /// See [`priority`].
    const PRIORITY: i32 = priority::MODEL;

    /// Which of the functions below the host shall call: `Hooks::ON_INFORM | Hooks::ON_RESPONSE`.
    const HOOKS: Hooks = Hooks::empty();

    /// [`HOOKS`](Self::HOOKS), for a profile that knows them from its settings.
    fn hooks() -> Hooks {
        Self::HOOKS
    }

    /// [`PRIORITY`](Self::PRIORITY), for a profile that knows it from its settings.
    fn priority() -> i32 {
        Self::PRIORITY
    }

    /// The devices it is for; one of these is enough.
    fn matches() -> Vec<Match>;

    /// Differences that the host takes care of.
    fn overrides() -> Overrides {
        Overrides::new()
    }

    /// Bytes that the parser refused → bytes it can read.
    fn repair(body: Vec<u8>, meta: &HttpMeta) -> Result<Vec<u8>, String> {
        let (_, _) = (body, meta);
        Err("this profile does not repair messages".into())
    }

    /// Corrects an Inform.
    fn on_inform(inform: Inform) -> Inform {
        inform
    }

    /// Splits, reorders, replaces or drops what is about to be asked.
    fn on_request(device: &Device, request: Request) -> Vec<Request> {
        let _ = device;
        vec![request]
    }

    /// Corrects an answer.
    fn on_response(device: &Device, request: &Request, response: Response) -> Response {
        let (_, _) = (device, request);
        response
    }

    /// What to do about a fault.
    fn on_fault(device: &Device, request: &Request, fault: &Fault) -> AfterFault {
        let (_, _, _) = (device, request, fault);
        AfterFault::GiveUp
    }

    /// The device's own path for a standard one; `None` = the standard's.
    fn map_path(device: &Device, path: &str) -> Option<String> {
        let (_, _) = (device, path);
        None
    }
}

/// Differences from the standard that need no code. The host refuses what it does not know when it loads the plugin.
///
/// ```ignore
/// Overrides::new().max_names_per_get(32).names_by_level()
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(Vec<(String, String)>);

impl Overrides {
    /// None.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// At most so many names in one GetParameterValues; longer lists are split.
    pub fn max_names_per_get(self, names: u32) -> Self {
        self.with("max-names-per-get", names)
    }

    /// At most so many values in one SetParameterValues; longer lists are split.
    pub fn max_parameters_per_set(self, parameters: u32) -> Self {
        self.with("max-parameters-per-set", parameters)
    }

    /// The tree is too big for one GetParameterNames: walk it level by level.
    pub fn names_by_level(self) -> Self {
        self.flag("names-by-level")
    }

    /// GetParameterNames is not understood without a path or on the root: begin one level below.
    pub fn skip_root_names(self) -> Self {
        self.flag("skip-root-names")
    }

    /// How booleans are written to the device: `0/1` or `false/true`, false first.
    pub fn boolean_words(self, words: &str) -> Self {
        self.with("boolean-words", words)
    }

    /// Times are written with milliseconds.
    pub fn date_time_milliseconds(self) -> Self {
        self.flag("date-time-milliseconds")
    }

    /// ParameterKey is not kept by the device: do not rely on it.
    pub fn no_parameter_key(self) -> Self {
        self.flag("no-parameter-key")
    }

    /// TransferComplete is never sent: a boot with a new software version is the success.
    pub fn no_transfer_complete(self) -> Self {
        self.flag("no-transfer-complete")
    }

    /// The device cannot read `<?xml …?>`.
    pub fn no_xml_declaration(self) -> Self {
        self.flag("no-xml-declaration")
    }

    /// Seconds: a shorter PeriodicInformInterval is refused by the device.
    pub fn min_periodic_inform_interval(self, seconds: u32) -> Self {
        self.with("min-periodic-inform-interval", seconds)
    }

    /// Connection requests need Basic instead of Digest authentication.
    pub fn connection_request_basic_auth(self) -> Self {
        self.flag("connection-request-basic-auth")
    }

    /// The `ts` of a UDP connection request is in milliseconds.
    pub fn udp_timestamp_milliseconds(self) -> Self {
        self.flag("udp-timestamp-milliseconds")
    }

    /// XMPP is in the data model but does not work.
    pub fn no_xmpp(self) -> Self {
        self.flag("no-xmpp")
    }

    /// STUN is in the data model but does not work.
    pub fn no_stun(self) -> Self {
        self.flag("no-stun")
    }

    /// GetParameterValues knows full names only: partial paths are asked by the names below them.
    pub fn no_partial_paths(self) -> Self {
        self.flag("no-partial-paths")
    }

    /// The CWMP version to speak, `1.0` to `1.4`, whatever its Informs say.
    pub fn cwmp_version(self, version: &str) -> Self {
        self.with("cwmp-version", version)
    }

    /// An override that this version of the crate has no method for.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    /// As the host gets them: names and values.
    pub fn into_vec(self) -> Vec<(String, String)> {
        self.0
    }

    fn flag(self, name: &str) -> Self {
        self.with(name, true)
    }
}

/// An Inform of a TR-181 device without a name and without content: for tests.
impl Default for Inform {
    fn default() -> Self {
        Self {
            device: Device::default(),
            events: Vec::new(),
            parameters: Vec::new(),
            current_time: None,
            retry_count: 0,
        }
    }
}

/// Makes the type the component's profile: `export_profile!(MyProfile);`.
///
/// Its name and version are those of the crate; others can be given: `export_profile!(MyProfile, "name", "1.2.0");`.
#[macro_export]
macro_rules! export_profile {
    ($profile:ty) => {
        $crate::export_profile!($profile, ::std::env!("CARGO_PKG_NAME"), ::std::env!("CARGO_PKG_VERSION"));
    };
    ($profile:ty, $name:expr, $version:expr) => {
        const _: () = {
            use $crate::bindings::{profile_exports, types};
            use $crate::Profile;

            #[allow(dead_code)]
            struct Exported;
            impl profile_exports::Guest for Exported {
                fn describe() -> profile_exports::Profile {
                    $crate::host::enter();
                    profile_exports::Profile {
                        name: $name.into(),
                        version: $version.into(),
                        matches: <$profile as Profile>::matches(),
                        priority: <$profile as Profile>::priority(),
                        overrides: <$profile as Profile>::overrides().into_vec(),
                        hooks: <$profile as Profile>::hooks(),
                    }
                }

                fn repair(
                    body: ::std::vec::Vec<u8>,
                    meta: profile_exports::HttpMeta,
                ) -> ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
                    $crate::host::enter();
                    <$profile as Profile>::repair(body, &meta)
                }

                fn on_inform(inform: types::Inform) -> types::Inform {
                    $crate::host::enter();
                    <$profile as Profile>::on_inform(inform)
                }

                fn on_request(device: types::Device, request: types::Request) -> ::std::vec::Vec<types::Request> {
                    $crate::host::enter();
                    <$profile as Profile>::on_request(&device, request)
                }

                fn on_response(
                    device: types::Device,
                    request: types::Request,
                    response: types::Response,
                ) -> types::Response {
                    $crate::host::enter();
                    <$profile as Profile>::on_response(&device, &request, response)
                }

                fn on_fault(
                    device: types::Device,
                    request: types::Request,
                    fault: types::Fault,
                ) -> profile_exports::AfterFault {
                    $crate::host::enter();
                    <$profile as Profile>::on_fault(&device, &request, &fault)
                }

                fn map_path(
                    device: types::Device,
                    path: ::std::string::String,
                ) -> ::std::option::Option<::std::string::String> {
                    $crate::host::enter();
                    <$profile as Profile>::map_path(&device, &path)
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::bindings::profile::__export_profile! { Exported with_types_in $crate::bindings::profile }
            // Natively nothing is exported, and nothing shall count as unused.
            #[cfg(not(target_family = "wasm"))]
            const _: () = {
                use profile_exports::Guest as _;
                let _ = (Exported::describe, Exported::repair, Exported::on_inform, Exported::on_request, Exported::on_response, Exported::on_fault, Exported::map_path);
            };
        };
    };
}
