//! What is asked of devices: tasks, how one request becomes RPCs on the wire, and what is
//! learned of models by asking.

pub mod additions;
pub mod exchange;
pub mod lessons;
pub mod operation;
pub mod retries;
pub mod task;
