//! What lives, and who gets at it: the pass lock, servers and supervisors, ports, and addresses that
//! anybody may call.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use super::facts::{Home, Life, Pass, Wanted};
use super::{Check, Code, Examined, Finding};
use crate::instance::is_socket;
use crate::instance::state::{PROTOCOL, is_understood};
use crate::observed::{ListensAt, Pulse, Seen};
use crate::plan::action::Ago;
use crate::plan::keeps_out;

/// A pass that takes longer than this hangs, or waits for a model of a hundred gigabytes.
const LONG: SignedDuration = SignedDuration::from_hours(2);

pub(super) fn examine(home: &Home, at: Timestamp) -> Vec<Examined> {
    vec![
        locks(&home.pass, at),
        servers(&home.servers),
        ports(home),
        exposure(&home.wanted),
    ]
}

fn locks(pass: &Pass, at: Timestamp) -> Examined {
    let mut examined = Examined::of(Check::Locks);
    match &pass.held {
        Seen::Unknown(why) => examined.skip(format_args!("pass.lock: {why}")),
        Seen::Known(false) => return examined.tell("no pass is at work"),
        Seen::Known(true) => {
            let holder = pass
                .holder
                .as_deref()
                .unwrap_or("somebody who left no name");
            let age = pass.since.map(|since| at.duration_since(since));
            let gone = pass.alive == Some(false);
            if gone {
                examined.find(Finding::new(
                    Code::PassStuck,
                    "pass.lock",
                    format!("is held, and {holder} is gone: a process it started has it still"),
                    "`fuser -v .llama-orch/pass.lock` names it; end it",
                ));
            } else if age.is_some_and(|age| age > LONG) {
                examined.find(Finding::new(
                    Code::PassStuck,
                    "pass.lock",
                    format!(
                        "has been held for {} by {holder}",
                        Ago(age.map_or(0, |age| age.as_secs()))
                    ),
                    "look at what it does; end it with Ctrl-C or `kill`, servers go on",
                ));
            } else {
                examined.find(Finding::new(
                    Code::PassAtWork,
                    "pass.lock",
                    format!("is held by {holder}"),
                    "wait for it; other verbs wait with `--lock-timeout SECONDS`",
                ));
            }
        }
    }
    examined
}

fn servers(servers: &[Life]) -> Examined {
    let mut examined = Examined::of(Check::Servers);
    for server in servers {
        judge(&mut examined, server);
    }
    let lives = |server: &&Life| server.server == Seen::Known(true);
    examined.tell(match servers.iter().filter(lives).count() {
        0 => "none runs".to_owned(),
        1 => "1 runs, with its supervisor".to_owned(),
        many => format!("{many} run, each with its supervisor"),
    })
}

fn judge(examined: &mut Examined, one: &Life) {
    let name = one.name.as_str();
    let apply = "`llama-orch apply`";
    for (what, seen) in [("server", &one.server), ("supervisor", &one.supervisor)] {
        if let Seen::Unknown(why) = seen {
            examined.skip(format_args!("{name}, its {what}: {why}"));
        }
    }
    let server = one.server.known().copied();
    let supervisor = one.supervisor.known().copied();
    if server == Some(true) && one.has_state == Some(false) {
        let pids: Vec<String> = one.holders.iter().map(|pid| format!("pid {pid}")).collect();
        let who = if pids.is_empty() {
            "somebody holds".to_owned()
        } else {
            format!("{} holds", pids.join(", "))
        };
        let fix = match one.holders.first() {
            Some(pid) => {
                format!("look at it with `ps -fp {pid}`, end it with `kill {pid}`, then {apply}")
            }
            None => format!("`fuser -v .llama-orch/instances/{name}/server.lock` names it; end it"),
        };
        let what = format!("{who} its `server.lock`, and no `state.json` says who that is");
        examined.find(Finding::new(Code::UnknownServer, name, what, fix));
        return;
    }
    if server == Some(true) && supervisor == Some(false) {
        examined.find(Finding::new(
            Code::UnsupervisedServer,
            name,
            "its server runs and nobody watches it: it is not started again when it ends",
            format!("{apply} gives it a supervisor; the server goes on"),
        ));
    }
    let pulses = [
        ("server", one.server_pulse, server),
        ("supervisor", one.supervisor_pulse, supervisor),
    ];
    for (what, pulse, lives) in pulses {
        if lives != Some(true) {
            continue;
        }
        match pulse {
            Pulse::Suspended => examined.find(Finding::new(
                Code::Suspended,
                name,
                format!("its {what} is stopped by a signal (SIGSTOP)"),
                format!("`llama-orch describe {name}` names it; `kill -CONT PID`"),
            )),
            Pulse::Gone | Pulse::Disputed => examined.find(Finding::new(
                Code::StateContradicted,
                name,
                format!("the {what} its `state.json` names is not there, and its lock is held"),
                format!("run `llama-orch doctor` again; if it stays so, `llama-orch down {name}`, then {apply}"),
            )),
            Pulse::Alive | Pulse::Unknown => {}
        }
    }
    if supervisor == Some(true) {
        older(examined, one);
    }
}

/// Supervisors of other versions.
fn older(examined: &mut Examined, one: &Life) {
    let name = one.name.as_str();
    let again = format!("`llama-orch down {name}`, then `llama-orch up {name}`, at a good time");
    match one.protocol {
        Some(protocol) if !is_understood(protocol) => examined.find(Finding::new(
            Code::SupervisorNotUnderstood,
            name,
            format!(
                "its supervisor speaks protocol {protocol}, and this program {} and {PROTOCOL}",
                PROTOCOL - 1
            ),
            if protocol > PROTOCOL {
                "use the newer llama-orch that started it".to_owned()
            } else {
                again
            },
        )),
        Some(protocol) if protocol < PROTOCOL => examined.find(Finding::new(
            Code::OlderSupervisor,
            name,
            format!("its supervisor speaks protocol {protocol}, and does not know every setting"),
            again,
        )),
        Some(_) if one.other_program == Some(true) => examined.find(Finding::new(
            Code::OtherSupervisor,
            name,
            "its supervisor runs another version of this program, which is left alone",
            format!("nothing has to be done; to renew it, {again}"),
        )),
        Some(_) | None => {}
    }
}

fn ports(home: &Home) -> Examined {
    let wanted = match (&home.wanted, &home.strangers) {
        (Seen::Known(wanted), Seen::Known(_)) => wanted,
        (Seen::Unknown(why), _) | (_, Seen::Unknown(why)) => {
            return Examined::skipped(Check::Ports, why);
        }
    };
    let mut examined = Examined::of(Check::Ports);
    let enabled: Vec<&Wanted> = wanted.iter().filter(|one| one.enabled).collect();
    for one in &enabled {
        let strangers = home.strangers.known().into_iter().flatten();
        let mut in_the_way = strangers.filter(|it| keeps_out(&it.at, &one.host, one.port));
        let Some(stranger) = in_the_way.next() else {
            continue;
        };
        let at = match &stranger.at {
            ListensAt::Port(_, port) => format!("port {port}"),
            ListensAt::Socket(path) => format!("`{path}`"),
        };
        examined.find(Finding::new(
            Code::PortHeld,
            one.name.as_str(),
            format!("{at} is held by {}", stranger.who),
            format!("end it, or write another `server.port` for `{}`", one.name),
        ));
    }
    examined.tell(match enabled.len() {
        0 => "no instance needs any".to_owned(),
        1 => "that of the instance is its own or free".to_owned(),
        many => format!("those of {many} instances are their own or free"),
    })
}

fn exposure(wanted: &Seen<Vec<Wanted>>) -> Examined {
    let wanted = match wanted {
        Seen::Known(wanted) => wanted,
        Seen::Unknown(why) => return Examined::skipped(Check::Exposure, why),
    };
    let mut examined = Examined::of(Check::Exposure);
    let reachable = |one: &&Wanted| one.enabled && one.host.split(',').any(is_reachable);
    let mut keyed = 0;
    for one in wanted.iter().filter(reachable) {
        if one.has_key {
            keyed += 1;
            continue;
        }
        let name = &one.name;
        examined.find(Finding::new(
            Code::OpenWithoutKey,
            name.as_str(),
            format!("listens on {} and asks nobody for a key", one.host),
            format!(
                "`server: {{ api_key: {{ file: secrets/{name}.key }} }}`, or `host: 127.0.0.1` behind a proxy"
            ),
        ));
    }
    examined.tell(match keyed {
        0 => "every server listens on this machine alone".to_owned(),
        1 => "the server that others can reach asks for a key".to_owned(),
        many => format!("the {many} servers that others can reach ask for a key"),
    })
}

/// Whether other machines may reach an address. What a name stands for cannot be told here.
fn is_reachable(host: &str) -> bool {
    let host = host.trim().trim_start_matches('[').trim_end_matches(']');
    if is_socket(host) || host.eq_ignore_ascii_case("localhost") {
        return false;
    }
    host.parse().map_or(true, |address: IpAddr| {
        !address.to_canonical().is_loopback()
    })
}
