//! `binary register`: takes in a build that was made elsewhere, copied or where it lies.

use camino::Utf8PathBuf;
use clap::Args;
use llama_orch::install::{self, Outcome, RegisterRequest};
use llama_orch::instance::BinaryId;
use llama_orch::manifest::ReleaseRequest;
use llama_orch::release::host::Host;
use llama_orch::release::{BuildName, Variant};

use super::installed;
use crate::cli::diagnostic::{Failure, Kind};
use crate::cli::progress::Screen;
use crate::cli::ui::Ui;
use crate::cli::{Global, text};

/// Take in a build of your own
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RegisterArgs {
    /// The folder with `llama-server` and its libraries
    #[arg(value_name = "PATH")]
    path: Utf8PathBuf,
    /// What it is called from now on
    #[arg(long, value_name = "NAME")]
    version: BuildName,
    /// Which variant it is, such as `cuda-13.4-x64`
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// Use it where it lies, in place of a copy
    #[arg(long)]
    link: bool,
    /// Under which UUID, in place of a new one
    #[arg(long, value_name = "UUID")]
    binary_id: Option<BinaryId>,
    /// Print it as JSON (`config schema binary-install` prints its schema)
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch binary register ~/llama.cpp/build/bin --version mine
  llama-orch binary register /opt/llama --version fork-7 --link";

pub(crate) fn run(global: &Global, args: &RegisterArgs, ui: &Ui) -> Result<u8, Failure> {
    let request = args.version.as_str().parse();
    if let Ok(
        request @ (ReleaseRequest::Stable
        | ReleaseRequest::Nightly
        | ReleaseRequest::Version(_)
        | ReleaseRequest::Tag(_)),
    ) = request
    {
        let message = format!("`{request}` means a release of llama.cpp");
        return Err(Failure::new(Kind::Usage, message).hint(format!(
            "call it something of its own, such as `own-{request}`"
        )));
    }
    let root = global.writable_root()?;
    if root.bins().is_dir() {
        install::recover(&root.bins())?;
    }
    let host = Host::detect();
    let variant = args.variant.as_deref().map(Variant::new);
    let bins = root.bins();
    let screen = Screen::new(ui);
    let bar = screen.begin("register", args.version.as_str());
    let request = RegisterRequest {
        bins: &bins,
        path: &args.path,
        version: &args.version,
        variant: variant.as_ref(),
        id: args.binary_id,
        link: args.link,
        host: host.as_ref(),
    };
    let done = install::register(&request, &|bytes, total| bar.bytes(bytes, Some(total)));
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            screen.clear(bar);
            let failure = Failure::new(Kind::Failed, format!("cannot register `{}`", args.path));
            let failure = failure.because(&error);
            return Err(match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            });
        }
    };
    let rest = match done.outcome {
        Outcome::Installed => "registered",
        Outcome::Present => "is registered already",
        Outcome::Aliased => "is registered already, and answers to this id as well now",
    };
    let subject = format!("{} {}", done.entry.version, done.entry.variant.short());
    screen.end(bar, text::done("register", &subject, rest), false);
    screen.finish();
    for remark in &done.remarks {
        ui.warning(remark);
    }
    let id = args.binary_id.unwrap_or(done.entry.id);
    installed::show(&root, id, &done, args.json, ui)?;
    ui.remark(format_args!(
        "pin an instance to it with `binary: {{ version: {} }}`",
        args.version
    ));
    Ok(0)
}
