//! `binary info`: everything that is known of one installed build.

use camino::Utf8Path;
use clap::Args;
use jiff::Timestamp;
use llama_orch::binaries::{BinaryInfo, Trust};
use llama_orch::plan::action::Bytes;
use llama_orch::registry::Entry;
use llama_orch::release::Variant;
use llama_orch::root::Root;
use serde_json::Value;

use super::{Stock, count};
use crate::cli::Global;
use crate::cli::clock::moment_of;
use crate::cli::diagnostic::Failure;
use crate::cli::page::Page;
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
        ui.data(shown(&info, stock.observed.at, ui.width()));
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

fn shown(info: &BinaryInfo, now: Timestamp, width: Option<usize>) -> String {
    let binary = &info.binary;
    let mut page = Page::new(width);
    let variant = Variant::new(binary.variant.as_str());
    page.section(&format!("{} {}", binary.build, variant.short()));
    page.whole("id", &binary.id);
    for alias in &binary.aliases {
        page.whole("alias", alias);
    }
    page.line("build", &binary.build);
    page.line("variant", &binary.variant);
    page.maybe("folder", info.folder.as_ref());
    page.maybe("program", info.program.as_ref());
    let size = binary.size_bytes.map(|size| Bytes(size).to_string());
    let files = info.files.map(|files| count(files, "file"));
    page.maybe(
        "size",
        match (size, files) {
            (Some(size), Some(files)) => Some(format!("{size} in {files}")),
            (one, other) => one.or(other),
        },
    );
    let installed = binary.installed_at.as_ref();
    page.maybe("installed", installed.map(|at| moment_of(at, now)));
    page.maybe("from", info.from.as_ref());
    page.maybe("sha256", info.sha256.as_ref());
    page.line(
        "verified",
        match binary.trust {
            Trust::Verified => "yes",
            Trust::Unverified => "no: nothing said what its archive must hash to",
            Trust::Unrecorded => "no: it came from no archive that is on record",
        },
    );
    for companion in &info.companions {
        page.line("companion", &companion.name);
        page.line("", format!("sha256 {}", companion.sha256));
    }
    for (key, value) in info.release.iter().filter_map(Value::as_object).flatten() {
        if let Some(value) = scalar(value) {
            page.line("release", format!("{key} {value}"));
        }
    }
    for one in &binary.used_by {
        let how: Vec<&str> = one.how.iter().map(|how| how.words()).collect();
        page.line("used by", format!("{}: {}", one.instance, how.join(", ")));
    }
    if binary.used_by.is_empty() && info.unknown_uses.is_empty() {
        page.line("used by", "nothing");
    }
    for unknown in &info.unknown_uses {
        let who = unknown.instance.as_deref();
        let who = who.map(|who| format!("{who}, perhaps: "));
        page.line(
            "used by",
            format!("{}{}", who.unwrap_or_default(), unknown.why),
        );
    }
    page.maybe("damage", binary.damage.as_ref());
    page.finish()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
