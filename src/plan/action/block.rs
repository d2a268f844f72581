//! Why something that is wanted cannot be done: the world is in the way.

use std::fmt;

use super::{Bytes, Subject};
use crate::abilities::Misfit;
use crate::desired::Unanswered;

/// Wanted, and it cannot be done. Independent steps still run.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocker {
    /// What is blocked.
    pub subject: Subject,
    /// Why.
    pub why: BlockReason,
}

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq)]
pub enum BlockReason {
    /// Someone else listens on its port.
    PortHeld {
        /// The port.
        port: u16,
        /// Who, for people.
        by: String,
    },
    /// Someone else listens at its Unix socket.
    SocketHeld {
        /// The path of the socket.
        socket: String,
        /// Who, for people.
        by: String,
    },
    /// Files or variables it needs are not there.
    Missing(Vec<String>),
    /// Its pin could not be resolved.
    Unresolved(Unanswered),
    /// There is no room for its build.
    NoSpace {
        /// Bytes needed.
        needs: u64,
        /// Bytes free.
        free: u64,
    },
    /// Its build is not installed and cannot be fetched.
    NotInstallable(String),
    /// Its build cannot do what its launch asks for.
    Misfit(Misfit),
}

impl BlockReason {
    /// A stable word for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PortHeld { .. } => "port_held",
            Self::SocketHeld { .. } => "socket_held",
            Self::Missing(_) => "missing",
            Self::Unresolved(_) => "unresolved",
            Self::NoSpace { .. } => "no_space",
            Self::NotInstallable(_) => "not_installable",
            Self::Misfit(misfit) => misfit.code(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unresolved(why) => why.hint(),
            Self::PortHeld { .. }
            | Self::SocketHeld { .. }
            | Self::Missing(_)
            | Self::NoSpace { .. }
            | Self::NotInstallable(_)
            | Self::Misfit(_) => None,
        }
    }
}

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortHeld { port, by } => write!(f, "port {port} is held by {by}"),
            Self::SocketHeld { socket, by } => write!(f, "socket `{socket}` is held by {by}"),
            Self::Missing(what) => f.write_str(&what.join("; ")),
            Self::Unresolved(why) => why.fmt(f),
            Self::NoSpace { needs, free } => {
                write!(
                    f,
                    "needs {} of disk, {} are free",
                    Bytes(*needs),
                    Bytes(*free)
                )
            }
            Self::NotInstallable(why) => f.write_str(why),
            Self::Misfit(misfit) => misfit.fmt(f),
        }
    }
}
