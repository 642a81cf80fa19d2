//! One file per RPC: its type, parse, emit and tests together.

pub mod add_object;
pub mod autonomous_transfer_complete;
pub mod delete_object;
pub mod download;
pub mod factory_reset;
pub mod fault;
pub mod get_parameter_attributes;
pub mod get_parameter_names;
pub mod get_parameter_values;
pub mod get_rpc_methods;
pub mod inform;
pub mod raw;
pub mod reboot;
pub mod schedule_inform;
pub mod set_parameter_attributes;
pub mod set_parameter_values;
pub mod transfer_complete;
pub mod upload;
