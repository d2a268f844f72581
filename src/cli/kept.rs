//! What the watch of a root has to say to whoever looks with another verb.

use jiff::Timestamp;
use llama_orch::reconcile;
use llama_orch::root::Root;
use llama_orch::watch::alive;
use llama_orch::watch::snapshot::WatchState;

use super::clock;
use super::ui::Ui;

/// Remarks what a living watch is at, where one keeps the root.
pub(super) fn remark(root: &Root, ui: &Ui) {
    if let Some(state) = alive::living(root) {
        for line in lines(&state, reconcile::now()) {
            ui.remark(line);
        }
    }
}

fn lines(state: &WatchState, now: Timestamp) -> Vec<String> {
    let when = |at: &str| clock::moment_of(at, now);
    let mut lines = vec![format!(
        "\nwatch keeps this root (pid {}), since {}",
        state.pid,
        when(&state.since)
    )];
    if let Some(suspended) = &state.suspended {
        let reason = because(suspended.reason.as_deref());
        lines.push(format!(
            "  suspended {}{reason}; `llama-orch watch resume`",
            when(&suspended.at)
        ));
    }
    let manifest = &state.manifest;
    if !manifest.good {
        let by = match &manifest.last_good_at {
            Some(at) => format!("it goes by those of {}", when(at)),
            None => "it has none to go by".to_owned(),
        };
        lines.push(format!(
            "  the files are bad since {}; {by}",
            when(&manifest.since)
        ));
    }
    if let Some(git) = &state.git {
        let short = |commit: &str| commit.chars().take(9).collect::<String>();
        let applied = match &git.applied {
            Some(applied) if *applied == git.commit => "applied".to_owned(),
            Some(applied) => format!("applied is {}", short(applied)),
            None => "not applied yet".to_owned(),
        };
        lines.push(format!(
            "  git: {} at {} \"{}\", {applied}",
            git.branch,
            short(&git.commit),
            git.subject
        ));
        if let Some(pinned) = &git.pinned {
            let reason = because(pinned.reason.as_deref());
            lines.push(format!(
                "  git: pinned to {} {}{reason}; `llama-orch watch resume`",
                short(&pinned.commit),
                when(&pinned.at)
            ));
        }
        if let Some(hold) = &git.hold {
            lines.push(format!("  git: {}", hold.text));
        }
        if let Some(error) = &git.fetch_error {
            lines.push(format!("  git: cannot fetch: {error}"));
        }
    }
    lines
}

fn because(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| format!(": {reason}"))
}
