//! What holds whatever the ACS does.

use cwmp::{AddObject, Applied, DeleteObject, GetParameterNames, Request, Response};
use proptest::collection::vec;
use proptest::prelude::*;

use super::pair::Pair;

const TABLE: &str = "InternetGatewayDevice.WANDevice.1.WANConnectionDevice.1.WANPPPConnection.";

fn add(pair: &mut Pair, table: &str) -> Option<u32> {
    let add = AddObject {
        object_name: table.to_owned(),
        parameter_key: String::new(),
    };
    match pair.ask(Request::AddObject(add)) {
        Ok(Response::AddObject(instance, Applied::Now)) => Some(instance),
        _ => None,
    }
}

fn rows(pair: &mut Pair) -> Vec<String> {
    let names = GetParameterNames {
        path: TABLE.to_owned(),
        next_level: true,
    };
    match pair.ask(Request::GetParameterNames(names)) {
        Ok(Response::GetParameterNames(names)) => names.into_iter().map(|name| name.path).collect(),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Rows come and go; numbers are never used twice, and the count is always right.
    #[test]
    fn rows_of_a_table(deletions in vec(prop::option::of(0_usize..4), 1..20)) {
        let mut pair = Pair::new(crate::CpeConfig::tr098("A1", "http://acs/"));
        pair.next_session();
        let mut highest = 0;
        let mut there: Vec<String> = Vec::new();
        for deletion in deletions {
            match deletion {
                Some(at) if at < there.len() => {
                    let delete = DeleteObject {
                        object_name: there.remove(at),
                        parameter_key: String::new(),
                    };
                    prop_assert!(pair.ask(Request::DeleteObject(delete)).is_ok());
                }
                _ => {
                    let instance = add(&mut pair, TABLE).unwrap();
                    prop_assert!(instance > highest);
                    highest = instance;
                    there.push(format!("{TABLE}{instance}."));
                    add(&mut pair, &format!("{TABLE}{instance}.PortMapping.")).unwrap();
                }
            }
            prop_assert_eq!(&rows(&mut pair), &there);
            let count = TABLE.replace("WANPPPConnection.", "WANPPPConnectionNumberOfEntries");
            prop_assert_eq!(pair.get(&count).unwrap(), there.len().to_string());
        }
    }

    /// Whatever comes in instead of an answer is an error, not a panic.
    #[test]
    fn any_bytes_from_the_acs(answers in vec(vec(any::<u8>(), 0..200), 1..5)) {
        let mut pair = Pair::tr181();
        pair.cpe.begin_session(pair.now);
        for answer in answers {
            if pair.cpe.receive(&answer, pair.now).is_err() {
                pair.cpe.fail_session(pair.now);
            }
        }
    }
}
