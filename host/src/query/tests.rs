//! What the language means, what it refuses and where, and that it survives anything.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// A thing with these values.
struct Thing<'t>(&'t [(&'static str, Datum<'t>)]);

impl Subject for Thing<'_> {
    fn any(&self, field: &Field, test: &mut dyn FnMut(Datum<'_>) -> bool) -> Option<bool> {
        let name = field.to_string();
        if name.starts_with("Unread.") {
            return None;
        }
        let mut values = self.0.iter().filter(|(known, _)| *known == name);
        Some(values.any(|(_, datum)| test(*datum)))
    }

    fn any_identifying(&self, test: &mut dyn FnMut(&str) -> bool) -> Option<bool> {
        let mut values = self.0.iter().filter_map(|(_, datum)| datum.text());
        Some(values.any(test))
    }
}

const NOW: UnixTime = 1_000_000;

fn parameter(value: &str) -> Datum<'_> {
    Datum::Parameter {
        value,
        read_at: NOW - 600,
    }
}

fn judge(query: &str) -> Option<bool> {
    let thing = Thing(&[
        ("serial_number", Datum::Text("AB00123")),
        ("software_version", Datum::Text("3.10.1")),
        ("tag", Datum::Text("vip")),
        ("tag", Datum::Text("north sea")),
        ("mode", Datum::Text("stun")),
        ("quarantined", Datum::Flag(false)),
        ("last_contact", Datum::Time(NOW - 7_200)),
        ("Device.UpTime", parameter("86400")),
        ("Device.Name", parameter("007")),
        ("Device.Key", Datum::Hidden),
    ]);
    Query::parse(query).unwrap().judge(&thing, NOW)
}

#[test]
fn meanings() {
    for (query, matches) in [
        ("", true),
        ("  ", true),
        ("b001", true),
        ("b001 and VIP", true),
        ("b001 vip", true),
        ("b001 nobody", false),
        ("b001 or nobody", true),
        ("'NORTH sea'", true),
        ("a*23", true),
        ("serial_number = AB00123", true),
        ("serial_number = ab00123", false),
        ("serial_number = AB*", true),
        ("serial_number = \"AB*\"", true),
        ("serial_number = \"AB\\*\"", false),
        ("serial_number contains b0", true),
        ("serial_number != AB*", false),
        ("software_version < 3.9", false),
        ("software_version > 3.9", true),
        ("software_version >= 3.10.1", true),
        ("tag = vip", true),
        ("tag = 'north sea'", true),
        ("tag != vip", false),
        ("tag != none", true),
        ("tag in (a, b, vip)", true),
        ("not tag in (a, b)", true),
        ("label = x", false),
        ("label != x", true),
        ("label < x", false),
        ("has(label)", false),
        ("has(tag)", true),
        ("mode = stun", true),
        ("quarantined = false", true),
        ("quarantined != true", true),
        ("last_contact < 1970-01-12T13:46:40Z", true),
        ("last_contact > 1970-01-12", true),
        ("last_contact > 1970-01-13", false),
        ("age(last_contact) >= 2h", true),
        ("age(last_contact) > 2h", false),
        ("age(first_contact) > 0s", false),
        ("Device.UpTime > 9999", true),
        ("Device.UpTime = 86400.0", true),
        ("Device.UpTime = '86400.0'", false),
        ("Device.Name = 7", true),
        ("Device.Name = '7'", false),
        ("Device.Name > a", false),
        ("age(Device.Name) < 11m", true),
        ("has(Device.Key)", true),
        ("Device.Key contains ''", false),
        ("Device.Key != x", true),
        ("tag = a or tag = vip and tag = b", false),
        ("(tag = a or tag = vip) and not tag = b", true),
        ("NOT (tag = a OR tag = b)", true),
        ("not not tag = vip", true),
    ] {
        assert_eq!(judge(query), Some(matches), "{query}");
    }
}

#[test]
fn what_is_not_at_hand_is_left_open_unless_it_does_not_matter() {
    for (query, judged) in [
        ("Unread.X = 1", None),
        ("not Unread.X = 1", None),
        ("tag = vip and Unread.X = 1", None),
        ("tag = a and Unread.X = 1", Some(false)),
        ("Unread.X = 1 or tag = vip", Some(true)),
        ("Unread.X = 1 or tag = a", None),
    ] {
        assert_eq!(judge(query), judged, "{query}");
    }
}

#[test]
fn queries_together() {
    let parse = |text| Query::parse(text).unwrap();
    let (one, other) = (parse("tag = a or tag = vip"), parse("tag = b"));
    let matches = |query: Query| {
        let thing = Thing(&[("tag", Datum::Text("vip"))]);
        query.matches(&thing, NOW)
    };
    assert!(!matches(one.clone().and(other.clone())));
    assert!(matches(one.clone().and(Query::all())));
    assert!(matches(other.clone().or(one)));
    assert!(other.or(Query::all()).is_all());
}

#[test]
fn printed() {
    fn check(query: &str, expected: Expect) {
        let query = Query::parse(query).unwrap();
        expected.assert_eq(&query.to_string());
        assert_eq!(Query::parse(&query.to_string()), Ok(query));
    }
    check("", expect![[r#""#]]);
    check("00123", expect![[r#""00123""#]]);
    check("a b", expect![[r#""a" and "b""#]]);
    check(
        r#"serial_number = "A\*B*" or oui=02A1B2"#,
        expect![[r#"serial_number = "A\*B*" or oui = "02A1B2""#]],
    );
    check(
        "Device.X in (1,'1',x) and not (a or b)",
        expect![[r#"Device.X in (1, "1", "x") and not ("a" or "b")"#]],
    );
    check(
        "last_contact<2026-01-31 age(last_contact)>1d12h",
        expect!["last_contact < 2026-01-31T00:00:00Z and age(last_contact) > 36h"],
    );
    check(
        r#"peer_address = 2001:db8::* and id = 4C5E0C-hAP~20lite-x"#,
        expect![[r#"peer_address = "2001:db8::*" and id = "4C5E0C-hAP~20lite-x""#]],
    );
}

#[test]
fn refused() {
    fn check(query: &str, expected: Expect) {
        let error = Query::parse(query).unwrap_err();
        expected.assert_eq(&format!("{error}\n{}", error.caret()));
    }
    check(
        "tag = ",
        expect![[r#"
            at character 6 of the query: expected a value, got the end
            tag = 
                 ^"#]],
    );
    check(
        "tag = vip and or",
        expect![[r#"
            at character 15 of the query: expected a condition, got `or`
            tag = vip and or
                          ^"#]],
    );
    check(
        "(tag = vip",
        expect![[r#"
            at character 11 of the query: expected ), got the end
            (tag = vip
                      ^"#]],
    );
    check(
        "tag = vip)",
        expect![[r#"
            at character 10 of the query: expected the end, `and` or `or`, got `)`
            tag = vip)
                     ^"#]],
    );
    check(
        "colour = red",
        expect![[r#"
            at character 1 of the query: expected a field of a device (id, manufacturer, oui, product_class, serial_number, software_version, hardware_version, provisioning_code, data_model, cwmp_version, tag, label, mode, behind_nat, reachable, xmpp_online, peer_address, connection_request_url, login, quarantined, first_contact, last_contact, last_full_refresh) or a parameter's path, got `colour`
            colour = red
            ^"#]],
    );
    check(
        "«é» mode = smoke-signals",
        expect![[r#"
            at character 12 of the query: expected one of direct-http, http-proxy, xmpp, stun, short-inform, got `smoke-signals`
            «é» mode = smoke-signals
                       ^"#]],
    );
    check(
        "mode < xmpp",
        expect![[r#"
            at character 6 of the query: expected = or !=, got `<`
            mode < xmpp
                 ^"#]],
    );
    check(
        "last_contact < yesterday",
        expect![[r#"
            at character 16 of the query: expected a time (2026-01-31T12:00:00Z) or a day (2026-01-31), got `yesterday`
            last_contact < yesterday
                           ^"#]],
    );
    check(
        "age(last_contact) > 2",
        expect![[r#"
            at character 21 of the query: expected an age (90s, 30m, 2h, 1d12h, 2w), got `2`
            age(last_contact) > 2
                                ^"#]],
    );
    check(
        "age(tag) > 2h",
        expect![[r#"
            at character 5 of the query: expected a field that is a time, or a parameter's path, got `tag`
            age(tag) > 2h
                ^"#]],
    );
    check(
        "serial_number < 'A*'",
        expect![[r#"
            at character 17 of the query: expected a text without `*`, which is for = and !=, got `'A*'`
            serial_number < 'A*'
                            ^"#]],
    );
    check(
        "tag = 'vip",
        expect![[r#"
            at character 11 of the query: expected the quote that ends the text, got the end
            tag = 'vip
                      ^"#]],
    );
    check(
        "tag = '\\n'",
        expect![[r#"
            at character 9 of the query: expected one of \ * " ' after a backslash, got 'n'
            tag = '\n'
                    ^"#]],
    );
    check(
        "tag ! vip",
        expect![[r#"
            at character 5 of the query: expected one of = != < <= > >=, got '!'
            tag ! vip
                ^"#]],
    );
    check(
        "tag in vip",
        expect![[r#"
            at character 8 of the query: expected ( and values, with commas between, got `vip`
            tag in vip
                   ^"#]],
    );
}

#[test]
fn limits() {
    let nested = |depth: usize| format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Query::parse(&nested(DEPTH_MAX)).is_ok());
    let error = Query::parse(&nested(DEPTH_MAX + 1)).unwrap_err();
    assert_eq!(error.position, DEPTH_MAX + 1);
    assert!(Query::parse(&"not ".repeat(QUERY_CHARS_MAX / 4)).is_err());
    assert!(Query::parse(&"x ".repeat(CONDITIONS_MAX)).is_ok());
    assert!(Query::parse(&"x ".repeat(CONDITIONS_MAX + 1)).is_err());
    let list = |values: usize| format!("tag in (x{})", ",x".repeat(values - 1));
    assert!(Query::parse(&list(VALUES_MAX)).is_ok());
    assert!(Query::parse(&list(VALUES_MAX + 1)).is_err());
    assert!(Query::parse(&"x".repeat(QUERY_CHARS_MAX + 1)).is_err());
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop::collection::vec("[ -~äß]{0,4}", 1..4).prop_map(Pattern::of)
}

fn text_field() -> impl Strategy<Value = Field> {
    prop::sample::select(vec!["id", "tag", "Device.X", "Device.W.*.S.", "I.[a b].c"])
        .prop_filter_map("a field", |name| DEVICES.field(name))
}

fn order() -> impl Strategy<Value = Operator> {
    use Operator::{AtLeast, AtMost, Greater, Less};
    prop::sample::select(vec![Less, AtMost, Greater, AtLeast])
}

fn equality() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![Operator::Is, Operator::IsNot])
}

fn condition() -> impl Strategy<Value = Node> {
    let is = |field: &'static str, operator, value| Node::Is {
        field: DEVICES.field(field).unwrap(),
        operator,
        value,
    };
    let number = "-?[0-9]{1,25}(\\.[0-9]{1,3})?";
    let number = number.prop_filter_map("a number", |text| Number::parse(&text));
    prop_oneof![
        pattern().prop_map(Node::Word),
        text_field().prop_map(Node::Has),
        (text_field(), equality(), pattern()).prop_map(|(field, operator, pattern)| Node::Is {
            field,
            operator,
            value: Value::Text(pattern),
        }),
        (text_field(), order(), "[ -~]{0,6}").prop_map(|(field, operator, text)| Node::Is {
            field,
            operator,
            value: Value::Text(Pattern::literal(&text)),
        }),
        (order(), number.clone()).prop_map(move |(operator, number)| is(
            "Device.X",
            operator,
            Value::Number(number)
        )),
        (order(), -9_000_000_000..200_000_000_000_i64).prop_map(move |(operator, time)| is(
            "last_contact",
            operator,
            Value::Time(time)
        )),
        (equality(), any::<bool>()).prop_map(move |(operator, flag)| is(
            "quarantined",
            operator,
            Value::Flag(flag)
        )),
        (text_field(), pattern()).prop_map(|(field, pattern)| Node::Contains { field, pattern }),
        (text_field(), prop::collection::vec(pattern(), 1..4)).prop_map(|(field, values)| {
            let values = values.into_iter().map(Value::Text).collect();
            Node::In { field, values }
        }),
        (order(), any::<u32>()).prop_map(|(operator, seconds)| Node::Age {
            field: DEVICES.field("Device.X").unwrap(),
            operator,
            age: Age(seconds),
        }),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let node = condition().prop_recursive(5, 40, 4, |node| {
        let several = || prop::collection::vec(node.clone(), 2..4);
        prop_oneof![
            several().prop_map(Node::And),
            several().prop_map(Node::Or),
            node.clone().prop_map(|node| Node::Not(Box::new(node))),
        ]
    });
    node.prop_map(|root| Query { root })
}

proptest! {
    #[test]
    fn what_is_printed_is_parsed_to_the_same(query in query()) {
        let text = query.to_string();
        let parsed = Query::parse(&text).map_err(|error| {
            TestCaseError::fail(format!("{error}\n{}", error.caret()))
        })?;
        prop_assert_eq!(parsed, query);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        never_panics(&text);
    }

    #[test]
    fn no_text_of_its_own_words_makes_it_panic(words in prop::collection::vec(
        prop::sample::select(vec![
            "and", "or", "not", "(", ")", "in", "has", "age", "contains", "=", "<=", "!", ",",
            "tag", "Device.X.*", "\"", "'", "*", "\\", "last_contact", "2h", "1", "\n", "é",
        ]), 0..24)) {
        never_panics(&words.join(" "));
        never_panics(&words.concat());
    }
}

fn never_panics(text: &str) {
    match Query::parse(text) {
        Ok(query) => {
            let _ = query.judge(&Thing(&[("tag", Datum::Text(text))]), NOW);
            assert_eq!(Query::parse(&query.to_string()), Ok(query));
        }
        Err(error) => {
            assert!(error.position <= text.chars().count(), "{error}");
            error.caret();
        }
    }
}
