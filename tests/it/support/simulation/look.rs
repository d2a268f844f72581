//! What the simulated machine shows of itself: the same as the local one does.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use llama_orch::desired::{Desired, WantedInstance};
use llama_orch::instance::record::{FileFact, RecordedLaunch};
use llama_orch::instance::state::{Health, PROTOCOL};
use llama_orch::instance::{InstanceName, Launch};
use llama_orch::observed::{
    Comparison, GaveUp, HostFacts, ListensAt, Memory, Observed, ObservedInstance, ObservedServer,
    Seen, Stranger, Supervisor, Verdict,
};

use super::life::{Phase, Work};
use super::{Kept, World, settle};

impl World {
    pub(super) fn look(&self, desired: &Desired) -> Observed {
        let names: BTreeSet<&InstanceName> = desired
            .instances
            .keys()
            .chain(self.instances.keys())
            .collect();
        let instance = |name: &InstanceName| {
            let wanted = match desired.instances.get(name) {
                Some(WantedInstance::Resolved(wanted)) => Some(wanted.launch.as_ref()),
                Some(WantedInstance::Unresolved(_)) | None => None,
            };
            (name.clone(), self.look_at(self.instances.get(name), wanted))
        };
        Observed {
            abilities: BTreeMap::new(),
            at: self.now,
            host: HostFacts {
                strangers: Seen::Known(self.strangers.iter().map(stranger).collect()),
                ..HostFacts::default()
            },
            binaries: Seen::Known(self.binaries.clone()),
            instances: names.into_iter().map(instance).collect(),
        }
    }

    /// A launch as it would be assigned here, and what it needs and does not find.
    pub(super) fn locate(&self, launch: &Launch) -> (RecordedLaunch, Vec<String>) {
        let mut facts = BTreeMap::new();
        let mut missing = Vec::new();
        for path in launch.files.keys() {
            if self.missing.contains(path) {
                missing.push(format!("model `{path}` is not there"));
            } else {
                let fact = FileFact {
                    size: 253_000_000,
                    modified: Some(Timestamp::UNIX_EPOCH),
                    content: None,
                };
                facts.insert(path.clone(), fact);
            }
        }
        let launch = RecordedLaunch {
            program: format!("bins/{}/llama-server", launch.binary).into(),
            launch: launch.clone(),
            facts,
        };
        (launch, missing)
    }

    fn look_at(&self, kept: Option<&Kept>, wanted: Option<&Launch>) -> ObservedInstance {
        let (wanted, missing) = match wanted {
            Some(wanted) => {
                let (wanted, missing) = self.locate(wanted);
                (Some(wanted), missing)
            }
            None => (None, Vec::new()),
        };
        let Some(kept) = kept else {
            let absent = ObservedInstance::absent();
            return ObservedInstance { missing, ..absent };
        };
        let rolled_back = kept.record.rolled_back.as_ref();
        let wanted = wanted.map(|wanted| {
            let held = rolled_back.filter(|it| it.holds_against(&wanted.launch));
            held.map_or(wanted, |rolled_back| rolled_back.launch.clone())
        });
        let work = kept.work.as_ref();
        let changes = work
            .zip(wanted.as_ref())
            .map(|(work, wanted)| work.launch.changes_to(wanted))
            .unwrap_or_default();
        let failed = wanted.and_then(|wanted| {
            let fingerprint = wanted.fingerprint();
            let told = work.and_then(|work| work.failed_of(&kept.record));
            told.into_iter()
                .chain(&kept.record.failed)
                .find(|failed| failed.fingerprint == fingerprint)
                .cloned()
        });
        ObservedInstance {
            revision: kept.revision(),
            supervisor: Seen::Known(work.and_then(|work| supervisor(work, kept))),
            server: Seen::Known(work.and_then(server)),
            memory: Seen::Known(self.memory(kept)),
            comparison: if changes.is_empty() {
                Comparison::Match
            } else {
                Comparison::Differs(changes)
            },
            failed,
            missing,
            model_size: 0,
            fetched: false,
        }
    }

    fn memory(&self, kept: &Kept) -> Memory {
        let work = kept.work.as_ref();
        // An end from before the last spawn says nothing of it.
        let exit = kept
            .exit
            .filter(|exit| work.is_none_or(|work| exit.at >= work.spawned));
        let mut record = kept.record.clone();
        let pardoned = record.pardoned_giving_up;
        if let Some(work) = work {
            settle(&mut record, work);
            let runs = work.launch.fingerprint();
            let mut proven = record.proven.iter();
            if matches!(work.phase, Phase::Running { .. })
                && proven.all(|launch| launch.fingerprint() != runs)
            {
                record.proven.push(work.launch.clone());
            }
        }
        let gave_up = work.and_then(|work| match &work.phase {
            Phase::GaveUp(failure)
                if work.boot == self.boot && pardoned != Some(work.assignment) =>
            {
                let why = failure.reason.clone();
                Some(if work.supervision.restart_policy.enabled {
                    GaveUp::TooOften(why)
                } else {
                    GaveUp::ByPolicy(why)
                })
            }
            _ => None,
        });
        Memory {
            traces: true,
            put_down: record.put_down,
            suspended: record.suspended,
            rolled_back: record.rolled_back,
            protected: record.protected,
            last_exit: exit.map(|exit| (exit.exit, exit.at)),
            ended_on_request: exit.is_some_and(|exit| exit.asked),
            gave_up,
            restarts: work.map_or(0, |work| work.restarts.total),
            last_load: record.last_load,
            last_build: record.wanted.map(|wanted| wanted.launch.launch.build),
            proven: record.proven,
        }
    }
}

fn stranger((port, who): (&u16, &String)) -> Stranger {
    Stranger {
        at: ListensAt::Port([127, 0, 0, 1].into(), *port),
        who: who.clone(),
    }
}

fn supervisor(work: &Work, kept: &Kept) -> Option<Supervisor> {
    let told = kept.record.wanted.iter();
    let told = told.flat_map(|told| {
        let fallback = told.fallback.iter().filter(|_| !work.proven);
        std::iter::once(&told.launch).chain(fallback)
    });
    work.is_supervised().then(|| Supervisor {
        settings: work.supervision.clone(),
        protocol: PROTOCOL,
        backing_off: match work.phase {
            Phase::BackingOff { until } => Some(until),
            _ => None,
        },
        restarts: work.restarts.in_a_row,
        builds: std::iter::once(&work.launch)
            .chain(told)
            .map(|launch| launch.launch.binary)
            .collect(),
    })
}

fn server(work: &Work) -> Option<ObservedServer> {
    let pid = work.server?;
    let passed = matches!(work.phase, Phase::Running { .. });
    Some(ObservedServer {
        launch: work.launch.clone(),
        verdict: if passed {
            Verdict::Passed
        } else {
            Verdict::Starting
        },
        health: if passed {
            Health::Healthy
        } else {
            Health::Unknown
        },
        proven: work.proven,
        since: work.spawned,
        load: work.load,
        process: format!("pid {pid}"),
        restarts: work.restarts.total,
    })
}
