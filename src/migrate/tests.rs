//! What a migration decides, on texts and listeners made up for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

/// A folder with these configs and nothing else.
fn old(configs: &[(&str, &str)]) -> Old {
    let configs = configs.iter().map(|(folder, text)| OldConfig {
        folder: (*folder).to_owned(),
        source: Ok(SourceText::new(config_path(folder), *text)),
    });
    Old {
        os: Os::Linux,
        configs: configs.collect(),
        builds: Ok(Vec::new()),
        default: None,
        bin: Some(OldBin {
            build: Ok(Some(7572)),
            copy: Ok(1),
            is_registered: true,
        }),
        manifest: None,
        listeners: Ok(BTreeMap::new()),
        unread: Vec::new(),
    }
}

fn build(id: &str, version: &str, variant: &str, installed: &str) -> OldBuild {
    OldBuild {
        id: id.parse().expect("a UUID"),
        version: version.to_owned(),
        variant: Variant::new(variant),
        digest: None,
        installed: installed.parse().ok(),
        damage: None,
    }
}

const ONE: &str = "a9576b8e-4d9a-4f76-a392-8748632b35ed";
const OTHER: &str = "5cf01664-31fb-a1f7-c8d4-631b430848e3";

/// Two builds for this system, the older one installed last by another clock.
fn with_builds(mut old: Old) -> Old {
    old.builds = Ok(vec![
        build(
            ONE,
            "b7572",
            "ubuntu-vulkan-x64",
            "2026-05-21T09:00:00+02:00",
        ),
        build(
            OTHER,
            "b9222",
            "ubuntu-vulkan-x64",
            "2026-05-21T08:00:00+00:00",
        ),
    ]);
    old
}

/// The instances as they are written, and what is told of them.
fn told(old: &Old) -> String {
    let migration = migration(old);
    let mut text = String::new();
    if let Some((_, instances)) = migration
        .manifest()
        .and_then(|text| text.split_once("instances:\n"))
    {
        text.push_str(instances);
    }
    for finding in &migration.findings {
        let severity = format!("{:?}", finding.severity).to_lowercase();
        let _ = writeln!(text, "{severity} {}: {}", finding.subject, finding.what);
        if let Some(hint) = &finding.hint {
            let _ = writeln!(text, "  -> {hint}");
        }
    }
    text
}

fn chat(fields: &str) -> Old {
    let text = format!(
        r#"{{ "name": "chat", "model": {{ "path": "tiny.gguf" }}, "server": {{ "port": 8071 }}, {fields} }}"#
    );
    old(&[("chat", &text)])
}

fn pinned(binary: &str) -> Old {
    with_builds(chat(&format!(r#""binary": {{ {binary} }}"#)))
}

#[test]
fn what_no_config_says_stands_under_defaults_and_nothing_else_does() {
    let bare = migration(&old(&[("chat", r#"{ "model": { "path": "tiny.gguf" } }"#)]));
    assert_snapshot!(bare.manifest().expect("written"), @r#"
    # Written by `llama-orch migrate`. What is not here stands in each instance's
    # instances/<name>/config.json.
    version: 1

    # What the old tool passed where a config.json says nothing.
    defaults:
      model: { context_size: 4096, batch_size: 512, threads: 8 }
      server: { port: 8001, timeout: 600 }
      env: { LLAMA_ARG_FIT: "off" }
      restart_policy: { max_retries: 5 }

    instances:
      chat:
        enabled: false
    "#);
    let whole = r#"{ "name": "chat", "model": { "path": "tiny.gguf", "context_size": 1, "batch_size": 2, "threads": 3 },
        "server": { "host": "0.0.0.0", "port": 8071, "timeout": 60, "parallel": 2 },
        "restart_policy": { "max_retries": 1 } }"#;
    let whole = migration(&old(&[("chat", whole)]));
    assert_snapshot!(whole.manifest().expect("written"), @r#"
    # Written by `llama-orch migrate`. What is not here stands in each instance's
    # instances/<name>/config.json.
    version: 1

    # What the old tool passed where a config.json says nothing.
    defaults:
      env: { LLAMA_ARG_FIT: "off" }

    instances:
      chat:
        enabled: false
    "#);
}

#[test]
fn one_slot_was_never_passed_and_is_not_from_now_on() {
    let slots = |fields: &str| told(&chat(fields));
    let text = r#"{ "name": "chat", "model": { "path": "m.gguf" }, "server": { "port": 8071, "parallel": 1 } }"#;
    assert_snapshot!(told(&old(&[("chat", text)])), @r"
      chat:
        enabled: false
        server: { parallel: -1 }
    note chat: names no build, and goes on running from `bin/`
    ");
    let text = text.replace("} }", r#"}, "args": ["--parallel", "1"] }"#);
    assert!(!told(&old(&[("chat", &text)])).contains("parallel"));
    assert!(!slots(r#""tags": []"#).contains("parallel"));
}

#[test]
fn devices_are_chosen_by_what_the_old_tool_set() {
    let gpu = |gpu: &str| told(&pinned_on_gpu(gpu));
    assert_snapshot!(gpu(r#"{ "backend": "vulkan", "device_id": 2, "layers": 99 }"#), @r#"
      chat:
        enabled: false
        env: { GGML_VULKAN_DEVICE: "2" }
    note chat: `GGML_VULKAN_DEVICE: 2` is written out, as the old tool set it; llama.cpp does not read it any more
      -> take it out, and `--device Vulkan2` is passed
    "#);
    assert_snapshot!(gpu(r#"{ "backend": "cuda" }"#), @r#"
    chat:
      enabled: false
      gpu: { layers: 0 }
      env: { CUDA_VISIBLE_DEVICES: "0" }
    "#);
    assert_snapshot!(gpu(r#"{ "backend": "cpu", "device_id": 0, "layers": 0 }"#), @r"
      chat:
        enabled: false
    differs chat: `gpu.backend: cpu` did not keep a build for GPUs off the GPU: it does from now on
      -> to have it as before, write the backend and its layers, such as `gpu: { backend: vulkan, layers: 999 }`
    ");
    assert_snapshot!(gpu(r#"{ "layers": 20 }"#), @r"
    chat:
      enabled: false
      gpu: { layers: -1 }
    ");
    assert_snapshot!(gpu(r#"{ "backend": "hip", "device_id": 1, "layers": 20 }"#), @r"
      chat:
        enabled: false
    differs chat: `gpu.device_id` chooses a device from now on, which it did not before
    ");
}

fn pinned_on_gpu(gpu: &str) -> Old {
    with_builds(chat(&format!(
        r#""gpu": {gpu}, "binary": {{ "binary_id": "{ONE}", "version": "b7572", "variant": "ubuntu-vulkan-x64" }}"#
    )))
}

#[test]
fn a_pin_stays_on_what_the_old_rule_led_to() {
    let pin = |binary: &str| told(&pinned(binary));
    assert_snapshot!(pin(&format!(r#""binary_id": "{ONE}", "version": "b7572", "variant": "ubuntu-vulkan-x64""#)), @r"
    chat:
      enabled: false
    ");
    assert_snapshot!(pin(r#""version": "latest", "variant": "ubuntu-vulkan-x64""#), @r#"
      chat:
        enabled: false
        binary: { binary_id: "5cf01664-31fb-a1f7-c8d4-631b430848e3", version: b9222, variant: ubuntu-vulkan-x64 }
    note chat: `latest` meant the build that was installed last: it is pinned to that, b9222 ubuntu-vulkan-x64
      -> `version: stable` follows llama.cpp's newest stable release
    "#);
    assert_snapshot!(pin(r#""version": "b7572", "variant": "ubuntu-vulkan-x64""#), @r"
    chat:
      enabled: false
      binary: { binary_id: a9576b8e-4d9a-4f76-a392-8748632b35ed, version: b7572, variant: ubuntu-vulkan-x64 }
    ");
    assert_snapshot!(pin(&format!(r#""binary_id": "{ONE}", "version": "b9222", "variant": "ubuntu-vulkan-x64""#)), @r"
      chat:
        enabled: false
        binary: { binary_id: a9576b8e-4d9a-4f76-a392-8748632b35ed, version: b7572, variant: ubuntu-vulkan-x64 }
    note chat: its `binary_id` is b7572 ubuntu-vulkan-x64 in the registry, and its pin says b9222 ubuntu-vulkan-x64: it stays on what it ran
    ");
    assert_snapshot!(pin(r#""version": "b1", "variant": "ubuntu-x64""#), @r"
      chat:
        enabled: false
    differs chat: b1 is not installed: the old tool ran another build in its place, and `llama-orch apply` installs it
    ");
    assert_snapshot!(pin(r#""version": "my-fork", "variant": "unknown""#), @r"
      chat:
        enabled: false
    open chat: is pinned to `my-fork`, which is no release and not in the registry
      -> `llama-orch binary register PATH --version my-fork` takes it in
    ");
    assert_snapshot!(pin(r#""version": "b1", "variant": "win-cpu-x64""#), @r"
      chat:
        enabled: false
    open chat: is pinned to `win-cpu-x64`, a build for Windows
      -> write the one for this machine under `chat`: `binary: { version: b1, variant: auto }`
    ");
    assert_snapshot!(pin(r#""version": "b1", "variant": "ubuntu-x64", "source_url": "migrated-from-legacy-bin""#), @r"
      chat:
        enabled: false
        binary: { version: b1 }
    differs chat: b1 is not installed: the old tool ran another build in its place, and `llama-orch apply` installs it
    ");
    assert_snapshot!(pin(&format!(r#""binary_id": "{}""#, uuid::Uuid::nil())), @r"
      chat:
        enabled: false
    open chat: its `binary_id` 00000000-0000-0000-0000-000000000000 is not in the registry, and it names no version
      -> write `binary: { version: stable }` under `chat`
    ");
}

#[test]
fn without_a_pin_the_default_of_the_registry_ran_else_bin() {
    let mut old = with_builds(chat(r#""binary": null"#));
    old.default = Some(OTHER.parse().expect("a UUID"));
    assert_snapshot!(told(&old), @r#"
      chat:
        enabled: false
        binary: { binary_id: "5cf01664-31fb-a1f7-c8d4-631b430848e3", version: b9222, variant: ubuntu-vulkan-x64 }
    note chat: names no build, and so ran the registry's default, b9222 ubuntu-vulkan-x64: it is pinned to that
    "#);
    old.default = None;
    assert_snapshot!(told(&old), @r"
      chat:
        enabled: false
    note chat: names no build, and goes on running from `bin/`
    ");
    old.bin = None;
    assert_snapshot!(told(&old), @r"
      chat:
        enabled: false
    open chat: names no build, and there is no `bin/` for this system
      -> write `binary: { version: stable }` under `chat`
    ");
}

#[test]
fn an_instance_runs_where_a_server_of_the_old_tool_listens() {
    let listener = |is_old_server, alias: Option<&str>| Listener {
        who: "`llama-server` (pid 7)".to_owned(),
        is_old_server,
        alias: alias.map(str::to_owned),
    };
    let judged = |listeners: Result<Vec<Listener>, String>, both: bool| {
        let text = r#"{ "model": { "path": "m.gguf" }, "server": { "port": 8071 } }"#;
        let both = if both {
            vec![("chat", text), ("embed", text)]
        } else {
            vec![("chat", text)]
        };
        let mut old = old(&both);
        old.listeners = listeners.map(|listeners| BTreeMap::from([(8071, listeners)]));
        let chat = migration(&old).instances.swap_remove(0);
        format!("{}: {}", chat.enabled, chat.why)
    };
    assert_snapshot!(judged(Ok(vec![listener(true, Some("chat"))]), true), @"true: `llama-server` (pid 7) serves it on port 8071");
    assert_snapshot!(judged(Ok(vec![listener(true, Some("embed"))]), true), @"false: `llama-server` (pid 7) serves `embed` on port 8071");
    assert_snapshot!(judged(Ok(vec![listener(true, None)]), false), @"true: `llama-server` (pid 7) listens on port 8071");
    assert_snapshot!(judged(Ok(vec![listener(true, None)]), true), @"false: `llama-server` (pid 7) listens on port 8071, for which of 2 instances is not known");
    assert_snapshot!(judged(Ok(vec![listener(false, None)]), false), @"false: `llama-server` (pid 7) listens on port 8071, and is no server of the old tool");
    assert_snapshot!(judged(Err("denied".to_owned()), false), @"false: whether it runs was not seen: denied");
}

#[test]
fn a_config_of_no_ones_or_of_anothers_name_is_left_to_a_person() {
    let port =
        |port: u16| format!(r#""model": {{ "path": "m.gguf" }}, "server": {{ "port": {port} }}"#);
    let uid = "00000001_d75a653b-1d7a-4bb4-b475-def8dc01378b";
    let nameless = format!("{{ {} }}", port(1));
    assert_snapshot!(told(&old(&[(uid, &nameless)])), @r"
    open instances/00000001_d75a653b-1d7a-4bb4-b475-def8dc01378b/config.json: is not taken over: it has no `name`
      -> put it right, and run it again
    ");
    let named = format!(r#"{{ "name": "talk", {} }}"#, port(1));
    let moved = format!(r#"{{ "name": "chat", {} }}"#, port(2));
    assert_snapshot!(told(&old(&[(uid, &moved), ("chat", &named)])), @r"
      talk:
        enabled: false
    open chat: is not taken over: `instances/chat/config.json` is the config of another instance
      -> give that folder the name of its own instance, and run it again
    note talk: names no build, and goes on running from `bin/`
    ");
    let bad = format!(r#"{{ "name": "Chat!", {} }}"#, port(1));
    assert_snapshot!(told(&old(&[("chat", &bad)])), @r"
    open instances/chat/config.json: is not taken over: `Chat!` is not an instance name (1 to 64 of a-z, 0-9, `_` and `-`, with a letter or digit at both ends)
      -> put it right, and run it again
    ");
}

#[test]
fn on_windows_its_paths_and_builds_are_its_own() {
    let mut old = chat(r#""binary": { "version": "b7572" }, "args": ["--mmproj", "C:\\m.gguf"]"#);
    old.os = Os::Windows;
    assert_snapshot!(told(&old), @r"
      chat:
        enabled: false
        binary: { variant: win-vulkan-x64 }
    differs chat: b7572 is not installed: the old tool ran another build in its place, and `llama-orch apply` installs it
    ");
}

#[test]
fn a_registry_that_cannot_be_read_is_told_and_bin_waits() {
    let mut old = chat(r#""tags": []"#);
    old.builds = Err("`bins/registry.json` is damaged".to_owned());
    old.bin = old.bin.map(|bin| OldBin {
        is_registered: false,
        ..bin
    });
    let migration = migration(&old);
    assert!(migration.needs_attention());
    let is_register = |step: &Step| matches!(step, Step::Register { .. });
    assert!(!migration.steps.iter().any(is_register));
}

/// Values that configs may have anywhere, right or wrong.
fn values() -> impl Strategy<Value = serde_json::Value> {
    let words = prop::sample::select(vec![
        "cpu",
        "vulkan",
        "cuda",
        "latest",
        "b1",
        "--port",
        "8071",
        "--api-key",
        "C:\\x",
        "--mmproj",
        "",
        "chat",
        "ubuntu-x64",
        "#",
        "- a",
        "{",
        "\n",
    ]);
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (-2_i64..70_000).prop_map(Into::into),
        words.prop_map(Into::into),
    ];
    leaf.prop_recursive(1, 8, 4, |inner| {
        prop::collection::vec(inner, 0..4).prop_map(Into::into)
    })
}

/// Configs with known fields that hold anything.
fn configs() -> impl Strategy<Value = serde_json::Value> {
    let fields = [
        "/binary/version",
        "/binary/binary_id",
        "/binary/variant",
        "/binary/source_url",
        "/model/path",
        "/model/threads",
        "/server/port",
        "/server/parallel",
        "/gpu/backend",
        "/gpu/device_id",
        "/gpu/layers",
        "/env/X",
        "/args",
        "/tags",
        "/name",
    ];
    prop::collection::vec((prop::sample::select(fields.to_vec()), values()), 0..8).prop_map(|set| {
        let mut config =
            serde_json::json!({ "binary": {}, "model": {}, "server": {}, "gpu": {}, "env": {} });
        for (path, value) in set {
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            match parts[..] {
                [section, key] => config[section][key] = value,
                [key] => config[key] = value,
                _ => {}
            }
        }
        config
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_right_and_takes_over_what_is_said(
        one in configs(), other in configs(), windows: bool,
    ) {
        let (one, other) = (one.to_string(), other.to_string());
        let mut old = with_builds(old(&[("one", &one), ("other", &other)]));
        if windows {
            old.os = Os::Windows;
        }
        let migration = migration(&old);
        // Either an instance is in the manifest, or somebody is told about its config.
        for (folder, config) in [("one", &one), ("other", &other)] {
            let taken = migration.instances.iter().any(|taken| taken.from.contains(folder));
            let told = migration.findings.iter().any(|finding| finding.severity == Severity::Open);
            prop_assert!(taken || told, "{config}");
        }
        if let Some(text) = migration.manifest() {
            let mut texts = crate::manifest::Texts {
                manifest: SourceText::new("orchestrator.yaml", text),
                ..Default::default()
            };
            for (folder, config) in [("one", &one), ("other", &other)] {
                if let Some(taken) = migration.instances.iter().find(|taken| taken.from.contains(folder)) {
                    let name = taken.name.parse().expect("a name");
                    texts.configs.insert(name, SourceText::new(taken.config.clone(), config.clone()));
                }
            }
            let manifest = crate::manifest::Manifest::parse(&texts);
            prop_assert!(manifest.is_ok(), "{text}\n{manifest:?}");
        }
    }
}
