//! What the server of a build says it can do, by its `--help` and `--list-devices`, and whether a
//! launch fits that.
//!
//! Pure. Asking the server, and keeping what it said, is left to the backend. What could not be
//! read is not held against a launch.

mod devices;
mod options;

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::desired::argv::origin;
use crate::instance::Launch;
use crate::release::BuildName;

pub use devices::Device;
pub use options::Options;

/// The number in `schema` that this version writes.
pub const SCHEMA: u32 = 1;

/// How long a list of devices is taken at its word: drivers are loaded and cards are plugged in while
/// a machine runs, and whoever has just done so wants to go on.
pub const DEVICES_HOLD_FOR: SignedDuration = SignedDuration::from_mins(2);

/// What a build's server said, as it is kept in `.llama-orch/cache/builds/<id>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Abilities {
    /// Version of this file's form.
    pub schema: u32,
    /// The program that said so.
    pub program: Stamp,
    /// The options of its `--help`; `None` where that was not understood.
    #[serde(default)]
    pub options: Option<Options>,
    /// The devices it listed; `None` where that was not understood.
    #[serde(default)]
    pub devices: Option<DeviceList>,
    /// Keys of a later version, kept as they were.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What tells one program from another that replaced it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Size in bytes.
    pub size: u64,
    /// When it was last modified; for a build that can change in place, when anything beside it was.
    pub modified: Timestamp,
}

/// The devices of this machine, as a build saw them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceList {
    /// When.
    pub at: Timestamp,
    /// On which boot of the machine.
    pub boot: Uuid,
    /// In the order in which they were listed.
    pub devices: Vec<Device>,
}

impl DeviceList {
    /// Whether it still has to be true: taken on this boot, and not long ago.
    pub fn is_fresh(&self, boot: Option<Uuid>, now: Timestamp) -> bool {
        let age = now.duration_since(self.at);
        Some(self.boot) == boot && age >= SignedDuration::ZERO && age < DEVICES_HOLD_FOR
    }

    /// The device of this name, which llama.cpp compares without regard to case.
    pub fn find(&self, name: &str) -> Option<&Device> {
        self.devices
            .iter()
            .find(|device| device.name.eq_ignore_ascii_case(name))
    }
}

/// How a launch does not fit a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The build does not know some of its options.
    Options {
        /// The build.
        build: BuildName,
        /// Those it does not know.
        unknown: Vec<UnknownOption>,
    },
    /// The build does not see the device.
    Device {
        /// The build.
        build: BuildName,
        /// The device that is asked for.
        device: String,
        /// Those it sees.
        sees: Vec<String>,
    },
}

/// An option a build does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownOption {
    /// The option.
    pub option: String,
    /// The field of the manifest it comes from, where that is known.
    pub field: Option<&'static str>,
    /// The most similar one that the build knows.
    pub nearest: Option<String>,
}

impl Misfit {
    /// A stable word for machines.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Options { .. } => "unknown_option",
            Self::Device { .. } => "no_device",
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options { build, unknown } => {
                let plural = if unknown.len() == 1 { "" } else { "s" };
                write!(f, "{build} does not know the option{plural} ")?;
                for (index, option) in unknown.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{option}")?;
                }
                Ok(())
            }
            Self::Device {
                build,
                device,
                sees,
            } if sees.is_empty() => {
                write!(f, "{build} sees no device `{device}` here, and no other")
            }
            Self::Device {
                build,
                device,
                sees,
            } => write!(
                f,
                "{build} sees no device `{device}` here; it sees {}",
                sees.join(", ")
            ),
        }
    }
}

impl fmt::Display for UnknownOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.option)?;
        if let Some(field) = self.field {
            write!(f, " of `{field}`")?;
        }
        match &self.nearest {
            Some(nearest) => write!(f, " (did you mean `{nearest}`?)"),
            None => Ok(()),
        }
    }
}

impl Abilities {
    /// The options of a launch that its build does not know.
    pub fn unknown_options(&self, launch: &Launch) -> Option<Misfit> {
        let options = self.options.as_ref()?;
        let unknown: Vec<_> = options
            .unknown(&launch.arguments)
            .into_iter()
            .map(|argument| UnknownOption {
                field: origin::field_of(launch, argument),
                nearest: options.nearest(argument),
                option: options::head(argument).to_owned(),
            })
            .collect();
        (!unknown.is_empty()).then(|| Misfit::Options {
            build: launch.build.clone(),
            unknown,
        })
    }

    /// The device a launch asks for, where its build does not see it.
    pub fn missing_device(&self, launch: &Launch) -> Option<Misfit> {
        let device = origin::listed_device(launch)?;
        let list = self.devices.as_ref()?;
        list.find(device).is_none().then(|| Misfit::Device {
            build: launch.build.clone(),
            device: device.to_owned(),
            sees: list
                .devices
                .iter()
                .map(|device| device.name.clone())
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests;
