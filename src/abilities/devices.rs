//! Reads what `llama-server --list-devices` prints.

use serde::{Deserialize, Serialize};

/// One device that a build can compute on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What `--device` calls it: `CUDA0`, `Vulkan1`.
    pub name: String,
    /// What its maker calls it.
    pub description: String,
    /// Its memory in MiB, where it was printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_mib: Option<u64>,
    /// How much of that was free in that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_mib: Option<u64>,
}

/// What stands above the devices (llama.cpp's `common/arg.cpp`, b4500 to b11434).
const HEADER: &str = "Available devices:";

impl Device {
    /// The devices in what was printed; `None` where it is no such list. Other lines may stand around
    /// them: drivers like to talk.
    pub fn list(printed: &str) -> Option<Vec<Self>> {
        let mut lines = printed.lines().map(str::trim_end);
        lines.find(|line| *line == HEADER)?;
        Some(lines.filter_map(Self::parse).collect())
    }

    /// Reads `  CUDA0: NVIDIA GeForce RTX 3090 (24135 MiB, 23000 MiB free)`.
    fn parse(line: &str) -> Option<Self> {
        let line = line.strip_prefix("  ")?;
        let (name, rest) = line.split_once(": ")?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        let sizes = rest.strip_suffix(" MiB free)");
        let sizes = sizes.and_then(|rest| {
            let (rest, free) = rest.rsplit_once(" MiB, ")?;
            let (description, total) = rest.rsplit_once(" (")?;
            Some((description, total.parse().ok()?, free.parse().ok()?))
        });
        let (description, total, free) = match sizes {
            Some((description, total, free)) => (description, Some(total), Some(free)),
            None => (rest, None, None),
        };
        Some(Self {
            name: name.to_owned(),
            description: description.to_owned(),
            total_mib: total,
            free_mib: free,
        })
    }
}
