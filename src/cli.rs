//! The terminal: what can be typed, and which verb it leads to.

#![expect(
    clippy::disallowed_methods,
    reason = "the terminal asks the clock, and the environment for its width"
)]

mod apply;
mod binary;
mod clock;
mod completions;
mod config;
mod describe;
mod diagnostic;
mod doctor;
mod down;
mod editing;
mod enable;
mod events;
mod followed;
mod health;
#[cfg(test)]
mod help;
mod history;
mod init;
mod kept;
mod logs;
mod man;
mod migrate;
mod narrowed;
mod noted;
mod page;
mod plan;
mod printable;
mod progress;
mod remove;
mod restart;
mod resume;
mod retry;
mod rollback;
mod selection;
mod service;
mod status;
mod suspend;
mod switch;
mod text;
mod ui;
mod unprotect;
mod up;
mod update;
mod upgrade;
mod variants;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};
use llama_orch::desired::resolve::Terms;
use llama_orch::history::Asked;
use llama_orch::reconcile::{Loaded, PassLock};
use llama_orch::root::{self, Root};

use diagnostic::{Failure, Kind};
use selection::{Narrowing, Selection, among};
use ui::Ui;

/// Keeps a machine's llama.cpp servers in the state that `orchestrator.yaml` says.
#[derive(Debug, Parser)]
#[command(name = "llama-orch", version = VERSION, propagate_version = true, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The number of the version, and the commit it was built from where that is known.
const VERSION: &str = env!("LLAMA_ORCH_VERSION");

const EXIT_CODES: &str = "\
Exit codes:
  0    done, converged
  1    a step failed, something is blocked or unhealthy, a failure is on hold
  2    changes pending (plan --detailed-exitcode, update --check)
  64   wrong usage
  65   orchestrator.yaml or a config file is invalid
  69   the release source is out of reach and nothing else could be done
  73   cannot write, or this is not the owner of the root
  75   another llama-orch is at work here
  130  interrupted";

/// What can stand before any verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
struct Global {
    /// Work in this folder, the one of orchestrator.yaml
    #[arg(short = 'C', long, global = true, value_name = "DIR", env = root::VARIABLE, hide_env_values = true)]
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
    #[arg(long, global = true, env = "LLAMA_ORCH_OFFLINE", hide_env_values = true, value_parser = BoolishValueParser::new())]
    offline: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what would change, and why; changes nothing
    Plan(plan::PlanArgs),
    /// Make it so: install, start, restart, roll back
    Apply(apply::ApplyArgs),
    Watch(watch::WatchArgs),
    #[command(visible_alias = "ps")]
    Status(status::StatusArgs),
    Describe(describe::DescribeArgs),
    Health(health::HealthArgs),
    Up(up::UpArgs),
    Down(down::DownArgs),
    Restart(restart::RestartArgs),
    Retry(retry::RetryArgs),
    Suspend(suspend::SuspendArgs),
    Resume(resume::ResumeArgs),
    Unprotect(unprotect::UnprotectArgs),
    Rollback(rollback::RollbackArgs),
    Upgrade(upgrade::UpgradeArgs),
    Update(update::UpdateArgs),
    Init(init::InitArgs),
    Enable(enable::EnableArgs),
    Disable(enable::DisableArgs),
    Switch(switch::SwitchArgs),
    Remove(remove::RemoveArgs),
    Logs(logs::LogsArgs),
    /// Show what past passes did
    History(history::HistoryArgs),
    Events(events::EventsArgs),
    /// Have the machine start watch by itself
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Look for what is wrong here, and say what to do about it
    Doctor(doctor::DoctorArgs),
    /// Show, install and remove builds of llama.cpp
    #[command(subcommand)]
    Binary(binary::BinaryCommand),
    /// Show, check or edit what the files say
    #[command(subcommand)]
    Config(config::ConfigCommand),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    Migrate(migrate::MigrateArgs),
}

/// Why a person asks for something.
#[derive(Debug, Args)]
struct ReasonArgs {
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    reason: Option<String>,
}

impl ReasonArgs {
    /// The same with the verb, as the history keeps it.
    fn asked<'a>(&'a self, verb: &'a str) -> Asked<'a> {
        Asked {
            verb,
            reason: self.reason.as_deref(),
        }
    }
}

fn one_line(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_control) {
        Err("it has to be one line of text")
    } else {
        Ok(text.to_owned())
    }
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
    /// For a root; where its files are git's, the lock is as well.
    fn terms(&self, global: &Global, root: &Root) -> Terms {
        Terms {
            locked: self.locked || followed::is_followed(root),
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
    if let Some(code) = completions::answer() {
        return code;
    }
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
        Command::Watch(args) => watch::run(&cli.global, args, &ui),
        Command::Status(args) => status::run(&cli.global, args, &ui),
        Command::Describe(args) => describe::run(&cli.global, args, &ui),
        Command::Health(args) => health::run(&cli.global, args, &ui),
        Command::Up(args) => up::run(&cli.global, args, &ui),
        Command::Down(args) => down::run(&cli.global, args, &ui),
        Command::Restart(args) => restart::run(&cli.global, args, &ui),
        Command::Retry(args) => retry::run(&cli.global, args, &ui),
        Command::Suspend(args) => suspend::run(&cli.global, args, &ui),
        Command::Resume(args) => resume::run(&cli.global, args, &ui),
        Command::Unprotect(args) => unprotect::run(&cli.global, args, &ui),
        Command::Rollback(args) => rollback::run(&cli.global, args, &ui),
        Command::Upgrade(args) => upgrade::run(&cli.global, args, &ui),
        Command::Update(args) => update::run(&cli.global, args, &ui),
        Command::Init(args) => init::run(&cli.global, args, &ui),
        Command::Enable(args) => enable::run(&cli.global, args, &ui),
        Command::Disable(args) => enable::run_disable(&cli.global, args, &ui),
        Command::Switch(args) => switch::run(&cli.global, args, &ui),
        Command::Remove(args) => remove::run(&cli.global, args, &ui),
        Command::Logs(args) => logs::run(&cli.global, args, &ui),
        Command::History(args) => history::run(&cli.global, args, &ui),
        Command::Events(args) => events::run(&cli.global, args, &ui),
        Command::Service(command) => service::run(&cli.global, command, &ui),
        Command::Doctor(args) => doctor::run(&cli.global, args, &ui),
        Command::Binary(command) => binary::run(&cli.global, command, &ui),
        Command::Config(command) => config::run(&cli.global, command, &ui),
        Command::Completions(args) => completions::run(args, &ui),
        Command::Man(args) => man::run(args, &ui),
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

/// A path that holds wherever it is used.
fn absolute(path: Utf8PathBuf) -> Result<Utf8PathBuf, Failure> {
    let made = std::path::absolute(&path).map_err(|error| {
        Failure::new(Kind::Failed, format!("cannot tell where `{path}` lies")).because(&error)
    })?;
    Ok(Utf8PathBuf::from_path_buf(made).unwrap_or(path))
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
