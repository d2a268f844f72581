//! What `doctor` finds out: what is wrong with the machine, the root and its servers, each with what to
//! do about it.
//!
//! Pure: facts come in, findings go out. Looking is the business of [`crate::backend::local`], and how
//! it is shown the terminal's. What could not be looked at is told as that, never as fine and never as
//! broken.

mod advisories;
mod code;
mod devices;
pub(crate) mod facts;
mod files;
mod machine;
mod servers;
mod source;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::Serialize;

pub use code::{Check, Code, Severity};

use facts::Facts;

/// The number in `format_version`.
pub const FORMAT_VERSION: u32 = 1;

/// Everything that was found out at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnosis {
    /// Version of this form; moves when a field goes or changes meaning.
    pub format_version: u32,
    /// When it was looked (RFC 3339).
    pub at: String,
    /// The folder of `orchestrator.yaml`; `null` outside of any, where the machine alone was looked at.
    pub root: Option<String>,
    /// Whether nothing is broken. Warnings do not count.
    pub healthy: bool,
    /// What was looked at, in order.
    pub checks: Vec<Examined>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Examined {
    /// Which one.
    pub check: Check,
    /// That it is as it should be, in a few words; `null` where something was found, or nothing could be
    /// told.
    pub told: Option<String>,
    /// What is wrong with it; nothing where it is as it should be.
    pub findings: Vec<Finding>,
    /// What could not be looked at, and why.
    pub not_checked: Vec<String>,
}

/// Something that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// What kind of thing it is, in a word that stays the same.
    pub code: Code,
    /// How bad that is.
    pub severity: Severity,
    /// What it is about: an instance, a build, a file; empty for the machine as a whole.
    pub subject: String,
    /// What is wrong.
    pub what: String,
    /// A command or a line that puts it right.
    pub fix: String,
    /// Where upstream speaks of it.
    pub links: Vec<String>,
}

impl Finding {
    fn new(
        code: Code,
        subject: impl Into<String>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity: code.severity(),
            subject: subject.into(),
            what: what.into(),
            fix: fix.into(),
            links: Vec::new(),
        }
    }

    fn linked(mut self, links: impl IntoIterator<Item = &'static str>) -> Self {
        self.links = links.into_iter().map(str::to_owned).collect();
        self
    }
}

/// The finding itself, on one line, less what to do about it.
impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.subject.is_empty() {
            write!(f, "{}: ", self.subject)?;
        }
        f.write_str(&self.what)
    }
}

impl Examined {
    const fn of(check: Check) -> Self {
        Self {
            check,
            told: None,
            findings: Vec::new(),
            not_checked: Vec::new(),
        }
    }

    fn tell(mut self, text: impl Into<String>) -> Self {
        self.told = Some(text.into());
        self
    }

    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn skip(&mut self, why: impl std::fmt::Display) {
        self.not_checked.push(why.to_string());
    }

    fn skipped(check: Check, why: impl std::fmt::Display) -> Self {
        let mut examined = Self::of(check);
        examined.skip(why);
        examined
    }

    /// How bad the worst of it is; `None` where nothing is wrong.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

impl Diagnosis {
    /// What follows from what was seen.
    pub(crate) fn of(facts: &Facts) -> Self {
        let wanted = facts.home.as_ref().map(|home| &home.wanted);
        let builds = facts.home.as_ref().map(|home| &home.builds);
        let mut checks = machine::examine(&facts.machine, wanted, builds, facts.at);
        checks.extend(source::examine(&facts.source, wanted, facts.at));
        if let Some(home) = &facts.home {
            checks.extend(files::examine(home));
            checks.extend(servers::examine(home, facts.at));
            checks.push(advisories::examine(home));
        }
        checks.sort_by_key(|examined| examined.check);
        for examined in &mut checks {
            examined.told = examined
                .told
                .take()
                .filter(|_| examined.findings.is_empty());
        }
        Self {
            format_version: FORMAT_VERSION,
            at: facts.at.to_string(),
            root: facts.home.as_ref().map(|home| home.root.to_string()),
            healthy: !checks
                .iter()
                .any(|examined| examined.worst() == Some(Severity::Broken)),
            checks,
        }
    }

    /// How many findings of this severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.checks.iter().flat_map(|examined| &examined.findings);
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    }

    /// How many things could not be looked at.
    pub fn unchecked(&self) -> usize {
        let unchecked = self
            .checks
            .iter()
            .map(|examined| examined.not_checked.len());
        unchecked.sum()
    }

    /// What it comes to, in a line: `1 broken, 2 warnings; 1 thing was not checked.`
    pub fn summary(&self) -> String {
        let plural = |count: usize, one: &str| {
            let s = if count == 1 { "" } else { "s" };
            format!("{count} {one}{s}")
        };
        let broken = self.count(Severity::Broken);
        let counted = [
            (broken, format!("{broken} broken")),
            (
                self.count(Severity::Warning),
                plural(self.count(Severity::Warning), "warning"),
            ),
            (
                self.count(Severity::Note),
                plural(self.count(Severity::Note), "note"),
            ),
        ];
        let parts: Vec<String> = counted
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, text)| text)
            .collect();
        let found = if parts.is_empty() {
            "nothing is wrong".to_owned()
        } else {
            parts.join(", ")
        };
        match self.unchecked() {
            0 => format!("Doctor: {found}."),
            unchecked => format!("Doctor: {found}; {unchecked} not checked."),
        }
    }
}

/// The JSON Schema of [`Diagnosis`].
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Diagnosis).to_value()
}
