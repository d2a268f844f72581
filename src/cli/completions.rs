//! `completions`: what a shell offers while a command line is typed.
//!
//! A shell sources a small script once and then asks this program for each word, by the variable
//! [`ASKED`] and the words after `--`. What can stand in an argument is told from its type and its
//! name, so a verb that is added is completed without a word here. Nothing is said while answering
//! but the answer, nothing is written, and nobody is asked: what cannot be read is not offered.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;
use std::sync::Arc;

use camino::Utf8PathBuf;
use clap::builder::StyledStr;
use clap::{Arg, Args, CommandFactory as _, ValueEnum, ValueHint};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};
use llama_orch::binaries::{shorten, shortest};
use llama_orch::durable;
use llama_orch::instance::InstanceName;
use llama_orch::instance::folder::{self, InstanceFolder};
use llama_orch::instance::record::{self, Record, RecordedLaunch};
use llama_orch::manifest::{self, Manifest, ReleaseRequest};
use llama_orch::reconcile::read_texts;
use llama_orch::registry::Registry;
use llama_orch::release::VariantRequest;
use llama_orch::root::{self, Root};

use super::Cli;
use super::diagnostic::{Failure, Kind};
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
    let known = Arc::new(Known {
        root: find_root(words.get(2..).unwrap_or_default()),
        words: words.clone(),
    });
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

/// The root that the words typed so far lead to.
fn find_root(words: &[OsString]) -> Option<Root> {
    let mut named = None;
    let mut words = words.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        let folder = match word {
            "-C" | "--root" => words.next(),
            "--" => break,
            word => word
                .strip_prefix("--root=")
                .or_else(|| word.strip_prefix("-C")),
        };
        named = folder.map(str::to_owned).or(named);
    }
    let named = named.or_else(|| std::env::var(root::VARIABLE).ok());
    // A shell has not expanded yet what is being typed.
    let named = named.map(
        |named| match (named.strip_prefix("~/"), std::env::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest).to_string_lossy().into_owned(),
            _ => named,
        },
    );
    Root::find(named.map(Utf8PathBuf::from).as_deref()).ok()
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
    if kind == TypeId::of::<InstanceName>() {
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

/// Values, each with what it is.
type Candidates = Vec<(String, Option<String>)>;

/// What the files of a root say, each read when it is asked for.
struct Known {
    root: Option<Root>,
    /// The command line as far as it is typed.
    words: Vec<OsString>,
}

impl Known {
    /// Every instance that the manifest names or that has left a trace.
    fn instances(&self) -> Candidates {
        let Some(root) = &self.root else {
            return Vec::new();
        };
        let mut names = BTreeMap::new();
        for name in folder::list(root.path()).unwrap_or_default() {
            names.insert(name, Some("not in orchestrator.yaml".to_owned()));
        }
        match read_texts(root) {
            Ok(texts) => match Manifest::parse(&texts) {
                Ok(manifest) => names.extend(manifest.instances.into_iter().map(|(name, one)| {
                    let pin = one.binary.and_then(|pin| pin.version);
                    (name, pin.map(|version| version.to_string()))
                })),
                Err(_) => names.extend(
                    manifest::outline(&texts.manifest)
                        .into_keys()
                        .map(|name| (name, None)),
                ),
            },
            Err(_) => names.values_mut().for_each(|help| *help = None),
        }
        let names = names.into_iter();
        names.map(|(name, help)| (name.into(), help)).collect()
    }

    /// Every tag, with the instances that have it.
    fn tags(&self) -> Candidates {
        let Some(texts) = self.root.as_ref().and_then(|root| read_texts(root).ok()) else {
            return Vec::new();
        };
        let tagged: BTreeMap<InstanceName, BTreeSet<String>> = match Manifest::parse(&texts) {
            Ok(manifest) => {
                let instances = manifest.instances.into_iter();
                instances.map(|(name, one)| (name, one.tags)).collect()
            }
            Err(_) => manifest::outline(&texts.manifest),
        };
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, tags) in tagged {
            for tag in tags {
                found.entry(tag).or_default().push(name.to_string());
            }
        }
        let found = found.into_iter();
        found
            .map(|(tag, names)| (tag, Some(names.join(", "))))
            .collect()
    }

    fn registry(&self) -> Option<Registry> {
        Registry::load(&self.root.as_ref()?.bins()).ok()
    }

    /// Every installed build, by the beginning of its id and by its name where only one has it.
    fn builds(&self) -> Candidates {
        let Some(registry) = self.registry() else {
            return Vec::new();
        };
        let length = shortest(&registry);
        let entries = registry.entries();
        let ids = entries.iter().map(|entry| {
            let what = format!("{} {}", entry.version, entry.variant.short());
            (shorten(entry.id, length), Some(what))
        });
        let is_alone = |version: &String| {
            let same = entries.iter().filter(|other| other.version == *version);
            same.count() == 1
        };
        let names = entries
            .iter()
            .filter(|entry| is_alone(&entry.version))
            .map(|entry| (entry.version.clone(), Some(entry.variant.short())));
        names.chain(ids).collect()
    }

    /// What a pin can be: what floats, and what is installed.
    fn versions(&self) -> Candidates {
        let floating = [
            ("stable", "the newest stable release"),
            ("nightly", "the newest build"),
        ];
        let floating = floating.map(|(word, what)| (word.to_owned(), Some(what.to_owned())));
        let registry = self.registry();
        let entries = registry.iter().flat_map(Registry::entries);
        let installed = entries.map(|entry| {
            let what = format!("installed, {}", entry.variant.short());
            (entry.version.clone(), Some(what))
        });
        floating.into_iter().chain(installed).collect()
    }

    /// What a variant can be called: the families, and the variants that are installed.
    fn variants(&self) -> Candidates {
        let families = [
            ("auto", "what suits this machine best"),
            ("cpu", "the processor alone"),
            ("vulkan", "Vulkan"),
            ("cuda", "CUDA of any version"),
            ("rocm", "ROCm of any version"),
        ];
        let families = families.map(|(word, what)| (word.to_owned(), Some(what.to_owned())));
        let registry = self.registry();
        let entries = registry.iter().flat_map(Registry::entries);
        let installed = entries.map(|entry| {
            let what = format!("installed with {}", entry.version);
            (entry.variant.short(), Some(what))
        });
        families.into_iter().chain(installed).collect()
    }

    /// The builds of launches that were proven, those of the instances that are typed where some are.
    fn proven(&self) -> Candidates {
        let Some(root) = &self.root else {
            return Vec::new();
        };
        let names = folder::list(root.path()).unwrap_or_default();
        let is_typed = |name: &&InstanceName| {
            let mut words = self.words.iter();
            words.any(|word| word == OsStr::new(name.as_str()))
        };
        let typed: Vec<&InstanceName> = names.iter().filter(is_typed).collect();
        let names = if typed.is_empty() {
            names.iter().collect()
        } else {
            typed
        };
        let launches = names.into_iter().flat_map(|name| {
            let path = InstanceFolder::new(root.path(), name).record();
            let record: Option<Record> = durable::read_json(&path, record::SCHEMA).ok().flatten();
            record.map(|record| record.proven).unwrap_or_default()
        });
        let launches: Vec<RecordedLaunch> = launches.collect();
        let length = self.registry().map_or(8, |registry| shortest(&registry));
        let builds = launches
            .iter()
            .map(|one| (one.launch.build.to_string(), None));
        let ids = launches.iter().map(|one| {
            let build = one.launch.build.to_string();
            (shorten(one.launch.binary, length), Some(build))
        });
        builds.chain(ids).collect()
    }
}
