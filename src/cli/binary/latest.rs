//! `binary latest`: which builds are the newest, whether they have a variant, and which are here.

use clap::Args;
use llama_orch::binaries::{LatestBuild, LatestBuilds, shorten, shortest};
use llama_orch::desired::resolve::Terms;
use llama_orch::release::{Variant, VariantRequest};

use crate::cli::diagnostic::Failure;
use crate::cli::ui::Ui;
use crate::cli::{Global, runtime, text};

/// Show the newest stable and nightly build
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LatestArgs {
    /// Which variant they should have: `auto`, a family such as `cuda`, or a name such as `vulkan-x64`
    #[arg(long, value_name = "VARIANT", default_value = "auto")]
    variant: VariantRequest,
    /// Print it as JSON (`config schema binary-latest` prints its schema)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch binary latest
  llama-orch binary latest --variant cuda --json | jq '.nightly.build'";

pub(crate) fn run(global: &Global, args: &LatestArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let loaded = global.load(&root, ui)?;
    let terms = Terms {
        offline: global.offline,
        ..Terms::default()
    };
    let source = loaded.source(terms);
    let latest = runtime()?.block_on(loaded.latest(&source, args.variant.clone(), terms));
    let latest = LatestBuilds::of(&latest, &args.variant.to_string(), &loaded.registry);
    if args.json {
        ui.data(serde_json::to_string_pretty(&latest).unwrap_or_default());
    } else {
        let id = |build: &LatestBuild| {
            let id = build.installed_as.as_ref()?.parse().ok()?;
            Some(shorten(id, shortest(&loaded.registry)))
        };
        let row = |name: &str, build: &LatestBuild| {
            let here = match (&build.variant, id(build)) {
                (None, _) => "-".to_owned(),
                (Some(variant), here) => {
                    let variant = Variant::new(variant.as_str());
                    match here {
                        Some(id) => format!("has {variant}, installed as {id}"),
                        None => format!("has {variant}, not installed"),
                    }
                }
            };
            vec![name.to_owned(), hop(build), here]
        };
        let rows = vec![
            row("stable", &latest.stable),
            row("nightly", &latest.nightly),
        ];
        ui.data(text::table(&[], rows, ui.width()));
        problems(&latest, ui);
    }
    Ok(if latest.unreachable {
        69
    } else {
        let known = |build: &LatestBuild| build.build.is_some();
        u8::from(!known(&latest.stable) || !known(&latest.nightly))
    })
}

/// The build, with the release that leads to it.
fn hop(build: &LatestBuild) -> String {
    match (&build.release, &build.build) {
        (Some(release), Some(build)) => format!("{release} -> {build}"),
        (None, Some(build)) => build.clone(),
        (_, None) => "not known".to_owned(),
    }
}

/// What is wrong, each once, and what can be done about it.
fn problems(latest: &LatestBuilds, ui: &Ui) {
    let mut hints: Vec<&String> = Vec::new();
    for (name, build) in [("stable", &latest.stable), ("nightly", &latest.nightly)] {
        if let Some(problem) = &build.problem {
            ui.error(format_args!("{name}: {problem}"));
        }
        hints.extend(&build.hint);
    }
    hints.dedup();
    // One way to reach the source is enough.
    let most = if latest.unreachable { 1 } else { 2 };
    for hint in hints.into_iter().take(most) {
        ui.hint(hint);
    }
}
