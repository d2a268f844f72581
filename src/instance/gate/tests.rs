//! The gate as a table: what is known, and what follows.

use super::*;
use crate::instance::{GateSpec, ProbeKind};

fn spec() -> GateSpec {
    GateSpec {
        start_period: Duration::from_mins(1),
        min_healthy: Duration::ZERO,
        ..GateSpec::default()
    }
}

fn launch() -> Launch {
    serde_json::from_value(serde_json::json!({
        "binary": "00000000-0000-0000-0000-000000000001",
        "build": "b9001",
        "arguments": [],
        "host": "127.0.0.1",
        "port": 8071,
        "inputs": {},
    }))
    .expect("a launch")
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A server whose port is bound, which is healthy and of the right build.
fn ready() -> GateFacts {
    GateFacts {
        age: seconds(9),
        listener: Some(Listener::Ours),
        bound: Some(seconds(8)),
        healthy: Some(seconds(1)),
        build: Finding::Right,
        load: Some(LoadFacts::default()),
        ..GateFacts::default()
    }
}

fn reason_of(verdict: Verdict) -> (String, bool) {
    match verdict {
        Verdict::Failed { reason, transient } => (reason, transient),
        other => panic!("it did not fail: {other:?}"),
    }
}

#[test]
fn one_thing_is_asked_after_the_other() {
    let spec = GateSpec {
        probe: ProbeKind::Completion,
        min_healthy: seconds(3),
        ..spec()
    };
    let mut facts = GateFacts::default();
    let mut asked = Vec::new();
    for _ in 0..10 {
        match judge(&spec, &launch(), &facts) {
            Verdict::Starting(need) => {
                asked.push(need);
                match need {
                    Need::Listener => facts.listener = Some(Listener::Ours),
                    Need::Health => facts.healthy = Some(Duration::ZERO),
                    Need::Build => facts.build = Finding::NotChecked,
                    Need::Alias => facts.alias = Finding::Right,
                    Need::Load => facts.load = Some(LoadFacts::default()),
                    Need::Probe => facts.probe = Finding::Right,
                    Need::Patience(_) => facts.healthy = Some(seconds(3)),
                }
            }
            Verdict::Passed => break,
            Verdict::Failed { reason, .. } => panic!("{reason}"),
        }
    }
    let wanted = [
        Need::Listener,
        Need::Health,
        Need::Build,
        Need::Load,
        Need::Probe,
        Need::Patience(seconds(3)),
    ];
    assert_eq!(asked, wanted);
}

#[test]
fn a_load_is_timed_from_the_bound_port() {
    let facts = GateFacts {
        healthy: None,
        age: seconds(500),
        bound: Some(seconds(59)),
        last_answer: Some("503 Loading model".to_owned()),
        ..ready()
    };
    assert_eq!(
        judge(&spec(), &launch(), &facts),
        Verdict::Starting(Need::Health)
    );
    let late = GateFacts {
        bound: Some(seconds(60)),
        ..facts
    };
    let (reason, transient) = reason_of(judge(&spec(), &launch(), &late));
    assert_eq!(
        reason,
        "was not healthy within 60 s; last answer: 503 Loading model"
    );
    assert!(!transient);
}

#[test]
fn only_a_launch_that_fetches_may_take_any_time_to_bind() {
    let facts = GateFacts {
        age: seconds(61),
        listener: Some(Listener::Nobody),
        ..GateFacts::default()
    };
    let (reason, _) = reason_of(judge(&spec(), &launch(), &facts));
    assert_eq!(reason, "did not bind port 8071 within 60 s");
    let fetches = Launch {
        fetches: true,
        ..launch()
    };
    assert_eq!(
        judge(&spec(), &fetches, &facts),
        Verdict::Starting(Need::Listener)
    );
}

#[test]
fn a_launch_that_fetches_may_take_any_time_to_open_its_socket() {
    let on_socket = Launch {
        host: "/run/chat.sock".to_owned(),
        ..launch()
    };
    let facts = GateFacts {
        age: seconds(61),
        listener: Some(Listener::Nobody),
        ..GateFacts::default()
    };
    let (reason, _) = reason_of(judge(&spec(), &on_socket, &facts));
    assert_eq!(reason, "did not bind socket `/run/chat.sock` within 60 s");
    let fetches = Launch {
        fetches: true,
        ..on_socket
    };
    assert_eq!(
        judge(&spec(), &fetches, &facts),
        Verdict::Starting(Need::Listener)
    );
}

#[test]
fn the_number_of_a_build_from_elsewhere_is_its_own_business() {
    let wrong = GateFacts {
        build: Finding::Wrong("says it is b9002, not b9001".to_owned()),
        ..ready()
    };
    let (reason, _) = reason_of(judge(&spec(), &launch(), &wrong));
    assert_eq!(reason, "says it is b9002, not b9001");
    let foreign = Launch {
        foreign: true,
        ..launch()
    };
    assert_eq!(judge(&spec(), &foreign, &wrong), Verdict::Passed);
}

#[test]
fn a_stranger_on_the_port_is_named_and_may_leave() {
    let python = Holder {
        pid: Some(4121),
        program: Some("python3".to_owned()),
    };
    let facts = GateFacts {
        age: seconds(61),
        listener: Some(Listener::Stranger(python.clone())),
        ..GateFacts::default()
    };
    let (reason, transient) = reason_of(judge(&spec(), &launch(), &facts));
    assert_eq!(
        (reason.as_str(), transient),
        ("port 8071 is held by `python3` (pid 4121)", true)
    );
    let shared = GateFacts {
        listener: Some(Listener::Shared(python)),
        ..ready()
    };
    let (reason, transient) = reason_of(judge(&spec(), &launch(), &shared));
    assert!(
        reason.starts_with("shares port 8071 with `python3`") && transient,
        "{reason}"
    );
}

#[test]
fn the_alias_counts_only_where_the_listener_cannot_be_told() {
    assert_eq!(judge(&spec(), &launch(), &ready()), Verdict::Passed);
    let unreadable = GateFacts {
        listener: Some(Listener::Unreadable),
        ..ready()
    };
    assert_eq!(
        judge(&spec(), &launch(), &unreadable),
        Verdict::Starting(Need::Alias)
    );
    let router = Launch {
        router: true,
        ..launch()
    };
    assert_eq!(judge(&spec(), &router, &unreadable), Verdict::Passed);
}

#[test]
fn build_numbers_are_read_from_all_forms_and_not_made_up() {
    assert_eq!(build_number("b9001-0000b9001"), Some(9001));
    assert_eq!(
        build_number("0.6.0-dev (build 11434, commit abc)"),
        Some(11434)
    );
    for unknown in [
        "",
        "b",
        "b1-unknown",
        "b0-unknown",
        "main-abc",
        "b99999999999-x",
    ] {
        assert_eq!(build_number(unknown), None, "{unknown}");
    }
}
