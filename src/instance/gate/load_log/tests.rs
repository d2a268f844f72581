//! Lines as builds of several ages and backends wrote them, with names and numbers of our own.

use super::*;

fn read(log: &str) -> LoadFacts {
    let mut reader = LoadLog::default();
    log.lines().for_each(|line| reader.line(line));
    reader.found()
}

fn facts(devices: &[&str], layers: Option<(u32, u32)>, context: Option<u32>) -> LoadFacts {
    LoadFacts {
        devices: devices.iter().map(|name| (*name).to_owned()).collect(),
        layers,
        context,
        no_gpu: false,
    }
}

#[test]
fn the_logs_of_each_backend_are_read() {
    let cuda = "
llama_model_load_from_file_impl: using device CUDA0 (NVIDIA GeForce RTX 3060) (0000:01:00.0) - 11245 MiB free
load_tensors: offloading output layer to GPU
load_tensors: offloading 32 repeating layers to GPU
load_tensors: offloaded 33/33 layers to GPU
load_tensors:   CPU_Mapped model buffer size =   281.81 MiB
load_tensors:        CUDA0 model buffer size =  4095.05 MiB
llama_context: n_ctx         = 16384
llama_context: n_ctx_seq     = 4096";
    assert_eq!(
        read(cuda),
        facts(&["CUDA0", "CPU"], Some((33, 33)), Some(16384))
    );
    let vulkan = "
0.00.217.912 I llama_prepare_model_devices: using device Vulkan0 (AMD Radeon RX 6600M) (0000:03:00.0) - 8176 MiB free
0.00.256.263 I load_tensors: offloaded 25/25 layers to GPU
0.00.256.264 I load_tensors:      Vulkan0 model buffer size =  4699.90 MiB
0.00.256.265 I load_tensors:  Vulkan_Host model buffer size =   586.82 MiB
0.00.300.459 I llama_context: n_ctx                 = 8192";
    assert_eq!(
        read(vulkan),
        facts(&["Vulkan0", "CPU"], Some((25, 25)), Some(8192))
    );
    let rocm = "
0.00.109.723 I llama_prepare_model_devices: using device ROCm0 (AMD Radeon RX 7900 XTX) (0000:03:00.0) - 24520 MiB free
0.00.110.000 I load_tensors: offloaded 49/49 layers to GPU
0.00.110.001 I load_tensors:        ROCm0 model buffer size = 17000.00 MiB";
    assert_eq!(read(rocm), facts(&["ROCm0"], Some((49, 49)), None));
    let metal = "
llama_model_load_from_file_impl: using device Metal (Apple M4) - 10922 MiB free
load_tensors: Metal_Mapped model buffer size =  1834.82 MiB
load_tensors: offloaded 29/29 layers to GPU
llama_init_from_model: n_ctx         = 4096";
    assert_eq!(read(metal), facts(&["Metal"], Some((29, 29)), Some(4096)));
    let newer = "0.00.010.001 I llama_prepare_model_devices: using device MTL0 (Apple M3) (unknown id) - 5460 MiB free";
    assert_eq!(read(newer), facts(&["MTL0"], None, None));
}

#[test]
fn a_build_without_a_gpu_says_where_it_computes_all_the_same() {
    let log = "
warning: no usable GPU found, --gpu-layers option will be ignored
0.00.009.778 I load_tensors: loading model tensors, this can take a while... (load_mode = mmap)
0.00.010.165 I load_tensors:   CPU_Mapped model buffer size =     0.51 MiB
0.00.010.166 I load_tensors:   CPU_REPACK model buffer size =     0.51 MiB
0.00.010.459 I llama_context: n_ctx                 = 512";
    let read = read(log);
    assert!(read.no_gpu);
    assert_eq!((read.devices, read.layers), (vec!["CPU".to_owned()], None));
}

#[test]
fn a_log_that_says_little_leaves_little_known() {
    let log = "
0.00.004.965 I srv  llama_server: initializing ...
0.00.009.939 I srv    load_model: loading model 'tiny.gguf'
0.00.811.649 I srv    load_model: initializing, n_slots = 4, n_ctx_slot = 512, kv_unified = 'true'
0.00.813.461 I srv  llama_server: model loaded";
    assert_eq!(read(log), facts(&[], None, Some(512)));
    let parted = "load_model: initializing, n_slots = 4, n_ctx_slot = 512, kv_unified = 'false'";
    assert_eq!(read(parted).context, Some(2048));
    assert_eq!(read(""), LoadFacts::default());
}

#[test]
fn a_draft_model_and_the_tries_of_fit_do_not_hide_the_model() {
    let log = "
load_tensors: offloaded 20/33 layers to GPU
load_tensors: offloaded 31/33 layers to GPU
llama_context: n_ctx                 = 8192
load_tensors: offloaded 13/13 layers to GPU
llama_context: n_ctx                 = 2048";
    assert_eq!(read(log), facts(&[], Some((31, 33)), Some(8192)));
}

#[test]
fn a_text_that_only_looks_alike_is_nothing() {
    for line in [
        "offloaded many/all layers to GPU",
        "offloaded 1/99999999999999999999 layers to GPU",
        " model buffer size =",
        "the user asked: using device (",
        "print_info: n_ctx_train           = 512",
        "somebody: n_ctx = 5",
        "n_ctx_slot = , n_slots = ",
        "initializing, n_slots = 4294967295, n_ctx_slot = 4294967295",
    ] {
        assert_eq!(read(line), LoadFacts::default(), "{line}");
    }
}
