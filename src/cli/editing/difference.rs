//! What would be written, as people read it: the files as unified differences, with everything that may
//! be a secret masked, and the lock on one line.

use llama_orch::lock::Lock;
use llama_orch::manifest::{SourceText, redacted};
use llama_orch::reconcile::editing::FileEdit;
use llama_orch::root;

use crate::cli::text;

/// The differences of files, each followed by an empty line.
pub(super) fn files(edits: &[FileEdit<'_>]) -> String {
    let mut shown = String::new();
    for edit in edits {
        let was = if edit.before.is_some() {
            edit.name
        } else {
            "nothing"
        };
        let text = |text| redacted(&SourceText::new(edit.name, text));
        let (before, after) = (text(edit.before.unwrap_or_default()), text(edit.after));
        shown += &text::unified(&before, &after, was, edit.name);
        shown.push('\n');
    }
    shown
}

/// What changes in the lock, whole where that was asked for; nothing where it stays as it is.
pub(super) fn lock(before: &Lock, after: &Lock, whole: bool) -> String {
    let shown = if whole {
        text::unified(&before.print(), &after.print(), root::LOCK, root::LOCK)
    } else {
        summary(before, after)
            .map(|summary| format!("    {summary}\n"))
            .unwrap_or_default()
    };
    if shown.is_empty() {
        shown
    } else {
        shown + "\n"
    }
}

/// What changes in the lock, on one line: its many archives are nothing to read.
fn summary(before: &Lock, after: &Lock) -> Option<String> {
    let mut changes = Vec::new();
    for (name, pin) in &after.pins {
        match before.pins.get(name) {
            Some(was) if was == pin => {}
            Some(was) => changes.push(format!("{name} {} {} -> {}", pin.version, was.tag, pin.tag)),
            None => changes.push(format!("{name} {} is {}", pin.version, pin.tag)),
        }
    }
    let gone = before
        .pins
        .keys()
        .filter(|name| !after.pins.contains_key(*name));
    changes.extend(gone.map(|name| format!("{name} floats no more")));
    let archives = |tags: &mut dyn Iterator<Item = String>, verb: &str| {
        let tags: Vec<String> = tags.collect();
        (!tags.is_empty()).then(|| format!("{verb} the archives of {}", tags.join(", ")))
    };
    let new = after
        .assets
        .keys()
        .filter(|tag| !before.assets.contains_key(tag));
    changes.extend(archives(&mut new.map(ToString::to_string), "gets"));
    let old = before
        .assets
        .keys()
        .filter(|tag| !after.assets.contains_key(tag));
    changes.extend(archives(&mut old.map(ToString::to_string), "loses"));
    (!changes.is_empty()).then(|| format!("{}: {}", root::LOCK, changes.join("; ")))
}
