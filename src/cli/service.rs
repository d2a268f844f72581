//! `service`: has the machine start watch by itself.

mod install;
pub(super) mod reboot;
mod systemctl;

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use clap::{Args, Parser, Subcommand, ValueEnum};
use llama_orch::root::Root;
use llama_orch::service::{self, Service, Unit};
use llama_orch::watch::git::{self, Checkout};
use llama_orch::watch::keeper::WatchError;
use llama_orch::watch::page::Access;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::watch::WatchArgs;
use super::{Cli, Command, Global, absolute, runtime};

/// Have the machine start watch by itself
#[derive(Debug, Subcommand)]
pub(crate) enum ServiceCommand {
    Print(PrintArgs),
    Install(install::InstallArgs),
    Uninstall(install::UninstallArgs),
}

/// Show the text that has the machine start watch
#[derive(Debug, Args)]
#[command(after_help = PRINT_EXAMPLES)]
pub(crate) struct PrintArgs {
    /// Whose text it is to be; by default that of this system
    #[arg(long = "for", value_name = "MANAGER")]
    manager: Option<Manager>,
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    watch: OptionArgs,
}

const PRINT_EXAMPLES: &str = "\
Examples:
  llama-orch service print --user -- --git --verify-commits
  llama-orch service print --for launchd > llama-orch.plist";

/// Who starts programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Manager {
    /// A unit
    Systemd,
    /// A property list, for `launchctl bootstrap gui/$UID FILE`
    Launchd,
    /// A task, for `schtasks /Create /TN NAME /XML FILE /RU USER /RP *`
    Windows,
}

/// Which service is meant.
#[derive(Debug, Args)]
struct WhichArgs {
    /// That of this user, not of the machine
    #[arg(long)]
    user: bool,
    /// What it is called
    #[arg(long, value_name = "NAME", default_value = "llama-orch", value_parser = service_name)]
    name: String,
}

/// How it is to watch.
#[derive(Debug, Args)]
struct OptionArgs {
    /// Options of `llama-orch watch`, after `--`
    #[arg(last = true, value_name = "WATCH OPTIONS")]
    options: Vec<String>,
}

fn service_name(text: &str) -> Result<String, &'static str> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if text.is_empty() || text.starts_with(['-', '.']) || !text.chars().all(is_plain) {
        Err("a name is made of letters, digits, `-`, `_` and `.`")
    } else {
        Ok(text.to_owned())
    }
}

impl OptionArgs {
    /// The options as `watch` takes them.
    fn parsed(&self) -> Result<WatchArgs, Failure> {
        // The very command line a service starts, with some root in its place.
        let fixed = ["llama-orch", "-C", "/", "watch"].map(str::to_owned);
        let words = fixed.into_iter().chain(self.options.iter().cloned());
        let wrong = |text: String| Failure::new(Kind::Usage, text);
        let checked = Cli::try_parse_from(words).map_err(|error| {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            let first = first.trim_start_matches("error: ");
            wrong(format!(
                "`llama-orch watch` would not take its options: {first}"
            ))
            .hint("`llama-orch watch --help` shows them")
        })?;
        if checked.global.root.is_some_and(|root| root != "/") {
            return Err(wrong("a service names its root itself".to_owned())
                .hint("name another one before `service`: `llama-orch -C DIR service install`"));
        }
        match checked.command {
            Command::Watch(watch) if watch.keeps() => Ok(watch),
            _ => Err(wrong("a service has to go on watching".to_owned())
                .hint("leave out `--once` and the verbs below `watch`")),
        }
    }

    /// Refuses what `watch` would refuse when it is started: a service that cannot begin is tried again without end.
    fn can_begin(&self, global: &Global, root: &Root, which: &WhichArgs) -> Result<(), Failure> {
        let options = self.parsed()?.options(global);
        let checked = options.page.as_ref().map(Access::verify).transpose();
        checked.map_err(WatchError::Page)?;
        // To another user than its owner, git shows no clone.
        if let Some(following) = options.git.filter(|_| which.user) {
            let verify = following.verify;
            let opened = runtime()?.block_on(Checkout::open(root, git::Options { verify }));
            opened.map_err(WatchError::Git)?;
        }
        Ok(())
    }

    /// The options as a service has them: checked, and with paths that hold wherever it is started.
    fn checked(&self) -> Result<Vec<String>, Failure> {
        self.parsed()?;
        let mut options = self.options.clone();
        for at in 0..options.len() {
            if let Some(path) = options[at].strip_prefix("--token-file=") {
                options[at] = format!("--token-file={}", absolute(path.into())?);
            } else if at > 0 && options[at - 1] == "--token-file" {
                options[at] = absolute(Utf8PathBuf::from(&options[at]))?.into_string();
            }
        }
        Ok(options)
    }
}

/// What is to be started, and a warning where the program does not lie where it will stay.
fn described(
    root: &Root,
    which: &WhichArgs,
    options: &OptionArgs,
    ui: &Ui,
) -> Result<Service, Failure> {
    let program = std::env::current_exe().map_err(|error| {
        Failure::new(
            Kind::Failed,
            "cannot tell where this program lies".to_owned(),
        )
        .because(&error)
    })?;
    let program = Utf8PathBuf::from_path_buf(program).map_err(|path| {
        let text = format!("`{}` is not UTF-8 text", path.display());
        Failure::new(Kind::Failed, text)
    })?;
    if will_not_stay(&program) {
        ui.warning(format_args!(
            "`{program}` is no place to stay: a service would start nothing once it is gone"
        ));
    }
    let service = Service {
        program: program.into_string(),
        root: root.path().to_string(),
        name: which.name.clone(),
        options: options.checked()?,
    };
    // A line that ends early would begin another setting.
    let whole = [&service.program, &service.root].map(String::as_str);
    let options = service.options.iter().map(String::as_str);
    for word in whole.into_iter().chain(options) {
        if word.contains(char::is_control) {
            let text = format!("{word:?} holds a control character, which no unit can hold");
            return Err(Failure::new(Kind::Usage, text));
        }
    }
    Ok(service)
}

fn will_not_stay(program: &Utf8Path) -> bool {
    let temporary = Utf8PathBuf::from_path_buf(std::env::temp_dir());
    temporary.is_ok_and(|folder| program.starts_with(folder))
        || program.components().any(|part| part.as_str() == "target")
}

/// The user whose servers they are: the owner of the root, by name where it has one.
fn unit(root: &Root, which: &WhichArgs) -> Result<Unit, Failure> {
    if which.user {
        return Ok(Unit::User);
    }
    let user = root.owner().map_err(|error| {
        let text = format!("cannot tell whose `{}` is", root.path());
        Failure::new(Kind::Failed, text).because(&error)
    })?;
    Ok(Unit::System { user })
}

pub(crate) fn run(global: &Global, command: &ServiceCommand, ui: &Ui) -> Result<u8, Failure> {
    match command {
        ServiceCommand::Print(args) => print(global, args, ui),
        ServiceCommand::Install(args) => install::run(global, args, ui),
        ServiceCommand::Uninstall(args) => install::run_uninstall(global, args, ui),
    }
}

fn print(global: &Global, args: &PrintArgs, ui: &Ui) -> Result<u8, Failure> {
    let root = global.find_root()?;
    let service = described(&root, &args.which, &args.watch, ui)?;
    let own = if cfg!(windows) {
        Manager::Windows
    } else if cfg!(target_os = "macos") {
        Manager::Launchd
    } else {
        Manager::Systemd
    };
    let text = match args.manager.unwrap_or(own) {
        Manager::Systemd => service::systemd(&service, &unit(&root, &args.which)?),
        Manager::Launchd => service::launchd(&service),
        Manager::Windows => service::windows(&service),
    };
    ui.data(text.trim_end());
    Ok(0)
}

/// What differs between two texts of a unit.
fn difference(before: &str, after: &str, name: &str) -> String {
    let mut shown = super::text::unified(before, after, name, name);
    // The lines of a unit are data; an empty one ends them.
    let _ = writeln!(shown);
    shown
}
