//! The profile that is written down instead of programmed: its settings are a `NAME.profile.toml`.
//!
//! One component serves all such files. Of each it has only the hooks that the file gives it something to do in: a
//! file of overrides alone is never called in a session.

mod downloads;
mod faults;
mod inform;
mod paths;
mod repair;
mod sets;
mod values;

use std::cell::OnceCell;
use std::rc::Rc;

use patchbay_plugin::prelude::*;
use patchbay_plugin::profile::priority;
use profile_format::{DeviceMatch, Downloads, Identity, ProfileFile, Repair, Sets};

struct Written;

impl Profile for Written {
    fn priority() -> i32 {
        file().priority.unwrap_or(priority::VENDOR)
    }

    fn hooks() -> Hooks {
        hooks(&file())
    }

    fn matches() -> Vec<Match> {
        let file = file();
        if file.matches.is_empty() {
            // The component by itself, without a file: for no device.
            return vec![Match::any().oui("-")];
        }
        file.matches.iter().map(devices).collect()
    }

    fn overrides() -> Overrides {
        file()
            .overrides
            .iter()
            .fold(Overrides::new(), |all, (name, value)| all.with(name, value))
    }

    fn repair(body: Vec<u8>, _: &HttpMeta) -> std::result::Result<Vec<u8>, String> {
        repair::repair(&file().repair, &body)
    }

    fn on_inform(inform: Inform) -> Inform {
        inform::correct(&file(), inform)
    }

    fn on_request(_: &Device, request: Request) -> Vec<Request> {
        let file = file();
        match request {
            Request::SetParameterValues(parameters) => sets::in_order(&file.sets, parameters),
            Request::Download(transfer) => {
                vec![Request::Download(downloads::fit(&file.downloads, transfer))]
            }
            other => vec![other],
        }
    }

    fn on_response(_: &Device, _: &Request, mut response: Response) -> Response {
        if let Response::Values(parameters) = &mut response {
            values::correct(&file().values, parameters);
        }
        response
    }

    fn on_fault(_: &Device, request: &Request, fault: &Fault) -> AfterFault {
        faults::answer(&file().faults, request, fault)
    }

    fn map_path(device: &Device, path: &str) -> Option<String> {
        paths::own(&file().paths, device, path)
    }
}

export_profile!(Written, "profile", version());

fn version() -> String {
    file().version().to_owned()
}

/// What the file gives something to do in.
fn hooks(file: &ProfileFile) -> Hooks {
    let mut hooks = Hooks::empty();
    hooks.set(Hooks::REPAIR, file.repair != Repair::default());
    let corrects_informs = file.identity != Identity::default() || !file.events.is_empty();
    hooks.set(
        Hooks::ON_INFORM,
        corrects_informs || !file.values.is_empty(),
    );
    let asks_otherwise = file.sets != Sets::default() || file.downloads != Downloads::default();
    hooks.set(Hooks::ON_REQUEST, asks_otherwise);
    hooks.set(Hooks::ON_RESPONSE, !file.values.is_empty());
    hooks.set(Hooks::ON_FAULT, !file.faults.is_empty());
    hooks.set(Hooks::MAP_PATH, !file.paths.is_empty());
    hooks
}

fn devices(one: &DeviceMatch) -> Match {
    Match {
        manufacturer: one.manufacturer.clone(),
        oui: one.oui.clone(),
        product_class: one.product_class.clone(),
        software_version: one.software_version.clone(),
        hardware_version: one.hardware_version.clone(),
    }
}

/// The file. Read once: an instance has the same settings all its life.
fn file() -> Rc<ProfileFile> {
    thread_local! {
        static FILE: OnceCell<Rc<ProfileFile>> = const { OnceCell::new() };
    }
    FILE.with(|file| {
        Rc::clone(file.get_or_init(|| {
            Rc::new(settings().unwrap_or_else(|error| {
                // The host has checked it: this is a host of another version.
                error!("{error}");
                ProfileFile::default()
            }))
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as an operator writes it, checked.
    pub(crate) fn written(text: &str) -> ProfileFile {
        let text = format!("matches = [{{ oui = \"00005E\" }}]\n{text}");
        let file: ProfileFile = toml::from_str(&text).unwrap();
        file.check().unwrap();
        file
    }

    #[test]
    fn only_the_hooks_that_have_something_to_do() {
        for (text, expected) in [
            ("", Hooks::empty()),
            ("[overrides]\nmax-names-per-get = 7", Hooks::empty()),
            (
                "[[values]]\nis = 'x'\nbecomes = ''",
                Hooks::ON_INFORM | Hooks::ON_RESPONSE,
            ),
            ("[[events]]\nis = 'X *'", Hooks::ON_INFORM),
            ("[identity]\noui = { text = '00005E' }", Hooks::ON_INFORM),
            ("[sets]\none_object_each = true", Hooks::ON_REQUEST),
            ("[downloads]\ntarget_file_name = true", Hooks::ON_REQUEST),
            ("[[faults]]\nthen = 'skip'", Hooks::ON_FAULT),
            ("[repair]\nangle_brackets = true", Hooks::REPAIR),
            ("[paths]\n'A.*' = 'B.*'", Hooks::MAP_PATH),
        ] {
            assert_eq!(hooks(&written(text)), expected, "{text}");
        }
    }

    /// Without a file the component is a profile for no device.
    #[test]
    fn for_nobody_without_a_file() {
        let device = Device {
            oui: "00005E".into(),
            ..Device::default()
        };
        assert!(!Written::matches().iter().any(|one| one.fits(&device)));
        assert_eq!(Written::hooks(), Hooks::empty());
        assert!(Written::overrides().into_vec().is_empty());
    }
}
