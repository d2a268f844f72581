//! Bytes and seconds as people read them.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

/// A number of bytes for people: `29.8 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "one digit after the point is shown"
        )]
        let mut amount = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while amount >= 1023.95 && unit + 1 < UNITS.len() {
            amount /= 1024.0;
            unit += 1;
        }
        write!(f, "{amount:.1} {}", UNITS[unit])
    }
}

/// A number of seconds for people: `32 s`, `2 h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ago(pub i64);

impl Ago {
    /// The whole seconds from one moment to another, never negative.
    pub fn between(earlier: Timestamp, later: Timestamp) -> i64 {
        later
            .duration_since(earlier)
            .max(SignedDuration::ZERO)
            .as_secs()
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds < 120 => write!(f, "{seconds} s"),
            seconds if seconds < 2 * 3600 => write!(f, "{} min", seconds / 60),
            seconds if seconds < 48 * 3600 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} days", seconds / 86400),
        }
    }
}
