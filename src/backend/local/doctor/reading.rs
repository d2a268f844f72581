//! Reads every file of ours, and keeps what is wrong with each.

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::backend::local::{read_record, read_state};
use crate::doctor::facts::{Unread, Why};
use crate::durable::{self, FileError};
use crate::history::{self, chain};
use crate::instance::InstanceName;
use crate::instance::folder::InstanceFolder;
use crate::instance::state::{self, ExitRecord};
use crate::lock::LockError;
use crate::manifest::Mistakes;
use crate::reconcile::{LoadError, Parts};
use crate::root::{LOCK, MANIFEST, Root};

/// What was read of a root.
pub(super) struct Reading<'a> {
    root: &'a Utf8Path,
    /// How many files are as they should be.
    pub(super) whole: usize,
    /// What is wrong with the others.
    pub(super) unread: Vec<Unread>,
    /// The youngest of them.
    pub(super) youngest: Option<(String, Timestamp)>,
}

impl<'a> Reading<'a> {
    /// Reads the files of a root and of these instances.
    pub(super) fn of(root: &'a Root, parts: &Parts, names: &[InstanceName]) -> Self {
        let mut reading = Self {
            root: root.path(),
            whole: 0,
            unread: Vec::new(),
            youngest: None,
        };
        reading.note(&root.manifest(), parts.manifest.as_ref().err());
        reading.note(&root.lock(), parts.lock.as_ref().err());
        let registry = root.bins().join("registry.json");
        reading.file(&registry, parts.registry.as_ref().err());
        reading.file(&root.machine(), parts.machine.as_ref().err());
        for name in names {
            let folder = InstanceFolder::new(root.path(), name);
            let record = read_record(&folder);
            reading.file(&folder.record(), record.as_ref().err());
            let state = read_state(&folder);
            reading.file(&folder.state(), state.as_ref().err());
            let exit = durable::read_json::<ExitRecord>(&folder.exit(), state::SCHEMA);
            reading.file(&folder.exit(), exit.as_ref().err());
        }
        match history::read(root) {
            Ok((_, 0)) => reading.file(&root.history(), None),
            Ok((_, lines)) => reading.add(&root.history(), Why::Lines(lines), None),
            Err(error) => reading.file(&root.history(), Some(&error)),
        }
        reading
    }

    /// The folders of instances could not be listed.
    pub(super) fn cannot_list(&mut self, error: &std::io::Error) {
        let path = self.root.join(".llama-orch/instances");
        self.add(&path, Why::Unseen(error.to_string()), None);
    }

    fn shown(&self, path: &Utf8Path) -> String {
        path.strip_prefix(self.root)
            .unwrap_or(path)
            .as_str()
            .to_owned()
    }

    fn add(&mut self, path: &Utf8Path, why: Why, fix: Option<String>) {
        let file = self.shown(path);
        self.unread.push(Unread { file, why, fix });
    }

    /// A file that is as it should be, if it is there at all.
    fn is_whole(&mut self, path: &Utf8Path) {
        let Ok(metadata) = std::fs::metadata(path) else {
            return;
        };
        self.whole += 1;
        let written = metadata
            .modified()
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok());
        if let Some(written) = written
            && self.youngest.as_ref().is_none_or(|(_, at)| *at < written)
        {
            self.youngest = Some((self.shown(path), written));
        }
    }

    fn file(&mut self, path: &Utf8Path, error: Option<&FileError>) {
        let Some(error) = error else {
            return self.is_whole(path);
        };
        // The error may be about another file than the one that was asked for.
        let (path, why): (Utf8PathBuf, Why) = match error {
            FileError::Damaged { path, why } => (path.clone(), Why::Damaged(why.clone())),
            FileError::Newer { path, found, known } => (
                path.clone(),
                Why::Newer(format!(
                    "has schema {found}, and this version knows {known} at most"
                )),
            ),
            FileError::Read { path, source } => (path.clone(), Why::Unseen(source.to_string())),
            FileError::Write { path, .. } | FileError::Changed { path } => {
                (path.clone(), Why::Unseen(chain(error)))
            }
        };
        let fix = error.hint();
        self.add(&path, why, fix);
    }

    fn note(&mut self, path: &Utf8Path, error: Option<&LoadError>) {
        match error {
            None => self.is_whole(path),
            Some(LoadError::NoManifest(_)) => {
                let fix = error.and_then(LoadError::hint);
                self.add(Utf8Path::new(MANIFEST), Why::NoManifest, fix);
            }
            Some(LoadError::Mistakes(mistakes)) => self.mistakes(mistakes, |it| {
                let shows = "`llama-orch config validate` shows the line";
                let fix = match &it.hint {
                    Some(hint) => format!("{hint} ({shows})"),
                    None => shows.to_owned(),
                };
                (Why::Mistake(it.message.clone()), Some(fix))
            }),
            Some(LoadError::Lock(error @ LockError::Damaged(mistakes))) => {
                self.mistakes(mistakes, |it| {
                    (Why::Damaged(it.message.clone()), error.hint())
                });
            }
            Some(LoadError::Lock(error @ LockError::Newer { .. })) => {
                self.add(
                    Utf8Path::new(LOCK),
                    Why::Newer(error.to_string()),
                    error.hint(),
                );
            }
            Some(LoadError::File(error)) => self.file(path, Some(error)),
            Some(error @ (LoadError::Registry(_) | LoadError::UnknownHost)) => {
                self.add(path, Why::Unseen(chain(error)), error.hint());
            }
        }
    }

    fn mistakes(
        &mut self,
        mistakes: &Mistakes,
        told: impl Fn(&crate::manifest::Mistake) -> (Why, Option<String>),
    ) {
        for mistake in &mistakes.list {
            let (why, fix) = told(mistake);
            let file = format!("{}:{}:{}", mistake.file, mistake.line, mistake.column);
            self.unread.push(Unread { file, why, fix });
        }
    }
}
