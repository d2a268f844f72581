//! `binary`: the builds that are installed, one file per verb.

mod info;
mod install;
mod installed;
mod latest;
mod list;
mod prune;
mod register;
mod remove;
mod verify;

use clap::Subcommand;
use llama_orch::backend::Backend as _;
use llama_orch::backend::local::Local;
use llama_orch::binaries::{self, Uses};
use llama_orch::desired::Desired;
use llama_orch::desired::resolve::Terms;
use llama_orch::observed::Observed;
use llama_orch::reconcile::{self, Loaded};
use llama_orch::registry::{Entry, Registry};
use llama_orch::root::Root;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Global, runtime};

/// Show, install and remove builds of llama.cpp
#[derive(Debug, Subcommand)]
pub(crate) enum BinaryCommand {
    /// Show what is installed and who uses it
    List(list::ListArgs),
    /// Show everything about one build
    Info(info::InfoArgs),
    /// Show the newest stable and nightly build
    Latest(latest::LatestArgs),
    /// Install a build
    Install(install::InstallArgs),
    /// Take in a build of your own
    Register(register::RegisterArgs),
    /// Compare builds with what was installed
    Verify(verify::VerifyArgs),
    /// Remove builds that nothing uses
    Remove(remove::RemoveArgs),
    /// Remove every build that nothing uses, but the newest few
    Prune(prune::PruneArgs),
}

pub(crate) fn run(global: &Global, command: &BinaryCommand, ui: &Ui) -> Result<u8, Failure> {
    match command {
        BinaryCommand::List(args) => list::run(global, args, ui),
        BinaryCommand::Info(args) => info::run(global, args, ui),
        BinaryCommand::Latest(args) => latest::run(global, args, ui),
        BinaryCommand::Install(args) => install::run(global, args, ui),
        BinaryCommand::Register(args) => register::run(global, args, ui),
        BinaryCommand::Verify(args) => verify::run(global, args, ui),
        BinaryCommand::Remove(args) => remove::run(global, args, ui),
        BinaryCommand::Prune(args) => prune::run(global, args, ui),
    }
}

/// What is installed, and who uses it as far as that can be told.
struct Stock {
    registry: Registry,
    observed: Observed,
    uses: Uses,
    /// Why the manifest could not be read, if it could not.
    broken: Option<Failure>,
}

impl Stock {
    /// Looks. Asks nobody: what the lock does not cover is a use that cannot be told.
    fn of(root: &Root) -> Result<Self, Failure> {
        let registry = llama_orch::install::listed(&root.bins())?;
        let runtime = runtime()?;
        Ok(match Loaded::read(root) {
            Ok(loaded) => {
                let backend = Local::new(&loaded, ALONE);
                let source = loaded.source(ALONE);
                let pass = runtime.block_on(reconcile::pass(&loaded, &source, &backend, ALONE));
                Self {
                    uses: Uses::of(Some(&pass.resolved.desired), &pass.observed),
                    registry: loaded.registry,
                    observed: pass.observed,
                    broken: None,
                }
            }
            Err(error) => {
                let observed = runtime.block_on(Local::bare(root).observe(&Desired::nothing()));
                Self {
                    uses: Uses::of(None, &observed),
                    registry,
                    observed,
                    broken: Some(error.into()),
                }
            }
        })
    }

    /// The build that a person means.
    fn choose(&self, text: &str) -> Result<&Entry, Failure> {
        choose(&self.registry, text)
    }

    /// How messages name a build: the least of its id, and what it is.
    fn name(&self, entry: &Entry) -> String {
        let short = binaries::shorten(entry.id, binaries::shortest(&self.registry));
        format!("`{short}` ({} {})", entry.version, entry.variant.short())
    }
}

/// Terms for looking: nothing is asked and nothing is written.
const ALONE: Terms = Terms {
    locked: true,
    offline: true,
    allow_empty: false,
    prune: false,
    attended: false,
};

fn choose<'a>(registry: &'a Registry, text: &str) -> Result<&'a Entry, Failure> {
    binaries::choose(registry, text).map_err(|error| {
        let failure = Failure::of(Kind::Usage, &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// A person's consent, by a flag or by an answer at the terminal.
fn consent(yes: bool, question: &str, ui: &Ui) -> Result<bool, Failure> {
    if yes {
        Ok(true)
    } else if ui.can_ask() {
        ui.ask(question)
    } else {
        Err(Failure::new(
            Kind::Usage,
            "nobody can be asked whether that is wanted".to_owned(),
        )
        .hint("say `--yes`"))
    }
}

/// `1 build`, `2 builds`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
