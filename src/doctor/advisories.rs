//! Builds of llama.cpp that are known to be bad, and the pins that meet one of them.
//!
//! A range names builds that were seen to be bad, with where upstream speaks of it; what is not listed
//! is not therefore good. Holes in parts a server has not, such as the RPC server, are left out. Builds
//! of forks have other numbers and are not judged.

use std::collections::BTreeMap;

use super::facts::{Home, Wanted};
use super::{Check, Code, Examined, Finding};
use crate::observed::Seen;
use crate::release::{Accelerator, Os};

/// When the table was last gone through.
pub(super) const AS_OF: &str = "2026-11-23";

/// Something that is known of some builds.
#[derive(Debug)]
struct Advisory {
    /// The first build it is known of.
    from: u32,
    /// The last one.
    to: u32,
    /// What kind of trouble it is.
    kind: Kind,
    /// What it is about, as a clause about the build.
    what: &'static str,
    /// Whom it concerns.
    only: Only,
    /// Where upstream speaks of it.
    link: &'static str,
}

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A hole, closed in every build after the last one.
    Hole,
    /// It does something badly.
    Fault,
    /// Its release lacks most files. Whoever has it installed has all that is needed.
    Incomplete,
}

/// Whom it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    /// Everybody.
    All,
    /// Builds for this system.
    On(Os),
    /// Builds for every other system.
    NotOn(Os),
    /// Builds for Vulkan.
    Vulkan,
    /// Servers that are given this option.
    With(&'static str),
}

const ADVISORIES: &[Advisory] = &[
    Advisory {
        from: 0,
        to: 5661,
        kind: Kind::Hole,
        what: "CVE-2025-49847: a model's vocabulary can overflow a buffer",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/security/advisories/GHSA-8wwf-w4qm-gpqr",
    },
    Advisory {
        from: 0,
        to: 5720,
        kind: Kind::Hole,
        what: "CVE-2025-52566: a long prompt can overflow a buffer of the tokenizer",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/security/advisories/GHSA-7rxv-5jhh-j6xx",
    },
    Advisory {
        from: 0,
        to: 7823,
        kind: Kind::Hole,
        what: "CVE-2026-33298: a model's tensor sizes can overflow a buffer",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/security/advisories/GHSA-96jg-mvhq-q7q7",
    },
    Advisory {
        from: 0,
        to: 8145,
        kind: Kind::Hole,
        what: "CVE-2026-27940: a model's header can overflow a buffer",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/security/advisories/GHSA-3p4r-fq3f-q74v",
    },
    // Fixed on 2026-04-23 between b8892 and b8911.
    Advisory {
        from: 0,
        to: 8910,
        kind: Kind::Hole,
        what: "CVE-2026-21869: a request with a negative `n_discard` writes outside of memory",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/pull/22267",
    },
    Advisory {
        from: 7492,
        to: 9060,
        kind: Kind::Hole,
        what: "CVE-2026-43631: requests while a model goes to sleep use memory that was freed",
        only: Only::With("--sleep-idle-seconds"),
        link: "https://github.com/ggml-org/llama.cpp/security/advisories/GHSA-6hc7-9rph-cm99",
    },
    Advisory {
        from: 4409,
        to: 4409,
        kind: Kind::Fault,
        what: "its archives lack their libraries, so that the server does not load",
        only: Only::NotOn(Os::Windows),
        link: "https://github.com/ggml-org/llama.cpp/issues/11144",
    },
    Advisory {
        from: 6278,
        to: 6278,
        kind: Kind::Fault,
        what: "the server crashes while it answers",
        only: Only::Vulkan,
        link: "https://github.com/ggml-org/llama.cpp/issues/15678",
    },
    Advisory {
        from: 7371,
        to: 7393,
        kind: Kind::Fault,
        what: "gpt-oss and other models answer wrongly; b7394 has the fix",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/issues/18004",
    },
    Advisory {
        from: 8548,
        to: 8548,
        kind: Kind::Incomplete,
        what: "it was published without most of its files",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/issues/21061",
    },
    Advisory {
        from: 9110,
        to: 9110,
        kind: Kind::Incomplete,
        what: "it was published without some of its files",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/issues/22955",
    },
    Advisory {
        from: 9165,
        to: 9169,
        kind: Kind::Fault,
        what: "every link in its archives is broken, so that the server does not load; b9163 is whole",
        only: Only::NotOn(Os::Windows),
        link: "https://github.com/ggml-org/llama.cpp/issues/23115",
    },
    Advisory {
        from: 9352,
        to: 9352,
        kind: Kind::Incomplete,
        what: "it was published with 8 of its 22 files and more",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/issues/23771",
    },
    Advisory {
        from: 9724,
        to: 9724,
        kind: Kind::Fault,
        what: "its web page does not work",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/issues/24808",
    },
    Advisory {
        from: 9894,
        to: 9894,
        kind: Kind::Incomplete,
        what: "it was published with 7 of its files",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/issues/25394",
    },
    Advisory {
        from: 10114,
        to: 10114,
        kind: Kind::Fault,
        what: "`--mlock` maps the model into memory whatever `--no-mmap` says",
        only: Only::With("--mlock"),
        link: "https://github.com/ggml-org/llama.cpp/issues/26110",
    },
    Advisory {
        from: 10587,
        to: 10587,
        kind: Kind::Fault,
        what: "the server was seen not to start",
        only: Only::On(Os::Windows),
        link: "https://github.com/ggml-org/llama.cpp/issues/27576",
    },
    Advisory {
        from: 11027,
        to: 11028,
        kind: Kind::Incomplete,
        what: "it was published without any of its files",
        only: Only::All,
        link: "https://github.com/ggml-org/llama.cpp/releases/tag/b11027",
    },
];

impl Advisory {
    fn concerns(&self, build: u32, one: &Wanted) -> bool {
        let parts = one
            .variant
            .as_ref()
            .and_then(crate::release::Variant::parts);
        let is_on = |os| parts.as_ref().is_some_and(|parts| parts.os == os);
        let meant = match self.only {
            Only::All => true,
            Only::On(os) => is_on(os),
            Only::NotOn(os) => !is_on(os),
            Only::Vulkan => parts
                .as_ref()
                .is_some_and(|parts| parts.accelerator == Accelerator::Vulkan),
            Only::With(option) => one
                .args
                .iter()
                .any(|argument| argument.split('=').next() == Some(option)),
        };
        let is_whole = self.kind == Kind::Incomplete && one.installed;
        meant && !is_whole && (self.from..=self.to).contains(&build)
    }
}

pub(super) fn examine(home: &Home) -> Examined {
    let wanted = match &home.wanted {
        Seen::Known(wanted) => wanted,
        Seen::Unknown(why) => return Examined::skipped(Check::Pins, why),
    };
    let mut examined = Examined::of(Check::Pins);
    if !home.official {
        return examined.tell("builds of another repository are not known here");
    }
    let mut pinned: BTreeMap<u32, Vec<&Wanted>> = BTreeMap::new();
    for one in wanted.iter().filter(|one| !one.foreign) {
        if let Some(tag) = one.build.as_ref().and_then(crate::release::BuildName::tag) {
            pinned.entry(tag.number()).or_default().push(one);
        }
    }
    for (build, instances) in &pinned {
        judge(&mut examined, *build, instances);
    }
    examined.tell(format!(
        "no pin is known to be bad (as of {AS_OF}, {} entries)",
        ADVISORIES.len()
    ))
}

/// Judges one build: its holes together, its faults one by one.
fn judge(examined: &mut Examined, build: u32, instances: &[&Wanted]) {
    let names = |advisory: &Advisory| {
        let concerned = instances.iter().filter(|one| advisory.concerns(build, one));
        let names: Vec<String> = concerned.map(|one| format!("`{}`", one.name)).collect();
        names.join(", ")
    };
    let concerned: Vec<(&Advisory, String)> = ADVISORIES
        .iter()
        .map(|advisory| (advisory, names(advisory)))
        .filter(|(_, names)| !names.is_empty())
        .collect();
    let holes: Vec<&(&Advisory, String)> = concerned
        .iter()
        .filter(|(advisory, _)| advisory.kind == Kind::Hole)
        .collect();
    if let (Some(last), Some((_, names))) = (
        holes.iter().map(|(advisory, _)| advisory.to).max(),
        holes.first(),
    ) {
        let told: Vec<&str> = holes.iter().map(|(advisory, _)| advisory.what).collect();
        let what = format!("{names} is pinned to it; {}", told.join("; "));
        let fix = format!("pin b{} or a later build", last + 1);
        let finding = Finding::new(Code::VulnerableBuild, format!("b{build}"), what, fix);
        examined.find(finding.linked(holes.iter().map(|(advisory, _)| advisory.link)));
    }
    for (advisory, names) in concerned
        .iter()
        .filter(|(advisory, _)| advisory.kind != Kind::Hole)
    {
        let (code, fix) = match advisory.kind {
            Kind::Incomplete => (Code::IncompleteRelease, "pin the build before or after it"),
            Kind::Fault | Kind::Hole => (Code::KnownBadBuild, "pin another build"),
        };
        let what = format!("{names} is pinned to it; {}", advisory.what);
        let fix = format!("{fix}, such as one of `llama-orch binary latest`");
        let finding = Finding::new(code, format!("b{build}"), what, fix);
        examined.find(finding.linked([advisory.link]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_well_formed_and_names_where_upstream_speaks_of_it() {
        for row in ADVISORIES {
            let name = format!("b{} to b{}", row.from, row.to);
            assert!(row.from <= row.to, "{name}");
            assert!(
                row.link
                    .starts_with("https://github.com/ggml-org/llama.cpp/"),
                "{name}"
            );
            assert!(!row.what.ends_with('.'), "{name}");
            assert_eq!(
                row.kind == Kind::Hole,
                row.what.starts_with("CVE-"),
                "{name}"
            );
        }
        AS_OF.parse::<jiff::civil::Date>().expect("a date");
        let mut links: Vec<&str> = ADVISORIES.iter().map(|row| row.link).collect();
        links.sort_unstable();
        links.dedup();
        assert_eq!(links.len(), ADVISORIES.len(), "a row stands here twice");
    }
}
