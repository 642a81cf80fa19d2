//! What an exchange finds out about the device it asks.

use cwmp::Fault;

/// Found out about a device by asking it.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// A refusal was met by asking otherwise: how, for the trace.
    Adapted(String),
    /// So many names in one GetParameterValues were taken.
    NamesTaken(u32),
    /// `worked` names at once were taken after `failed` were not.
    NamesLimit {
        /// The most that were taken.
        worked: u32,
        /// The fewest that were not.
        failed: u32,
    },
    /// So many values in one SetParameterValues were taken.
    ParametersTaken(u32),
    /// `worked` values at once were taken after `failed` were not.
    ParametersLimit {
        /// The most that were taken.
        worked: u32,
        /// The fewest that were not.
        failed: u32,
    },
    /// A partial path was understood by GetParameterValues.
    PartialPathTaken,
    /// It was not: its parameters had to be listed and asked by name.
    NoPartialPaths,
    /// The names of the whole tree came at once.
    WholeTreeTaken,
    /// They did not: they were asked level by level.
    NamesByLevel,
    /// The empty path was not understood, the root object was.
    NoRootNames,
    /// AddObject told no instance number.
    NoInstanceNumber,
    /// A method was answered by fault 9000.
    Unsupported(String, Fault),
    /// A method that was thought unsupported was answered.
    Supported(String),
    /// A parameter that was asked for does not exist.
    Vanished(String),
}
