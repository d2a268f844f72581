//! What of a snapshot is worth telling, and whether a subject of which something was told is well again.

use jiff::SignedDuration;

use super::{NoticeKind, one_line};
use crate::plan::json::{BlockerDocument, HoldDocument, SubjectDocument};
use crate::status::{InstanceState, Row};
use crate::watch::snapshot::{PassResult, Snapshot};

/// The code of a server that crashes again and again.
pub(super) const BACKING_OFF: &str = "backing_off";
const FAILED_INPUTS: &str = "failed_inputs";
const MANIFEST: &str = "manifest";
const GIT: &str = "git";
const WATCH: &str = "watch";

/// Holds of an instance that is on its way, or that follow from something else: nothing is told, and
/// nothing taken back.
const PASSING: [&str; 7] = [
    "starting",
    BACKING_OFF,
    "suspended",
    "waits_for",
    "waits_for_canary",
    "left_out",
    "superseded",
];

/// Something that is so and that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) subject: String,
    pub(super) kind: NoticeKind,
    pub(super) code: String,
    pub(super) text: String,
    pub(super) details: Option<String>,
}

/// How a subject is of which nothing is wrong in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is well, and what it is at.
    Clear(String),
    /// That cannot be said yet.
    Undecided,
}

impl Condition {
    pub(super) fn key(&self) -> String {
        format!("{} {} {}", self.subject, self.kind.word(), self.code)
    }

    /// How long it has to be so before it is told: what mends itself at once is no news.
    pub(super) fn patience(&self) -> SignedDuration {
        match self.code.as_str() {
            BACKING_OFF | "refused" => SignedDuration::from_mins(2),
            "unseen" => SignedDuration::from_mins(1),
            _ => SignedDuration::ZERO,
        }
    }

    /// Whether it is another one when other words are said of it: the words of these do not change by
    /// themselves.
    pub(super) fn is_told_by_text(&self) -> bool {
        matches!(
            self.code.as_str(),
            FAILED_INPUTS | "failed_and_left" | "manifest_bad"
        )
    }

    /// What is said of it, but for how long ago it began.
    pub(super) fn said(&self) -> String {
        let text = self.details.as_deref().unwrap_or(&self.text);
        let text = one_line(text);
        let words: Vec<&str> = text.split(' ').collect();
        let mut said: Vec<&str> = Vec::new();
        for word in words {
            if word.trim_end_matches([':', ',', ';']) == "ago" {
                let number = said.len().saturating_sub(2);
                if said.get(number).is_some_and(|it| it.parse::<u64>().is_ok()) {
                    said.truncate(number);
                }
            }
            said.push(word);
        }
        said.join(" ")
    }
}

/// Everything that a person should know.
pub(super) fn all(snapshot: &Snapshot) -> Vec<Condition> {
    let mut conditions = Vec::new();
    conditions.extend(of_manifest(snapshot));
    conditions.extend(of_git(snapshot));
    conditions.extend(of_watch(snapshot));
    let holds = snapshot.plan.holds.iter();
    conditions.extend(holds.filter_map(|hold| of_hold(snapshot, hold)));
    conditions.extend(snapshot.plan.blockers.iter().map(of_blocker));
    let rows = snapshot.instances.iter();
    conditions.extend(rows.filter_map(|instance| of_row(snapshot, &instance.row)));
    conditions
}

fn of_manifest(snapshot: &Snapshot) -> Option<Condition> {
    let manifest = &snapshot.watch.manifest;
    if manifest.good {
        return None;
    }
    let message = manifest.message.as_deref();
    let message = message.unwrap_or("what lies in the root cannot be used");
    let first = message.lines().find(|line| !line.trim().is_empty());
    let going_by = if manifest.last_good_at.is_some() {
        "; the last good files stay in force"
    } else {
        ""
    };
    Some(Condition {
        subject: MANIFEST.to_owned(),
        kind: NoticeKind::ManifestBad,
        code: "manifest_bad".to_owned(),
        text: format!(
            "manifest bad: {}{going_by}",
            first.unwrap_or_default().trim()
        ),
        details: Some(message.to_owned()),
    })
}

fn of_git(snapshot: &Snapshot) -> Vec<Condition> {
    let Some(git) = &snapshot.watch.git else {
        return Vec::new();
    };
    let mut conditions = Vec::new();
    if let Some(hold) = &git.hold {
        conditions.push(held(GIT, &hold.reason, "held", &hold.text));
    }
    // That a network is gone for a while is nothing to act on.
    let stale = |fetched: &str| {
        let (now, then) = (snapshot.at.parse(), fetched.parse());
        let passed = |now: jiff::Timestamp, then| now.duration_since(then);
        now.ok()
            .zip(then.ok())
            .is_some_and(|(now, then)| passed(now, then) >= SignedDuration::from_hours(1))
    };
    if let (Some(error), Some(fetched)) = (&git.fetch_error, &git.fetched_at)
        && stale(fetched)
    {
        let text = format!("nothing could be fetched since {fetched}: {error}");
        conditions.push(held(GIT, "fetch_failed", "held", &text));
    }
    conditions
}

fn of_watch(snapshot: &Snapshot) -> Option<Condition> {
    let pass = snapshot.watch.last_pass.as_ref()?;
    // What the files have to do with it is told of the files.
    if pass.result != PassResult::Refused || !snapshot.watch.manifest.good {
        return None;
    }
    let why = pass.error.as_deref().unwrap_or("no pass can begin");
    Some(held(WATCH, "refused", "held", why))
}

fn of_hold(snapshot: &Snapshot, hold: &HoldDocument) -> Option<Condition> {
    let subject = subject(&hold.subject);
    let code = hold.reason.as_str();
    let row = row(snapshot, &subject);
    let condition = |kind, words: &str| Condition {
        kind,
        ..held(&subject, code, words, &hold.text)
    };
    match code {
        FAILED_INPUTS => match row.map(|row| row.state) {
            // What comes of it is not decided.
            Some(InstanceState::Starting | InstanceState::Unknown) => None,
            Some(
                InstanceState::Running | InstanceState::Unresponsive | InstanceState::Unsupervised,
            ) => Some(condition(NoticeKind::RolledBack, "rolled back")),
            Some(
                InstanceState::BackingOff
                | InstanceState::GaveUp
                | InstanceState::Failed
                | InstanceState::Held
                | InstanceState::Down
                | InstanceState::Stopped,
            )
            | None => Some(condition(NoticeKind::GaveUp, "does not run")),
        },
        "gave_up" => Some(condition(NoticeKind::GaveUp, "")),
        "not_restarted" => Some(condition(NoticeKind::GaveUp, "does not run")),
        BACKING_OFF => Some(condition(NoticeKind::Held, "does not stay up")),
        "tried_before" => Some(condition(NoticeKind::Held, "held")),
        code if PASSING.contains(&code) => None,
        _ => hold.failure.then(|| condition(NoticeKind::Held, "held")),
    }
}

fn of_blocker(blocker: &BlockerDocument) -> Condition {
    let subject = subject(&blocker.subject);
    let hint = blocker.hint.as_ref().map(|hint| format!("; {hint}"));
    let text = format!("{}{}", blocker.text, hint.unwrap_or_default());
    held(&subject, &blocker.reason, "blocked", &text)
}

/// An instance that does not run, and of which the plan says nothing.
fn of_row(snapshot: &Snapshot, row: &Row) -> Option<Condition> {
    let code = match row.state {
        InstanceState::GaveUp => "gave_up",
        InstanceState::Failed if row.process.is_none() => "failed",
        InstanceState::Failed
        | InstanceState::Running
        | InstanceState::Unresponsive
        | InstanceState::Starting
        | InstanceState::BackingOff
        | InstanceState::Unsupervised
        | InstanceState::Held
        | InstanceState::Down
        | InstanceState::Stopped
        | InstanceState::Unknown => return None,
    };
    let plan = &snapshot.plan;
    let held_back = plan.holds.iter().map(|hold| &hold.subject);
    let blocked = plan.blockers.iter().map(|blocker| &blocker.subject);
    let stepped = plan.steps.iter().map(|step| &step.subject);
    let mut spoken_of = held_back.chain(blocked).chain(stepped);
    if spoken_of.any(|it| is_instance(it, &row.name)) {
        return None;
    }
    let exit = row.last_exit.as_ref().map(|exit| exit.how.as_str());
    let why = row.note.as_deref().or(exit).unwrap_or("its launch failed");
    Some(Condition {
        kind: NoticeKind::GaveUp,
        ..held(&row.name, code, "does not run", why)
    })
}

/// Whether a subject of which nothing is wrong any more is well. One that `crashed` has to have stayed up.
pub(super) fn standing(snapshot: &Snapshot, subject: &str, crashed: bool) -> Standing {
    let clear = |text: &str| Standing::Clear(text.to_owned());
    let watch = &snapshot.watch;
    // Before the first pass since watch runs, nothing is known to be well.
    let Some(pass) = &watch.last_pass else {
        return Standing::Undecided;
    };
    match subject {
        MANIFEST => return clear("the files are good again"),
        GIT => {
            return Standing::Clear(watch.git.as_ref().map_or_else(
                || "the root is not kept up to date with git any more".to_owned(),
                |git| format!("follows `{}` again", git.branch),
            ));
        }
        WATCH => return clear("passes begin again"),
        _ => {}
    }
    // The same where nothing is known of what is wanted.
    let is_blind = !watch.manifest.good && watch.manifest.last_good_at.is_none();
    if is_blind || pass.result == PassResult::Refused {
        return Standing::Undecided;
    }
    let Some(row) = row(snapshot, subject) else {
        return clear("nothing is wrong with it any more");
    };
    let plan = &snapshot.plan;
    let is_changing = plan
        .steps
        .iter()
        .any(|step| is_instance(&step.subject, subject));
    let is_passing = plan
        .holds
        .iter()
        .any(|hold| is_instance(&hold.subject, subject) && PASSING.contains(&hold.reason.as_str()));
    match row.state {
        _ if is_changing || is_passing => Standing::Undecided,
        InstanceState::Down => clear("it is not wanted to run"),
        InstanceState::Running if crashed && row.seconds.is_none_or(|up| up < STAYED_UP) => {
            Standing::Undecided
        }
        InstanceState::Running => Standing::Clear(
            row.build
                .as_ref()
                .map_or_else(|| "it runs".to_owned(), |build| format!("it runs {build}")),
        ),
        InstanceState::Unresponsive
        | InstanceState::Starting
        | InstanceState::BackingOff
        | InstanceState::GaveUp
        | InstanceState::Failed
        | InstanceState::Unsupervised
        | InstanceState::Held
        | InstanceState::Stopped
        | InstanceState::Unknown => Standing::Undecided,
    }
}

/// Seconds after which a server that crashed again and again is taken to stay up.
const STAYED_UP: i64 = 60;

fn held(subject: &str, code: &str, words: &str, text: &str) -> Condition {
    let text = if words.is_empty() {
        format!("{subject} {text}")
    } else {
        format!("{subject} {words}: {text}")
    };
    Condition {
        subject: subject.to_owned(),
        kind: NoticeKind::Held,
        code: code.to_owned(),
        text,
        details: None,
    }
}

fn row<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Row> {
    let rows = snapshot.instances.iter().map(|instance| &instance.row);
    rows.into_iter().find(|row| row.name == name)
}

fn is_instance(subject: &SubjectDocument, wanted: &str) -> bool {
    matches!(subject, SubjectDocument::Instance { name } if name == wanted)
}

fn subject(subject: &SubjectDocument) -> String {
    match subject {
        SubjectDocument::Instance { name } => name.clone(),
        SubjectDocument::Binary { build, variant } => format!("{build} {variant}"),
    }
}
