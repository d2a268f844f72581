//! What a person should know before a plan is carried out, though nothing keeps it from being.

use std::fmt;

use super::{Ago, Bytes, Subject};
use crate::abilities::Misfit;
use crate::release::BuildName;

/// Something about what is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub subject: Subject,
    /// What is to be known.
    pub why: WarningReason,
}

/// What a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarningReason {
    /// Its model is larger than the memory that is free.
    Memory {
        /// Bytes of the model and what belongs to it.
        model: u64,
        /// Bytes that are free, or will be.
        free: u64,
    },
    /// Its model is larger than all of the device's memory.
    DeviceMemory {
        /// Bytes of the model and what belongs to it.
        model: u64,
        /// The device; `None` stands for all its build sees.
        device: Option<String>,
        /// Bytes it has.
        total: u64,
    },
    /// It is to lock more memory than it may.
    Lock {
        /// Bytes of the model and what belongs to it.
        model: u64,
        /// Bytes that may be locked.
        limit: u64,
    },
    /// Its build can fetch its model only when the server starts.
    FetchedWhileDown {
        /// The build.
        build: BuildName,
        /// What is fetched.
        names: Vec<String>,
    },
    /// Its device was not there when it was last looked for.
    Device {
        /// What was seen then.
        misfit: Misfit,
        /// Seconds since.
        seconds_ago: i64,
    },
}

impl WarningReason {
    /// A stable word for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Memory { .. } => "memory",
            Self::DeviceMemory { .. } => "device_memory",
            Self::Lock { .. } => "mlock",
            Self::FetchedWhileDown { .. } => "fetched_while_down",
            Self::Device { .. } => "no_device",
        }
    }
}

impl fmt::Display for WarningReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { model, free } => write!(
                f,
                "its model is {}; {} of memory are free",
                Bytes(*model),
                Bytes(*free)
            ),
            Self::DeviceMemory {
                model,
                device,
                total,
            } => {
                write!(f, "its model is {}; ", Bytes(*model))?;
                match device {
                    Some(device) => write!(f, "`{device}` has {} in all", Bytes(*total)),
                    None => write!(
                        f,
                        "the devices its build sees have {} in all",
                        Bytes(*total)
                    ),
                }
            }
            Self::Lock { model, limit } => write!(
                f,
                "`--mlock` is to keep {} in memory, and `ulimit -l` allows {}; raise `memlock` in /etc/security/limits.conf",
                Bytes(*model),
                Bytes(*limit)
            ),
            Self::FetchedWhileDown { build, names } => write!(
                f,
                "{} is fetched while it is down: {build} does not know `--offline`",
                names.join(", ")
            ),
            Self::Device {
                misfit,
                seconds_ago,
            } => write!(f, "asked {} ago: {misfit}", Ago(*seconds_ago)),
        }
    }
}
