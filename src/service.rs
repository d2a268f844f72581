//! What has a machine start watch by itself: the texts for systemd, launchd and Windows' task scheduler. Pure;
//! putting them where they belong is the terminal's business.
//!
//! Servers are children of what watch starts, so whatever a unit imposes they inherit. So none of these texts
//! confines anything, and each lets servers outlive watch.

mod launchd;
mod systemd;
mod windows;

pub use launchd::launchd;
pub use systemd::{Unit, names, root_of, systemd};
pub use windows::windows;

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The program, by its absolute path.
    pub program: String,
    /// The root it is to keep.
    pub root: String,
    /// What it is called.
    pub name: String,
    /// Options of `watch`.
    pub options: Vec<String>,
}

impl Service {
    /// Everything after the program.
    fn arguments(&self) -> Vec<&str> {
        let fixed = ["-C", self.root.as_str(), "watch"];
        let options = self.options.iter().map(String::as_str);
        fixed.into_iter().chain(options).collect()
    }
}

/// Text as XML has it.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
