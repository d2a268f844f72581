//! Verbs that edit the files: they plan on the edited texts in memory, show the difference and the
//! plan, ask, and only then replace the files and apply.
//!
//! What is edited is each verb's own to say ([`Wish`]); how a text is edited is left to the library.

mod difference;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use llama_orch::apply::Report;
use llama_orch::backend::Backend as _;
use llama_orch::backend::local::Local;
use llama_orch::desired::WantedInstance;
use llama_orch::desired::resolve::{Resolved, Terms};
use llama_orch::history::{self, Entry};
use llama_orch::instance::InstanceName;
use llama_orch::instance::record::Record;
use llama_orch::lock::Lock;
use llama_orch::manifest::Texts;
use llama_orch::manifest::edit::{self, Edit, EditError};
use llama_orch::plan::Plan;
use llama_orch::plan::action::HoldReason;
use llama_orch::reconcile::editing::{self, FileEdit};
use llama_orch::reconcile::{self, LoadError, Loaded, PassLock, read_texts};
use llama_orch::release::source::AnySource;
use llama_orch::root::{self, Root};
use uuid::Uuid;

use super::diagnostic::{Failure, Kind};
use super::ui::Ui;
use super::{Global, LockArgs, ReasonArgs, Runtime, apply, followed, plan, runtime, text};

/// What goes for every verb that edits.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(super) struct EditArgs {
    /// Show what would be written and done, and do neither
    #[arg(long, conflicts_with_all = ["yes", "no_apply"])]
    pub(super) dry_run: bool,
    /// Write the files and leave it at that
    #[arg(long)]
    pub(super) no_apply: bool,
    /// Carry it out without asking
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Do not wait for the open requests of servers that stop (`rollout.drain`)
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) why: ReasonArgs,
    #[command(flatten)]
    pub(super) lock: LockArgs,
}

/// A change of a record, given the assignment its supervisor last spoke of.
pub(super) type RecordChange = Box<dyn Fn(&mut Record, Option<Uuid>)>;

/// What a verb wants changed.
#[derive(Default)]
pub(super) struct Wish {
    /// In the files.
    pub(super) edits: Vec<Edit>,
    /// Floating pins that are to be resolved anew.
    pub(super) moved: BTreeSet<InstanceName>,
    /// Whether it goes back, in which case nothing is started in place of what fails.
    pub(super) goes_back: bool,
    /// What can be done where carrying it out fails.
    pub(super) way_out: Option<String>,
    /// In the record of each instance that is edited, once the files are written.
    pub(super) record: Option<RecordChange>,
}

impl Wish {
    pub(super) fn to(edits: Vec<Edit>) -> Self {
        Self {
            edits,
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.moved.is_empty()
    }

    fn names(&self) -> BTreeSet<InstanceName> {
        let edited = self.edits.iter().map(Edit::instance);
        edited.chain(&self.moved).cloned().collect()
    }

    /// Whether it asks for builds, which have to be there to be had.
    fn asks_for_builds(&self) -> bool {
        let asks = |edit: &Edit| matches!(edit, Edit::Pin { .. } | Edit::Add { .. });
        !self.moved.is_empty() || self.edits.iter().any(asks)
    }

    fn removes(&self) -> bool {
        let removes = |edit: &Edit| matches!(edit, Edit::Remove { .. });
        self.edits.iter().any(removes)
    }
}

/// A root that is being edited, under its pass lock unless it is only to be shown.
pub(super) struct Editing<'a> {
    global: &'a Global,
    args: &'a EditArgs,
    verb: &'static str,
    ui: &'a Ui,
    pub(super) root: Root,
    pub(super) loaded: Loaded,
    pub(super) runtime: Runtime,
    texts: Texts,
    is_new: bool,
    /// Whether a watch keeps the files as git has them.
    pub(super) is_followed: bool,
    _lock: Option<PassLock>,
}

impl<'a> Editing<'a> {
    pub(super) fn begin(
        global: &'a Global,
        args: &'a EditArgs,
        verb: &'static str,
        ui: &'a Ui,
    ) -> Result<Self, Failure> {
        let root = global.find_root()?;
        Self::of(global, args, verb, ui, root, None)
    }

    /// The same for a root whose manifest may be still to be written: then this is its first text.
    pub(super) fn of(
        global: &'a Global,
        args: &'a EditArgs,
        verb: &'static str,
        ui: &'a Ui,
        root: Root,
        first: Option<&str>,
    ) -> Result<Self, Failure> {
        let is_new = !root.manifest().exists();
        let mut lock = None;
        if !args.dry_run {
            root.check_writable(global.allow_network_root)?;
            // Where nothing is yet, nothing is left behind by what comes to nothing.
            if !is_new {
                lock = Some(args.lock.take(&root, verb)?);
                Local::bare(&root).tidy()?;
            }
        }
        let texts = match (read_texts(&root), first) {
            (Err(LoadError::NoManifest(_)), Some(first)) => editing::new_texts(first),
            (texts, _) => texts?,
        };
        let loaded = Loaded::of(&root, &texts)?;
        if global.verbose {
            ui.remark(format_args!("root: {}", root.path()));
        }
        Ok(Self {
            is_followed: followed::is_followed(&root),
            global,
            args,
            verb,
            ui,
            root,
            loaded,
            runtime: runtime()?,
            texts,
            is_new,
            _lock: lock,
        })
    }

    /// The instances of the manifest as it is.
    pub(super) fn known(&self) -> BTreeSet<InstanceName> {
        self.loaded.manifest.instances.keys().cloned().collect()
    }

    pub(super) const fn terms(&self) -> Terms {
        Terms {
            locked: self.is_followed && !self.args.dry_run,
            offline: self.global.offline,
            // Who takes the last one out says so by name.
            allow_empty: true,
            prune: false,
            attended: true,
        }
    }

    pub(super) fn source(&self) -> AnySource {
        self.loaded.source(self.terms())
    }

    /// What the root would be with these edits, for whoever wants to know before it is one.
    pub(super) fn with(&self, edits: &[Edit]) -> Result<Loaded, Failure> {
        let texts = edit::edit(&self.texts, edits)?;
        Ok(self.loaded.with_texts(&texts).map_err(LoadError::from)?)
    }

    /// Shows, asks, writes and applies.
    pub(super) fn run(self, wish: &Wish) -> Result<u8, Failure> {
        let Self { ui, args, .. } = self;
        if !args.dry_run {
            followed::refuse(&self.root, self.verb)?;
        }
        let names = wish.names();
        let texts = edit::edit(&self.texts, &wish.edits)?;
        let edits = editing::edits(&self.texts, &texts, self.is_new);
        let mut loaded = self.loaded.with_texts(&texts).map_err(LoadError::from)?;
        for name in &wish.moved {
            loaded.lock.pins.remove(name);
        }
        let terms = self.terms();
        let backend = Local::new(&loaded, terms);
        if !args.dry_run && !self.is_new {
            backend.settle()?;
        }
        let source = loaded.source(terms);
        let (resolved, unreachable) = if wish.asks_for_builds() {
            self.runtime
                .block_on(loaded.resolve_covered(&source, terms))
        } else {
            let (resolved, answers) = self.runtime.block_on(loaded.resolve(&source, terms));
            (resolved, answers.unreachable())
        };
        let observed = self.runtime.block_on(backend.observe(&resolved.desired));
        let mut plan = llama_orch::plan::plan(&resolved.desired, &observed).narrowed(&names);
        if args.force {
            plan = plan.without_drain();
        }
        if wish.goes_back {
            plan = plan.without_fallbacks();
        }
        self.show(&edits, &resolved, &plan);
        // An edit alone may wait for the source; what is in the lock is not given up for that.
        let may_wait = args.no_apply && unreachable && wish.moved.is_empty();
        if wish.asks_for_builds() && self.tells_unresolved(&names, &resolved, &plan) && !may_wait {
            ui.remark("nothing was changed");
            return Ok(if unreachable { 69 } else { 1 });
        }
        if wish.removes() && is_protected(&plan) {
            ui.remark("nothing was changed");
            ui.hint("take it out of `protect`, then lift it here with `llama-orch unprotect NAME`");
            return Ok(1);
        }
        if args.dry_run {
            return Ok(0);
        }
        if !self.agreed(wish)? {
            ui.remark("nothing was changed");
            return Ok(1);
        }
        let _lock = if self.is_new {
            Some(args.lock.take(&self.root, self.verb)?)
        } else {
            None
        };
        editing::replace(&self.loaded, &self.texts, &edits, self.is_new)?;
        self.loaded.remember(&resolved)?;
        self.tell_written(&edits, &resolved.lock);
        if let Some(record) = &wish.record {
            for name in &names {
                backend.change_record(name, record)?;
            }
        }
        if args.no_apply {
            history::append(&self.root, &self.note())?;
            ui.remark("See `llama-orch plan`.");
            return Ok(0);
        }
        backend.forget_rollbacks(&resolved.desired, &observed)?;
        // What was edited, and why, is told even where nothing followed from it.
        if !plan.has_changes() && !edits.is_empty() {
            history::append(&self.root, &self.note())?;
        }
        let asked = args.why.asked(self.verb);
        let code = apply::bring_about(&self.runtime, &backend, &plan, asked, &self.root, ui)?;
        if let (1, true, Some(way_out)) = (code, plan.has_changes(), &wish.way_out) {
            ui.hint(way_out);
        }
        Ok(code)
    }

    /// The line of the history for an edit that nothing followed from.
    fn note(&self) -> Entry {
        let asked = self.args.why.asked(self.verb);
        Entry::of(asked, reconcile::now(), Duration::ZERO, &Report::default())
    }

    /// Whether a build that is asked for cannot be had, which is told. An instance that is not to run has
    /// no blocker in the plan for that.
    fn tells_unresolved(
        &self,
        names: &BTreeSet<InstanceName>,
        resolved: &Resolved,
        plan: &Plan,
    ) -> bool {
        let is_blocked = |name: &InstanceName| {
            let mut blockers = plan.blockers().iter();
            blockers.any(|blocker| blocker.subject.instance() == Some(name))
        };
        let mut found = false;
        for name in names {
            let wanted = resolved.desired.instances.get(name);
            if let Some(WantedInstance::Unresolved(unresolved)) = wanted {
                found = true;
                if !is_blocked(name) {
                    self.ui.error(format_args!("{name}: {}", unresolved.why));
                    if let Some(hint) = unresolved.why.hint() {
                        self.ui.hint(hint);
                    }
                }
            }
        }
        found
    }

    /// The files as they would change, and what follows.
    fn show(&self, edits: &[FileEdit<'_>], resolved: &Resolved, plan: &Plan) {
        let mut shown = difference::files(edits);
        let verbose = self.global.verbose;
        shown += &difference::lock(&self.loaded.lock, &resolved.lock, verbose);
        shown += &text::plan(plan, self.ui.width(), "what runs is what would be written");
        self.ui.data(shown);
        plan::hints(plan, self.ui);
    }

    fn agreed(&self, wish: &Wish) -> Result<bool, Failure> {
        if self.args.yes {
            return Ok(true);
        }
        if self.ui.can_ask() {
            let question = if self.args.no_apply {
                "\nWrite it?"
            } else {
                "\nWrite it and carry it out?"
            };
            return self.ui.ask(question);
        }
        if wish.removes() {
            let message = "nobody can be asked whether an instance is to be removed".to_owned();
            return Err(Failure::new(Kind::Usage, message).hint("say `--yes`, or see `--dry-run`"));
        }
        Ok(true)
    }

    /// What is to be committed, where the root is kept in git.
    fn tell_written(&self, edits: &[FileEdit<'_>], lock: &Lock) {
        let mut names: Vec<String> = edits
            .iter()
            .map(|edit| format!("`{}`", edit.name))
            .collect();
        if *lock != self.loaded.lock {
            names.push(format!("`{}`", root::LOCK));
        }
        let mut folders = self.root.path().ancestors();
        if !names.is_empty() && folders.any(|folder| folder.join(".git").exists()) {
            let names = names.join(", ");
            self.ui.remark(format_args!(
                "Written: {names}. Commit what is kept in git."
            ));
        }
    }
}

fn is_protected(plan: &Plan) -> bool {
    let mut holds = plan.holds().iter();
    holds.any(|hold| hold.why == HoldReason::Protected)
}

impl From<EditError> for Failure {
    fn from(error: EditError) -> Self {
        let kind = match error {
            EditError::Leftover(_) => Kind::Usage,
            _ => Kind::Invalid,
        };
        let failure = Self::of(kind, &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
