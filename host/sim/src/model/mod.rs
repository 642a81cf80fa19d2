//! The data model of a device: a template that all devices of a kind share, and what one
//! device has changed.

mod leaf;
mod live;
mod notation;
mod overlay;
mod template;
mod tree;

pub(crate) use live::{Facts, Identity, date_time};
pub(crate) use overlay::Attributes;
pub(crate) use template::Features;
pub(crate) use tree::{Node, Tree};
