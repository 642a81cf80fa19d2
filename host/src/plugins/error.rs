//! What can go wrong with a plugin, under its name and version.

use std::sync::Arc;

/// A call into a plugin failed. The session goes on without it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin} {version}: {kind}")]
pub struct PluginError {
    /// The plugin: its file's name without `.wasm`.
    pub plugin: Arc<str>,
    /// As the plugin describes itself.
    pub version: Arc<str>,
    /// What happened.
    pub kind: PluginErrorKind,
}

/// What happened in a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginErrorKind {
    /// The guest crashed: a panic, an invalid memory access, an exhausted stack.
    #[error("crashed: {0}")]
    Trap(String),
    /// It computed for longer than its budget.
    #[error("did not return within its {milliseconds} ms of computing time")]
    Deadline {
        /// The budget.
        milliseconds: u64,
    },
    /// It waited for longer than any call may take.
    #[error("did not return within {seconds} s")]
    Stuck {
        /// The limit.
        seconds: u64,
    },
    /// It wanted more memory than its limit.
    #[error("wanted more than its {bytes} bytes of memory")]
    Memory {
        /// The limit.
        bytes: usize,
    },
    /// It called the host more often than its budget allows.
    #[error("called the host more than {0} times")]
    HostCalls(u32),
    /// All of its instances were in use for as long as a call may wait.
    #[error("all of its instances stayed in use")]
    Busy,
    /// It returned an error, or something that makes no sense.
    #[error("{0}")]
    Answer(String),
}

/// The plugin side of the host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PluginsError {
    /// wasmtime refuses its settings on this machine.
    #[error("the WebAssembly engine cannot start")]
    Engine(#[source] wasmtime::Error),
    /// The ticker thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}
