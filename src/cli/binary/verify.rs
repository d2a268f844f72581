//! `binary verify`: hashes installed builds again and compares them with what was installed.

use std::fmt::Write as _;

use clap::Args;
use llama_orch::binaries::{VerifiedBinaries, VerifiedBinary, VerifiedState};
use llama_orch::install::{self, InstallError, Verification};
use llama_orch::plan::action::Bytes;
use llama_orch::registry::{Entry, Registry};
use llama_orch::release::Variant;
use llama_orch::root::Root;

use super::{choose, count};
use crate::cli::diagnostic::Failure;
use crate::cli::progress::Screen;
use crate::cli::ui::Ui;
use crate::cli::{Global, text};

/// Compare installed builds with what was installed
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifyArgs {
    /// Builds, each by the beginning of its id, or by its name; without any, every build
    #[arg(value_name = "PREFIX", conflicts_with = "all")]
    prefixes: Vec<String>,
    /// Every build, as without a PREFIX
    #[arg(long)]
    all: bool,
    /// Print it as JSON (`config schema binary-verify` prints its schema)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch binary verify
  llama-orch binary verify b9553 1f0c --json";

pub(crate) fn run(global: &Global, args: &VerifyArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let registry = Registry::load(&root.bins())?;
    let mut chosen: Vec<&Entry> = Vec::new();
    if args.all || args.prefixes.is_empty() {
        chosen.extend(registry.entries());
    }
    for prefix in &args.prefixes {
        let entry = choose(&registry, prefix)?;
        if !chosen.iter().any(|other| other.id == entry.id) {
            chosen.push(entry);
        }
    }
    let screen = Screen::new(ui);
    let mut found = Vec::new();
    for entry in chosen {
        let (entry, looked) = look(&root, entry, &screen);
        let binary = VerifiedBinary::of(&registry, &entry, looked.as_ref());
        // What cannot be compared says nothing of what was noted before.
        if let Ok(seen @ Verification::Compared { .. }) = &looked {
            install::note_damage(&root.bins(), entry.id, seen.damage())?;
        }
        if !args.json {
            screen.print(|ui| ui.data(shown(&binary)));
        }
        found.push(binary);
    }
    screen.finish();
    let verified = VerifiedBinaries::new(found);
    if args.json {
        ui.data(serde_json::to_string_pretty(&verified).unwrap_or_default());
    } else if verified.binaries.is_empty() {
        ui.data("No builds are installed.");
    }
    let damaged = verified.count(VerifiedState::Damaged);
    if damaged > 0 {
        ui.hint(
            "`llama-orch apply` installs what is damaged and pinned again, under the same id; `llama-orch binary register` takes in again what was registered, and `llama-orch binary remove` takes away what nobody needs",
        );
    }
    let unreadable = verified.count(VerifiedState::Unreadable);
    Ok(u8::from(damaged > 0 || unreadable > 0))
}

/// Looks closely at one build. One that was installed anew meanwhile is looked at again.
fn look(
    root: &Root,
    entry: &Entry,
    screen: &Screen<'_>,
) -> (Entry, Result<Verification, InstallError>) {
    let bins = root.bins();
    let subject = format!("{} {}", entry.version, entry.variant.short());
    let mut entry = entry.clone();
    loop {
        let bar = screen.watch("verify", &subject);
        let found = install::verify(&bins, &entry, &|bytes, total| bar.bytes(bytes, Some(total)));
        screen.clear(bar);
        let is_whole = found
            .as_ref()
            .is_ok_and(|found| found.differences().is_empty());
        let now = (!is_whole).then(|| Registry::load(&bins).ok()).flatten();
        let now = now.and_then(|now| now.get(entry.id).cloned());
        match now.filter(|now| now.installed_at != entry.installed_at) {
            Some(now) => entry = now,
            None => return (entry, found),
        }
    }
}

/// One build: a line, and one for each difference.
fn shown(binary: &VerifiedBinary) -> String {
    let subject = format!(
        "{} {}",
        binary.build,
        Variant::new(binary.variant.as_str()).short()
    );
    let rest = match (binary.state, &binary.error) {
        (_, Some(error)) => error.clone(),
        (VerifiedState::Ok, None) => {
            format!("{}, {}", count(binary.files, "file"), Bytes(binary.bytes))
        }
        (VerifiedState::Unlisted, None) => {
            "installed without a list of its files, so nothing can be compared".to_owned()
        }
        (VerifiedState::Damaged | VerifiedState::Unreadable, None) => String::new(),
    };
    let mut text = text::verified(binary.state, &binary.short_id, &subject, &rest);
    for difference in &binary.differences {
        let _ = write!(text, "\n{:13}{}", "", difference.text);
    }
    text
}
