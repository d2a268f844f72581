//! Errors as people read them: what could not be done, why (the chain, once), and what to do; and
//! which exit code stands for which kind.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use llama_orch::durable::FileError;
use llama_orch::install::InstallError;
use llama_orch::reconcile::{LoadError, PassLockError};
use llama_orch::root::RootError;

/// Kinds of failures, each with an exit code of its own. Part of the public contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// 1: something could not be done.
    Failed,
    /// 64: wrong usage.
    Usage,
    /// 65: what was written is invalid.
    Invalid,
    /// 69: the release source is out of reach.
    Unreachable,
    /// 73: cannot write, or wrong user.
    CannotWrite,
    /// 75: another pass is at work.
    Busy,
    /// 130: interrupted.
    Interrupted,
}

impl Kind {
    /// The number as the process reports it.
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Invalid => 65,
            Self::Unreachable => 69,
            Self::CannotWrite => 73,
            Self::Busy => 75,
            Self::Interrupted => 130,
        }
    }
}

/// A failure on its way to the terminal.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Which kind.
    pub(crate) kind: Kind,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    pub(crate) const fn new(kind: Kind, message: String) -> Self {
        Self {
            kind,
            message,
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// From an error: its text and the texts of its causes.
    pub(crate) fn of(kind: Kind, error: &dyn Error) -> Self {
        let mut failure = Self::new(kind, error.to_string());
        if let Some(source) = error.source() {
            failure = failure.because(source);
        }
        failure
    }

    /// Adds a cause and the causes of that.
    pub(crate) fn because(mut self, error: &dyn Error) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            // A transparent wrapper repeats the text of what it wraps.
            if self.causes.last() != Some(&text) && self.message != text {
                self.causes.push(text);
            }
            cause = error.source();
        }
        self
    }

    /// Adds what can be done about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn hint_if(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The whole text, without the word `error`.
    pub(crate) fn render(&self) -> String {
        let mut text = self.message.clone();
        for cause in &self.causes {
            let _ = write!(
                text,
                "\n  caused by: {}",
                cause.replace('\n', "\n             ")
            );
        }
        text
    }

    /// The hints, one each.
    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl From<RootError> for Failure {
    fn from(error: RootError) -> Self {
        let kind = if error.is_permission() {
            Kind::CannotWrite
        } else {
            Kind::Usage
        };
        Self::of(kind, &error).hint_if(error.hint())
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let kind = match error {
            FileError::Write { .. } => Kind::CannotWrite,
            _ => Kind::Failed,
        };
        Self::of(kind, &error).hint_if(error.hint())
    }
}

impl From<InstallError> for Failure {
    fn from(error: InstallError) -> Self {
        let kind = if error.cannot_write() {
            Kind::CannotWrite
        } else {
            Kind::Failed
        };
        Self::of(kind, &error).hint_if(error.hint())
    }
}

impl From<PassLockError> for Failure {
    fn from(error: PassLockError) -> Self {
        match error {
            PassLockError::File(error) => error.into(),
            held => Self::of(Kind::Busy, &held)
                .hint("wait for it, or give `--lock-timeout` more seconds"),
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let hint = error.hint();
        match error {
            LoadError::File(error) => error.into(),
            LoadError::UnknownHost | LoadError::Registry(_) => {
                Self::of(Kind::Failed, &error).hint_if(hint)
            }
            _ => Self::of(Kind::Invalid, &error).hint_if(hint),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cause below a cause.
    #[derive(Debug, thiserror::Error)]
    #[error("cannot install b9553")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_failure_says_what_why_and_what_to_do_once_each() {
        let error = Outer(std::io::Error::other("the disk is full"));
        let failure = Failure::of(Kind::Failed, &error).hint("make room");
        assert_eq!(
            failure.render(),
            "cannot install b9553\n  caused by: the disk is full"
        );
        assert_eq!(failure.hints(), ["make room"]);
    }
}
