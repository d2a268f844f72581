//! The manifest a migration writes: which configs become instances, and its text.
//!
//! What the old tool passed where a config says nothing stands once, under `defaults`, which lies
//! below every `config.json`. Whatever is written has been read back by the manifest's own parser.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::config::{self, Draft, field};
use super::running::{self, Running};
use super::{Finding, Migration, Old, OldConfig, Severity, Step, TakenOver, config_path};
use crate::instance::InstanceName;
use crate::manifest::{Manifest, Mistakes, SourceText, Texts, yaml_text};

/// What the old tool took for a field that was not written, where this program would take something
/// else or pass nothing.
const DEFAULTS: [(&str, &str, u32); 6] = [
    ("model", "context_size", 4096),
    ("model", "batch_size", 512),
    ("model", "threads", 8),
    ("server", "port", config::DEFAULT_PORT as u32),
    ("server", "timeout", 600),
    ("restart_policy", "max_retries", 5),
];

/// Passed to every server as `-fit off`, before its `args`. As a variable it can stand in one place,
/// and `args` win over it all the same.
const FIT: (&str, &str) = ("LLAMA_ARG_FIT", "off");

/// The order of sections, as people read them.
const SECTIONS: [&str; 8] = [
    "enabled",
    "binary",
    "model",
    "server",
    "gpu",
    "env",
    "args",
    "restart_policy",
];

/// A config that has a name.
struct Candidate<'a> {
    name: InstanceName,
    config: &'a OldConfig,
    source: &'a SourceText,
    value: Value,
}

/// Takes the configs over into a manifest.
pub(super) fn take_over(old: &Old, migration: &mut Migration, findings: &mut Vec<Finding>) {
    if old.configs.is_empty() {
        return;
    }
    let candidates = candidates(old, findings);
    let drafts: Vec<(&Candidate<'_>, Draft<'_>)> = candidates
        .iter()
        .map(|one| (one, config::draft(&one.name, &one.value, old)))
        .collect();
    let mut ports: BTreeMap<u16, Vec<&InstanceName>> = BTreeMap::new();
    for (one, draft) in &drafts {
        ports.entry(draft.port()).or_default().push(&one.name);
    }
    for (port, names) in ports.iter().filter(|(_, names)| names.len() > 1) {
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        let what = format!(
            "is that of {}: only one of them can be enabled",
            names.join(", ")
        );
        findings.push(Finding::new(Severity::Note, format!("port {port}"), what));
    }
    let mut texts = Texts::default();
    let mut taken = Vec::new();
    for (one, draft) in &drafts {
        let sharing = ports.get(&draft.port()).map_or(1, Vec::len);
        let running = running::judge(old, &one.name, draft.port(), sharing);
        let mut inline = draft.inline.clone();
        if !running.runs {
            inline.insert("enabled".to_owned(), json!(false));
        }
        let read = read_back(one, &inline);
        let is_taken = !draft.is_refused && read.is_ok();
        // Of one that stays with the old tool, only the way out matters.
        let told = |finding: &&Finding| is_taken || finding.severity == Severity::Open;
        findings.extend(draft.findings.iter().filter(told).cloned());
        if draft.is_refused {
            continue;
        }
        if let Err(mistakes) = read {
            let what = format!("is not taken over: {mistakes}");
            let hint = format!("put `{}` right, and run it again", one.config.path());
            findings.push(Finding::new(Severity::Open, one.name.as_str(), what).hint(hint));
            continue;
        }
        let shown = config_path(one.name.as_str());
        texts.configs.insert(
            one.name.clone(),
            SourceText::new(shown, one.source.text.clone()),
        );
        taken.push((one, inline, running));
    }
    if taken.is_empty() {
        return;
    }
    let values: Vec<&Value> = taken.iter().map(|(one, ..)| &one.value).collect();
    let instances = taken.iter().map(|(one, inline, _)| (&one.name, inline));
    let text = print(&defaults(&values), instances);
    texts.manifest = SourceText::new("orchestrator.yaml", text.clone());
    if let Some(mistakes) = unreadable(old).or_else(|| Manifest::parse(&texts).err()) {
        let what = format!("would not be right: {mistakes}");
        findings.push(Finding::new(Severity::Open, "orchestrator.yaml", what));
        return;
    }
    for (one, _, running) in &taken {
        record(one, running, migration, findings);
    }
    migration.steps.push(Step::Manifest { text });
}

/// The configs whose names are known and their own.
fn candidates<'a>(old: &'a Old, findings: &mut Vec<Finding>) -> Vec<Candidate<'a>> {
    let mut named: BTreeMap<InstanceName, Vec<Candidate<'a>>> = BTreeMap::new();
    for config in &old.configs {
        match candidate(config) {
            Ok(candidate) => named
                .entry(candidate.name.clone())
                .or_default()
                .push(candidate),
            Err(finding) => findings.push(finding),
        }
    }
    let folders: BTreeSet<&str> = old.configs.iter().map(|one| one.folder.as_str()).collect();
    let mut candidates = Vec::new();
    for (name, mut same) in named {
        let is_at_home = same.iter().any(|one| one.config.folder == name.as_str());
        let paths: Vec<String> = same
            .iter()
            .map(|one| format!("`{}`", one.config.path()))
            .collect();
        if same.len() > 1 {
            let what = format!("is not taken over: {} have its name", paths.join(" and "));
            let hint = "move all but one of the folders out of `instances/`, and run it again";
            findings.push(Finding::new(Severity::Open, name.as_str(), what).hint(hint));
        } else if !is_at_home && folders.contains(name.as_str()) {
            let what = format!(
                "is not taken over: `{}` is the config of another instance",
                config_path(name.as_str())
            );
            let hint = "give that folder the name of its own instance, and run it again";
            findings.push(Finding::new(Severity::Open, name.as_str(), what).hint(hint));
        } else {
            candidates.append(&mut same);
        }
    }
    candidates
}

fn candidate(config: &OldConfig) -> Result<Candidate<'_>, Finding> {
    let open = |what: String, hint: &str| {
        Finding::new(Severity::Open, config.path().as_str(), what).hint(hint)
    };
    let again = "put it right, and run it again";
    let source = config
        .source
        .as_ref()
        .map_err(|mistakes| open(format!("is not taken over: {mistakes}"), again))?;
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let value: Value = serde_json::from_str(text)
        .map_err(|error| open(format!("is not taken over: it is no JSON: {error}"), again))?;
    let name = match value.get("name").and_then(Value::as_str) {
        Some(name) => name,
        None if is_numbered(&config.folder) => {
            return Err(open(
                "is not taken over: it has no `name`".to_owned(),
                again,
            ));
        }
        None => &config.folder,
    };
    let name = name
        .parse()
        .map_err(|error| open(format!("is not taken over: {error}"), again))?;
    Ok(Candidate {
        name,
        config,
        source,
        value,
    })
}

/// Whether a folder is called `<instance_no>_<instance_uid>`, after nobody's name.
fn is_numbered(folder: &str) -> bool {
    folder.split_once('_').is_some_and(|(number, uid)| {
        number.len() == 8
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && uuid::Uuid::parse_str(uid).is_ok()
    })
}

/// A config that is no text keeps every manifest beside it from being read.
fn unreadable(old: &Old) -> Option<Mistakes> {
    let is_read = |one: &&OldConfig| one.folder.parse::<InstanceName>().is_ok();
    let mut read = old.configs.iter().filter(is_read);
    read.find_map(|one| one.source.as_ref().err().cloned())
}

/// Reads one instance by itself, so that what is wrong with it is told of it alone.
fn read_back(one: &Candidate<'_>, inline: &Map<String, Value>) -> Result<(), Mistakes> {
    let text = print(&defaults(&[&one.value]), [(&one.name, inline)].into_iter());
    let source = SourceText::new(one.config.path().as_str(), one.source.text.clone());
    let texts = Texts {
        manifest: SourceText::new("orchestrator.yaml", text),
        configs: BTreeMap::from([(one.name.clone(), source)]),
    };
    Manifest::parse(&texts).map(drop)
}

fn record(
    one: &Candidate<'_>,
    running: &Running,
    migration: &mut Migration,
    findings: &mut Vec<Finding>,
) {
    let (from, to) = (one.config.path(), config_path(one.name.as_str()));
    if running.runs {
        let what = format!("{}: it is enabled", running.why);
        let hint = format!(
            "end the old server before `llama-orch apply`; until then `{}` is blocked",
            one.name
        );
        findings.push(Finding::new(Severity::Note, one.name.as_str(), what).hint(hint));
    }
    migration.instances.push(TakenOver {
        name: one.name.to_string(),
        from: from.to_string(),
        config: to.to_string(),
        enabled: running.runs,
        why: running.why.clone(),
    });
    if from != to {
        let text = one.source.text.clone();
        migration.steps.push(Step::Copy { from, to, text });
    }
}

/// What there is to say where a manifest is there: it is left as it is.
pub(super) fn left_out(
    old: &Old,
    known: Result<&BTreeSet<InstanceName>, &Mistakes>,
) -> Vec<Finding> {
    let subject = "orchestrator.yaml";
    let known = match known {
        Ok(known) => known,
        Err(mistakes) => {
            let what = format!("is there already, and left as it is: {mistakes}");
            let finding = Finding::new(Severity::Open, subject, what);
            return vec![finding.hint("put it right, or move it away and run it again")];
        }
    };
    let mut ignored = Vec::new();
    let candidates = candidates(old, &mut ignored);
    let missing: Vec<&str> = candidates
        .iter()
        .map(|one| one.name.as_str())
        .filter(|name| !known.iter().any(|known| known.as_str() == *name))
        .collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let what = format!(
        "is there already, and left as it is; not in it: {}",
        missing.join(", ")
    );
    let finding = Finding::new(Severity::Open, subject, what);
    vec![finding.hint("move it away and run it again, and put both together by hand")]
}

/// What goes under `defaults`: what at least one of these configs leaves out.
fn defaults(configs: &[&Value]) -> Map<String, Value> {
    let mut defaults = Map::new();
    for (section, key, value) in DEFAULTS {
        if configs
            .iter()
            .any(|config| field(config, section, key).is_none())
        {
            let fields = defaults.entry(section).or_insert_with(|| json!({}));
            fields[key] = json!(value);
        }
    }
    let (variable, value) = FIT;
    defaults.insert("env".to_owned(), json!({ variable: value }));
    defaults
}

/// The text of a manifest.
fn print<'a>(
    defaults: &Map<String, Value>,
    instances: impl Iterator<Item = (&'a InstanceName, &'a Map<String, Value>)>,
) -> String {
    let mut text = String::from(
        "\
# Written by `llama-orch migrate`. What is not here stands in each instance's
# instances/<name>/config.json.
version: 1

# What the old tool passed where a config.json says nothing.
defaults:
",
    );
    sections(&mut text, "  ", defaults);
    text.push_str("\ninstances:\n");
    for (name, inline) in instances {
        let name = yaml_text(name.as_str());
        if inline.is_empty() {
            let _ = writeln!(text, "  {name}: {{}}");
        } else {
            let _ = writeln!(text, "  {name}:");
            sections(&mut text, "    ", inline);
        }
    }
    text
}

fn sections(text: &mut String, indent: &str, fields: &Map<String, Value>) {
    for section in SECTIONS {
        if let Some(value) = fields.get(section) {
            let _ = writeln!(text, "{indent}{section}: {}", flow(value));
        }
    }
}

/// A value on one line.
fn flow(value: &Value) -> String {
    let joined = |items: Vec<String>| items.join(", ");
    match value {
        Value::String(text) => yaml_text(text),
        Value::Array(items) => format!("[{}]", joined(items.iter().map(flow).collect())),
        Value::Object(fields) => {
            let fields = fields.iter();
            let pairs = fields.map(|(key, value)| format!("{}: {}", yaml_text(key), flow(value)));
            format!("{{ {} }}", joined(pairs.collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
