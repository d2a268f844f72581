//! `watch`: keeps a root in the state its files say, and tells what it does as it happens.

mod halting;
mod pin;
mod resume;
mod suspend;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};
use llama_orch::apply::{Events, Outcome, Report};
use llama_orch::manifest::duration_of;
use llama_orch::plan::Plan;
use llama_orch::plan::action::Step;
use llama_orch::watch::keeper::{self, End, Ended, Following, Options, Voice};
use llama_orch::watch::page::Access;
use llama_orch::watch::snapshot::PassResult;

use super::diagnostic::{Failure, Kind};
use super::progress::Live;
use super::ui::Ui;
use super::{Global, ReasonArgs, apply, runtime, text};

/// Keep it so: make a pass whenever something changes
///
/// Files, states, git, holds that are over and, for want of those, the time lead to one ordinary pass each. What it
/// may do by itself stands under `watch` in orchestrator.yaml. Ending it, in whatever way, touches no server.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    #[command(subcommand)]
    command: Option<WatchCommand>,
    /// Make one pass, and those that follow from it, and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    follow: FollowArgs,
    #[command(flatten)]
    page: PageArgs,
}

/// What can be asked of watch, whether it runs or not.
#[derive(Debug, Subcommand)]
enum WatchCommand {
    Suspend(suspend::SuspendArgs),
    Resume(resume::ResumeArgs),
    Pin(pin::PinArgs),
}

/// Which clone is followed, and how.
#[derive(Debug, Args)]
struct FollowArgs {
    /// Keep the clone the root is in up to date: fetch, and go forward
    #[arg(long)]
    git: bool,
    /// Fetch so often
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = interval, requires = "git")]
    git_interval: Duration,
    /// Take only commits that are signed by somebody git trusts, each of them
    #[arg(long, requires = "git")]
    verify_commits: bool,
}

/// Where the status page is served.
#[derive(Debug, Args)]
struct PageArgs {
    /// Serve the status page here, with /status.json (`config schema snapshot` prints its schema)
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9930")]
    listen: SocketAddr,
    /// Serve no status page
    #[arg(long, conflicts_with = "listen")]
    no_page: bool,
    /// Serve it at an address other machines can reach; needs `--token-file`
    #[arg(long)]
    allow_public: bool,
    /// Ask readers of the page for the token in this file
    #[arg(long, value_name = "FILE")]
    token_file: Option<Utf8PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch watch
  llama-orch watch --git --verify-commits    # see `service install`
  llama-orch watch --once                    # from a timer
  llama-orch watch suspend --reason 'a demo until five'

Exit codes:
  0    ended as asked (SIGTERM); with `--once`: converged
  1    with `--once`: a step failed, or something needs a person
  65   with `--once`: the manifest is bad
  75   another watch keeps this root; with `--once`: somebody else is at work
  130  interrupted";

/// The shortest time between two fetches.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);

fn interval(text: &str) -> Result<Duration, &'static str> {
    let interval = duration_of(text).ok_or("a duration is written as `60s` or `5m`")?;
    if interval < SHORTEST_INTERVAL {
        return Err("more often than every 5 s is no service to anybody");
    }
    Ok(interval)
}

impl WatchArgs {
    /// Whether it goes on and on.
    pub(super) const fn keeps(&self) -> bool {
        self.command.is_none() && !self.once
    }

    pub(super) fn options(&self, global: &Global) -> Options {
        let (follow, page) = (&self.follow, &self.page);
        let access = || Access {
            listen: page.listen,
            allow_public: page.allow_public,
            token_file: page.token_file.clone(),
        };
        Options {
            offline: global.offline,
            git: follow.git.then_some(Following {
                interval: follow.git_interval,
                verify: follow.verify_commits,
            }),
            page: (!page.no_page && !self.once).then(access),
            once: self.once,
        }
    }
}

pub(crate) fn run(global: &Global, args: &WatchArgs, ui: &Ui) -> Result<u8, Failure> {
    match &args.command {
        Some(WatchCommand::Suspend(args)) => suspend::run(global, args, ui),
        Some(WatchCommand::Resume(args)) => resume::run(global, args, ui),
        Some(WatchCommand::Pin(args)) => pin::run(global, args, ui),
        None => keep(global, args, ui),
    }
}

fn keep(global: &Global, args: &WatchArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let speaker = Speaker {
        ui,
        live: Mutex::new(None),
    };
    let runtime = runtime()?;
    let ended = runtime.block_on(keeper::watch(&root, args.options(global), &speaker))?;
    Ok(match ended {
        Ended::By(End::Asked) | Ended::Once(PassResult::Converged | PassResult::Changed) => 0,
        Ended::By(End::Interrupted) => 130,
        Ended::Once(PassResult::Attention | PassResult::Failed | PassResult::Superseded) => 1,
        Ended::Once(PassResult::Refused) => 65,
        Ended::KeptOff(error) => {
            let failure = Failure::of(Kind::Busy, &error);
            return Err(failure.hint("try again once that has ended"));
        }
    })
}

impl From<keeper::WatchError> for Failure {
    fn from(error: keeper::WatchError) -> Self {
        let kind = match &error {
            keeper::WatchError::Kept(_) => Kind::Busy,
            keeper::WatchError::Page(error) if error.is_wrong_usage() => Kind::Usage,
            _ => Kind::Failed,
        };
        let failure = Self::of(kind, &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Tells what happens, a line each.
struct Speaker<'a> {
    ui: &'a Ui,
    /// The pass that is carried out.
    live: Mutex<Option<Live<'a>>>,
}

impl Speaker<'_> {
    fn with_live(&self, act: impl FnOnce(&Live<'_>)) {
        if let Ok(live) = self.live.lock()
            && let Some(live) = live.as_ref()
        {
            act(live);
        }
    }

    /// Prints beside whatever is going on.
    fn print(&self, print: impl FnOnce(&Ui)) {
        match self.live.lock() {
            Ok(live) if live.is_some() => {
                if let Some(live) = live.as_ref() {
                    live.beside(print);
                }
            }
            Ok(_) | Err(_) => print(self.ui),
        }
    }
}

impl Events for Speaker<'_> {
    fn started(&self, step: &Step) {
        self.with_live(|live| live.started(step));
    }

    fn received(&self, step: &Step, bytes: u64, total: Option<u64>) {
        self.with_live(|live| live.received(step, bytes, total));
    }

    fn phase(&self, step: &Step, phase: &str) {
        self.with_live(|live| live.phase(step, phase));
    }

    fn remark(&self, step: &Step, remark: &str) {
        self.with_live(|live| live.remark(step, remark));
    }

    fn ended(&self, step: &Step, outcome: &Outcome) {
        self.with_live(|live| live.ended(step, outcome));
    }
}

impl Voice for Speaker<'_> {
    fn begins(&self, woken_by: &str, plan: &Plan) {
        self.ui.remark(format_args!("pass: {woken_by}"));
        self.ui
            .remark(text::plan(plan, self.ui.width(), text::AS_WRITTEN));
        if let Ok(mut live) = self.live.lock() {
            *live = Some(Live::new(self.ui));
        }
    }

    fn stands(&self, plan: &Plan) {
        self.ui
            .remark(text::plan(plan, self.ui.width(), text::AS_WRITTEN));
    }

    fn ends(&self, report: &Report, took: Duration) {
        self.finish();
        apply::summarize(report, took, self.ui);
    }

    fn breaks_off(&self, why: &str) {
        self.finish();
        self.ui.remark(why);
    }

    fn note(&self, text: &str) {
        self.print(|ui| ui.remark(text));
    }

    fn warning(&self, text: &str) {
        self.print(|ui| ui.warning(text));
    }
}

impl Speaker<'_> {
    fn finish(&self) {
        if let Ok(mut live) = self.live.lock()
            && let Some(live) = live.take()
        {
            live.finish();
        }
    }
}
