//! Stories about launches: what reaches a server's command line, and what a launch is compared by.

use std::collections::BTreeSet;

use super::*;
use crate::instance::BinaryId;
use crate::manifest::{Manifest, SourceText, Texts};
use crate::release::Variant;

const BASE: [&str; 6] = ["--host", "127.0.0.1", "--port", "8071", "--alias", "chat"];

fn build(variant: &str) -> WantedBinary {
    WantedBinary {
        id: "11111111-1111-4111-8111-111111111111"
            .parse::<BinaryId>()
            .expect("a UUID"),
        build: "b9553".parse().expect("the name of a build"),
        variant: Variant::new(variant),
        archives: Vec::new(),
    }
}

fn launch_with(fields: &str, binary: &WantedBinary, digest: Option<Digest>) -> Launch {
    let server = if fields.contains("server:") {
        ""
    } else {
        "server: { port: 8071 }, "
    };
    let text = format!(
        "version: 1\ninstances:\n  chat: {{ binary: {{ version: b9553 }}, {server}{fields} }}\n"
    );
    let texts = Texts {
        manifest: SourceText::new("orchestrator.yaml", text),
        configs: BTreeMap::new(),
    };
    let manifest = Manifest::parse(&texts).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let (name, instance) = manifest.instances.iter().next().expect("an instance");
    launch(name, instance, binary, digest, &Salt::new("salt"))
}

/// The launch of an instance with these fields on a Vulkan build.
fn written(fields: &str) -> Launch {
    launch_with(
        fields,
        &build("ubuntu-vulkan-x64"),
        Some(Digest::of("the archive")),
    )
}

fn on(variant: &str, fields: &str) -> Vec<String> {
    launch_with(fields, &build(variant), None).arguments
}

/// What follows an option.
fn value<'a>(arguments: &'a [String], option: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == option)?;
    arguments.get(at + 1).map(String::as_str)
}

fn fields(launch: &Launch) -> BTreeSet<&str> {
    launch.inputs.iter().map(|(field, _)| field).collect()
}

fn files(launch: &Launch) -> Vec<(&str, FileRole)> {
    let files = launch.files.iter();
    files.map(|(path, role)| (path.as_str(), *role)).collect()
}

#[test]
fn what_is_not_written_is_neither_passed_nor_compared() {
    let launch = written("");
    assert_eq!(launch.arguments, BASE);
    assert_eq!(
        fields(&launch),
        BTreeSet::from(["binary", "server.host", "server.port"])
    );
    assert!(launch.files.is_empty());
    assert!(launch.environment.is_empty());
    assert!(!launch.fetches && !launch.router);
}

#[test]
fn everything_that_is_written_is_passed_and_the_arguments_come_last() {
    let launch = written(
        "model: { path: models/gemma.gguf, context_size: 16384, batch_size: 512, threads: 16 }, \
         server: { host: 0.0.0.0, port: 9000, parallel: 2, timeout: 600 }, \
         gpu: { backend: vulkan, device_id: 2, layers: 999 }, \
         args: [--cache-type-k, q4_0, --metrics]",
    );
    let expected = "--model models/gemma.gguf --ctx-size 16384 --batch-size 512 --threads 16 \
                    --device Vulkan2 --n-gpu-layers 999 \
                    --host 0.0.0.0 --port 9000 --alias chat --parallel 2 --timeout 600 \
                    --cache-type-k q4_0 --metrics";
    assert_eq!(launch.arguments.join(" "), expected);
    assert_eq!((launch.host.as_str(), launch.port), ("0.0.0.0", 9000));
    let compared = [
        "args",
        "binary",
        "gpu.device",
        "gpu.layers",
        "model.batch_size",
        "model.context_size",
        "model.path",
        "model.threads",
        "server.host",
        "server.parallel",
        "server.port",
        "server.timeout",
    ];
    assert_eq!(fields(&launch), BTreeSet::from(compared));
}

#[test]
fn a_model_is_a_file_a_repository_or_a_folder() {
    let file = written("model: { path: models/gemma.gguf }");
    assert_eq!(value(&file.arguments, "--model"), Some("models/gemma.gguf"));
    assert_eq!(files(&file), [("models/gemma.gguf", FileRole::Model)]);

    let fetched = written("model: { hf: 'ggml-org/gemma-3-270m-it-GGUF:Q8_0' }");
    assert_eq!(
        value(&fetched.arguments, "--hf-repo"),
        Some("ggml-org/gemma-3-270m-it-GGUF:Q8_0")
    );
    assert!(fetched.fetches && !fetched.router);
    assert_eq!(files(&fetched), []);

    let folder = written("model: { directory: models }");
    assert_eq!(value(&folder.arguments, "--models-dir"), Some("models"));
    assert!(folder.router && !folder.fetches);
    assert_eq!(files(&folder), [("models", FileRole::Directory)]);
}

#[test]
fn an_api_key_never_stands_on_the_command_line() {
    let file = written("server: { port: 8071, api_key: { file: secrets/chat.key } }");
    assert_eq!(
        value(&file.arguments, "--api-key-file"),
        Some("secrets/chat.key")
    );
    assert_eq!(files(&file), [("secrets/chat.key", FileRole::Content)]);

    let variable = written("server: { port: 8071, api_key: { from_env: CHAT_KEY } }");
    assert_eq!(variable.arguments, BASE);
    let passed = EnvironmentValue::FromEnv("CHAT_KEY".to_owned());
    assert_eq!(variable.api_key, Some(passed));
    assert!(fields(&variable).contains("server.api_key"));
    assert_ne!(variable.fingerprint(), file.fingerprint());
}

#[test]
fn a_device_is_named_as_its_backend_names_it() {
    let table = [
        ("vulkan", "Vulkan1"),
        ("cuda", "CUDA1"),
        ("metal", "MTL1"),
        ("rocm", "ROCm1"),
        ("sycl", "SYCL1"),
    ];
    for (backend, device) in table {
        let gpu = format!("gpu: {{ backend: {backend}, device_id: 1 }}");
        assert_eq!(
            value(&written(&gpu).arguments, "--device"),
            Some(device),
            "{backend}"
        );
    }
}

#[test]
fn where_no_backend_is_written_the_build_says_which_it_is() {
    let table = [
        ("ubuntu-vulkan-x64", Some("Vulkan0")),
        ("ubuntu-cuda-13.4-x64", Some("CUDA0")),
        ("ubuntu-rocm-10.0-x64", Some("ROCm0")),
        ("ubuntu-x64", None),
        ("unknown", None),
    ];
    for (variant, device) in table {
        let arguments = on(variant, "gpu: { device_id: 0 }");
        assert_eq!(value(&arguments, "--device"), device, "{variant}");
        assert_eq!(value(&on(variant, ""), "--device"), None, "{variant}");
    }
}

#[test]
fn without_a_gpu_a_build_that_has_one_is_told_to_use_none() {
    let cpu = "gpu: { backend: cpu, layers: 99 }";
    let arguments = on("ubuntu-vulkan-x64", cpu);
    assert_eq!(value(&arguments, "--device"), Some("none"));
    assert_eq!(value(&arguments, "--n-gpu-layers"), None);
    assert_eq!(on("ubuntu-x64", cpu), BASE);
}

#[test]
fn who_chooses_devices_elsewhere_is_left_alone() {
    let elsewhere = [
        "args: [--device, CUDA0]",
        "args: ['--device=CUDA0']",
        "args: [-dev, CUDA0]",
        "args: [--main-gpu, '1']",
        "args: [--main_gpu, '1']",
        "args: [-mg, '1']",
        "env: { CUDA_VISIBLE_DEVICES: '1' }",
        "env: { GGML_VK_VISIBLE_DEVICES: '1' }",
        "env: { HIP_VISIBLE_DEVICES: '1' }",
        "env: { LLAMA_ARG_DEVICE: CUDA0 }",
    ];
    for other in elsewhere {
        for gpu in ["backend: vulkan, device_id: 2", "backend: cpu"] {
            let launch = written(&format!("gpu: {{ {gpu} }}, {other}"));
            let device = value(&launch.arguments, "--device");
            assert!(device.is_none_or(|device| device == "CUDA0"), "{other}");
            assert!(!fields(&launch).contains("gpu.device"), "{other}");
        }
    }
}

#[test]
fn layers_that_are_left_to_the_server_are_not_passed() {
    let launch = written("gpu: { layers: -1 }");
    assert_eq!(launch.arguments, BASE);
    assert!(!fields(&launch).contains("gpu.layers"));
    let none = written("gpu: { layers: 0 }");
    assert_eq!(value(&none.arguments, "--n-gpu-layers"), Some("0"));
}

#[test]
fn files_that_arguments_name_are_looked_after_however_they_are_written() {
    let table = [
        ("[--mmproj, a.gguf]", vec![("a.gguf", FileRole::Model)]),
        ("['--mmproj=a.gguf']", vec![("a.gguf", FileRole::Model)]),
        ("[-mm, a.gguf]", vec![("a.gguf", FileRole::Model)]),
        ("[-md, a.gguf]", vec![("a.gguf", FileRole::Model)]),
        (
            "[--chat-template-file, a.jinja]",
            vec![("a.jinja", FileRole::Content)],
        ),
        (
            "['--chat_template_file=a.jinja']",
            vec![("a.jinja", FileRole::Content)],
        ),
        (
            "[--lora, 'a.gguf,b.gguf']",
            vec![("a.gguf", FileRole::Model), ("b.gguf", FileRole::Model)],
        ),
        (
            "[--lora-scaled, 'a.gguf:0.5,b:c.gguf']",
            vec![("a.gguf", FileRole::Model), ("b:c.gguf", FileRole::Model)],
        ),
        ("[--metrics, a.gguf]", vec![]),
        ("[--mmproj]", vec![]),
    ];
    for (args, expected) in table {
        let launch = written(&format!("args: {args}"));
        assert_eq!(files(&launch), expected, "{args}");
    }
}

#[test]
fn a_secret_never_stands_in_the_inputs() {
    let secret = "hunter2hunter2";
    let launch = written(&format!(
        "env: {{ MY_API_KEY: {secret}, HF_TOKEN: {secret}, DB_SECRET: {secret}, PLAIN: shown }}"
    ));
    let inputs = serde_json::to_string(&launch.inputs).expect("JSON");
    assert!(!inputs.contains(secret), "{inputs}");
    assert!(inputs.contains("shown"), "{inputs}");

    let other = written(
        "env: { MY_API_KEY: another, HF_TOKEN: another, DB_SECRET: another, PLAIN: shown }",
    );
    let changed = launch.inputs.changes_to(&other.inputs);
    let changed: Vec<&str> = changed.iter().map(|change| change.field.as_str()).collect();
    assert_eq!(changed, ["env.DB_SECRET", "env.HF_TOKEN", "env.MY_API_KEY"]);
}

#[test]
fn a_secret_is_hashed_otherwise_on_another_machine() {
    let one = Salt::new("one");
    assert_eq!(one.hash("secret"), Salt::new("one").hash("secret"));
    assert_ne!(one.hash("secret"), Salt::new("other").hash("secret"));
    assert_eq!(format!("{one:?}"), "Salt(..)");
}

#[test]
fn environment_is_compared_by_where_it_comes_from() {
    let launch = written("env: { A: text, B: { file: secrets/b }, C: { from_env: OUTER } }");
    let inputs: BTreeMap<_, _> = launch.inputs.iter().collect();
    assert_eq!(*inputs["env.A"], json!("text"));
    assert_eq!(*inputs["env.B"], json!({ "file": "secrets/b" }));
    assert_eq!(*inputs["env.C"], json!({ "from_env": "OUTER" }));
    assert_eq!(files(&launch), [("secrets/b", FileRole::Content)]);
    assert_eq!(launch.arguments, BASE);
}

#[test]
fn settings_of_the_supervisor_change_no_input() {
    let plain = written("");
    let settings = [
        "healthcheck: { path: /health, interval: 1s, start_period: 420s, probe: completion }",
        "restart_policy: { enabled: false, max_retries: 1, initial_delay: 9s }",
        "logs: { max_size_mb: 1, rotation: 1 }",
        "rollout: { prove_after: 1m, min_healthy: 1s, on_failure: stop }",
        "stop_timeout: 1s",
        "tags: [gpu0]",
        "enabled: false",
    ];
    for setting in settings {
        let launch = written(setting);
        assert_eq!(launch.inputs.changes_to(&plain.inputs), [], "{setting}");
        assert_eq!(launch.arguments, plain.arguments, "{setting}");
    }
}

#[test]
fn a_build_is_compared_by_its_archive_and_else_by_its_id() {
    let mut binary = build("ubuntu-vulkan-x64");
    let digest = Some(Digest::of("the archive"));
    let one = launch_with("", &binary, digest).fingerprint();
    let nameless = launch_with("", &binary, None).fingerprint();
    binary.id = BinaryId::LEGACY;
    assert_eq!(launch_with("", &binary, digest).fingerprint(), one);
    assert_ne!(launch_with("", &binary, None).fingerprint(), nameless);
    let other = Some(Digest::of("another archive"));
    assert_ne!(launch_with("", &binary, other).fingerprint(), one);
}

#[test]
fn a_model_that_arguments_fetch_is_known_to_be_fetched() {
    for option in [
        "-mu",
        "--model-url",
        "-hfd",
        "--hf-repo-draft",
        "--model_url",
    ] {
        assert!(written(&format!("args: [{option}, x]")).fetches, "{option}");
        assert!(
            written(&format!("args: ['{option}=x']")).fetches,
            "{option}"
        );
    }
}

#[test]
fn a_gpu_that_is_required_is_named_to_the_gate_and_told_of_in_the_log() {
    let required = |fields: &str, variant: &str| {
        let launch = launch_with(fields, &build(variant), None);
        let verbosity = value(&launch.arguments, "--verbosity").map(str::to_owned);
        (launch.gpu, verbosity)
    };
    let told = Some("4".to_owned());
    let named = |device: &str| (Some(device.to_owned()), told.clone());
    assert_eq!(
        required("gpu: { require: true }", "ubuntu-vulkan-x64"),
        named("Vulkan")
    );
    assert_eq!(
        required(
            "gpu: { require: true, backend: cuda, device_id: 1 }",
            "ubuntu-x64"
        ),
        named("CUDA1")
    );
    assert_eq!(required("gpu: { require: true }", "macos-arm64"), named(""));
    assert_eq!(
        required("gpu: { require: true, backend: cpu }", "ubuntu-vulkan-x64"),
        (None, None)
    );
    let elsewhere = "gpu: { require: true, device_id: 1 }, args: [--device, Vulkan0]";
    assert_eq!(required(elsewhere, "ubuntu-vulkan-x64"), named("Vulkan"));
    let quiet = "gpu: { require: true }, env: { LLAMA_ARG_LOG_VERBOSITY: 3 }";
    assert_eq!(
        required(quiet, "ubuntu-vulkan-x64"),
        (Some("Vulkan".to_owned()), None)
    );
    let older = WantedBinary {
        build: "b9150".parse().expect("the name of a build"),
        ..build("ubuntu-vulkan-x64")
    };
    let launch = launch_with("gpu: { require: true }", &older, None);
    assert_eq!(value(&launch.arguments, "--verbosity"), None);
    assert!(fields(&launch).contains("gpu.require"));
}
