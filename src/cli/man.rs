//! `man`: the manual, one page for the program and one for each verb, out of what `--help` says.

use camino::Utf8PathBuf;
use clap::{Args, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use llama_orch::durable;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Cli, VERSION};

/// Print the manual page, or write the pages of all verbs
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// Write llama-orch.1 and a page for each verb into this folder
    #[arg(long, value_name = "DIR")]
    dir: Option<Utf8PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch man | man -l -
  llama-orch man --dir ~/.local/share/man/man1   # then: man llama-orch-apply";

pub(crate) fn run(args: &ManArgs, ui: &Ui) -> Result<u8, Failure> {
    let mut whole = Cli::command().disable_help_subcommand(true);
    whole.build();
    let Some(folder) = &args.dir else {
        ui.data(page(&whole)?.trim_end());
        return Ok(0);
    };
    durable::create_folder(folder)?;
    let mut left = vec![&whole];
    let mut written = 0;
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().filter(|verb| !verb.is_hide_set()));
        let name = Man::new(command.clone()).get_filename();
        durable::write(&folder.join(name), page(command)?.as_bytes())?;
        written += 1;
    }
    ui.remark(format_args!("wrote {written} pages to `{folder}`"));
    Ok(0)
}

/// The page of one verb, as roff.
fn page(command: &Command) -> Result<String, Failure> {
    let date = VERSION.trim_end_matches(')').split(' ').nth(2);
    let man = Man::new(command.clone())
        .source(concat!("llama-orch ", env!("CARGO_PKG_VERSION")))
        .manual("llama-orch")
        .date(date.unwrap_or_default());
    let mut text = Vec::new();
    let rendered = [
        Man::render_title,
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ]
    .into_iter()
    .chain(
        command
            .has_subcommands()
            .then_some(Man::render_subcommands_section as _),
    )
    .try_for_each(|render: fn(&Man, &mut dyn std::io::Write) -> _| render(&man, &mut text))
    .and_then(|()| sections(command).to_writer(&mut text))
    .and_then(|()| String::from_utf8(text).map_err(std::io::Error::other));
    let text = rendered.map_err(|error| {
        Failure::new(Kind::Failed, "cannot write the manual".to_owned()).because(&error)
    })?;
    Ok(without_repeats(&text))
}

/// What stands below the options in `--help`, a section for each of its headings. Its lines stay as
/// they are: it is made of examples and lists.
fn sections(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let after = command.get_after_long_help().or(command.get_after_help());
    let after = after.map(ToString::to_string).unwrap_or_default();
    let mut is_open = false;
    for line in after.lines() {
        match line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            Some(heading) => {
                if is_open {
                    roff.control("fi", []);
                }
                let heading = heading.split(',').next().unwrap_or(heading);
                roff.control("SH", [heading.to_uppercase().as_str()]);
                roff.control("nf", []);
                is_open = true;
            }
            None => {
                roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
            }
        }
    }
    if is_open {
        roff.control("fi", []);
    }
    roff
}

/// Each section begins with the same definitions, and a page needs them once.
fn without_repeats(text: &str) -> String {
    let mut seen = std::collections::BTreeSet::new();
    let lines = text.split_inclusive('\n').filter(|line| {
        let is_definition = line.starts_with(".ie ") || line.starts_with(".el ");
        !is_definition || seen.insert(*line)
    });
    lines.collect()
}
