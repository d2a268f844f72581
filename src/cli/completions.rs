//! `completions`: what a shell offers while a command line is typed.
//!
//! A shell sources a small script once and then asks this program for each word, by the variable
//! [`ASKED`] and the words after `--`. What can stand in an argument is told from its type and its
//! name, so a verb that is added is completed without a word here. Nothing is said while answering
//! but the answer, nothing is written, and nobody is asked: what cannot be read is not offered.

mod known;

use std::any::TypeId;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use camino::Utf8PathBuf;
use clap::builder::StyledStr;
use clap::{Arg, Args, CommandFactory as _, ValueEnum, ValueHint};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use llama_orch::instance::InstanceName;
use llama_orch::manifest::ReleaseRequest;
use llama_orch::release::VariantRequest;

use known::{Candidates, Known};

use super::Cli;
use super::diagnostic::{Failure, Kind};
use super::selection::Called;
use super::ui::Ui;

/// The variable by which a shell asks.
const ASKED: &str = "COMPLETE";

/// Print a script that makes a shell complete verbs, names, tags and builds
///
/// The script asks this program for each word, so it offers what is there at that moment. Source it
/// anew in each shell, in place of keeping a copy: it belongs to the version that printed it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples, each a line for the file that the shell reads at its start:
  source <(llama-orch completions bash)          # ~/.bashrc
  source <(llama-orch completions zsh)           # ~/.zshrc, after compinit
  llama-orch completions fish | source           # ~/.config/fish/config.fish
  eval (llama-orch completions elvish | slurp)   # ~/.config/elvish/rc.elv

  # $PROFILE
  llama-orch completions powershell | Out-String | Invoke-Expression";

/// The shells that can be helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

impl Shell {
    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Elvish => "elvish",
        }
    }

    /// The line that makes it source the script, and the file to write that in.
    const fn installed_by(self) -> (&'static str, &'static str) {
        match self {
            Self::Bash => ("source <(llama-orch completions bash)", "~/.bashrc"),
            Self::Zsh => (
                "source <(llama-orch completions zsh)",
                "~/.zshrc, after compinit",
            ),
            Self::Fish => (
                "llama-orch completions fish | source",
                "~/.config/fish/config.fish",
            ),
            Self::Powershell => (
                "llama-orch completions powershell | Out-String | Invoke-Expression",
                "$PROFILE",
            ),
            Self::Elvish => (
                "eval (llama-orch completions elvish | slurp)",
                "~/.config/elvish/rc.elv",
            ),
        }
    }
}

pub(crate) fn run(args: &CompletionsArgs, ui: &Ui) -> Result<u8, Failure> {
    let script = script(args.shell).map_err(|error| {
        Failure::new(Kind::Failed, "cannot write the script".to_owned()).because(&error)
    })?;
    ui.data(script.trim_end());
    Ok(0)
}

fn script(shell: Shell) -> std::io::Result<String> {
    let mut script = Vec::new();
    if let Some(completer) = Shells::builtins().completer(shell.name()) {
        completer.write_registration(ASKED, "llama-orch", "llama-orch", &program(), &mut script)?;
    }
    let script = String::from_utf8(script).map_err(std::io::Error::other)?;
    let script = script.trim_start();
    let (line, file) = shell.installed_by();
    let note = format!(
        "# Completes llama-orch. To have it in each shell, write in {file}:\n#     {line}\n"
    );
    // What zsh reads from its folder of functions begins with a word of its own.
    Ok(match script.split_once('\n') {
        Some((first, rest)) if first.starts_with("#compdef") => format!("{first}\n{note}{rest}"),
        _ => note + script,
    })
}

/// The program as it was called: by its name where the shell finds it, else by its path.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if std::path::Path::new(&called).components().count() < 2 {
        return "llama-orch".to_owned();
    }
    let path = std::env::current_dir().map(|folder| folder.join(&called));
    path.map_or(called, |path| path.to_string_lossy().into_owned())
}

/// Answers a shell, where it is one that asks; `None` for a run like any other.
pub(crate) fn answer() -> Option<ExitCode> {
    let shell = std::env::var_os(ASKED)?;
    let words: Vec<OsString> = std::env::args_os().collect();
    // The variable may stand in the environment for reasons of somebody else.
    Shells::builtins().completer(shell.to_str()?)?;
    if words.get(1).is_some_and(|word| word != "--") {
        return None;
    }
    let folder = std::env::current_dir().ok();
    let typed = words.iter().skip(2).cloned().collect();
    let known = Arc::new(Known::of(typed));
    let answered = CompleteEnv::with_factory(|| completed(Cli::command(), &known))
        .var(ASKED)
        .bin("llama-orch")
        .try_complete(words, folder.as_deref());
    // A message would stand in the middle of what is being typed.
    Some(match answered {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// A command of which each argument knows what can stand in it.
fn completed(command: clap::Command, known: &Arc<Known>) -> clap::Command {
    command
        .mut_args(|argument| offering(argument, known))
        .mut_subcommands(|command| completed(command, known))
}

/// What an argument can be, by its type and else by the name of its value, such as `NAME|BUILD`.
fn offering(argument: Arg, known: &Arc<Known>) -> Arg {
    let kind = argument.get_value_parser().type_id();
    let mut offers: Vec<fn(&Known) -> Candidates> = Vec::new();
    if kind == TypeId::of::<InstanceName>() || kind == TypeId::of::<Called>() {
        offers.push(Known::instances);
    } else if kind == TypeId::of::<ReleaseRequest>() {
        offers.push(Known::versions);
    } else if kind == TypeId::of::<VariantRequest>() {
        offers.push(Known::variants);
    } else if kind == TypeId::of::<Utf8PathBuf>() {
        let hint = match named(&argument) {
            "DIR" => ValueHint::DirPath,
            _ => ValueHint::AnyPath,
        };
        return argument.value_hint(hint);
    } else if kind == TypeId::of::<String>() {
        for word in named(&argument).split('|') {
            match word {
                "NAME" => offers.push(Known::instances),
                "TAG" => offers.push(Known::tags),
                "PREFIX" | "UUID" => offers.push(Known::builds),
                "BUILD" => offers.push(Known::proven),
                "VERSION" => offers.push(Known::versions),
                _ => {}
            }
        }
    }
    if offers.is_empty() {
        return argument;
    }
    let known = Arc::clone(known);
    argument.add(ArgValueCandidates::new(move || {
        let offers = offers.iter().flat_map(|offer| offer(&known));
        let mut seen = BTreeSet::new();
        let offers = offers.filter(|(value, _)| seen.insert(value.clone()));
        offers
            .map(|(value, help)| CompletionCandidate::new(value).help(help.map(StyledStr::from)))
            .collect()
    }))
}

fn named(argument: &Arg) -> &str {
    let names = argument.get_value_names().unwrap_or_default();
    names.first().map_or("", |name| name.as_str())
}
