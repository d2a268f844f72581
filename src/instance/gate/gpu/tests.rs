//! What a log may say, and what the gate makes of it.

use super::*;

fn launch(gpu: Option<&str>) -> Launch {
    recorded(gpu, "b9001", &[]).launch
}

fn recorded(gpu: Option<&str>, build: &str, inputs: &[(&str, i64)]) -> RecordedLaunch {
    let mut compared = serde_json::json!({ "binary": build, "server.port": 8071 });
    for (field, value) in inputs {
        compared[*field] = (*value).into();
    }
    serde_json::from_value(serde_json::json!({
        "binary": "00000000-0000-0000-0000-000000000001",
        "build": build,
        "arguments": [],
        "host": "127.0.0.1",
        "port": 8071,
        "gpu": gpu,
        "inputs": compared,
        "program": "bins/x/llama-server",
    }))
    .expect("a launch")
}

fn load(devices: &[&str], layers: Option<(u32, u32)>, context: Option<u32>) -> LoadFacts {
    LoadFacts {
        devices: devices.iter().map(|name| (*name).to_owned()).collect(),
        layers,
        context,
        no_gpu: false,
    }
}

fn reason(gpu: &str, load: &LoadFacts, baseline: Option<&LoadFacts>) -> Option<(String, bool)> {
    let short = shortcoming(&launch(Some(gpu)), load, baseline)?;
    Some((short.reason, short.transient))
}

#[test]
fn a_server_has_to_compute_on_the_device_it_was_told() {
    let on = |devices: &[&str]| load(devices, Some((33, 33)), None);
    let transient = |text: &str| Some((text.to_owned(), true));
    assert_eq!(reason("CUDA", &on(&["CUDA0", "CPU"]), None), None);
    assert_eq!(reason("CUDA1", &on(&["CUDA1"]), None), None);
    assert_eq!(reason("MTL", &on(&["Metal"]), None), None);
    assert_eq!(reason("", &on(&["SYCL0"]), None), None);
    assert_eq!(
        reason("CUDA", &on(&["Vulkan0", "CPU"]), None),
        transient("computes on Vulkan0 and CPU, and not on CUDA")
    );
    assert_eq!(
        reason("CUDA1", &on(&["CUDA10"]), None),
        transient("computes on CUDA10, and not on CUDA1")
    );
    assert_eq!(
        reason("", &on(&["CPU"]), None),
        transient("computes on CPU, and not on GPU")
    );
    let none = LoadFacts {
        no_gpu: true,
        ..LoadFacts::default()
    };
    assert_eq!(
        reason("Vulkan", &none, None),
        transient("found no Vulkan device")
    );
}

#[test]
fn what_the_log_does_not_say_is_not_held_against_it() {
    assert_eq!(reason("CUDA", &LoadFacts::default(), None), None);
    let before = load(&["CUDA0"], Some((33, 33)), Some(8192));
    assert_eq!(reason("CUDA", &LoadFacts::default(), Some(&before)), None);
    assert_eq!(
        reason("CUDA", &load(&["CUDA0"], None, None), Some(&before)),
        None
    );
}

#[test]
fn fewer_layers_or_less_context_than_before_fall_short() {
    let before = load(&["CUDA0"], Some((33, 33)), Some(8192));
    let now = |layers, context| load(&["CUDA0"], Some((layers, 33)), Some(context));
    let lasting = |text: &str| Some((text.to_owned(), false));
    assert_eq!(reason("CUDA", &now(33, 8192), Some(&before)), None);
    assert_eq!(reason("CUDA", &now(20, 4096), None), None);
    assert_eq!(
        reason("CUDA", &now(0, 8192), None),
        lasting("offloaded 0 of 33 layers to the GPU")
    );
    assert_eq!(
        reason("CUDA", &now(20, 8192), Some(&before)),
        lasting("offloaded 20 of 33 layers to the GPU, the last proven launch 33")
    );
    assert_eq!(
        reason("CUDA", &now(33, 4096), Some(&before)),
        lasting("has a context of 4096 tokens, the last proven launch 8192")
    );
    assert_eq!(
        shortcoming(&launch(None), &now(0, 1), Some(&before)),
        None,
        "nothing is required"
    );
}

#[test]
fn only_launches_that_ask_for_the_same_are_compared() {
    let said = load(&["CUDA0"], Some((33, 33)), Some(8192));
    let last = recorded(None, "b9001", &[("gpu.layers", 33)]);
    let compared = |inputs: &[(&str, i64)]| {
        baseline(&recorded(Some("CUDA"), "b9002", inputs), &last, &said).is_some()
    };
    assert!(compared(&[("gpu.layers", 33)]));
    assert!(compared(&[
        ("gpu.layers", 33),
        ("gpu.require", 1),
        ("server.port", 8072)
    ]));
    assert!(!compared(&[("gpu.layers", 20)]));
    assert!(!compared(&[]));
    assert!(!compared(&[
        ("gpu.layers", 33),
        ("model.context_size", 4096)
    ]));
    assert!(!compared(&[("gpu.layers", 33), ("args", 1)]));
}
