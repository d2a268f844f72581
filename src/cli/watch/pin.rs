//! `watch pin`: holds the clone that watch follows at one commit.

use clap::Args;
use llama_orch::reconcile;
use llama_orch::watch::git::{self, GitError};
use llama_orch::watch::snapshot::Pinned;

use super::halting::{self, Wish};
use super::{Failure, Global, Kind, ReasonArgs, Ui};
use crate::cli::runtime;

/// Hold the clone at a commit, until watch is resumed
///
/// Any commit in the history of the branch there, older ones as well. The watch that follows the clone
/// goes there and carries out what the files say in it; what is pushed meanwhile waits.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PinArgs {
    /// The commit, or a name for it
    #[arg(value_name = "COMMIT")]
    commit: String,
    #[command(flatten)]
    why: ReasonArgs,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch watch pin 1a2b3c4d5e --reason 'the one before is faster'
  llama-orch watch pin HEAD              # where it is now
  llama-orch watch resume";

pub(crate) fn run(global: &Global, args: &PinArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.writable_root()?;
    let found = runtime()?.block_on(git::pinnable(&root, &args.commit));
    let (commit, subject) = found?;
    let wish = Wish {
        action: "pin",
        asked: args.why.asked("watch pin"),
        holds: format!(
            "held at {} ({subject}) until `llama-orch watch resume`",
            git::hold::short(&commit)
        ),
    };
    let pinned = Pinned {
        commit,
        at: reconcile::now().to_string(),
        reason: args.why.reason.clone(),
    };
    halting::halt(&root, &wish, |brake| brake.pinned = Some(pinned), ui)?;
    if let Some(state) = halting::watching(&root, ui)
        && state.git.is_none()
    {
        ui.warning("the watch that runs here follows no clone; start it with `--git`");
    }
    Ok(0)
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        let failure = Self::of(Kind::Failed, &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
