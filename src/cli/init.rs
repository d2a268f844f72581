//! `init`: adds an instance to the manifest, and writes the manifest where there is none yet.

#![expect(
    clippy::disallowed_types,
    reason = "a port that nobody listens at is found by trying it"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::TcpListener;

use camino::Utf8PathBuf;
use clap::Args;
use llama_orch::instance::InstanceName;
use llama_orch::manifest::edit::Edit;
use llama_orch::manifest::{Instance, ReleaseRequest};
use llama_orch::reconcile::Loaded;
use llama_orch::release::VariantRequest;
use llama_orch::root::Root;
use serde_json::{Map, Value, json};

use super::Global;
use super::diagnostic::{Failure, Kind};
use super::editing::{EditArgs, Editing, Wish};
use super::ui::Ui;
use super::upgrade::newest_stable;

/// Add an instance to orchestrator.yaml, and start it
///
/// Writes orchestrator.yaml in the current folder (or the one of `-C`) where there is none in it or above
/// it. What is not said is left to the server, but for the port and the build: the next free port from
/// 8080 on, and the newest stable build.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitArgs {
    /// What it is to be called: small letters, digits, `-` and `_`
    #[arg(value_name = "NAME")]
    name: InstanceName,
    /// Its build: `b9553`, `v0.9.0`, `stable`, `nightly`, or the name of one of your own
    #[arg(long, value_name = "VERSION")]
    binary_version: Option<ReleaseRequest>,
    /// Which variant: `auto`, a family such as `cuda`, or a name such as `vulkan-x64`
    #[arg(long, value_name = "VARIANT")]
    variant: Option<VariantRequest>,
    /// Its model: a GGUF file, relative to the root or absolute
    #[arg(long, value_name = "PATH", conflicts_with_all = ["hf", "model_directory"])]
    model: Option<Utf8PathBuf>,
    /// Its model by name: a repository on Hugging Face, `owner/name[:quantization]`
    #[arg(long, value_name = "REPOSITORY", conflicts_with = "model_directory")]
    hf: Option<String>,
    /// A folder of models, for a router
    #[arg(long, value_name = "DIR")]
    model_directory: Option<Utf8PathBuf>,
    /// Tokens of context
    #[arg(long, value_name = "TOKENS")]
    context_size: Option<u32>,
    /// CPU threads
    #[arg(long, value_name = "COUNT")]
    threads: Option<u32>,
    /// Port to listen on
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Address to listen on, in place of 127.0.0.1
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// Requests served at a time
    #[arg(long, value_name = "SLOTS")]
    parallel: Option<u32>,
    /// What it computes on: cpu, vulkan, cuda, metal, rocm or sycl
    #[arg(long, value_name = "BACKEND")]
    backend: Option<String>,
    /// The number of the device in that backend's list
    #[arg(long, value_name = "NUMBER")]
    device: Option<u32>,
    /// Layers to put on it; 999 for all
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true)]
    layers: Option<i32>,
    /// A tag to select it by; repeat it for several
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Write it as disabled, to be started by `enable`
    #[arg(long)]
    disabled: bool,
    /// Write its settings into instances/NAME/config.json rather than into orchestrator.yaml
    #[arg(long)]
    config_file: bool,
    /// Take builds from this folder of release archives, relative to the root; for a new orchestrator.yaml
    #[arg(long, value_name = "DIR")]
    source_directory: Option<Utf8PathBuf>,
    #[command(flatten)]
    edit: EditArgs,
    /// Further options of llama-server
    #[arg(value_name = "OPTION", last = true)]
    args: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  llama-orch init chat --model models/gemma.gguf --backend vulkan --layers 999
  llama-orch init embed --hf ggml-org/embeddinggemma-300M-GGUF --port 8090
  llama-orch init test --model models/tiny.gguf --binary-version b9553 --dry-run
  llama-orch init chat --model models/gemma.gguf -- --metrics";

/// Where the search for a free port begins: llama-server's own port of old.
const FIRST_PORT: u16 = 8080;

/// A manifest without instances.
const FIRST_TEXT: &str = "\
# What runs on this machine. `llama-orch plan` shows what would change, and why; `llama-orch apply`
# makes it so. Keep this file and orchestrator.lock in git.
version: 1
";

pub(crate) fn run(global: &Global, args: &InitArgs, ui: &Ui) -> Result<u8, Failure> {
    let (root, is_there) = Root::find_or_begin(global.root.as_deref())?;
    let mut first = FIRST_TEXT.to_owned();
    if let Some(directory) = &args.source_directory {
        if is_there {
            let message = "`--source-directory` is for a new orchestrator.yaml alone".to_owned();
            let hint = format!("write `source: {{ directory: {directory} }}` into it");
            return Err(Failure::new(Kind::Usage, message).hint(hint));
        }
        // JSON is YAML, whatever stands in a path. Writing into a text does not fail.
        let directory = json!(directory.as_str());
        let _ = writeln!(first, "source: {{ directory: {directory} }}");
    }
    first += "instances: {}\n";
    if !is_there {
        ui.remark(format_args!(
            "there is no orchestrator.yaml yet; it is for {}",
            root.path()
        ));
    }
    let editing = Editing::of(global, &args.edit, "init", ui, root, Some(&first))?;
    if editing.known().contains(&args.name) {
        let message = format!("there is an instance `{}` already", args.name);
        let hint = format!("`llama-orch config show {}` shows it", args.name);
        return Err(Failure::new(Kind::Usage, message).hint(hint));
    }
    let add = |settings: Map<String, Value>| Edit::Add {
        instance: args.name.clone(),
        settings,
        in_config: args.config_file,
    };
    let port = args.port.unwrap_or_else(|| free_port(&editing.loaded));
    let instance_with = |version: Option<&str>| -> Result<Option<Instance>, Failure> {
        let mut loaded = editing.with(&[add(settings(args, version, port))])?;
        Ok(loaded.manifest.instances.remove(&args.name))
    };
    let mut version = args.binary_version.as_ref().map(ToString::to_string);
    // A mistake in what was said is told before anybody is asked for builds.
    let draft = instance_with(version.as_deref().or(Some("stable")))?;
    if args.args.is_empty() && draft.is_some_and(|instance| instance.model.is_none()) {
        let message = format!("`{}` needs a model", args.name);
        let hint = "say `--model PATH`, `--hf REPOSITORY` or `--model-directory DIR`";
        return Err(Failure::new(Kind::Usage, message).hint(hint));
    }
    // What `defaults` say is not written again.
    let has_pin = |instance: Option<Instance>| instance.is_some_and(|one| one.binary.is_some());
    if version.is_none() && !instance_with(None).is_ok_and(has_pin) {
        version = Some(newest_stable(&editing)?.tag.to_string());
    }
    let edit = add(settings(args, version.as_deref(), port));
    editing.run(&Wish::to(vec![edit]))
}

/// What was said of the instance, as its fields.
fn settings(args: &InitArgs, version: Option<&str>, port: u16) -> Map<String, Value> {
    let text = |value: Option<&str>| value.map(Value::from);
    let number = |value: Option<u32>| value.map(Value::from);
    let path = |value: &Option<Utf8PathBuf>| value.as_ref().map(|path| path.as_str().into());
    let variant = args.variant.as_ref().map(ToString::to_string);
    let mut fields = Map::new();
    let mut section = |name: &str, of: Vec<(&str, Option<Value>)>| {
        let of = of.into_iter();
        let of: Map<String, Value> = of
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect();
        if !of.is_empty() {
            fields.insert(name.to_owned(), of.into());
        }
    };
    section(
        "binary",
        vec![
            ("version", text(version)),
            ("variant", text(variant.as_deref())),
        ],
    );
    section(
        "model",
        vec![
            ("path", path(&args.model)),
            ("hf", text(args.hf.as_deref())),
            ("directory", path(&args.model_directory)),
            ("context_size", number(args.context_size)),
            ("threads", number(args.threads)),
        ],
    );
    section(
        "server",
        vec![
            ("host", text(args.host.as_deref())),
            ("port", Some(port.into())),
            ("parallel", number(args.parallel)),
        ],
    );
    section(
        "gpu",
        vec![
            ("backend", text(args.backend.as_deref())),
            ("device_id", number(args.device)),
            ("layers", args.layers.map(Value::from)),
        ],
    );
    for (key, list) in [("args", &args.args), ("tags", &args.tags)] {
        if !list.is_empty() {
            fields.insert(key.to_owned(), list.clone().into());
        }
    }
    if args.disabled {
        fields.insert("enabled".to_owned(), false.into());
    }
    fields
}

/// The first port that no instance has and nobody listens at.
fn free_port(loaded: &Loaded) -> u16 {
    let instances = loaded.manifest.instances.values();
    let taken: BTreeSet<u16> = instances.map(|instance| instance.server.port).collect();
    let is_free =
        |port: &u16| !taken.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (FIRST_PORT..=u16::MAX).find(is_free).unwrap_or(FIRST_PORT)
}
