//! Messages of all kinds, for the properties that hold for all of them.

mod rpcs;
mod software_modules;
mod transfers;

use proptest::prelude::*;
use proptest::sample::select;

use crate::write::is_forbidden;
use crate::*;

/// Any text, the characters that XML treats specially often among it.
pub(crate) fn wild() -> BoxedStrategy<String> {
    let special = select(
        "<>&\"';]- \t\r\n\0\u{1}\u{FFFE}"
            .chars()
            .collect::<Vec<_>>(),
    );
    let character = prop_oneof![special, any::<char>()];
    let characters = prop::collection::vec(character, 0..8);
    characters.prop_map(String::from_iter).boxed()
}

/// Any text that XML can carry.
pub(crate) fn tame() -> BoxedStrategy<String> {
    wild()
        .prop_map(|text| text.chars().filter(|c| !is_forbidden(*c)).collect())
        .boxed()
}

pub(crate) type Texts = fn() -> BoxedStrategy<String>;

/// Messages of all kinds, made of texts of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Make {
    pub(crate) texts: Texts,
}

impl Make {
    fn text(self) -> BoxedStrategy<String> {
        (self.texts)()
    }

    /// Around a name, white space has no meaning.
    fn name(self) -> BoxedStrategy<String> {
        let trim = |text: String| text.trim_matches([' ', '\t', '\r', '\n']).to_owned();
        self.text().prop_map(trim).boxed()
    }

    fn names(self) -> BoxedStrategy<Vec<String>> {
        prop::collection::vec(self.name(), 0..4).boxed()
    }

    /// An empty one is written as the Unknown Time.
    fn time(self) -> BoxedStrategy<DateTime> {
        let time = |text: String| match text.as_str() {
            "" => DateTime::unknown(),
            _ => DateTime(text),
        };
        self.name().prop_map(time).boxed()
    }

    fn value(self) -> BoxedStrategy<ParameterValue> {
        let types = prop_oneof![
            select(vec![
                "string",
                "boolean",
                "unsignedInt",
                "base64",
                "dateTime"
            ])
            .prop_map(str::to_owned),
            "[A-Za-z_][A-Za-z0-9_.-]{0,8}",
        ];
        (self.name(), self.text(), types)
            .prop_map(|(path, value, name)| ParameterValue::new(path, value, XsdType::new(&name)))
            .boxed()
    }

    fn values(self) -> BoxedStrategy<Vec<ParameterValue>> {
        prop::collection::vec(self.value(), 0..4).boxed()
    }

    fn inform(self) -> BoxedStrategy<Inform> {
        let device_id = (self.name(), self.name(), self.name(), self.name()).prop_map(
            |(manufacturer, oui, product_class, serial_number)| DeviceId {
                manufacturer,
                oui,
                product_class,
                serial_number,
            },
        );
        let event =
            (self.name(), self.text()).prop_map(|(code, command_key)| Event { code, command_key });
        let events = prop::collection::vec(event, 0..3);
        (device_id, events, self.time(), any::<u32>(), self.values())
            .prop_map(
                |(device_id, events, current_time, retry_count, parameters)| Inform {
                    device_id,
                    events,
                    current_time,
                    retry_count,
                    parameters,
                    unknown: Vec::new(),
                },
            )
            .boxed()
    }

    fn attributes_to_set(self) -> BoxedStrategy<SetParameterAttributes> {
        (
            self.name(),
            any::<Option<u8>>(),
            prop::option::of(self.names()),
        )
            .prop_map(|(path, notification, access_list)| SetParameterAttributes {
                path,
                notification,
                access_list,
            })
            .boxed()
    }

    fn attributes(self) -> BoxedStrategy<ParameterAttributes> {
        (self.name(), any::<u8>(), self.names())
            .prop_map(|(path, notification, access_list)| ParameterAttributes {
                path,
                notification,
                access_list,
            })
            .boxed()
    }

    fn fault(self) -> BoxedStrategy<Fault> {
        let parameter = (self.name(), any::<u32>(), self.text())
            .prop_map(|(path, code, text)| ParameterFault { path, code, text });
        (
            1..=u32::MAX,
            self.text(),
            prop::collection::vec(parameter, 0..3),
        )
            .prop_map(|(code, text, parameters)| Fault {
                code,
                text,
                parameters,
            })
            .boxed()
    }

    fn header(self) -> BoxedStrategy<Header> {
        (
            prop::option::of(self.text()),
            any::<bool>(),
            any::<Option<u32>>(),
            prop::option::of(self.name()),
            prop::option::of(prop_oneof![self.name(), Just("1.3".to_owned())]),
        )
            .prop_map(
                |(id, hold_requests, session_timeout, supported_versions, use_version)| Header {
                    id,
                    hold_requests,
                    session_timeout,
                    supported_versions,
                    use_version,
                },
            )
            .boxed()
    }

    pub(crate) fn message(self) -> BoxedStrategy<Message> {
        let body = prop_oneof![
            4 => self.request().prop_map(Body::Request),
            3 => self.response().prop_map(Body::Response),
            1 => self.fault().prop_map(Body::Fault),
        ];
        (select(Version::ALL.to_vec()), self.header(), body)
            .prop_map(|(version, header, body)| Message {
                version,
                header,
                body,
            })
            .boxed()
    }
}

fn applied() -> BoxedStrategy<Applied> {
    select(vec![Applied::Now, Applied::Later]).boxed()
}

fn raw(method: &'static str) -> BoxedStrategy<RawRpc> {
    let xml = select(vec![
        "",
        "<A>1</A>",
        " <a:A xmlns:a='u' b='&lt;'>&amp;<B/></a:A> ",
    ]);
    (method, xml)
        .prop_map(|(method, xml)| RawRpc::checked(&method, xml).unwrap())
        .boxed()
}
