//! When a pass is due: what woke it, that files have to be quiet first, and that one pass runs at a time.
//!
//! Its clock is the time since the loop began, told from outside. Sensing what wakes it, and the pass
//! itself, are the loop's.

use std::time::Duration;

/// How long files have to be quiet: an editor writes more than once.
const QUIET: Duration = Duration::from_millis(100);
/// How long files that are never quiet are waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between the end of a pass and one that nobody asked for.
const BREATH: Duration = Duration::from_millis(100);
/// The first wait for whoever else is at work, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How many files are told apart: more of them say no more than that much has changed.
const FILES_TOLD_APART: usize = 8;

/// What led to a pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wake {
    /// Watch began.
    Started,
    /// A file that watch goes by changed: its path in the root.
    Files(String),
    /// A supervisor wrote down another state.
    States,
    /// The time of a hold is over.
    Hold,
    /// Nothing happened for as long as the manifest says.
    Resync,
    /// A person sent SIGHUP.
    Hangup,
    /// Another commit lies in the work tree: the short form of its hash.
    Git(String),
    /// The pass before it leaves more to do.
    Followup,
}

impl Wake {
    /// What people read.
    pub fn words(&self) -> String {
        match self {
            Self::Started => "watch began".to_owned(),
            Self::Files(name) => format!("{name} changed"),
            Self::States => "the state of an instance changed".to_owned(),
            Self::Hold => "the time of a hold was over".to_owned(),
            Self::Resync => "time had passed".to_owned(),
            Self::Hangup => "SIGHUP".to_owned(),
            Self::Git(commit) => format!("commit {commit}"),
            Self::Followup => "the pass before it left more to do".to_owned(),
        }
    }

    /// Whether a pass itself may bring it about, so that it could go round in circles.
    const fn is_of_our_making(&self) -> bool {
        match self {
            Self::States | Self::Hold | Self::Resync | Self::Followup => true,
            Self::Started | Self::Files(_) | Self::Hangup | Self::Git(_) => false,
        }
    }
}

/// When the next pass is due, and why.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// What no pass has answered yet.
    woken: Vec<Woken>,
    /// What the pass that runs answers; `None` between two.
    answering: Option<Vec<Woken>>,
    resync_at: Option<Duration>,
    hold_at: Option<Duration>,
    /// Before then nothing begins that a pass may have brought about.
    breath_until: Duration,
    /// Before then nothing begins at all.
    deferred_until: Duration,
    /// How often in a row a pass could not begin.
    deferrals: u32,
    random: fastrand::Rng,
}

#[derive(Debug, Clone)]
struct Woken {
    wake: Wake,
    first: Duration,
    last: Duration,
}

impl Woken {
    const fn is_file(&self) -> bool {
        matches!(self.wake, Wake::Files(_))
    }
}

impl Schedule {
    /// A schedule by which nothing is due. The seed decides about its jitter.
    pub fn new(seed: u64) -> Self {
        Self {
            woken: Vec::new(),
            answering: None,
            resync_at: None,
            hold_at: None,
            breath_until: Duration::ZERO,
            deferred_until: Duration::ZERO,
            deferrals: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Something calls for a pass.
    pub fn woken(&mut self, wake: Wake, at: Duration) {
        let files = self.woken.iter().filter(|known| known.is_file()).count();
        let known = self.woken.iter_mut().rev().find(|known| {
            known.wake == wake
                || match wake {
                    Wake::Files(_) => known.is_file() && files >= FILES_TOLD_APART,
                    // The newest speaks for those before it.
                    Wake::Git(_) => matches!(known.wake, Wake::Git(_)),
                    Wake::Started
                    | Wake::States
                    | Wake::Hold
                    | Wake::Resync
                    | Wake::Hangup
                    | Wake::Followup => false,
                }
        });
        if let Some(known) = known {
            known.last = known.last.max(at);
            if matches!(wake, Wake::Git(_)) {
                known.wake = wake;
            }
        } else {
            let (first, last) = (at, at);
            self.woken.push(Woken { wake, first, last });
        }
    }

    /// When the next pass is due; `None` while one runs, and where nothing calls for one.
    pub fn due(&self) -> Option<Duration> {
        if self.answering.is_some() {
            return None;
        }
        let others = self.woken.iter().filter(|woken| !woken.is_file());
        let others =
            others.map(|woken| self.not_at_once(woken.wake.is_of_our_making(), woken.first));
        let timers = [self.resync_at, self.hold_at].into_iter().flatten();
        let timers = timers.map(|at| self.not_at_once(true, at));
        let due = others.chain(timers).chain(self.files_settle()).min()?;
        Some(due.max(self.deferred_until))
    }

    /// Begins a pass where one is due, and says what it answers.
    pub fn begin(&mut self, now: Duration) -> Option<Vec<Wake>> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        for (at, wake) in [(self.hold_at, Wake::Hold), (self.resync_at, Wake::Resync)] {
            if let Some(at) = at.filter(|at| *at <= now) {
                self.woken(wake, at);
            }
        }
        let settled = self.files_settle().is_some_and(|at| at <= now);
        let answers: Vec<Woken> = self
            .woken
            .extract_if(.., |woken| settled || !woken.is_file())
            .collect();
        let wakes = answers.iter().map(|woken| woken.wake.clone()).collect();
        self.answering = Some(answers);
        Some(wakes)
    }

    /// Whether the pass that runs is at work on files that are no longer the newest.
    pub fn supersedes(&self, now: Duration) -> bool {
        self.supersedes_at().is_some_and(|at| at <= now)
    }

    /// When the pass that runs will be at work on files that are no longer the newest, if it still runs
    /// then and nothing else happens.
    pub fn supersedes_at(&self) -> Option<Duration> {
        self.answering.as_ref()?;
        let commits = self
            .woken
            .iter()
            .filter(|woken| matches!(woken.wake, Wake::Git(_)));
        let commits = commits.map(|woken| woken.first);
        commits.chain(self.files_settle()).min()
    }

    /// The newer files were looked at, and are no reason for another pass: the one that runs answers for them.
    pub fn answered(&mut self) {
        if let Some(answering) = &mut self.answering {
            let is_newer =
                |woken: &mut Woken| woken.is_file() || matches!(woken.wake, Wake::Git(_));
            answering.extend(self.woken.extract_if(.., is_newer));
        }
    }

    /// There was nothing to make a pass of: what was due is due as before.
    pub fn unchanged(&mut self) {
        self.answering = None;
        self.deferrals = 0;
        self.deferred_until = Duration::ZERO;
    }

    /// How often in a row a pass could not begin.
    pub const fn deferrals(&self) -> u32 {
        self.deferrals
    }

    /// The pass has come to its end. The next is due after about `resync`, or after `hold_in` where
    /// that is earlier, if nothing wakes it before.
    pub fn ended(&mut self, now: Duration, resync: Duration, hold_in: Option<Duration>) {
        self.answering = None;
        self.deferrals = 0;
        self.deferred_until = Duration::ZERO;
        self.breath_until = now.saturating_add(BREATH);
        self.resync_at = Some(now.saturating_add(self.jittered(resync)));
        self.hold_at = hold_in.map(|hold_in| now.saturating_add(hold_in));
    }

    /// The pass could not begin, since somebody else is at work. What woke it is still to be answered.
    pub fn deferred(&mut self, now: Duration) {
        let mut woken = self.answering.take().unwrap_or_default();
        std::mem::swap(&mut woken, &mut self.woken);
        for woken in woken {
            self.woken(woken.wake, woken.last);
        }
        let wait = FIRST_WAIT.saturating_mul(1 << self.deferrals.min(8));
        self.deferrals = self.deferrals.saturating_add(1);
        self.deferred_until = now.saturating_add(wait.min(LONGEST_WAIT));
    }

    /// When the files that changed are quiet, or have been waited for long enough.
    fn files_settle(&self) -> Option<Duration> {
        let files = || self.woken.iter().filter(|woken| woken.is_file());
        let first = files().map(|woken| woken.first).min()?;
        let last = files().map(|woken| woken.last).max()?;
        Some(
            last.saturating_add(QUIET)
                .min(first.saturating_add(PATIENCE)),
        )
    }

    fn not_at_once(&self, of_our_making: bool, at: Duration) -> Duration {
        if of_our_making {
            at.max(self.breath_until)
        } else {
            at
        }
    }

    /// A time that is up to a tenth shorter or longer, so that many machines do not ask as one.
    fn jittered(&mut self, time: Duration) -> Duration {
        time.mul_f64(0.9 + 0.2 * self.random.f64())
    }
}

#[cfg(test)]
mod tests;
