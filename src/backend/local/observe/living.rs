//! What lives of an instance: its supervisor and its server, told by their locks and explained by
//! `state.json`.

use std::collections::BTreeSet;

use crate::instance::BinaryId;
use crate::instance::record::Record;
use crate::instance::state::{self, Phase, State};
use crate::observed::{ObservedServer, Seen, Supervisor, Unseen, Verdict};

/// The supervisor, if its lock says that one lives.
pub(super) fn supervisor(
    lives: &Result<bool, Unseen>,
    state: &Result<Option<State>, Unseen>,
    record: Option<&Option<Record>>,
) -> Seen<Option<Supervisor>> {
    match (lives, state) {
        (Err(why), _) | (Ok(true), Err(why)) => Seen::Unknown(why.clone()),
        (Ok(false), _) => Seen::Known(None),
        (Ok(true), Ok(None)) => Seen::Unknown(Unseen(
            "its supervisor has just begun and said nothing yet".to_owned(),
        )),
        (Ok(true), Ok(Some(state))) if !state::is_understood(state.protocol) => {
            Seen::Unknown(Unseen(format!(
                "it runs under a supervisor of another version of llama-orch (protocol {}, and {} and {} are understood)",
                state.protocol,
                state::PROTOCOL - 1,
                state::PROTOCOL,
            )))
        }
        (Ok(true), Ok(Some(state))) => Seen::Known(Some(Supervisor {
            settings: state.supervision.clone(),
            protocol: state.protocol,
            backing_off: match state.phase {
                Phase::BackingOff { until } => Some(until),
                _ => None,
            },
            restarts: state.restarts.in_a_row,
            builds: builds(state, record.and_then(Option::as_ref)),
        })),
    }
}

/// The builds a supervisor may start: of what it runs, and of everything it was told. Once its
/// launch is proven, it goes on trying that and falls back no more.
fn builds(state: &State, record: Option<&Record>) -> BTreeSet<BinaryId> {
    let told = record.and_then(|record| record.wanted.as_ref());
    let told = told.into_iter().flat_map(|told| {
        let settled = state.proven && state.assignment == told.id;
        let fallback = told.fallback.iter().filter(move |_| !settled);
        std::iter::once(&told.launch).chain(fallback)
    });
    std::iter::once(&state.launch)
        .chain(told)
        .map(|launch| launch.launch.binary)
        .collect()
}

/// The server, if its lock says that one lives.
pub(super) fn server(
    lives: &Result<bool, Unseen>,
    state: &Result<Option<State>, Unseen>,
) -> Seen<Option<ObservedServer>> {
    let state = match (lives, state) {
        (Err(why), _) | (Ok(true), Err(why)) => return Seen::Unknown(why.clone()),
        (Ok(false), _) => return Seen::Known(None),
        (Ok(true), Ok(None)) => {
            let why = "its `server.lock` is held, and there is no `state.json` that says by whom";
            return Seen::Unknown(Unseen(why.to_owned()));
        }
        (Ok(true), Ok(Some(state))) => state,
    };
    let verdict = match &state.phase {
        Phase::Running => Verdict::Passed,
        Phase::Failed if state.server.is_some() => Verdict::Failed,
        Phase::TakingOver
        | Phase::Starting { .. }
        | Phase::Stopping
        | Phase::BackingOff { .. }
        | Phase::GaveUp { .. }
        | Phase::Failed
        | Phase::Stopped => Verdict::Starting,
        Phase::StopFailed { reason } => return Seen::Unknown(Unseen(reason.clone())),
    };
    let process = state
        .server
        .as_ref()
        .and_then(|server| server.process.as_ref());
    Seen::Known(Some(ObservedServer {
        launch: state.launch.clone(),
        verdict,
        health: state.health,
        proven: state.proven,
        since: state
            .server
            .as_ref()
            .map_or(state.since, |server| server.spawned),
        load: state.load,
        process: process.map_or_else(
            || "no pid yet".to_owned(),
            |process| format!("pid {}", process.pid),
        ),
        restarts: state.restarts.total,
    }))
}
