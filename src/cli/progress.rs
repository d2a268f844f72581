//! What happens while a plan is carried out: bars on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use llama_orch::apply::{Events, Outcome};
use llama_orch::plan::action::{Step, StepId};

use super::text;
use super::ui::Ui;

/// Shows the steps that run.
pub(crate) struct Live<'a> {
    ui: &'a Ui,
    /// `None` where stderr is no terminal: then each step's begin and end is a line.
    bars: Option<MultiProgress>,
    running: Mutex<BTreeMap<StepId, ProgressBar>>,
}

impl<'a> Live<'a> {
    pub(crate) fn new(ui: &'a Ui) -> Self {
        let terminal = std::io::stderr().is_terminal() && !ui.is_quiet();
        Self {
            ui,
            bars: terminal
                .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10))),
            running: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        if let Some(bars) = &self.bars {
            // A bar that cannot be erased stays on the screen, which harms nothing.
            let _ = bars.clear();
        }
    }

    fn with_bar(&self, step: &Step, act: impl FnOnce(&ProgressBar)) {
        if let Ok(running) = self.running.lock()
            && let Some(bar) = running.get(&step.id)
        {
            act(bar);
        }
    }
}

fn title(step: &Step) -> String {
    format!(
        "{:<8} {:<23}",
        step.action.verb(),
        step.action.subject().to_string()
    )
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

impl Events for Live<'_> {
    fn started(&self, step: &Step) {
        match &self.bars {
            Some(bars) => {
                let bar = bars.add(ProgressBar::new_spinner().with_style(spinner_style()));
                bar.set_prefix(title(step));
                bar.enable_steady_tick(Duration::from_millis(100));
                if let Ok(mut running) = self.running.lock() {
                    running.insert(step.id, bar);
                }
            }
            None => self
                .ui
                .remark(format_args!("     ... {}", title(step).trim_end())),
        }
    }

    fn received(&self, step: &Step, bytes: u64, total: Option<u64>) {
        self.with_bar(step, |bar| {
            if let Some(total) = total {
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(bar_style());
                }
                bar.set_position(bytes);
            }
        });
    }

    fn phase(&self, step: &Step, phase: &str) {
        self.with_bar(step, |bar| {
            bar.set_style(spinner_style());
            bar.set_message(phase.to_owned());
        });
    }

    fn remark(&self, step: &Step, remark: &str) {
        let line = format!("{}: {remark}", step.action.subject());
        match &self.bars {
            Some(bars) => bars.suspend(|| self.ui.warning(&line)),
            None => self.ui.warning(&line),
        }
    }

    fn ended(&self, step: &Step, outcome: &Outcome) {
        let line = text::outcome(step, outcome);
        // What went wrong is told however quiet it is to be.
        if self.ui.is_quiet() && matches!(outcome, Outcome::Failed(_)) {
            self.ui.error(&line);
            return;
        }
        match &self.bars {
            Some(bars) => {
                if let Ok(mut running) = self.running.lock()
                    && let Some(bar) = running.remove(&step.id)
                {
                    bar.finish_and_clear();
                    bars.remove(&bar);
                }
                bars.suspend(|| self.ui.remark(&line));
            }
            None => self.ui.remark(&line),
        }
    }
}
