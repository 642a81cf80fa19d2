//! Zhone ZNID writes `(null)` for an empty string (a capture of a ZNID24xxA1, S4.1.224: its ParameterKey).

use patchbay_plugin::prelude::*;

struct Zhone;

impl Profile for Zhone {
    const PRIORITY: i32 = patchbay_plugin::profile::priority::VENDOR;
    const HOOKS: Hooks = Hooks::ON_INFORM.union(Hooks::ON_RESPONSE);

    fn matches() -> Vec<Match> {
        vec![Match::any().manufacturer("Zhone*").product_class("ZNID*")]
    }

    fn on_inform(mut inform: Inform) -> Inform {
        empty_nulls(&mut inform.parameters);
        let device = &mut inform.device;
        for text in [
            &mut device.provisioning_code,
            &mut device.hardware_version,
            &mut device.software_version,
        ] {
            empty_null(text);
        }
        inform
    }

    fn on_response(_: &Device, _: &Request, mut response: Response) -> Response {
        if let Response::Values(parameters) = &mut response {
            empty_nulls(parameters);
        }
        response
    }
}

export_profile!(Zhone);

fn empty_nulls(parameters: &mut [Parameter]) {
    let strings = parameters
        .iter_mut()
        .filter(|parameter| parameter.xsd_type == "string");
    strings.for_each(|parameter| empty_null(&mut parameter.value));
}

fn empty_null(text: &mut String) {
    if text == "(null)" {
        text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "InternetGatewayDevice.ManagementServer.ParameterKey";
    const URL: &str = "InternetGatewayDevice.ManagementServer.ConnectionRequestURL";

    /// The Inform in `fixtures/zhone-znid24-inform-retry.xml`, what matters of it.
    #[test]
    fn an_inform() {
        let device = Device {
            provisioning_code: "(null)".into(),
            ..Device::default()
        };
        let parameters = vec![
            string(URL, "http://10.1.255.120:7547/"),
            string(KEY, "(null)"),
        ];
        let inform = Zhone::on_inform(Inform {
            device,
            parameters,
            retry_count: 28,
            ..Inform::default()
        });
        let expected = vec![string(URL, "http://10.1.255.120:7547/"), string(KEY, "")];
        assert_eq!(
            inform,
            Inform {
                parameters: expected,
                retry_count: 28,
                ..Inform::default()
            }
        );
    }

    #[test]
    fn a_response() {
        let request = Request::GetParameterValues(vec![KEY.into()]);
        let response =
            Response::Values(vec![string(KEY, "(null)"), string(URL, "(null) and more")]);
        assert_eq!(
            Zhone::on_response(&Device::default(), &request, response),
            Response::Values(vec![string(KEY, ""), string(URL, "(null) and more")])
        );
        assert_eq!(
            Zhone::on_response(&Device::default(), &request, Response::Done),
            Response::Done
        );
    }
}
