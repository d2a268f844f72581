//! The words of the stories, and what each of them does.

mod soak;
mod watched;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt::Write as _;
use std::str::{FromStr, Lines};

use jiff::Timestamp;
use llama_orch::apply::{Events, Executor, Outcome, Report};
use llama_orch::backend::{ActionError, Backend as _};
use llama_orch::desired::argv::Salt;
use llama_orch::desired::resolve::{Answers, Known, Resolution, Resolved, Terms, resolve};
use llama_orch::desired::{Desired, WantedInstance};
use llama_orch::instance::InstanceName;
use llama_orch::instance::record::RolledBack;
use llama_orch::lock::Lock;
use llama_orch::manifest::{Manifest, SourceText, Texts};
use llama_orch::observed::Observed;
use llama_orch::plan::action::{Ago, Step};
use llama_orch::plan::rollback::target;
use llama_orch::plan::{Plan, ending, plan};
use llama_orch::release::host::{Accelerators, Host};
use llama_orch::release::{Arch, Os, Variant};
use llama_orch::status::Status;
use uuid::Uuid;

use crate::support::simulation::Simulation;
use crate::support::simulation::releases::Releases;
use watched::Watched;

/// When every story begins.
const BEGIN: &str = "2026-11-23T12:00:00Z";

/// A machine, what is written for it, and what was told so far.
pub(super) struct Story {
    machine: Simulation,
    releases: Releases,
    manifest: String,
    lock: Lock,
    chosen: BTreeMap<InstanceName, Variant>,
    /// What the next pass is to restart.
    restart: BTreeMap<InstanceName, Option<String>>,
    told: String,
    runtime: tokio::runtime::Runtime,
    watched: Watched,
    /// Passes of watch.
    passes: u128,
}

/// One look at everything, and what follows from it.
struct Pass {
    resolved: Resolved,
    observed: Observed,
    plan: Plan,
}

impl Story {
    /// Does what a story says, line by line, and tells what came of it.
    pub(super) fn tell(text: &str) -> String {
        let mut story = Self::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.is_empty() || line.starts_with('#') {
                story.say(line);
            } else {
                story.say(format_args!("> {line}"));
                story.obey(line, &mut lines);
                story.say_what_happened();
            }
        }
        story.told
    }

    fn new() -> Self {
        let begin: Timestamp = BEGIN.parse().expect("a time");
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        Self {
            machine: Simulation::new(begin),
            releases: Releases::default(),
            manifest: String::new(),
            lock: Lock::default(),
            chosen: BTreeMap::new(),
            restart: BTreeMap::new(),
            told: String::new(),
            runtime: runtime.expect("a runtime"),
            watched: Watched::default(),
            passes: 0,
        }
    }

    fn say(&mut self, line: impl std::fmt::Display) {
        let text = line.to_string();
        for line in text.lines().chain(text.is_empty().then_some("")) {
            let _ = writeln!(self.told, "{}", line.trim_end());
        }
    }

    fn say_what_happened(&mut self) {
        let journal = std::mem::take(&mut self.machine.world().journal);
        for line in journal {
            self.say(format_args!("    {line}"));
        }
    }

    fn obey(&mut self, line: &str, lines: &mut Lines<'_>) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["publish", tags @ ..] => tags.iter().for_each(|tag| self.releases.publish(is(tag))),
            ["stable", tag] => self.releases.stable = Some(is(tag)),
            ["asked"] => {
                let asked = std::mem::take(&mut self.releases.asked);
                self.say(format_args!("the release source was asked {asked} times"));
            }
            ["unreachable"] => self.reach(false),
            ["reachable"] => self.reach(true),
            ["manifest", "<<"] => {
                let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "end").collect();
                self.manifest = text.join("\n") + "\n";
                self.say(self.manifest.clone());
            }
            ["edit", ..] => self.edit(line.trim_start_matches("edit ")),
            ["bad", build] => drop(self.machine.world().bad.insert(is(build))),
            ["good", build] => drop(self.machine.world().bad.remove(&is(build))),
            ["fail", "install", build] => drop(self.machine.world().spoiled.insert(is(build))),
            ["mend", "install", build] => drop(self.machine.world().spoiled.remove(&is(build))),
            ["missing", path] => drop(self.machine.world().missing.insert((*path).into())),
            ["bring", path] => drop(self.machine.world().missing.remove(camino(path))),
            ["stranger", port] => {
                let who = "`python3` (pid 4121)".to_owned();
                self.machine.world().strangers.insert(is(port), who);
            }
            ["stranger", port, "leaves"] => {
                let left = self.machine.world().strangers.remove(&is(port));
                assert!(left.is_some(), "nobody was there: {line}");
            }
            ["crash", name] => self.machine.world().crash(&is(name)),
            ["exit", name] => self.machine.world().exit(&is(name)),
            ["lose", "supervisor", name] => self.machine.world().lose_supervisor(&is(name)),
            ["reboot"] => self.machine.world().reboot(),
            ["advance", time] => {
                let time: jiff::SignedDuration = is(time);
                let time = time.try_into().expect("a time to come");
                self.machine.world().advance(time);
            }
            ["plan", terms @ ..] => {
                if let Some(pass) = self.pass(terms) {
                    self.say(pass.plan);
                }
            }
            ["apply", terms @ ..] => self.apply(terms),
            ["watch"] => drop(self.watch(false)),
            ["watch", "superseded"] => drop(self.watch(true)),
            ["down", name, reason @ ..] => self.down(&is(name), &reason.join(" ")),
            ["up", name] => {
                self.machine.world().bring_up(&is(name));
                self.narrowed(&is(name));
            }
            ["retry", name] => {
                self.machine.world().pardon(&is(name));
                self.narrowed(&is(name));
            }
            ["suspend", name, reason @ ..] => {
                let reason = Some(reason.join(" ")).filter(|reason| !reason.is_empty());
                self.machine.world().suspend(&is(name), reason);
            }
            ["resume", name] => {
                self.machine.world().resume(&is(name));
                self.narrowed(&is(name));
            }
            ["restart", name, reason @ ..] => {
                let reason = Some(reason.join(" ")).filter(|reason| !reason.is_empty());
                self.restart.insert(is(name), reason);
                self.narrowed(&is(name));
            }
            ["rollback", name, "to", build] => self.rollback(&is(name), Some(build), ""),
            ["rollback", name, reason @ ..] => {
                self.rollback(&is(name), None, &reason.join(" "));
            }
            ["status"] => self.status(),
            _ => panic!("no story has these words: {line}"),
        }
    }

    fn reach(&mut self, reachable: bool) {
        self.releases.unreachable = !reachable;
        self.machine.world().unreachable = !reachable;
    }

    fn edit(&mut self, change: &str) {
        let change = change.replace("\\n", "\n");
        let (from, to) = change.split_once(" => ").expect("FROM => TO");
        let places = self.manifest.matches(from).count();
        assert_eq!(places, 1, "`{from}` stands {places} times in the manifest");
        self.manifest = self.manifest.replace(from, to);
    }

    /// Resolves, looks and plans. `None` where the manifest has mistakes, which are told.
    fn pass(&mut self, words: &[&str]) -> Option<Pass> {
        let manifest = match Manifest::parse(&Self::texts(&self.manifest)) {
            Ok(manifest) => manifest,
            Err(mistakes) => {
                self.say(mistakes);
                return None;
            }
        };
        let mut resolved = self.resolve(&manifest, words);
        resolved.desired.restart = std::mem::take(&mut self.restart);
        let observed = self
            .runtime
            .block_on(self.machine.observe(&resolved.desired));
        let plan = plan(&resolved.desired, &observed);
        Some(Pass {
            plan: consented(plan, words),
            resolved,
            observed,
        })
    }

    fn texts(manifest: &str) -> Texts {
        Texts {
            manifest: SourceText::new("orchestrator.yaml", manifest.to_owned()),
            configs: BTreeMap::new(),
        }
    }

    fn resolve(&mut self, manifest: &Manifest, words: &[&str]) -> Resolved {
        let answers = Answers::new(Uuid::nil());
        self.resolve_knowing(manifest, words, answers).0
    }

    fn resolve_knowing(
        &mut self,
        manifest: &Manifest,
        words: &[&str],
        mut answers: Answers,
    ) -> (Resolved, Answers) {
        let host = Host {
            accelerators: Accelerators {
                vulkan: true,
                ..Accelerators::default()
            },
            ..Host::bare(Os::Linux, Arch::X64)
        };
        let installed = self.machine.world().installed();
        let salt = Salt::new("salt");
        for _round in 0..4 {
            let known = Known {
                manifest,
                lock: &self.lock,
                installed: &installed,
                legacy: false,
                host: &host,
                chosen: &self.chosen,
                answers: &answers,
                salt: &salt,
                terms: Terms {
                    locked: words.contains(&"locked"),
                    offline: false,
                    allow_empty: words.contains(&"allow-empty"),
                    prune: words.contains(&"prune"),
                    attended: !words.contains(&"unattended"),
                },
            };
            match resolve(&known) {
                Resolution::Complete(resolved) => return (*resolved, answers),
                Resolution::Needs(questions) => {
                    for question in questions {
                        answers.note(question, self.releases.answer(question));
                    }
                }
            }
        }
        panic!("resolving goes on asking: {answers:?}")
    }

    fn apply(&mut self, words: &[&str]) {
        self.machine.world().settle();
        let Some(pass) = self.pass(words) else { return };
        let waits = pass.plan.waits_for_another();
        if self.carry_out(&pass) && !waits {
            // Converged means silent.
            let again = self.pass(words).expect("the manifest that was applied");
            let plan = again.plan;
            assert!(
                !plan.has_changes(),
                "planned again after it was done:\n{plan}"
            );
        }
    }

    /// What `up` and `retry` end in: a pass that concerns one instance.
    fn narrowed(&mut self, name: &InstanceName) {
        self.machine.world().settle();
        if let Some(mut pass) = self.pass(&["yes"]) {
            pass.plan = pass.plan.narrowed(&[name.clone()].into());
            self.carry_out(&pass);
        }
    }

    fn rollback(&mut self, name: &InstanceName, to: Option<&str>, reason: &str) {
        self.machine.world().settle();
        let Some(pass) = self.pass(&["yes"]) else {
            return;
        };
        let Some(WantedInstance::Resolved(wanted)) = pass.resolved.desired.instances.get(name)
        else {
            panic!("{name} is not resolved");
        };
        let binaries = pass.observed.binaries.known().expect("they are seen");
        let seen = &pass.observed.instances[name];
        match target(name, &wanted.launch, seen, binaries, to) {
            Ok(launch) => {
                let rolled_back = RolledBack {
                    launch,
                    instead_of: wanted.launch.fingerprint(),
                    instead_of_build: wanted.launch.build.clone(),
                    at: pass.observed.at,
                    reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
                };
                self.machine.world().roll_back(name, rolled_back);
                self.narrowed(name);
            }
            Err(why) => {
                self.say(format_args!("error: {why}"));
                if let Some(hint) = why.hint() {
                    self.say(format_args!("hint: {hint}"));
                }
            }
        }
    }

    fn down(&mut self, name: &InstanceName, reason: &str) {
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        self.machine
            .world()
            .put_down(name, reason.map(str::to_owned));
        let nothing = Desired::nothing();
        let observed = self.runtime.block_on(self.machine.observe(&nothing));
        let plan = ending(&observed, &[name.clone()].into(), reason);
        self.say(&plan);
        self.execute(&plan);
    }

    /// Remembers the choices, runs the plan and waits for gates that ran before. Says whether all
    /// of it was done.
    fn carry_out(&mut self, pass: &Pass) -> bool {
        self.say(&pass.plan);
        self.lock = pass.resolved.lock.clone();
        let resolved = &pass.resolved;
        self.machine.world().forget_rollbacks(&resolved.desired);
        self.chosen
            .retain(|name, _| resolved.desired.instances.contains_key(name));
        self.chosen.extend(resolved.chosen.clone());
        let mut all_done = self.execute(&pass.plan);
        for name in pass.plan.starting() {
            let verdict = self.machine.world().await_gate(&name);
            match verdict {
                Ok(()) => self.say(format_args!("{name} is up")),
                Err(error) => {
                    all_done = false;
                    self.say(format_args!("{name} is not up: {}", chain(&error)));
                }
            }
        }
        all_done
    }

    fn execute(&mut self, plan: &Plan) -> bool {
        let executor = Executor::new(&self.machine);
        let report = self.runtime.block_on(executor.apply(plan, &Unheard));
        self.say_what_happened();
        self.report(&report);
        report.succeeded()
    }

    fn report(&mut self, report: &Report) {
        for (step, outcome) in &report.outcomes {
            let became = match outcome {
                Outcome::Done { .. } => "done".to_owned(),
                Outcome::Failed(error) => format!("failed: {}", chain(error)),
                Outcome::Skipped { because_of } => format!("skipped, as it needs {because_of}"),
                Outcome::GivenUp(wish) => format!("given up, since it was {}", wish.words()),
            };
            let (verb, subject) = (step.action.verb(), step.action.subject());
            self.say(format_args!("{verb} {subject}: {became}"));
        }
    }

    fn status(&mut self) {
        let Some(pass) = self.pass(&["locked"]) else {
            return;
        };
        let status = Status::of(
            &pass.resolved.desired,
            &pass.observed,
            &pass.plan,
            &BTreeMap::new(),
        );
        for row in status.instances {
            let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let (state, build) = (row.state.word(), or_none(row.build));
            let since = or_none(row.seconds.map(|seconds| Ago(seconds).to_string()));
            let proven = if row.proven { " proven" } else { "" };
            let note = row.note.map(|note| format!("; {note}")).unwrap_or_default();
            let restarts = row.restarts;
            self.say(format_args!(
                "{:<8} {state} {build} for {since}, {restarts} restarts{proven}{note}",
                row.name
            ));
        }
    }
}

/// Without `yes` nobody has agreed to removals.
fn consented(plan: Plan, words: &[&str]) -> Plan {
    if words.contains(&"yes") {
        plan
    } else {
        plan.without_removals()
    }
}

/// A word of a story as what it stands for.
fn is<T: FromStr<Err: std::fmt::Debug>>(word: &str) -> T {
    word.parse()
        .unwrap_or_else(|error| panic!("`{word}`: {error:?}"))
}

fn camino(path: &str) -> &camino::Utf8Path {
    path.into()
}

fn chain(error: &ActionError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

/// Nobody listens.
struct Unheard;

impl Events for Unheard {
    fn started(&self, _step: &Step) {}
    fn received(&self, _step: &Step, _bytes: u64, _total: Option<u64>) {}
    fn phase(&self, _step: &Step, _phase: &str) {}
    fn remark(&self, _step: &Step, _remark: &str) {}
    fn ended(&self, _step: &Step, _outcome: &Outcome) {}
}
