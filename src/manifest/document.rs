//! Reads the manifest as a whole: its sections, and each instance from its layers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::decode::{Decoder, Fault, Section, suggest};
use super::instance::{Completeness, Decoded, decode, names};
use super::mistake::Mistakes;
use super::node::{self, Entry, Node};
use super::text::{SourceText, Span, Texts};
use super::value::{duration_of_at_least, line, parsed, path, truth, url, variable, whole};
use super::{Manifest, Origin, Retention, RolloutOrder, Source, Watch, check, layer};
use crate::instance::InstanceName;

/// The `version` this program reads.
const VERSION: u32 = 1;

/// Reads and checks the texts.
pub(super) fn parse(texts: &Texts) -> Result<Manifest, Mistakes> {
    let mut decoder = Decoder::default();
    let manifest = read_manifest(&mut decoder, texts);
    match manifest {
        Some(manifest) if decoder.mistakes.is_empty() => Ok(manifest),
        _ => Err(decoder.mistakes.into_mistakes()),
    }
}

/// `None` only after a mistake was noted.
fn read_manifest<'a>(decoder: &mut Decoder<'a>, texts: &'a Texts) -> Option<Manifest> {
    let file = decoder.mistakes.add_file(&texts.manifest);
    let root = node::read(&texts.manifest, file, &mut decoder.mistakes)?;
    let start = Span {
        file,
        start: 0,
        end: 0,
    };
    if root.is_null() {
        let message = format!("`{}` is empty", texts.manifest.name);
        decoder
            .mistakes
            .push(start, message, Some(NOTHING_WANTED.to_owned()));
        return None;
    }
    if root.map().is_none() {
        let hint = "begin with `version: 1` and `instances:`";
        decoder
            .mistakes
            .push(root.span, "a manifest is a mapping", Some(hint.to_owned()));
        return None;
    }

    let mut fields = Section::new(decoder, "", Some(&root), start);
    if !reads_version(&mut fields) {
        return None;
    }
    let defaults = fields
        .node("defaults")
        .cloned()
        .map(|node| node.in_layer(Origin::Defaults));
    if let Some(defaults) = &defaults {
        let part = Completeness::Part;
        decode(
            fields.decoder,
            "`defaults`",
            Some(defaults),
            defaults.span,
            part,
        );
    }
    let instances = read_instances(&mut fields, defaults.as_ref(), texts);
    let (rollout, canary) = fields.within("rollout", read_order);
    let retention = fields.within("retention", |fields| Retention {
        keep: fields.get("keep", whole(0..=1000)).unwrap_or(2),
        prune: fields.get("prune", truth).unwrap_or(false),
    });
    let protect = names(&mut fields, "protect");
    let watch = fields.within("watch", read_watch);
    let notify = fields.within("notify", |fields| fields.list("command", line));
    let source = fields.within("source", read_source);
    fields.finish();

    check::instances(&mut decoder.mistakes, &instances);
    if let Some((canary, span)) = canary
        && !instances.contains_key(&canary)
    {
        let hint = suggest(canary.as_str(), instances.keys().map(InstanceName::as_str));
        let message = format!("`canary` names `{canary}`, which is not an instance");
        decoder.mistakes.push(span, message, Some(hint));
    }
    let instances = instances
        .into_iter()
        .map(|(name, (_, read))| (name, read.instance))
        .collect();
    let notify = notify.unwrap_or_default();
    Some(Manifest {
        instances,
        rollout,
        retention,
        protect,
        source,
        watch,
        notify,
    })
}

const NOTHING_WANTED: &str =
    "that is never taken for no instances; write `instances: {}` if you want none";

/// Takes `version`. False where the rest would be read wrongly.
fn reads_version(fields: &mut Section<'_, '_, '_>) -> bool {
    match fields.get("version", whole(1..=u32::MAX)) {
        Some(VERSION) => true,
        Some(newer) => {
            let message = format!("`version: {newer}` is of a newer llama-orch than this one");
            fields.wrong("version", message, "upgrade llama-orch");
            false
        }
        None => {
            if fields.node("version").is_none() {
                fields.wrong(
                    "",
                    "`version` is missing",
                    "begin the file with `version: 1`",
                );
            }
            true
        }
    }
}

/// Reads every instance with its layers.
fn read_instances<'a>(
    fields: &mut Section<'_, 'a, '_>,
    defaults: Option<&Node>,
    texts: &'a Texts,
) -> BTreeMap<InstanceName, (Span, Decoded)> {
    let mut instances = BTreeMap::new();
    if fields.node("instances").is_none() {
        let mut span = fields.span_of("instances");
        // Apart from the place of a missing `version`, so that both are told.
        span.end = span.end.max(span.start + 1);
        let message = "`instances` is missing or empty";
        fields
            .decoder
            .mistakes
            .push(span, message, Some(NOTHING_WANTED.to_owned()));
        return instances;
    }
    for entry in fields.entries("instances") {
        let Some(name) = read_name(fields.decoder, entry) else {
            continue;
        };
        let mut completeness = Completeness::Whole;
        let mut layers: Vec<Node> = defaults.cloned().into_iter().collect();
        if let Some(config) = texts.configs.get(&name) {
            match read_config(fields.decoder, config, &name) {
                Some(config) => layers.push(config),
                None => completeness = Completeness::Part,
            }
        }
        let whose = format!("instance `{name}`");
        let shaped = |node: &Node| node.is_null() || node.map().is_some();
        if shaped(&entry.value) {
            layers.push(entry.value.clone());
        } else {
            completeness = Completeness::Part;
            Section::new(fields.decoder, &whose, Some(&entry.value), entry.span).finish();
        }
        let merged = layers.into_iter().filter(shaped).reduce(layer::merge);
        let decoded = decode(
            fields.decoder,
            &whose,
            merged.as_ref(),
            entry.span,
            completeness,
        );
        instances.insert(name, (entry.span, decoded));
    }
    instances
}

fn read_name(decoder: &mut Decoder<'_>, entry: &Entry) -> Option<InstanceName> {
    match entry.key.parse::<InstanceName>() {
        Ok(name) => Some(name),
        Err(error) => {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let meant: String = entry.key.to_ascii_lowercase().chars().map(plain).collect();
            let meant = meant.trim_matches('-');
            let hint = meant.parse::<InstanceName>().ok();
            let hint = hint.map(|name| format!("did you mean `{name}`?"));
            decoder.mistakes.push(entry.span, error.to_string(), hint);
            None
        }
    }
}

/// Reads a `config.json`. `None` after a mistake was noted that leaves nothing to merge.
fn read_config<'a>(
    decoder: &mut Decoder<'a>,
    source: &'a SourceText,
    name: &InstanceName,
) -> Option<Node> {
    let file = decoder.mistakes.add_file(source);
    let config = node::read(source, file, &mut decoder.mistakes)?.in_layer(Origin::Config);
    if config.map().is_none() {
        decoder
            .mistakes
            .push(config.span, "a config is a mapping", None);
        return None;
    }
    if let Some(other) = config.get("name")
        && other
            .scalar()
            .is_none_or(|scalar| scalar.text != name.as_str())
        && !other.is_null()
    {
        let message = format!("`name` is not that of the instance, `{name}`");
        let hint = "the folder is named after the instance; rename one of them".to_owned();
        decoder.mistakes.push(other.span, message, Some(hint));
    }
    Some(config)
}

fn read_order(fields: &mut Section<'_, '_, '_>) -> (RolloutOrder, Option<(InstanceName, Span)>) {
    fields.explain(
        &[
            "strategy",
            "min_healthy",
            "prove_after",
            "on_failure",
            "drain",
        ],
        "it belongs under `rollout` of an instance, or of `defaults`",
    );
    let max_parallel = fields.get("max_parallel", whole(1..=1000)).unwrap_or(1);
    let start_parallel = fields.get("start_parallel", whole(1..=1000)).unwrap_or(4);
    let canary: Option<InstanceName> = fields.get("canary", parsed);
    let order = RolloutOrder {
        max_parallel,
        start_parallel,
        canary: canary.clone(),
    };
    (order, canary.map(|name| (name, fields.span_of("canary"))))
}

fn read_watch(fields: &mut Section<'_, '_, '_>) -> Watch {
    let mut allowed = |key, default| fields.get(key, truth).unwrap_or(default);
    let (install, restart, heal) = (
        allowed("install", true),
        allowed("restart", true),
        allowed("heal", true),
    );
    let (remove, prune) = (allowed("remove", false), allowed("prune", false));
    let second = Duration::from_secs(1);
    let resync = fields.get("resync", duration_of_at_least(second));
    let resync = resync.unwrap_or(Duration::from_mins(1));
    let retry_interval = fields.get("retry_interval", duration_of_at_least(second));
    let retry_interval = retry_interval.unwrap_or(Duration::from_mins(10));
    Watch {
        install,
        restart,
        heal,
        remove,
        prune,
        resync,
        retry_interval,
    }
}

fn read_source(fields: &mut Section<'_, '_, '_>) -> Source {
    let defaults = Source::default();
    let source = Source {
        repository: fields
            .get("repository", repository)
            .unwrap_or(defaults.repository),
        api: fields.get("api", url).unwrap_or(defaults.api),
        mirror: fields.get("mirror", url),
        directory: fields.get("directory", path),
        token_env: fields
            .get("token_env", variable)
            .unwrap_or(defaults.token_env),
        parallel_downloads: fields
            .get("parallel_downloads", whole(1..=16))
            .unwrap_or(defaults.parallel_downloads),
    };
    fields.explain(
        &["token"],
        "a token does not belong into git; name its variable with `token_env`",
    );
    if source.mirror.is_some() && source.directory.is_some() {
        let hint = "keep the one builds are to come from";
        fields.wrong(
            "directory",
            "`source` has both `mirror` and `directory`",
            hint,
        );
    }
    source
}

fn repository(node: &Node) -> Result<String, Fault> {
    let name = line(node)?;
    let plain = |part: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        !part.is_empty() && part.bytes().all(inner)
    };
    match name.split_once('/') {
        Some((owner, repository)) if plain(owner) && plain(repository) => Ok(name),
        _ => {
            let fault = Fault::wants("a repository such as `ggml-org/llama.cpp`", node);
            let short = name.strip_prefix("https://github.com/");
            Err(short.into_iter().fold(fault, |fault, short| {
                fault.hint(format!("did you mean `{}`?", short.trim_end_matches('/')))
            }))
        }
    }
}
