//! What builds of all ages print, and launches that fit them or do not.

use std::collections::BTreeMap;

use super::*;
use crate::instance::{BinaryId, EnvironmentValue, LaunchInputs};

/// In the layout since September 2024.
const HELP: &str = r"----- common params -----

-h,    --help, --usage                  print usage and exit
--version                               show version and build info
-t,    --threads N                      number of CPU threads to use during generation (default: -1)
                                        (env: LLAMA_ARG_THREADS)
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from model)
-n,    --predict, --n-predict N         number of tokens to predict (default: -1, -1 = infinity)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off', or 'auto', default: 'auto')
--perf, --no-perf                       whether to enable internal libllama performance timings (default:
                                        false)
-ot,   --override-tensor <tensor name pattern>=<buffer type>,...
                                        override tensor buffer type
-dr,   --docker-repo [<repo>/]<model>[:quant]
                                        Docker Hub model repository
--rope-scaling {none,linear,yarn}       RoPE frequency scaling method, defaults to linear unless specified by
                                        the model
--control-vector-layer-range START END
                                        layer range to apply the control vector(s) to
-m,    --model FNAME                    model path to load
-ngl,  --gpu-layers, --n-gpu-layers N   max. number of layers to store in VRAM
-mg,   --main-gpu INDEX                 the GPU to use for the model (with split-mode = none), or for
                                        --not-an-option
-r,    --reverse-prompt PROMPT          halt generation at PROMPT, return control in interactive mode
--fim-qwen-1.5b-default                 use default Qwen 2.5 Coder 1.5B
--draft, --draft-n, --draft-max N       the argument has been removed. use --spec-draft-n-max or
                                        --spec-ngram-mod-n-max
--spec-ngram-size-n N                   the argument has been removed. use the respective
                                        --spec-ngram-*-size-n
--spec-draft-n-max N                    number of tokens to draft for speculative decoding
--host HOST                             IP addresses to listen on
--port PORT                             port to listen (default: 8080)
-a,    --alias STRING                   set model name aliases
--metrics                               enable prometheus compatible metrics endpoint (default: disabled)
";

fn options() -> Options {
    Options::parse(HELP).expect("a help")
}

fn unknown(arguments: &[&str]) -> Vec<String> {
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let options = options();
    let unknown = options.unknown(&arguments);
    unknown.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_name_of_an_option_is_known_and_nothing_else_of_the_text() {
    let options = options();
    for name in [
        "-h",
        "--help",
        "--usage",
        "-c",
        "--ctx-size",
        "-n",
        "--predict",
        "--n-predict",
        "--perf",
        "--no-perf",
        "-ot",
        "--override-tensor",
        "--gpu-layers",
        "--n-gpu-layers",
        "--fim-qwen-1.5b-default",
        "--control-vector-layer-range",
    ] {
        assert!(options.knows(name), "{name}");
    }
    for name in [
        "--not-an-option",
        "-1",
        "-----",
        "--draft-max",
        "--draft",
        "--spec-ngram-mod-n-max",
    ] {
        assert!(!options.knows(name), "{name}");
    }
}

#[test]
fn a_help_of_2023_has_a_hint_behind_each_name() {
    let filler = "  --filler-x N          fills\n".to_owned();
    let filler: Vec<String> = ('a'..='t')
        .map(|letter| filler.replace('x', &letter.to_string()))
        .collect();
    let help = "usage: ./server [options]\n\noptions:\n  \
        -h, --help                show this help message and exit\n  \
        -c N, --ctx-size N        size of the prompt context (default: 512)\n  \
        -ngl N, --n-gpu-layers N\n                            number of layers to store in VRAM\n  \
        --no-mmap                 do not memory-map model (slower load but may reduce pageouts)\n";
    let options = Options::parse(&format!("{help}{}", filler.concat())).expect("a help");
    for name in ["--help", "-c", "--ctx-size", "--n-gpu-layers", "--no-mmap"] {
        assert!(options.knows(name), "{name}");
    }
    let arguments = ["-ngl", "-1", "--ctx-size", "-x"].map(str::to_owned);
    assert_eq!(options.unknown(&arguments), Vec::<&str>::new());
}

#[test]
fn what_is_no_help_of_a_server_is_not_understood() {
    for text in [
        "",
        "usage: server [FILE]\n  -h  help\n",
        "error: invalid argument: --help",
    ] {
        assert_eq!(Options::parse(text), None, "{text}");
    }
}

#[test]
fn values_are_not_options() {
    let written = "--model m.gguf --threads -1 -r -user: --no-perf --ctx_size 4096 -fa --metrics \
                   --ctx-size=4096 -";
    let written: Vec<&str> = written.split(' ').collect();
    assert_eq!(unknown(&written), Vec::<String>::new());
}

#[test]
fn an_option_that_is_not_listed_or_was_removed_is_unknown() {
    let written = "-fa --flash --flash-attn on --bogus=1 -xyz --draft-max 16";
    let written: Vec<&str> = written.split(' ').collect();
    assert_eq!(
        unknown(&written),
        ["--flash", "--bogus=1", "-xyz", "--draft-max"]
    );
}

#[test]
fn the_nearest_option_is_named_where_one_is_near() {
    let options = options();
    let near = |option| options.nearest(option);
    assert_eq!(near("--flash").as_deref(), Some("--flash-attn"));
    assert_eq!(near("--ctx-szie").as_deref(), Some("--ctx-size"));
    assert_eq!(near("--main_gup").as_deref(), Some("--main-gpu"));
    assert_eq!(near("--draft-max").as_deref(), Some("--spec-draft-n-max"));
    assert_eq!(near("--spec-ngram-size-n"), None);
    assert_eq!(near("--bogus"), None);
    assert_eq!(near("-x"), None);
}

#[test]
fn devices_are_told_from_what_drivers_say() {
    let printed = "ggml_cuda_init: found 1 CUDA devices:\n  \
        Device 0: NVIDIA GeForce RTX 3090, compute capability 8.6, VMM: yes\n\
        Available devices:\n  \
        CUDA0: NVIDIA GeForce RTX 3090 (24135 MiB, 23000 MiB free)\n  \
        Vulkan1: AMD Radeon (TM) Graphics (RADV RENOIR) (8192 MiB, 8000 MiB free)\n  \
        RPC0: 10.0.0.2:50052\n";
    let devices = Device::list(printed).expect("a list");
    let told: Vec<_> = devices
        .iter()
        .map(|device| {
            let Device {
                name, description, ..
            } = device;
            (name.as_str(), description.as_str(), device.total_mib)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("CUDA0", "NVIDIA GeForce RTX 3090", Some(24135)),
            (
                "Vulkan1",
                "AMD Radeon (TM) Graphics (RADV RENOIR)",
                Some(8192)
            ),
            ("RPC0", "10.0.0.2:50052", None),
        ]
    );
    let none = "Available devices:\n  (none)\n";
    assert_eq!(Device::list(none), Some(Vec::new()));
    let refused = "error: invalid argument: --list-devices\n";
    assert_eq!(Device::list(refused), None);
}

fn launch(arguments: &[&str], device: Option<&str>) -> Launch {
    let mut inputs = LaunchInputs::default();
    inputs.set("args", arguments.to_vec());
    if let Some(device) = device {
        inputs.set("gpu.device", device);
    }
    Launch {
        binary: BinaryId::LEGACY,
        build: "b9002".parse().expect("a build"),
        arguments: [&["--models-dir", "models"], arguments]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        environment: BTreeMap::new(),
        host: "127.0.0.1".to_owned(),
        port: 8071,
        api_key: None,
        files: BTreeMap::new(),
        fetches: false,
        gpu: None,
        router: true,
        foreign: false,
        inputs,
    }
}

fn abilities(devices: &[&str]) -> Abilities {
    let at = "2026-11-23T12:00:00Z".parse().expect("a time");
    let device = |name: &&str| Device {
        name: (*name).to_owned(),
        description: String::new(),
        total_mib: None,
        free_mib: None,
    };
    Abilities {
        schema: SCHEMA,
        program: Stamp {
            size: 1,
            modified: at,
        },
        options: Some(options()),
        devices: Some(DeviceList {
            at,
            boot: Uuid::nil(),
            devices: devices.iter().map(device).collect(),
        }),
        other: Map::new(),
    }
}

#[test]
fn an_option_is_told_with_the_field_it_comes_from() {
    let misfit = abilities(&[]).unknown_options(&launch(&["--flash", "--bogus"], None));
    assert_eq!(
        misfit.expect("it does not fit").to_string(),
        "b9002 does not know the options `--models-dir` of `model.directory`, \
         `--flash` of `args` (did you mean `--flash-attn`?), `--bogus` of `args`"
    );
    let unread = Abilities {
        options: None,
        ..abilities(&[])
    };
    assert_eq!(unread.unknown_options(&launch(&["--bogus"], None)), None);
}

#[test]
fn a_device_has_to_be_among_those_the_build_sees() {
    let seen = abilities(&["Vulkan0", "Vulkan1"]);
    let misfit = |launch: &Launch| seen.missing_device(launch).map(|it| it.to_string());
    let wants = launch(&[], Some("Vulkan2"));
    assert_eq!(
        misfit(&wants).as_deref(),
        Some("b9002 sees no device `Vulkan2` here; it sees Vulkan0, Vulkan1")
    );
    assert_eq!(misfit(&launch(&[], Some("vulkan1"))), None);
    assert_eq!(misfit(&launch(&[], Some("none"))), None);
    assert_eq!(misfit(&launch(&[], None)), None);
    let mut other_driver = wants.clone();
    other_driver.environment.insert(
        "VK_DRIVER_FILES".to_owned(),
        EnvironmentValue::Literal("/opt/other.json".to_owned()),
    );
    assert_eq!(misfit(&other_driver), None);
    let blind = Abilities {
        devices: None,
        ..abilities(&[])
    };
    assert_eq!(blind.missing_device(&wants), None);
    let none = abilities(&[]).missing_device(&wants);
    assert_eq!(
        none.expect("it is not there").to_string(),
        "b9002 sees no device `Vulkan2` here, and no other"
    );
}

#[test]
fn a_list_of_devices_is_taken_at_its_word_on_its_boot_and_for_a_while() {
    let list = abilities(&[]).devices.expect("a list");
    let after = |seconds| list.at + SignedDuration::from_secs(seconds);
    let boot = Some(Uuid::nil());
    assert!(list.is_fresh(boot, after(30)));
    assert!(!list.is_fresh(boot, after(600)));
    assert!(!list.is_fresh(boot, after(-30)), "a clock that was wrong");
    assert!(!list.is_fresh(Some(Uuid::max()), after(30)));
    assert!(!list.is_fresh(None, after(30)));
}

#[test]
fn what_was_said_is_read_back_as_it_was_written() {
    let said = abilities(&["CUDA0"]);
    let text = serde_json::to_string(&said).expect("written");
    let read: Abilities = serde_json::from_str(&text).expect("read");
    assert_eq!(read, said);
}
