//! `describe`: everything that is known of one instance, in sections.

use clap::Args;
use jiff::Timestamp;
use llama_orch::backend::local::Local;
use llama_orch::describe::{Description, Past, Sources, command_line};
use llama_orch::history;
use llama_orch::instance::InstanceName;
use llama_orch::plan::action::{Ago, Bytes};
use llama_orch::root::Root;
use serde_json::Value;

use super::diagnostic::{Failure, Kind};
use super::page::Page;
use super::status::Sight;
use super::ui::Ui;
use super::{Global, among, clock};

/// Show everything about one instance
///
/// What is wanted, what runs and how it was launched (without its secrets), what passes and supervisors
/// remember, what a pass would do, and where its files are.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DescribeArgs {
    /// The instance
    name: InstanceName,
    /// Print it as JSON (`config schema describe` prints its schema)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch describe chat
  llama-orch describe chat --json | jq '.launch.build'";

/// How many past steps are shown.
const PAST_SHOWN: usize = 5;

/// How many lines of a failed launch's log are shown.
const LOG_SHOWN: usize = 5;

pub(crate) fn run(global: &Global, args: &DescribeArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let sight = Sight::of(&root)?;
    let name = &args.name;
    among(std::slice::from_ref(name), &sight.known())?;
    let rows = sight.status().instances.into_iter();
    let row = rows.into_iter().find(|row| row.name == name.as_str());
    let row =
        row.ok_or_else(|| Failure::new(Kind::Failed, format!("`{name}` cannot be looked at")))?;
    let unhealthy = row.state.is_unhealthy();
    let close_up = Local::bare(&root).close_up(name);
    let manifest = sight.loaded.as_ref().ok();
    let description = Description::of(Sources {
        name,
        now: sight.survey.observed.at,
        row,
        manifest: manifest.and_then(|loaded| loaded.manifest.instances.get(name)),
        view: sight.view.as_ref(),
        record: close_up.record.as_ref(),
        state: close_up.state.as_ref(),
        supervised: close_up.supervised,
        runs: close_up.runs,
        memory_share_bytes: close_up.memory_share_bytes,
        files: close_up.files,
        unread: close_up.unread,
        history: past(&root, name),
    });
    if args.json {
        ui.data(serde_json::to_string_pretty(&description).unwrap_or_default());
    } else {
        ui.data(shown(&description, sight.survey.observed.at, ui.width()));
    }
    let attention = sight
        .view
        .is_some_and(|(_, plan)| plan.narrowed(&[name.clone()].into()).needs_attention());
    sight.loaded?;
    Ok(u8::from(unhealthy || attention))
}

/// What the last passes did about an instance; a history that cannot be read is none.
fn past(root: &Root, name: &InstanceName) -> Vec<Past> {
    let (entries, _) = history::read(root).unwrap_or_default();
    let mut past: Vec<Past> = entries
        .into_iter()
        .flat_map(|entry| {
            let (at, verb) = (entry.at, entry.verb);
            entry
                .steps
                .into_iter()
                .map(move |step| (at.clone(), verb.clone(), step))
        })
        .filter(|(_, _, step)| step.subject == name.as_str())
        .map(|(at, verb, step)| Past {
            at,
            verb,
            action: step.action,
            outcome: step.outcome,
            why: step.error.unwrap_or(step.reason),
        })
        .collect();
    past.drain(..past.len().saturating_sub(PAST_SHOWN));
    past
}

fn shown(description: &Description, now: Timestamp, width: Option<usize>) -> String {
    let mut page = Page::new(width);
    state(&mut page, description);
    wanted(&mut page, description);
    launch(&mut page, description);
    settings(&mut page, description);
    memories(&mut page, description, now);
    page.finish()
}

fn state(page: &mut Page, description: &Description) {
    let row = &description.status;
    page.section(&row.name);
    page.line("state", row.state.word());
    if let Some(health) = row.health {
        let since = row
            .health_seconds
            .map(|seconds| format!(" for {}", Ago(seconds)));
        let word = health.word();
        page.line("health", format!("{word}{}", since.unwrap_or_default()));
    }
    page.maybe("up", row.seconds.map(Ago));
    page.maybe("process", row.process.as_ref());
    page.maybe("next try in", row.retry_in_seconds.map(Ago));
    if let Some(bytes) = row.memory_bytes {
        let share = description.memory_share_bytes.map(Bytes);
        let share = share.map(|share| format!(", {share} with what is shared divided (PSS)"));
        let share = share.unwrap_or_default();
        page.line("memory", format!("{} in place (RSS){share}", Bytes(bytes)));
    }
    page.maybe("GPU memory", row.gpu_memory_bytes.map(Bytes));
    if let Some(exit) = &row.last_exit {
        page.line(
            "last exit",
            format!("{} ago: {}", Ago(exit.seconds_ago), exit.how),
        );
    }
    let as_written = match row.in_manifest {
        None => "unknown: orchestrator.yaml cannot be read",
        Some(false) => "no: it is no longer in orchestrator.yaml",
        Some(true) if row.matches => "yes",
        Some(true) => "no",
    };
    page.line("as written", as_written);
    if description.protected {
        page.line("protected", "yes");
    }
    if let Some(suspended) = &row.suspended {
        let reason = suspended.reason.as_ref();
        let reason = reason.map(|reason| format!(": {reason}"));
        let (ago, reason) = (Ago(suspended.seconds_ago), reason.unwrap_or_default());
        page.line("suspended", format!("{ago} ago{reason}"));
    }
    for unread in &description.unread {
        page.line("unread", unread);
    }
    if description.plan.is_empty() {
        page.maybe("note", row.note.as_ref());
    }
    for line in &description.plan {
        page.line("plan", line);
    }
}

fn wanted(page: &mut Page, description: &Description) {
    let Some(wanted) = &description.wanted else {
        return;
    };
    page.section("Wanted");
    page.maybe("version", wanted.version.as_ref());
    page.maybe("variant", wanted.variant.as_ref());
    page.maybe("build", wanted.build.as_ref());
    page.maybe("model", wanted.model.as_ref());
    page.line("address", &wanted.address);
    if !wanted.enabled {
        page.line("enabled", "no");
    }
    page.list("depends on", &wanted.depends_on);
    page.list("tags", &wanted.tags);
    page.list("written in", &wanted.written_in);
}

fn launch(page: &mut Page, description: &Description) {
    let Some(launch) = &description.launch else {
        return;
    };
    page.section(if description.runs {
        "Runs"
    } else {
        "Last launch"
    });
    let fallback = if launch.is_fallback {
        ", the fallback of what was wanted"
    } else {
        ""
    };
    page.line("build", format!("{}{fallback}", launch.build));
    page.line("binary", &launch.binary);
    page.line("proven", if launch.proven { "yes" } else { "no" });
    page.line("restarts", launch.restarts);
    let load = description.status.load_seconds;
    page.maybe("load", load.map(|seconds| format!("{seconds:.1} s")));
    page.list("devices", &launch.devices);
    let layers = launch
        .layers
        .map(|(on, of)| format!("{on} of {of} on devices"));
    page.maybe("layers", layers);
    page.maybe(
        "context",
        launch.context.map(|tokens| format!("{tokens} tokens")),
    );
    page.list("environment", &launch.environment);
    page.line("command", "in the root:");
    page.verbatim(&command_line(&launch.program, &launch.arguments));
}

fn settings(page: &mut Page, description: &Description) {
    if let Some(supervisor) = &description.supervisor {
        page.section("Supervisor");
        page.line("process", &supervisor.process);
        let program = supervisor.program.get(..12).unwrap_or(&supervisor.program);
        page.line(
            "program",
            format!("{program}, protocol {}", supervisor.protocol),
        );
    }
    let Some(Value::Object(settings)) = &description.settings else {
        return;
    };
    page.section("Settings");
    for (name, value) in settings {
        let text = match value {
            Value::Object(fields) => {
                let fields = fields.iter().filter(|(_, value)| !value.is_null());
                let fields: Vec<String> = fields
                    .map(|(name, value)| format!("{name} {}", setting(name, value)))
                    .collect();
                fields.join(", ")
            }
            value => setting(name, value),
        };
        page.line(name, text);
    }
}

fn memories(page: &mut Page, description: &Description, now: Timestamp) {
    if !description.proven.is_empty() {
        page.section("Proven launches, newest first");
        for proven in &description.proven {
            let differs = if proven.differs_in.is_empty() {
                "the same as above".to_owned()
            } else {
                format!("differs in {}", proven.differs_in.join(", "))
            };
            page.line(&proven.build, format!("{}; {differs}", proven.binary));
        }
    }
    if !description.failed.is_empty() {
        page.section("Failed launches, newest first");
        for failed in &description.failed {
            let ago = Ago(failed.seconds_ago);
            page.line(&failed.build, format!("{ago} ago: {}", failed.reason));
            let tail = &failed.log_tail;
            page.verbatim(&tail[tail.len().saturating_sub(LOG_SHOWN)..]);
        }
    }
    if !description.history.is_empty() {
        page.section("History");
        for past in &description.history {
            let outcome = past.outcome.replace('_', " ");
            let (at, action) = (clock::moment_of(&past.at, now), &past.action);
            page.line(
                &past.verb,
                format!("{at}  {action} {outcome}: {}", past.why),
            );
        }
    }
    if !description.files.is_empty() {
        page.section("Files");
        for file in &description.files {
            page.whole(&file.what, &file.path);
        }
    }
}

/// The settings that are numbers of seconds.
const SECONDS: [&str; 9] = [
    "drain",
    "initial_delay",
    "interval",
    "max_delay",
    "min_healthy",
    "prove_after",
    "start_period",
    "stop_timeout",
    "timeout",
];

/// A setting by its name, as people read it.
fn setting(name: &str, value: &Value) -> String {
    match value.as_f64() {
        Some(seconds) if SECONDS.contains(&name) => format!("{seconds} s"),
        _ => plain(value),
    }
}

/// A value as people read it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join("/"),
        other => other.to_string(),
    }
}
