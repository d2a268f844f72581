//! The one owner of stdout and stderr: data goes to the first, everything else to the second.

#[cfg_attr(unix, path = "ui/unix.rs")]
#[cfg_attr(windows, path = "ui/windows.rs")]
mod os;

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};

use super::diagnostic::{Failure, Kind};
use super::printable::printable;
use super::text;

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// The terminal, by meaning.
#[derive(Debug)]
pub(crate) struct Ui {
    quiet: bool,
}

#[expect(
    clippy::unused_self,
    reason = "both streams are reached through their one owner"
)]
impl Ui {
    pub(crate) const fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Prints data. What is being done does not depend on anybody reading about it: a reader that
    /// has gone away is no error.
    pub(crate) fn data(&self, text: impl Display) {
        let _ = self.stream(text);
    }

    /// Prints data and says whether anybody reads it still, for verbs that would go on for ever.
    #[must_use]
    pub(crate) fn stream(&self, text: impl Display) -> bool {
        let text = text.to_string();
        let text = printable(&text);
        let mut out = anstream::AutoStream::auto(io::stdout()).lock();
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        self.is_read(written)
    }

    /// Prints a line that somebody else has written, and says whether anybody reads it still. What is
    /// not a terminal gets it as it is; a terminal gets its text and its colours, and nothing that
    /// would drive it.
    #[must_use]
    pub(crate) fn pass_on(&self, head: &str, line: &str) -> bool {
        if self.is_terminal() {
            let reset = if line.contains('\x1b') { "\x1b[0m" } else { "" };
            return self.stream(format_args!("{head}{line}{reset}"));
        }
        let mut out = io::stdout().lock();
        let written = out
            .write_all(anstream::adapter::strip_str(head).to_string().as_bytes())
            .and_then(|()| writeln!(out, "{line}"))
            .and_then(|()| out.flush());
        self.is_read(written)
    }

    /// Whether data that was written has found a reader.
    fn is_read(&self, written: io::Result<()>) -> bool {
        match written {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    self.warning(format_args!("cannot write to stdout: {error}"));
                }
                false
            }
        }
    }

    /// Prints data over the last `lines` lines, and says whether anybody sees it. For terminals.
    #[must_use]
    pub(crate) fn repaint(&self, lines: usize, text: &str) -> bool {
        let up = match lines {
            0 => String::new(),
            lines => format!("\x1b[{lines}A\x1b[J"),
        };
        let mut out = anstream::AutoStream::auto(io::stdout()).lock();
        writeln!(out, "{up}{}", printable(text))
            .and_then(|()| out.flush())
            .is_ok()
    }

    /// Whether whoever data went to has gone away, for verbs that may have nothing to say for long.
    pub(crate) fn is_deserted(&self) -> bool {
        os::is_deserted()
    }

    /// Whether data goes to a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Prints a remark about what is going on, unless it was asked to be quiet.
    pub(crate) fn remark(&self, text: impl Display) {
        if !self.quiet {
            self.err(text);
        }
    }

    /// Prints something a person should know even when it was asked to be quiet.
    pub(crate) fn warning(&self, text: impl Display) {
        self.err(format_args!("{YELLOW}warning{YELLOW:#}: {text}"));
    }

    /// Prints what went wrong, as a line of its own form.
    pub(crate) fn error(&self, text: impl Display) {
        self.err(text);
    }

    /// Prints what a person can do.
    pub(crate) fn hint(&self, text: impl Display) {
        self.err(format_args!("{CYAN}hint{CYAN:#}: {text}"));
    }

    /// Prints a failure with its causes and hints.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.err(format_args!("{RED}error{RED:#}: {}", failure.render()));
        for hint in failure.hints() {
            self.err(format_args!("{CYAN}hint{CYAN:#}: {hint}"));
        }
    }

    fn err(&self, text: impl Display) {
        let text = text.to_string();
        let text = printable(&text);
        let text = match self.width() {
            Some(width) => wrapped(&text, width),
            None => text,
        };
        // Nobody is left to tell when stderr is closed.
        let _ = writeln!(anstream::AutoStream::auto(io::stderr()).lock(), "{text}");
    }

    /// The columns data is wrapped to: those of the terminal it goes to, else what `COLUMNS` says,
    /// else none.
    pub(crate) fn width(&self) -> Option<usize> {
        let asked = || std::env::var("COLUMNS").ok()?.parse().ok();
        os::columns().or_else(asked).filter(|columns| *columns > 0)
    }

    /// Whether remarks are wanted at all.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether a person can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a person. Anything but a clear yes means no.
    ///
    /// # Errors
    /// The person would rather interrupt it all.
    pub(crate) fn ask(&self, question: &str) -> Result<bool, Failure> {
        let runtime = super::plain_runtime()?;
        let read = || {
            let mut answer = String::new();
            let read = io::stdin().read_line(&mut answer);
            read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
        };
        let answer = runtime.block_on(async {
            tokio::select! {
                // Whoever sees the question can break it off already.
                biased;
                _ = tokio::signal::ctrl_c() => None,
                answer = async {
                    let mut err = io::stderr();
                    let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
                    tokio::task::spawn_blocking(read).await
                } => Some(answer.unwrap_or(false)),
            }
        });
        // Nobody waits for the line that is not typed any more.
        runtime.shutdown_background();
        answer.ok_or_else(|| {
            self.err("");
            Failure::new(Kind::Interrupted, "interrupted".to_owned()).hint("nothing was changed")
        })
    }
}

/// The text with each line that is too long going on below, indented. An excerpt of a file, whose marks
/// stand below what they mean, stays as it is.
fn wrapped(text: &str, width: usize) -> Cow<'_, str> {
    if text.lines().all(|line| line.len() <= width) {
        return Cow::Borrowed(text);
    }
    let lines = text.split('\n').map(|line| {
        let bare = line.trim_start();
        let is_excerpt = bare != line
            && bare
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .trim_start()
                .starts_with('|');
        if is_excerpt {
            return line.to_owned();
        }
        let indent = " ".repeat(line.len() - bare.len() + 2);
        text::fill(line, width, &indent)
    });
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}
