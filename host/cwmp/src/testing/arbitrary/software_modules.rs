//! Changes of software modules, options and kicks.

use proptest::prelude::*;

use super::Make;
use crate::*;

impl Make {
    fn operation(self) -> BoxedStrategy<DuOperation> {
        let texts = || prop::collection::vec(self.text(), 5);
        prop_oneof![
            texts().prop_map(|mut texts| {
                let mut next = || texts.pop().unwrap();
                DuOperation::Install {
                    url: next(),
                    uuid: next(),
                    username: next(),
                    password: next(),
                    execution_env: next(),
                }
            }),
            texts().prop_map(|mut texts| {
                let mut next = || texts.pop().unwrap();
                DuOperation::Update {
                    uuid: next(),
                    version: next(),
                    url: next(),
                    username: next(),
                    password: next(),
                }
            }),
            (self.text(), self.text(), self.text()).prop_map(|(uuid, version, execution_env)| {
                DuOperation::Uninstall {
                    uuid,
                    version,
                    execution_env,
                }
            }),
        ]
        .boxed()
    }

    pub(super) fn change_du_state(self) -> BoxedStrategy<ChangeDuState> {
        (prop::collection::vec(self.operation(), 0..4), self.text())
            .prop_map(|(operations, command_key)| ChangeDuState {
                operations,
                command_key,
            })
            .boxed()
    }

    fn du_result(self) -> BoxedStrategy<DuResult> {
        let names = (self.name(), self.name(), self.name(), self.name());
        let rest = (self.text(), any::<bool>(), self.transfer_fault());
        (names, rest, self.time(), self.time())
            .prop_map(|(names, rest, start_time, complete_time)| {
                let (uuid, deployment_unit, state, execution_units) = names;
                let (version, resolved, fault) = rest;
                DuResult {
                    uuid,
                    deployment_unit,
                    version,
                    state,
                    resolved,
                    execution_units,
                    start_time,
                    complete_time,
                    fault,
                }
            })
            .boxed()
    }

    pub(super) fn du_complete(self) -> BoxedStrategy<DuStateChangeComplete> {
        (prop::collection::vec(self.du_result(), 0..3), self.text())
            .prop_map(|(results, command_key)| DuStateChangeComplete {
                results,
                command_key,
            })
            .boxed()
    }

    pub(super) fn autonomous_du(self) -> BoxedStrategy<Vec<AutonomousDuResult>> {
        let one = (self.du_result(), self.name())
            .prop_map(|(result, operation)| AutonomousDuResult { result, operation });
        prop::collection::vec(one, 0..3).boxed()
    }

    pub(super) fn option(self) -> BoxedStrategy<VoucherOption> {
        let numbers = (any::<u32>(), any::<u32>(), any::<i32>(), any::<bool>());
        let dates = (self.time(), prop::option::of(self.time()));
        (self.name(), numbers, dates)
            .prop_map(
                |(name, (voucher, state, mode, is_transferable), (start_date, expiration_date))| {
                    VoucherOption {
                        name,
                        voucher,
                        state,
                        mode,
                        start_date,
                        expiration_date,
                        is_transferable,
                    }
                },
            )
            .boxed()
    }

    pub(super) fn kicked(self) -> BoxedStrategy<Kicked> {
        (self.text(), self.text(), self.text(), self.text())
            .prop_map(|(command, referer, arg, next)| Kicked {
                command,
                referer,
                arg,
                next,
            })
            .boxed()
    }
}
