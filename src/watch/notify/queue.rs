//! Notices that wait for their turn, and what is to be said of those that were lost.

use std::collections::VecDeque;

use super::TRIES;
use super::run::RunError;
use crate::history::chain;
use crate::watch::notice::{Notice, NoticeKind};

/// How many notices wait at most.
pub(super) const MOST: usize = 32;

/// How many remarks are kept until somebody asks for them.
const MOST_REMARKS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The program that takes notices, and its arguments.
    pub(super) command: Vec<String>,
    /// Whether nothing more will come.
    pub(super) is_closed: bool,
    /// What is to be said to whoever watches the loop.
    pub(super) failures: Vec<String>,
    waiting: VecDeque<Notice>,
    /// Notices in a row that the command did not take.
    failed: usize,
    /// Notices that there was no room for, since it was said.
    displaced: usize,
}

impl Queue {
    /// Puts a notice at the end. Where there is no room, the oldest that says that all is well makes room,
    /// else the oldest.
    pub(super) fn push(&mut self, notice: Notice) {
        if self.waiting.len() >= MOST {
            let well = |notice: &Notice| notice.kind == NoticeKind::Recovered;
            let oldest = self.waiting.iter().position(well).unwrap_or_default();
            self.waiting.remove(oldest);
            if self.displaced == 0 {
                self.remark(format!(
                    "`notify.command` is too slow: {MOST} notices wait for it, and the oldest are dropped"
                ));
            }
            self.displaced = self.displaced.saturating_add(1);
        }
        self.waiting.push_back(notice);
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The notice whose turn it is, and the command it goes to.
    pub(super) fn next(&mut self) -> Option<(Vec<String>, Notice)> {
        let notice = self.waiting.pop_front();
        if notice.is_none() && self.displaced > 0 {
            let lost = std::mem::take(&mut self.displaced);
            self.remark(format!(
                "`notify.command` has caught up; {} dropped",
                were(lost)
            ));
        }
        Some((self.command.clone(), notice?))
    }

    pub(super) fn succeeded(&mut self) {
        let lost = std::mem::take(&mut self.failed);
        if lost > 0 {
            let lost = were(lost);
            self.remark(format!("`notify.command` works again; {lost} not told"));
        }
    }

    pub(super) fn failed(&mut self, command: &[String], error: &RunError) {
        self.failed = self.failed.saturating_add(1);
        if self.failed == 1 {
            let program = command.first().map_or("", String::as_str);
            self.remark(format!(
                "`notify.command` did not take a notice in {TRIES} tries: `{program}` {}",
                chain(error)
            ));
        }
    }

    fn remark(&mut self, text: String) {
        if self.failures.len() >= MOST_REMARKS {
            self.failures.remove(0);
        }
        self.failures.push(text);
    }
}

fn were(count: usize) -> String {
    if count == 1 {
        "1 notice was".to_owned()
    } else {
        format!("{count} notices were")
    }
}
