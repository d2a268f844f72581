//! Reads what the supervisor of an instance goes by: `healthcheck`, `restart_policy`, `rollout` and
//! `logs`.

use std::time::Duration;

use crate::instance::{
    CheckKind, GateSpec, Liveness, LogPolicy, ProbeKind, RestartPolicy, Supervision,
};
use crate::manifest::decode::{Fault, Section};
use crate::manifest::node::Node;
use crate::manifest::value::{
    duration, duration_of_at_least, fraction, line, path, text, truth, whole, word,
};
use crate::manifest::{OnFailure, Rollout};

/// Takes the fields of `healthcheck`.
pub(super) fn read_gate(fields: &mut Section<'_, '_, '_>) -> GateSpec {
    const PROBES: &[(&str, ProbeKind)] = &[
        ("none", ProbeKind::None),
        ("completion", ProbeKind::Completion),
        ("embedding", ProbeKind::Embedding),
        ("rerank", ProbeKind::Rerank),
    ];
    #[derive(Clone, Copy, PartialEq)]
    enum Type {
        Http,
        Tcp,
        Custom,
    }
    const TYPES: &[(&str, Type)] = &[
        ("http", Type::Http),
        ("tcp", Type::Tcp),
        ("custom", Type::Custom),
    ];
    const LIVENESS: &[(&str, Liveness)] =
        &[("report", Liveness::Report), ("restart", Liveness::Restart)];
    const SHORTEST: Duration = Duration::from_millis(100);

    fields.explain(
        &[
            "retry_delay",
            "backoff_enabled",
            "backoff_base",
            "backoff_max",
            "backoff_jitter",
        ],
        "it has no effect; probes come every `interval`",
    );
    let defaults = GateSpec::default();
    let script = fields.get("custom_script", path);
    let kind = match fields.get("type", word(TYPES)) {
        None | Some(Type::Http) => CheckKind::Http,
        Some(Type::Tcp) => CheckKind::Tcp,
        Some(Type::Custom) => {
            if fields.node("custom_script").is_none() {
                let hint = "name the program that tells whether the server is well";
                fields.wrong("type", "`type: custom` needs a `custom_script`", hint);
            }
            CheckKind::Custom {
                script: script.unwrap_or_default(),
            }
        }
    };
    GateSpec {
        kind,
        path: fields.get("path", request_path).unwrap_or(defaults.path),
        expected_status: fields
            .list("expected_status", whole(100..=599))
            .filter(|list| !list.is_empty())
            .unwrap_or(defaults.expected_status),
        expected_body: fields.get("expected_body", text),
        interval: fields
            .get("interval", duration_of_at_least(SHORTEST))
            .unwrap_or(defaults.interval),
        timeout: fields
            .get("timeout", duration_of_at_least(SHORTEST))
            .unwrap_or(defaults.timeout),
        start_period: fields
            .get("start_period", duration)
            .unwrap_or(defaults.start_period),
        retries: fields
            .get("retries", whole(1..=1000))
            .unwrap_or(defaults.retries),
        liveness: fields.get("liveness", word(LIVENESS)).unwrap_or_default(),
        probe: fields.get("probe", word(PROBES)).unwrap_or_default(),
        min_healthy: defaults.min_healthy,
    }
}

fn request_path(node: &Node) -> Result<String, Fault> {
    let path = line(node)?;
    if !path.starts_with('/') || !path.is_ascii() || path.contains(' ') {
        return Err(Fault::wants("a path such as `/health`", node));
    }
    Ok(path)
}

/// Takes the fields of `restart_policy`.
pub(super) fn read_restart_policy(fields: &mut Section<'_, '_, '_>) -> RestartPolicy {
    let defaults = RestartPolicy::default();
    RestartPolicy {
        enabled: fields.get("enabled", truth).unwrap_or(defaults.enabled),
        max_retries: fields.get("max_retries", whole(0..=1_000_000)),
        initial_delay: fields
            .get("initial_delay", duration)
            .unwrap_or(defaults.initial_delay),
        backoff_multiplier: fields
            .get("backoff_multiplier", fraction(1.0..=1000.0))
            .unwrap_or(defaults.backoff_multiplier),
        max_delay: fields
            .get("max_delay", duration)
            .unwrap_or(defaults.max_delay),
    }
}

/// Takes the fields of `rollout`, and `min_healthy` apart: it is part of the gate.
pub(super) fn read_rollout(fields: &mut Section<'_, '_, '_>) -> (Rollout, Option<Duration>) {
    const FAILURES: &[(&str, OnFailure)] = &[
        ("rollback", OnFailure::Rollback),
        ("stop", OnFailure::Stop),
        ("leave", OnFailure::Leave),
    ];
    const STRATEGIES: &[(&str, bool)] = &[("stop-then-start", false), ("blue-green", true)];
    fields.explain(
        &["max_parallel", "start_parallel", "canary"],
        "it belongs under `rollout` at the top of the manifest",
    );
    if fields.get("strategy", word(STRATEGIES)) == Some(true) {
        let message = "`strategy: blue-green` is not available in this version";
        fields.wrong(
            "strategy",
            message,
            "write `strategy: stop-then-start`, or leave it out",
        );
    }
    let on_failure = fields.get("on_failure", word(FAILURES)).unwrap_or_default();
    let min_healthy = fields.get("min_healthy", duration);
    let prove_after = fields.get("prove_after", duration);
    let rollout = Rollout {
        prove_after: prove_after.unwrap_or(Supervision::default().prove_after),
        on_failure,
        drain: fields.get("drain", duration),
    };
    (rollout, min_healthy)
}

/// Takes the fields of `logs`.
pub(super) fn read_logs(fields: &mut Section<'_, '_, '_>) -> LogPolicy {
    fields.explain(
        &["stdout", "stderr"],
        "logs lie in `.llama-orch/instances/`; leave it out",
    );
    let defaults = LogPolicy::default();
    LogPolicy {
        max_size_mb: fields
            .get("max_size_mb", whole(0..=1 << 20))
            .unwrap_or(defaults.max_size_mb),
        rotation: fields
            .get("rotation", whole(0..=1000))
            .unwrap_or(defaults.rotation),
    }
}
