//! What happens while something is carried out: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use llama_orch::apply::{Events, Outcome};
use llama_orch::history::StepEntry;
use llama_orch::install;
use llama_orch::plan::action::{Step, StepId};

use super::text;
use super::ui::Ui;

/// Where bars are shown, or lines in their place.
pub(crate) struct Screen<'a> {
    ui: &'a Ui,
    /// `None` where stderr is no terminal: then each begin and end is a line.
    bars: Option<MultiProgress>,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(ui: &'a Ui) -> Self {
        let terminal = std::io::stderr().is_terminal() && !ui.is_quiet();
        let bars = || MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        Self {
            ui,
            bars: terminal.then(bars),
        }
    }

    /// Shows that something begins; its bar, where there are bars.
    pub(crate) fn begin(&self, verb: &str, subject: &str) -> Bar {
        if self.bars.is_none() {
            let line = format!("     ... {verb:<8} {subject}");
            self.ui.remark(line);
        }
        self.watch(verb, subject)
    }

    /// A bar for something that is worth no line of its own.
    pub(crate) fn watch(&self, verb: &str, subject: &str) -> Bar {
        let Some(bars) = &self.bars else {
            return Bar(None);
        };
        let title = format!("{verb:<8} {subject:<23}");
        let bar = bars.add(ProgressBar::new_spinner().with_style(spinner_style()));
        bar.set_prefix(title);
        bar.enable_steady_tick(Duration::from_millis(100));
        Bar(Some(bar))
    }

    /// Prints something without disturbing the bars.
    pub(crate) fn print(&self, print: impl FnOnce(&Ui)) {
        match &self.bars {
            Some(bars) => bars.suspend(|| print(self.ui)),
            None => print(self.ui),
        }
    }

    /// Takes a bar away.
    pub(crate) fn clear(&self, bar: Bar) {
        if let (Some(bars), Some(bar)) = (&self.bars, bar.0) {
            bar.finish_and_clear();
            bars.remove(&bar);
        }
    }

    /// Takes a bar away and says what came of it. What went wrong is told however quiet it is to be.
    pub(crate) fn end(&self, bar: Bar, line: impl Display, is_wrong: bool) {
        self.clear(bar);
        self.print(|ui| {
            if is_wrong {
                ui.error(line);
            } else {
                ui.remark(line);
            }
        });
    }

    /// Takes all bars away.
    pub(crate) fn finish(&self) {
        if let Some(bars) = &self.bars {
            // A bar that cannot be erased stays on the screen, which harms nothing.
            let _ = bars.clear();
        }
    }
}

/// How far one thing has come. Empty where there are no bars.
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// Bytes have come, or were read.
    pub(crate) fn bytes(&self, bytes: u64, total: Option<u64>) {
        if let (Some(bar), Some(total)) = (&self.0, total) {
            if bar.length() != Some(total) {
                bar.set_length(total);
                bar.set_style(bar_style());
            }
            bar.set_position(bytes);
        }
    }

    /// It is at something that cannot be counted.
    pub(crate) fn phase(&self, phase: &str) {
        if let Some(bar) = &self.0 {
            bar.set_style(spinner_style());
            bar.set_message(phase.to_owned());
        }
    }

    /// What an install says of itself; a pause is a remark on the screen.
    pub(crate) fn install(&self, progress: &install::Progress, screen: &Screen<'_>) {
        match progress {
            install::Progress::Receiving { bytes, total } => self.bytes(*bytes, *total),
            install::Progress::Pausing(pause) => screen.print(|ui| ui.remark(pause)),
            install::Progress::Waiting => self.phase("waiting for another install"),
            install::Progress::Checking => self.phase("checking"),
        }
    }
}

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner:>8} {prefix} {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template(
        "{percent:>7}% {prefix} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
    )
    .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Shows the steps of a plan that run, and notes what becomes of them.
pub(crate) struct Live<'a> {
    screen: Screen<'a>,
    running: Mutex<BTreeMap<StepId, Bar>>,
    noted: Mutex<BTreeMap<StepId, StepEntry>>,
}

impl<'a> Live<'a> {
    pub(crate) fn new(ui: &'a Ui) -> Self {
        Self {
            screen: Screen::new(ui),
            running: Mutex::new(BTreeMap::new()),
            noted: Mutex::new(BTreeMap::new()),
        }
    }

    /// What is to be said of the steps that have begun, should nobody wait for the rest.
    pub(crate) fn noted(&self) -> Vec<StepEntry> {
        let noted = self.noted.lock().map(|noted| noted.clone());
        noted.unwrap_or_default().into_values().collect()
    }

    fn note(&self, step: &Step, entry: StepEntry) {
        if let Ok(mut noted) = self.noted.lock() {
            noted.insert(step.id, entry);
        }
    }

    /// Prints something without disturbing the bars.
    pub(crate) fn beside(&self, print: impl FnOnce(&Ui)) {
        self.screen.print(print);
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        self.screen.finish();
    }

    fn with_bar(&self, step: &Step, act: impl FnOnce(&Bar)) {
        if let Ok(running) = self.running.lock()
            && let Some(bar) = running.get(&step.id)
        {
            act(bar);
        }
    }
}

impl Events for Live<'_> {
    fn started(&self, step: &Step) {
        self.note(step, StepEntry::interrupted(step));
        let subject = step.action.subject().to_string();
        let bar = self.screen.begin(step.action.verb(), &subject);
        if let Ok(mut running) = self.running.lock() {
            running.insert(step.id, bar);
        }
    }

    fn received(&self, step: &Step, bytes: u64, total: Option<u64>) {
        self.with_bar(step, |bar| bar.bytes(bytes, total));
    }

    fn phase(&self, step: &Step, phase: &str) {
        self.with_bar(step, |bar| bar.phase(phase));
    }

    fn remark(&self, step: &Step, remark: &str) {
        let line = format!("{}: {remark}", step.action.subject());
        self.screen.print(|ui| ui.warning(line));
    }

    fn ended(&self, step: &Step, outcome: &Outcome) {
        self.note(step, StepEntry::of(step, outcome));
        let line = text::outcome(step, outcome);
        let running = self.running.lock().ok();
        let bar = running.and_then(|mut running| running.remove(&step.id));
        self.screen.end(
            bar.unwrap_or(Bar(None)),
            &line,
            matches!(outcome, Outcome::Failed(_)),
        );
    }
}
