//! Any mixture of oddities: exactly what exists, within a bound of RPCs.

use proptest::prelude::*;

use super::*;

fn code_for_too_much() -> impl Strategy<Value = u32> {
    prop_oneof![Just(9002), Just(9003), Just(9004), Just(8002)]
}

fn device() -> impl Strategy<Value = Virtual> {
    let bad_name = prop_oneof![
        Just(BadName::Unnamed),
        Just(BadName::InText),
        Just(BadName::InList),
        Just(BadName::Omitted),
    ];
    let partial = prop_oneof![
        Just(Partial::Understood),
        code_for_too_much().prop_map(Partial::Refused),
        Just(Partial::Refused(9005)),
        (0..20_usize).prop_map(Partial::TooMuch),
    ];
    let next_level = prop_oneof![
        Just(NextLevel::Understood),
        Just(NextLevel::Ignored),
        Just(NextLevel::WithItself),
    ];
    let root = prop::option::of(prop_oneof![Just(9003_u32), Just(9005), Just(8002)]);
    let exhausted = prop::option::of(prop_oneof![Just(9002_u32), Just(9004), Just(8002)]);
    let parameters = prop::collection::btree_set((0..6_u8, 0..4_u8, 0..5_u8), 1..60);
    (
        parameters,
        1..40_usize,
        code_for_too_much(),
        bad_name,
        partial,
        root,
        exhausted,
        next_level,
        any::<bool>(),
    )
        .prop_map(
            |(
                parameters,
                names_max,
                over,
                bad_name,
                partial,
                root,
                exhausted,
                next_level,
                dotless,
            )| {
                let path = |(a, b, c): (u8, u8, u8)| match c {
                    // Parameters at every level, and objects that have none of their own.
                    0 => format!("Device.P{a}"),
                    1 => format!("Device.A{a}.Q{b}"),
                    c => format!("Device.A{a}.B{b}.{c}.V"),
                };
                Virtual {
                    parameters: parameters.into_iter().map(path).collect(),
                    names_max,
                    over,
                    bad_name,
                    partial,
                    root_refused: root,
                    exhausted,
                    next_level,
                    dotless,
                    rpcs: 0,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_get_finds_exactly_what_exists(mut device in device(), bad in 0..8_usize, skip in 0..5_usize) {
        let existing: Vec<String> = device.parameters.iter().skip(skip).cloned().collect();
        let mut asked = existing.clone();
        for n in 0..bad {
            asked.insert((n * 7) % (asked.len() + 1), format!("Device.Bad.{n}"));
        }
        prop_assume!(!asked.is_empty());
        let ended = ask(&mut device, Request::GetParameterValues(asked.clone()), Manners::default());
        if existing.is_empty() {
            let refused = device.bad_name != BadName::Omitted;
            prop_assert_eq!(ended.outcome.is_err(), refused);
        } else {
            prop_assert_eq!(paths(ended.outcome), existing);
            let mut missing = ended.missing;
            missing.sort_unstable();
            missing.dedup();
            prop_assert_eq!(missing.len(), bad);
        }
        let parts = u32::try_from(asked.len().div_ceil(device.names_max.div_ceil(2))).unwrap();
        let bad = u32::try_from(bad).unwrap();
        prop_assert!(device.rpcs <= 8 + 2 * parts + 2 * bad * 8, "{} RPCs", device.rpcs);
        if let Some(Finding::NamesLimit { worked, failed }) = ended.findings.last() {
            let limit = u32::try_from(device.names_max).unwrap();
            prop_assert!(*worked <= limit && limit < *failed);
        }
    }

    #[test]
    fn a_partial_path_gives_what_is_below(mut device in device()) {
        let all: Vec<String> = device.parameters.iter().cloned().collect();
        let ended = ask(&mut device, get(&["Device."]), Manners::default());
        prop_assert_eq!(paths(ended.outcome), all);
        prop_assert!(device.rpcs <= 400, "{} RPCs", device.rpcs);
    }

    #[test]
    fn the_names_of_the_tree_are_each_told_once(mut device in device(), root in any::<bool>()) {
        let all: Vec<String> = device.parameters.iter().cloned().collect();
        let asked = names(if root { "" } else { "Device." }, false);
        let found = paths(ask(&mut device, asked, Manners::default()).outcome);
        let parameters: Vec<String> =
            found.iter().filter(|path| !path.ends_with('.')).cloned().collect();
        prop_assert_eq!(&parameters, &all);
        let mut once = found.clone();
        once.dedup();
        prop_assert_eq!(once, found);
        prop_assert!(device.rpcs <= 200, "{} RPCs", device.rpcs);
    }

    #[test]
    fn the_next_level_is_one_level(mut device in device()) {
        device.dotless = false;
        let ended = ask(&mut device, names("Device.", true), Manners::default());
        let expected: BTreeSet<String> = device.parameters.iter().map(|path| {
            let rest = &path["Device.".len()..];
            match rest.split_once('.') {
                Some((object, _)) => format!("Device.{object}."),
                None => path.clone(),
            }
        }).collect();
        let mut found = paths(ended.outcome);
        found.retain(|path| path != "Device.");
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}
