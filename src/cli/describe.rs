//! `describe`: everything that is known of one instance, in sections.

use std::fmt::Write as _;

use clap::Args;
use llama_orch::backend::local::Local;
use llama_orch::describe::{Description, Past, Sources, command_line};
use llama_orch::history;
use llama_orch::instance::InstanceName;
use llama_orch::plan::action::{Ago, Bytes};
use llama_orch::root::Root;
use serde_json::Value;

use super::diagnostic::{Failure, Kind};
use super::status::Sight;
use super::ui::Ui;
use super::{Global, among};

/// Show everything about one instance
///
/// What is wanted, what runs and how it was launched (without its secrets), what passes and supervisors
/// remember, what a pass would do, and where its files are.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The instance
    name: InstanceName,
    /// Print it as JSON (`config schema describe` prints its schema)
    #[arg(long)]
    json: bool,
}

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
        ui.data(shown(&description, ui.width()));
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

/// The columns of a section's names.
const NAMES: usize = 16;

/// A page of sections.
struct Page {
    text: String,
    width: Option<usize>,
}

impl Page {
    fn section(&mut self, title: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.text, "{gap}{title}");
    }

    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        let value = value.to_string();
        let room = self
            .width
            .map(|width| width.saturating_sub(NAMES + 2).max(24));
        let lines = match room {
            Some(room) => textwrap::wrap(&value, room),
            None => vec![value.as_str().into()],
        };
        for (index, line) in lines.iter().enumerate() {
            let key = if index == 0 { key } else { "" };
            let _ = writeln!(self.text, "  {key:<NAMES$}{line}");
        }
    }

    fn maybe(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.line(key, value);
        }
    }

    fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.line(key, values.join(", "));
        }
    }

    /// Lines that are not wrapped.
    fn verbatim(&mut self, lines: &[String]) {
        for line in lines {
            let _ = writeln!(self.text, "    {line}");
        }
    }
}

fn shown(description: &Description, width: Option<usize>) -> String {
    let mut page = Page {
        text: String::new(),
        width,
    };
    page.state(description);
    page.wanted(description);
    page.launch(description);
    page.settings(description);
    page.memories(description);
    page.text.trim_end().to_owned()
}

impl Page {
    fn state(&mut self, description: &Description) {
        let row = &description.status;
        self.section(&row.name);
        self.line("state", row.state.word());
        if let Some(health) = row.health {
            let since = row
                .health_seconds
                .map(|seconds| format!(" for {}", Ago(seconds)));
            let word = health.word();
            self.line("health", format!("{word}{}", since.unwrap_or_default()));
        }
        self.maybe("up", row.seconds.map(Ago));
        self.maybe("process", row.process.as_ref());
        self.maybe("next try in", row.retry_in_seconds.map(Ago));
        if let Some(bytes) = row.memory_bytes {
            let share = description.memory_share_bytes.map(Bytes);
            let share = share.map(|share| format!(", {share} with what is shared divided (PSS)"));
            let share = share.unwrap_or_default();
            self.line("memory", format!("{} in place (RSS){share}", Bytes(bytes)));
        }
        self.maybe("GPU memory", row.gpu_memory_bytes.map(Bytes));
        if let Some(exit) = &row.last_exit {
            self.line(
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
        self.line("as written", as_written);
        if description.protected {
            self.line("protected", "yes");
        }
        if let Some(suspended) = &row.suspended {
            let reason = suspended.reason.as_ref();
            let reason = reason.map(|reason| format!(": {reason}"));
            let (ago, reason) = (Ago(suspended.seconds_ago), reason.unwrap_or_default());
            self.line("suspended", format!("{ago} ago{reason}"));
        }
        for unread in &description.unread {
            self.line("unread", unread);
        }
        if description.plan.is_empty() {
            self.maybe("note", row.note.as_ref());
        }
        for line in &description.plan {
            self.line("plan", line);
        }
    }

    fn wanted(&mut self, description: &Description) {
        let Some(wanted) = &description.wanted else {
            return;
        };
        self.section("Wanted");
        self.maybe("version", wanted.version.as_ref());
        self.maybe("variant", wanted.variant.as_ref());
        self.maybe("build", wanted.build.as_ref());
        self.maybe("model", wanted.model.as_ref());
        self.line("address", &wanted.address);
        if !wanted.enabled {
            self.line("enabled", "no");
        }
        self.list("depends on", &wanted.depends_on);
        self.list("tags", &wanted.tags);
        self.list("written in", &wanted.written_in);
    }

    fn launch(&mut self, description: &Description) {
        let Some(launch) = &description.launch else {
            return;
        };
        self.section(if description.runs {
            "Runs"
        } else {
            "Last launch"
        });
        let fallback = if launch.is_fallback {
            ", the fallback of what was wanted"
        } else {
            ""
        };
        self.line("build", format!("{}{fallback}", launch.build));
        self.line("binary", &launch.binary);
        self.line("proven", if launch.proven { "yes" } else { "no" });
        self.line("restarts", launch.restarts);
        let load = description.status.load_seconds;
        self.maybe("load", load.map(|seconds| format!("{seconds:.1} s")));
        self.list("devices", &launch.devices);
        let layers = launch
            .layers
            .map(|(on, of)| format!("{on} of {of} on devices"));
        self.maybe("layers", layers);
        self.maybe(
            "context",
            launch.context.map(|tokens| format!("{tokens} tokens")),
        );
        self.list("environment", &launch.environment);
        self.line("command", "in the root:");
        self.verbatim(&command_line(&launch.program, &launch.arguments));
    }

    fn settings(&mut self, description: &Description) {
        if let Some(supervisor) = &description.supervisor {
            self.section("Supervisor");
            self.line("process", &supervisor.process);
            let program = supervisor.program.get(..12).unwrap_or(&supervisor.program);
            self.line(
                "program",
                format!("{program}, protocol {}", supervisor.protocol),
            );
        }
        let Some(Value::Object(settings)) = &description.settings else {
            return;
        };
        self.section("Settings");
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
            self.line(name, text);
        }
    }

    fn memories(&mut self, description: &Description) {
        if !description.proven.is_empty() {
            self.section("Proven launches, newest first");
            for proven in &description.proven {
                let differs = if proven.differs_in.is_empty() {
                    "the same as above".to_owned()
                } else {
                    format!("differs in {}", proven.differs_in.join(", "))
                };
                self.line(&proven.build, format!("{}; {differs}", proven.binary));
            }
        }
        if !description.failed.is_empty() {
            self.section("Failed launches, newest first");
            for failed in &description.failed {
                let ago = Ago(failed.seconds_ago);
                self.line(&failed.build, format!("{ago} ago: {}", failed.reason));
                let tail = &failed.log_tail;
                self.verbatim(&tail[tail.len().saturating_sub(LOG_SHOWN)..]);
            }
        }
        if !description.history.is_empty() {
            self.section("History");
            for past in &description.history {
                let outcome = past.outcome.replace('_', " ");
                let (at, action) = (local(&past.at), &past.action);
                self.line(
                    &past.verb,
                    format!("{at}  {action} {outcome}: {}", past.why),
                );
            }
        }
        if !description.files.is_empty() {
            self.section("Files");
            for file in &description.files {
                let _ = writeln!(self.text, "  {:<NAMES$}{}", file.what, file.path);
            }
        }
    }
}

/// A moment by the clock of this machine.
fn local(at: &str) -> String {
    at.parse::<jiff::Timestamp>().map_or_else(
        |_| at.to_owned(),
        |at| {
            let at = at.to_zoned_datetime(jiff::tz::TimeZone::system());
            at.strftime("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
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
