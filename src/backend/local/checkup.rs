//! Asks servers how they are, now and by the settings their supervisors ask by. Blocking.
//!
//! Nothing is asked that would wake a sleeping model: upstream answers `/health` and `/props` of one
//! without waking it (llama.cpp's tools/server/README.md, b9000). A server that does not hold its lock
//! is not asked at all, since somebody else may listen where it did.

#![expect(
    clippy::disallowed_types,
    reason = "a check may be a program of the user's"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use jiff::Timestamp;

use super::Local;
use super::drain::key_it_was_given;
use super::observe::Sight;
use crate::health::{Asked, Checkup, Word};
use crate::instance::probe::{self, Address, Answer, ProbeError, Request};
use crate::instance::state::{Phase, State};
use crate::instance::{CheckKind, GateSpec, InstanceName, process};
use crate::plan::action::Ago;

/// How many servers are asked at a time.
const AT_A_TIME: usize = 16;

/// How long a server that is well may take to say whether it sleeps.
const SIDE_QUESTION: Duration = Duration::from_secs(1);

impl Local {
    /// Asks each of these servers, several at a time. `timeout` goes before that of their
    /// `healthcheck`.
    pub fn check_up(&self, names: &[InstanceName], timeout: Option<Duration>) -> Vec<Checkup> {
        let share = names.len().div_ceil(AT_A_TIME).max(1);
        std::thread::scope(|scope| {
            let asking: Vec<_> = names
                .chunks(share)
                .map(|names| {
                    scope.spawn(move || -> Vec<Checkup> {
                        let names = names.iter();
                        names.map(|name| self.check_up_one(name, timeout)).collect()
                    })
                })
                .collect();
            let mut checkups = Vec::with_capacity(names.len());
            for (asking, names) in asking.into_iter().zip(names.chunks(share)) {
                checkups.extend(asking.join().unwrap_or_else(|_| {
                    let unknown =
                        |name: &InstanceName| Checkup::unasked(name.as_str(), Word::Unknown);
                    names.iter().map(unknown).collect()
                }));
            }
            checkups
        })
    }

    fn check_up_one(&self, name: &InstanceName, timeout: Option<Duration>) -> Checkup {
        let sight = Sight::of(&self.folder(name));
        let unknown = |why: &str| Checkup {
            reason: Some(why.to_owned()),
            ..Checkup::unasked(name.as_str(), Word::Unknown)
        };
        let state = match (&sight.server_lives, &sight.state) {
            (Err(why), _) | (Ok(_), Err(why)) => return unknown(&why.0),
            (Ok(false), Ok(state)) => return down(name, &sight, state.as_ref()),
            (Ok(true), Ok(None)) => return unknown("nothing says where it listens"),
            (Ok(true), Ok(Some(state))) => state,
        };
        let mut spec = state.supervision.gate.clone();
        spec.timeout = timeout.unwrap_or(spec.timeout);
        Checkup::asked(name.as_str(), state, self.ask(name, state, &spec))
    }

    fn ask(&self, name: &InstanceName, state: &State, spec: &GateSpec) -> Asked {
        let root = self.root.path();
        let began = Instant::now();
        let unwell = |latency, why| Asked::Unwell { latency, why };
        let well = |sleeps| Asked::Well {
            latency: began.elapsed(),
            sleeps,
        };
        if let CheckKind::Custom { script } = &spec.kind {
            return match run(root, script, name, state, spec.timeout) {
                Ok(()) => well(false),
                Err(why) => unwell(None, why),
            };
        }
        let address =
            match Address::within(root, &state.launch.launch.host, state.launch.launch.port) {
                Ok(address) => address,
                Err(why) => return unwell(None, why.to_string()),
            };
        if spec.kind == CheckKind::Tcp {
            return match probe::connects(&address, spec.timeout, &[]) {
                Ok(()) => well(false),
                Err(why) => unwell(None, why.to_string()),
            };
        }
        let key = process::api_key(root, &state.launch.launch).or_else(|| key_it_was_given(state));
        let ask = |path, timeout| -> Result<Answer, ProbeError> {
            let request = Request {
                path,
                body: None,
                api_key: key.as_deref(),
            };
            probe::ask(&address, &request, timeout, &[])
        };
        let answer = match ask(&spec.path, spec.timeout) {
            Ok(answer) => answer,
            Err(why) => return unwell(None, why.to_string()),
        };
        let latency = began.elapsed();
        let fits = spec
            .expected_body
            .as_ref()
            .is_none_or(|text| answer.body.contains(text));
        if spec.expected_status.contains(&answer.status) && fits {
            let sleeps = ask("/props", spec.timeout.min(SIDE_QUESTION)).is_ok_and(|it| sleeps(&it));
            return Asked::Well { latency, sleeps };
        }
        if answer.status == 503 && answer.body.contains("Loading model") {
            return Asked::Loads(latency);
        }
        let why = if fits {
            format!("answered `{}` with {}", spec.path, answer.summary())
        } else {
            format!("the answer to `{}` is without the expected text", spec.path)
        };
        unwell(Some(latency), why)
    }
}

/// A server that does not hold its lock: why, as far as its files tell.
fn down(name: &InstanceName, sight: &Sight, state: Option<&State>) -> Checkup {
    let record = sight.record.as_ref().ok().and_then(Option::as_ref);
    let put_down = record.and_then(|record| record.put_down.as_ref());
    let supervised = matches!(sight.supervisor_lives, Ok(true));
    let reason = match (put_down, state.map(|state| &state.phase)) {
        (Some(put_down), _) => Some(match &put_down.reason {
            Some(reason) => format!("put down: {reason}"),
            None => "put down".to_owned(),
        }),
        (None, None) => Some("never started".to_owned()),
        (None, Some(Phase::BackingOff { until })) if supervised => {
            let wait = Ago::between(Timestamp::now(), *until);
            Some(format!("starts again in {}", Ago(wait)))
        }
        (None, Some(Phase::GaveUp { failure })) => Some(format!("gave up: {}", failure.reason)),
        (None, Some(Phase::Failed)) => state
            .and_then(|state| state.failed.as_ref())
            .map(|failed| format!("{} failed: {}", failed.build, failed.failure.reason)),
        (None, Some(_)) => sight.exit.as_ref().map(|exit| match &exit.reason {
            Some(reason) => reason.clone(),
            None => exit.exit.to_string(),
        }),
    };
    let starts = supervised
        && matches!(state, Some(state) if matches!(state.phase, Phase::Starting { .. } | Phase::TakingOver));
    Checkup {
        meant: put_down.is_some(),
        reason: reason.filter(|_| !starts),
        ..Checkup::unasked(
            name.as_str(),
            if starts { Word::Loading } else { Word::Down },
        )
    }
}

fn sleeps(props: &Answer) -> bool {
    let props: Option<serde_json::Value> = serde_json::from_str(&props.body).ok();
    props.is_some_and(|props| props["is_sleeping"] == true)
}

/// Runs the user's own check, as its supervisor does.
fn run(
    root: &Utf8Path,
    script: &Utf8Path,
    name: &InstanceName,
    state: &State,
    timeout: Duration,
) -> Result<(), String> {
    let launch = &state.launch.launch;
    let passed = ["PATH", "HOME", "LANG"];
    let environment = passed
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(root.join(script).as_std_path());
    command
        .env_clear()
        .envs(environment)
        .env("LLAMA_ORCH_INSTANCE", name.as_str())
        .env("LLAMA_ORCH_HOST", &launch.host)
        .env("LLAMA_ORCH_PORT", launch.port.to_string())
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    process::run_bounded(command, timeout, &[]).map_err(Option::unwrap_or_default)
}
