//! The terminal: what can be typed, and which verb it leads to.

#![expect(
    clippy::disallowed_methods,
    reason = "the terminal asks the clock, and the environment for its width"
)]

mod apply;
mod binary;
mod config;
mod describe;
mod diagnostic;
mod down;
mod health;
mod history;
mod logs;
mod migrate;
mod plan;
mod printable;
mod progress;
mod retry;
mod rollback;
mod status;
mod text;
mod ui;
mod up;
mod variants;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use llama_orch::desired::resolve::Terms;
use llama_orch::instance::InstanceName;
use llama_orch::reconcile::{Loaded, PassLock};
use llama_orch::root::{self, Root};

use diagnostic::{Failure, Kind};
use ui::Ui;

/// Keeps a machine's llama.cpp servers in the state that `orchestrator.yaml` says.
#[derive(Debug, Parser)]
#[command(name = "llama-orch", version, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done, converged
  1    a step failed, something is blocked or unhealthy, a failure is on hold
  2    changes pending (plan --detailed-exitcode)
  64   wrong usage
  65   orchestrator.yaml or a config file is invalid
  69   the release source is out of reach and nothing else could be done
  73   cannot write, or this is not the owner of the root
  75   another llama-orch is at work here
  130  interrupted";

/// What can stand before any verb.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
struct Global {
    /// Work in this folder, the one of orchestrator.yaml
    #[arg(short = 'C', long, global = true, value_name = "DIR", env = root::VARIABLE)]
    root: Option<Utf8PathBuf>,
    /// Say more: diffs, edges, reasons of choices
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Say nothing but data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Work in a root that lies on a network file system
    #[arg(long, global = true)]
    allow_network_root: bool,
    /// Use no network: what is not here already cannot be had
    #[arg(long, global = true, env = "LLAMA_ORCH_OFFLINE", value_parser = BoolishValueParser::new())]
    offline: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what would change, and why; changes nothing
    Plan(plan::PlanArgs),
    /// Make it so: install, start, restart, roll back
    Apply(apply::ApplyArgs),
    /// Show every instance: state, build, address
    #[command(visible_alias = "ps")]
    Status(status::StatusArgs),
    /// Show everything about one instance
    Describe(describe::DescribeArgs),
    /// Ask servers how they are, right now
    Health(health::HealthArgs),
    /// Start instances that were put down
    Up(up::UpArgs),
    /// Stop instances and keep them down
    Down(down::DownArgs),
    /// Try launches again that have failed or were rolled back
    Retry(retry::RetryArgs),
    /// Go back to the launch that was proven before, and stay there
    Rollback(rollback::RollbackArgs),
    /// Show what an instance's server has written
    Logs(logs::LogsArgs),
    /// Show what past passes did
    History(history::HistoryArgs),
    /// Show, install and remove builds of llama.cpp
    #[command(subcommand)]
    Binary(binary::BinaryCommand),
    /// Show or check what the files say
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Take over the files of the Python tool, or a bare bin/
    Migrate(migrate::MigrateArgs),
}

/// Which instances a verb is about.
#[derive(Debug, Args)]
struct Names {
    /// Instances by name
    #[arg(
        value_name = "NAME",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    names: Vec<InstanceName>,
    /// Every instance
    #[arg(long)]
    all: bool,
}

impl Names {
    /// The names, every one of which has to be known.
    fn among(&self, known: &BTreeSet<InstanceName>) -> Result<BTreeSet<InstanceName>, Failure> {
        if self.all {
            return Ok(known.clone());
        }
        among(&self.names, known)
    }
}

/// The names as a set, every one of which has to be known.
fn among(
    names: &[InstanceName],
    known: &BTreeSet<InstanceName>,
) -> Result<BTreeSet<InstanceName>, Failure> {
    for name in names {
        if !known.contains(name) {
            let near = known
                .iter()
                .map(|other| {
                    (
                        strsim::damerau_levenshtein(name.as_str(), other.as_str()),
                        other,
                    )
                })
                .filter(|(distance, _)| *distance <= 2)
                .min();
            let hint = match near {
                Some((_, other)) => format!("did you mean `{other}`?"),
                None if known.is_empty() => "there are no instances yet".to_owned(),
                None => {
                    let known: Vec<&str> = known.iter().map(InstanceName::as_str).collect();
                    format!("there are {}", known.join(", "))
                }
            };
            return Err(
                Failure::new(Kind::Usage, format!("there is no instance `{name}`")).hint(hint),
            );
        }
    }
    Ok(names.iter().cloned().collect())
}

/// How long to wait for another pass.
#[derive(Debug, Args)]
struct LockArgs {
    /// Wait so many seconds for another llama-orch to finish its pass
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    lock_timeout: u64,
}

impl LockArgs {
    fn take(&self, root: &Root, verb: &str) -> Result<PassLock, Failure> {
        Ok(PassLock::take(
            root,
            verb,
            Duration::from_secs(self.lock_timeout),
        )?)
    }
}

/// What a pass may and may not do.
#[derive(Debug, Args)]
struct TermsArgs {
    /// Do not extend orchestrator.lock: what it does not cover is blocked
    #[arg(long)]
    locked: bool,
    /// Agree that every instance, or most of them, is removed at once
    #[arg(long)]
    allow_empty: bool,
    /// Take away builds that nothing uses
    #[arg(long)]
    prune: bool,
}

impl TermsArgs {
    const fn terms(&self, global: &Global) -> Terms {
        Terms {
            locked: self.locked,
            offline: global.offline,
            allow_empty: self.allow_empty,
            prune: self.prune,
            attended: true,
        }
    }
}

impl Global {
    fn find_root(&self) -> Result<Root, Failure> {
        Ok(Root::find(self.root.as_deref())?)
    }

    /// The root, for verbs that change something in it.
    fn writable_root(&self) -> Result<Root, Failure> {
        let root = self.find_root()?;
        root.check_writable(self.allow_network_root)?;
        Ok(root)
    }

    fn load(&self, root: &Root, ui: &Ui) -> Result<Loaded, Failure> {
        let loaded = Loaded::read(root)?;
        if self.verbose {
            ui.remark(format_args!("root: {}", root.path()));
        }
        Ok(loaded)
    }
}

/// Parses the command line, runs the verb and turns what came of it into an exit code.
pub(crate) fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nowhere to report a closed stream to.
            let _ = error.print();
            return if error.use_stderr() {
                Kind::Usage.exit_code()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let ui = Ui::new(cli.global.quiet);
    let result = match &cli.command {
        Command::Plan(args) => plan::run(&cli.global, args, &ui),
        Command::Apply(args) => apply::run(&cli.global, args, &ui),
        Command::Status(args) => status::run(&cli.global, args, &ui),
        Command::Describe(args) => describe::run(&cli.global, args, &ui),
        Command::Health(args) => health::run(&cli.global, args, &ui),
        Command::Up(args) => up::run(&cli.global, args, &ui),
        Command::Down(args) => down::run(&cli.global, args, &ui),
        Command::Retry(args) => retry::run(&cli.global, args, &ui),
        Command::Rollback(args) => rollback::run(&cli.global, args, &ui),
        Command::Logs(args) => logs::run(&cli.global, args, &ui),
        Command::History(args) => history::run(&cli.global, args, &ui),
        Command::Binary(command) => binary::run(&cli.global, command, &ui),
        Command::Config(command) => config::run(&cli.global, command, &ui),
        Command::Migrate(args) => migrate::run(&cli.global, args, &ui),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            ui.failure(&failure);
            failure.kind.exit_code()
        }
    }
}

/// A runtime for verbs that talk to a release source or wait for several things at once. Dropping
/// it gives blocking work that was interrupted a moment to clean up, and no more: a supervisor that
/// takes long to stop its server needs nobody to wait.
struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.0
            .as_ref()
            .expect("the runtime is taken out only when it is dropped")
            .block_on(future)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    plain_runtime().map(|runtime| Runtime(Some(runtime)))
}

fn plain_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(Kind::Failed, "cannot start the runtime".to_owned()).because(&error)
        })
}
