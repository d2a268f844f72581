//! What wakes watch from outside: files of the root that change, states that supervisors write, signals, and the
//! second that passes.
//!
//! File events make it quick; looking once a second at what `stat` says makes it sure, since events get lost, and
//! network file systems and containers have none. Which content is new, and what follows from it, is the
//! loop's.

#![expect(
    clippy::disallowed_methods,
    reason = "looks at files and asks the clock"
)]

#[cfg_attr(unix, path = "senses/unix.rs")]
#[cfg_attr(windows, path = "senses/windows.rs")]
mod os;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior};

use crate::instance::folder::{self, InstanceFolder};
use crate::root::{self, Root};

/// How often files are looked at without an event.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Something that was sensed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    /// A file that watch goes by may say something else.
    Inputs,
    /// A supervisor, or a person's command, wrote something down.
    States,
    /// A second has passed.
    Tick,
    /// Somebody wants everything read and fetched anew (SIGHUP).
    #[cfg_attr(windows, expect(dead_code, reason = "there is no such signal"))]
    Hangup,
    /// Watch is to end: asked by the system, or interrupted at the terminal.
    End(End),
}

/// Who ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The system or its service manager (SIGTERM).
    Asked,
    /// A person at the terminal (SIGINT).
    Interrupted,
}

/// All senses of one root.
pub(super) struct Senses {
    root: Root,
    heard: Arc<Notify>,
    /// `None` where the system has no file events to give.
    watcher: Option<RecommendedWatcher>,
    followed: BTreeSet<Utf8PathBuf>,
    second: Interval,
    signals: os::Signals,
    inputs: Stamps,
    states: Stamps,
    /// What was sensed along with something else.
    also: Option<Sense>,
}

impl Senses {
    /// Begins to sense. What is there now counts as known.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub(super) fn open(root: &Root) -> io::Result<Self> {
        let heard = Arc::new(Notify::new());
        let mut second = tokio::time::interval(LOOK_EVERY);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut senses = Self {
            root: root.clone(),
            watcher: listen(heard.clone()),
            heard,
            followed: BTreeSet::new(),
            second,
            signals: os::Signals::open()?,
            inputs: Stamps::of_inputs(root),
            states: Stamps::of_states(root),
            also: None,
        };
        senses.follow_folders();
        Ok(senses)
    }

    /// The next thing that is sensed. Nothing is lost where the wait is given up.
    pub(super) async fn next(&mut self) -> Sense {
        if let Some(also) = self.also.take() {
            return also;
        }
        tokio::select! {
            signal = self.signals.next() => signal,
            () = self.heard.notified() => {
                self.follow_folders();
                self.inputs = Stamps::of_inputs(&self.root);
                Sense::Inputs
            }
            _ = self.second.tick() => self.look(),
        }
    }

    fn look(&mut self) -> Sense {
        let (inputs, states) = (Stamps::of_inputs(&self.root), Stamps::of_states(&self.root));
        let inputs_changed = std::mem::replace(&mut self.inputs, inputs) != self.inputs;
        let states_changed = std::mem::replace(&mut self.states, states) != self.states;
        if inputs_changed {
            self.follow_folders();
        }
        match (inputs_changed, states_changed) {
            (true, states) => {
                self.also = states.then_some(Sense::States);
                Sense::Inputs
            }
            (false, true) => Sense::States,
            (false, false) => Sense::Tick,
        }
    }

    /// Listens at the folders there are by now: files are replaced by renames, so that listening at a file would
    /// end with the file.
    fn follow_folders(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let configs = self.root.configs();
        let mut wanted: BTreeSet<Utf8PathBuf> =
            [self.root.path().to_owned(), configs.clone()].into();
        let entries = configs.read_dir_utf8().into_iter().flatten().flatten();
        wanted.extend(entries.map(|entry| entry.path().to_owned()));
        for gone in self.followed.difference(&wanted) {
            // What is gone is not listened at any more.
            let _ = watcher.unwatch(gone.as_std_path());
        }
        self.followed.retain(|folder| wanted.contains(folder));
        for folder in wanted {
            if folder.is_dir() && !self.followed.contains(&folder) {
                let heard = watcher.watch(folder.as_std_path(), RecursiveMode::NonRecursive);
                // Too many folders for the system: the look of every second is left.
                if heard.is_ok() {
                    self.followed.insert(folder);
                }
            }
        }
    }
}

/// File events; only those of names that count, since servers may write into the root.
fn listen(heard: Arc<Notify>) -> Option<RecommendedWatcher> {
    let is_ours = |path: &std::path::Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        matches!(
            name,
            Some(root::MANIFEST | root::LOCK | "instances" | "config.json")
        ) || path
            .parent()
            .is_some_and(|folder| folder.ends_with("instances"))
    };
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        let counts = match &event {
            Ok(event) => {
                !matches!(event.kind, EventKind::Access(_))
                    && (event.need_rescan() || event.paths.iter().any(|path| is_ours(path)))
            }
            // Something was missed.
            Err(_) => true,
        };
        if counts {
            heard.notify_one();
        }
    })
    .ok()
}

/// What the system says of files without reading them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stamps(BTreeMap<Utf8PathBuf, Stamp>);

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    /// Which file it is, where the system tells.
    number: u64,
}

impl Stamps {
    fn of_inputs(root: &Root) -> Self {
        let mut stamps = Self::default();
        stamps.add(root.manifest());
        stamps.add(root.lock());
        let configs = root.configs();
        for folder in configs.read_dir_utf8().into_iter().flatten().flatten() {
            stamps.add(folder.path().join("config.json"));
        }
        stamps
    }

    fn of_states(root: &Root) -> Self {
        let mut stamps = Self::default();
        for name in folder::list(root.path()).unwrap_or_default() {
            let folder = InstanceFolder::new(root.path(), &name);
            for file in [folder.record(), folder.state(), folder.exit()] {
                stamps.add(file);
            }
        }
        stamps.add(root.brake());
        stamps
    }

    fn add(&mut self, path: Utf8PathBuf) {
        if let Ok(found) = stamp(&path) {
            self.0.insert(path, found);
        }
    }
}

fn stamp(path: &Utf8Path) -> io::Result<Stamp> {
    let found = std::fs::metadata(path)?;
    Ok(Stamp {
        modified: found.modified().ok(),
        length: found.len(),
        number: os::number(&found),
    })
}
