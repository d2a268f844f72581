//! The loop: waits for what wakes it, and makes one pass after the other of it.
//!
//! Everything happens on one task, so that there is never more than one pass, and nothing is shared but what the
//! status page shows. When a pass is due is [`super::schedule`]'s to say, what one comes to is in `pass`, what
//! is to be seen in `look`.

#![expect(clippy::disallowed_methods, reason = "asks the clock")]

mod following;
mod look;
mod outcome;
mod pass;
mod reading;
mod state;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::attempts::Attempts;
use super::brake::Brake;
use super::git::{FetchResult, GitError};
use super::inputs::{Inputs, LastGood};
use super::notice::Told;
use super::notify::Notifier;
use super::page::{Access, Interest, Page, PageError, Served};
use super::schedule::{Schedule, Wake};
pub use super::senses::End;
use super::senses::{Sense, Senses};
use super::service_manager::{self, ServiceManager};
use super::snapshot::{PassResult, Snapshot};
use crate::apply::{Events, Report};
use crate::durable::{FileError, FileLock};
use crate::plan::Plan;
use crate::reconcile::PassLockError;
use crate::root::Root;

pub use following::Following;
use following::Git;
use state::State;

/// Time between two passes where no manifest says it.
const RESYNC: Duration = Duration::from_mins(1);

/// How it is to watch.
#[derive(Debug, Clone)]
pub struct Options {
    /// Use no network for builds.
    pub offline: bool,
    /// Keep the root's clone up to date.
    pub git: Option<Following>,
    /// Serve a status page.
    pub page: Option<Access>,
    /// End after one pass, or as many as it takes until nothing is left that time or a person need not help
    /// with.
    pub once: bool,
}

/// Told what happens, for whoever reads along. Steps are told as [`Events`].
pub trait Voice: Events {
    /// A pass is about to carry this out.
    fn begins(&self, woken_by: &str, plan: &Plan);
    /// Nothing is to be done, and what is held or blocked is not what it was.
    fn stands(&self, plan: &Plan);
    /// It was carried out.
    fn ends(&self, report: &Report, took: Duration);
    /// What was not begun is left, for this reason.
    fn breaks_off(&self, why: &str);
    /// Something is going on.
    fn note(&self, text: &str);
    /// Something a person should know.
    fn warning(&self, text: &str);
}

/// Why there was nothing to watch, or no way to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// Another watch keeps this root.
    #[error("another `llama-orch watch` keeps this root{}", .0.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Kept(Option<u32>),
    /// One of our files cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signals(#[source] io::Error),
    /// The page cannot be served.
    #[error(transparent)]
    Page(#[from] PageError),
    /// There is no clone to follow.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl WatchError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Kept(_) => Some("`llama-orch status` says what it is at".to_owned()),
            Self::File(error) => error.hint(),
            Self::Signals(_) => None,
            Self::Page(error) => error.hint(),
            Self::Git(error) => error.hint(),
        }
    }
}

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// Asked to, or interrupted. Servers go on.
    By(End),
    /// After `once`, with what came of its last pass.
    Once(PassResult),
    /// After `once`, since somebody else was at work for too long.
    KeptOff(PassLockError),
}

/// One root that is kept.
struct Keeper<'a> {
    root: Root,
    options: Options,
    voice: &'a dyn Voice,
    began: Instant,
    senses: Senses,
    schedule: Schedule,
    attempts: Attempts,
    manager: ServiceManager,
    notifier: Notifier,
    told: Told,
    /// The files it goes by.
    good: Option<LastGood>,
    /// What lay in the root when it was last read, good or not.
    read: Option<Inputs>,
    /// What lay there when the last pass began.
    passed: Option<Inputs>,
    /// What a person held still when the last pass began.
    braked: Brake,
    /// Who kept the last pass off that could not begin.
    kept_off: Option<PassLockError>,
    state: State,
    looks: look::Looks,
    git: Option<Git>,
    published: watch::Sender<Arc<Snapshot>>,
    interest: Arc<Interest>,
    /// What was held and blocked when that was last told.
    stood: Vec<String>,
    _lock: FileLock,
}

/// What the loop has to do something about.
enum Event {
    Sense(Sense),
    /// Somebody looks at the page.
    Asked,
    /// The clone is to be fetched.
    FetchDue,
    Fetched(Option<FetchResult>),
    /// A pass may be due.
    Due,
}

/// Watches until it is ended. Ending it, in whatever way, touches no server.
///
/// # Errors
/// Only before it begins to watch; what goes wrong later is told, and tried again.
pub async fn watch(root: &Root, options: Options, voice: &dyn Voice) -> Result<Ended, WatchError> {
    root.create_state()?;
    let Some(lock) = FileLock::take_within(&root.watch_lock(), Duration::from_millis(200))? else {
        let pid = super::alive::living(root).map(|state| state.pid);
        return Err(WatchError::Kept(pid));
    };
    let git = match options.git {
        Some(following) => Some(Git::open(root, following).await?),
        None => None,
    };
    let page = options.page.as_ref().map(Page::open).transpose()?;
    voice.note(&format!("watching {}", root.path()));
    // What is kept for convenience does not decide whether servers are kept.
    let told = Told::read(root).unwrap_or_else(|error| {
        voice.warning(&format!(
            "{}\nwhat stands is told once more",
            crate::history::chain(&error)
        ));
        Told::default()
    });
    let good = LastGood::read(root).unwrap_or_else(|error| {
        voice.warning(&format!(
            "{}\nno files are known to be good before those that lie here",
            crate::history::chain(&error)
        ));
        None
    });
    let senses = Senses::open(root).map_err(WatchError::Signals)?;
    let state = State::begin(git.as_ref().map(|git| git.checkout.state()));
    let first = look::blank(root, &state);
    let (published, latest) = watch::channel(Arc::new(first));
    let interest = Arc::new(Interest::new(Duration::from_mins(5)));
    let mut schedule = Schedule::new(fastrand::u64(..));
    schedule.woken(Wake::Started, Duration::ZERO);
    let mut keeper = Keeper {
        root: root.clone(),
        voice,
        began: Instant::now(),
        senses,
        schedule,
        attempts: Attempts::default(),
        manager: ServiceManager::new(),
        notifier: Notifier::start(root),
        told,
        good,
        read: None,
        passed: None,
        braked: Brake::default(),
        kept_off: None,
        state,
        looks: look::Looks::default(),
        git,
        published,
        interest: interest.clone(),
        stood: Vec::new(),
        options,
        _lock: lock,
    };
    let served = match page {
        Some(page) => {
            let served = page.serve(latest, interest)?;
            voice.note(&format!("status page: http://{}/", served.address()));
            Some(served)
        }
        None => None,
    };
    // A first pass lasts as long as models load: whoever waits for watch to begin need not wait for that.
    keeper.manager.ready();
    let ended = tokio::select! {
        ended = keeper.run() => ended,
        never = service_manager::keep_alive() => match never {},
    };
    keeper.end(served).await;
    Ok(ended)
}

impl Keeper<'_> {
    async fn run(&mut self) -> Ended {
        if self.options.once {
            return self.once().await;
        }
        loop {
            let end = match self.begin().await {
                Ok(wakes) => self.pass(&wakes).await,
                Err(end) => Some(end),
            };
            if let Some(end) = end {
                return Ended::By(end);
            }
        }
    }

    /// Passes until nothing is left that another one could do at once.
    async fn once(&mut self) -> Ended {
        const MOST: u64 = 20;
        // Some 30 s.
        const PATIENCE: u32 = 10;
        if let Some(git) = &mut self.git {
            let fetched = git.checkout.fetching().await;
            self.fetched(Some(fetched)).await;
        }
        while self.state.now().passes < MOST {
            let wakes = match self.begin().await {
                Ok(wakes) => wakes,
                Err(end) => return Ended::By(end),
            };
            if let Some(end) = self.pass(&wakes).await {
                return Ended::By(end);
            }
            if self.schedule.deferrals() >= PATIENCE
                && let Some(error) = self.kept_off.take()
            {
                return Ended::KeptOff(error);
            }
            match self.state.result() {
                // None: somebody else was at work.
                Some(PassResult::Changed | PassResult::Superseded) | None => {}
                Some(
                    PassResult::Converged
                    | PassResult::Attention
                    | PassResult::Failed
                    | PassResult::Refused,
                ) => break,
            }
        }
        // What it went by may be the last good files: whoever called it is to know that those here are bad.
        let state = self.state.now();
        let result = self.state.result().filter(|_| state.manifest.good);
        let is_stuck = state.git.as_ref().is_some_and(|git| git.hold.is_some());
        Ended::Once(match result.unwrap_or(PassResult::Refused) {
            // All is well with the files here, and they are not those that are to be gone by.
            PassResult::Converged | PassResult::Changed if is_stuck => PassResult::Attention,
            result => result,
        })
    }

    /// Waits until a pass is due, or watch is to end.
    async fn begin(&mut self) -> Result<Vec<Wake>, End> {
        loop {
            if let Some(wakes) = self.schedule.begin(self.now()) {
                return Ok(wakes);
            }
            match self.next().await {
                Event::Sense(Sense::End(end)) => return Err(end),
                event => self.handle(event).await,
            }
        }
    }

    /// Time since it began: the schedule's clock.
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits for the next event. Nothing is lost where the wait is given up.
    async fn next(&mut self) -> Event {
        let now = self.now();
        let until = |at: Option<Duration>| {
            let wait = at.map(|at| at.saturating_sub(now));
            async move {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            }
        };
        let due = until(self.schedule.due().or(self.schedule.supersedes_at()));
        let idle = self.git.as_ref().filter(|git| git.fetching.is_none());
        let fetch_due = until(idle.map(|git| git.next));
        let look_due = until(self.looks.due());
        let fetched = async {
            match self.git.as_mut().and_then(|git| git.fetching.as_mut()) {
                Some(fetching) => fetching.await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            sense = self.senses.next() => Event::Sense(sense),
            () = self.interest.asked() => Event::Asked,
            () = look_due => Event::Asked,
            result = fetched => Event::Fetched(result),
            () = fetch_due => Event::FetchDue,
            () = due => Event::Due,
        }
    }

    /// Does what an event asks for at once, and notes what it asks of the next pass.
    async fn handle(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Sense(Sense::Inputs) => {
                // Which of them is seen once they are read.
                self.schedule.woken(Wake::Files("files".to_owned()), now);
            }
            Event::Sense(Sense::States) => self.schedule.woken(Wake::States, now),
            Event::Sense(Sense::Hangup) => {
                self.manager.reloading();
                self.schedule.woken(Wake::Hangup, now);
                self.fetch();
            }
            Event::Sense(Sense::Tick) => self.tick().await,
            Event::Asked => self.look_for_viewers().await,
            Event::FetchDue => self.fetch(),
            Event::Fetched(result) => self.fetched(result).await,
            Event::Sense(Sense::End(_)) | Event::Due => {}
        }
    }

    async fn tick(&mut self) {
        self.interest.alive();
        for failure in self.notifier.failures() {
            self.voice.warning(&failure);
        }
        if self.interest.viewers() > 0 && self.looks.are_older_than(self.now()) {
            self.look_for_viewers().await;
        }
    }

    /// Ends what it has begun, and leaves servers as they are.
    async fn end(mut self, served: Option<Served>) {
        self.manager.stopping();
        drop(served);
        self.state.leave(&self.root);
        self.notifier.finish(Duration::from_secs(35)).await;
    }
}
