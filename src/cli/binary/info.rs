//! `binary info`: everything that is known of one installed build.

use std::fmt::Write as _;

use camino::Utf8Path;
use clap::Args;
use jiff::Timestamp;
use llama_orch::binaries::{BinaryInfo, Trust};
use llama_orch::plan::action::Bytes;
use llama_orch::registry::Entry;
use llama_orch::root::Root;
use serde_json::Value;

use super::{Stock, count, local, when};
use crate::cli::Global;
use crate::cli::diagnostic::Failure;
use crate::cli::ui::Ui;

/// Show everything about one build
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InfoArgs {
    /// The build: the beginning of its id, or its name
    #[arg(value_name = "PREFIX")]
    prefix: String,
    /// Print it as JSON (`config schema binary-info` prints its schema)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch binary info b9553
  llama-orch binary info 1f0c --json | jq -r '.folder'";

pub(crate) fn run(global: &Global, args: &InfoArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let stock = Stock::of(&root)?;
    let entry = stock.choose(&args.prefix)?;
    let files = files_of(&root, entry);
    let info = BinaryInfo::of(&stock.registry, entry, files, &stock.observed, &stock.uses);
    if args.json {
        ui.data(serde_json::to_string_pretty(&info).unwrap_or_default());
    } else {
        ui.data(shown(&info, stock.observed.at));
    }
    stock.broken.map_or(Ok(0), Err)
}

/// How many files a build has; `None` where they cannot be counted.
pub(super) fn files_of(root: &Root, entry: &Entry) -> Option<usize> {
    files_in(&root.bins().join(entry.folder().ok()?))
}

/// The files below a folder, without links and our own notes; `None` where it cannot be listed.
fn files_in(folder: &Utf8Path) -> Option<usize> {
    let mut files = 0;
    for entry in folder.read_dir_utf8().ok()? {
        let entry = entry.ok()?;
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            files += files_in(entry.path())?;
        } else if kind.is_file() && !entry.file_name().starts_with(".llama-orch") {
            files += 1;
        }
    }
    Some(files)
}

fn shown(info: &BinaryInfo, now: Timestamp) -> String {
    let binary = &info.binary;
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let key = if key.is_empty() {
            String::new()
        } else {
            format!("{key}:")
        };
        let _ = writeln!(text, "{key:<12}{value}");
    };
    line("id", &binary.id);
    for alias in &binary.aliases {
        line("alias", alias);
    }
    line("build", &binary.build);
    line("variant", &binary.variant);
    if let Some(folder) = &info.folder {
        line("folder", folder);
    }
    if let Some(program) = &info.program {
        line("program", program);
    }
    let size = binary.size_bytes.map(|size| Bytes(size).to_string());
    let files = info.files.map(|files| count(files, "file"));
    match (size, files) {
        (Some(size), Some(files)) => line("size", &format!("{size} in {files}")),
        (Some(one), None) | (None, Some(one)) => line("size", &one),
        (None, None) => {}
    }
    if let Some(at) = binary.installed_at.as_ref().and_then(|at| at.parse().ok()) {
        let day = local(at, "%Y-%m-%d %H:%M:%S");
        match when(at, now) {
            ago if day.starts_with(&ago) => line("installed", &day),
            ago => line("installed", &format!("{day}, {ago}")),
        }
    }
    if let Some(from) = &info.from {
        line("from", from);
    }
    if let Some(sha256) = &info.sha256 {
        line("sha256", sha256);
    }
    line(
        "verified",
        match binary.trust {
            Trust::Verified => "yes",
            Trust::Unverified => "no: nothing said what its archive must hash to",
            Trust::Unrecorded => "no: it came from no archive that is on record",
        },
    );
    for companion in &info.companions {
        line("companion", &companion.name);
        line("", &format!("sha256 {}", companion.sha256));
    }
    for (key, value) in info.release.iter().filter_map(Value::as_object).flatten() {
        if let Some(value) = scalar(value) {
            line("release", &format!("{key} {value}"));
        }
    }
    for one in &binary.used_by {
        let how: Vec<&str> = one.how.iter().map(|how| how.words()).collect();
        line("used by", &format!("{}: {}", one.instance, how.join(", ")));
    }
    if binary.used_by.is_empty() && info.unknown_uses.is_empty() {
        line("used by", "nothing");
    }
    for unknown in &info.unknown_uses {
        let who = unknown.instance.as_deref();
        let who = who.map(|who| format!("{who}, perhaps: "));
        line(
            "used by",
            &format!("{}{}", who.unwrap_or_default(), unknown.why),
        );
    }
    if let Some(damage) = &binary.damage {
        line("damage", damage);
    }
    text.trim_end().to_owned()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
