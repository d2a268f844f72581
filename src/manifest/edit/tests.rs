//! Every edit of every odd file: what changes is what was meant, and nothing else.
//!
//! `EDITS=overwrite cargo test edits` writes the expected outputs beside the files anew; read the
//! diff.

#![expect(
    clippy::disallowed_methods,
    reason = "the odd files and what is expected of them lie in a folder"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::*;
use crate::manifest::Instance;

fn name(text: &str) -> InstanceName {
    text.parse().expect("a name")
}

fn pin(version: &str) -> WrittenPin {
    WrittenPin {
        version: Some(version.to_owned()),
        ..WrittenPin::default()
    }
}

/// The edits, with what each is called in the outputs.
fn edits() -> Vec<(&'static str, Vec<Edit>)> {
    let chat = || name("chat");
    let pinned = |instance, pin| Edit::Pin { instance, pin };
    let enable = |instance, enabled| Edit::Enable { instance, enabled };
    let variant = WrittenPin {
        variant: Some("vulkan".to_owned()),
        ..pin("b2")
    };
    let id = WrittenPin {
        binary_id: Some("5cf01664-31fb-a1f7-c8d4-631b430848e3".to_owned()),
        ..pin("b2")
    };
    let settings = json!({
        "binary": { "version": "b2", "variant": "auto" },
        "model": { "path": "models/a b.gguf" },
        "server": { "port": 8003 },
        "tags": ["new"],
    });
    let Value::Object(settings) = settings else {
        unreachable!("it is written as one")
    };
    let add = |in_config| Edit::Add {
        instance: name("new"),
        settings: settings.clone(),
        in_config,
    };
    vec![
        ("pin", vec![pinned(chat(), pin("b2"))]),
        ("pin with a variant", vec![pinned(chat(), variant)]),
        ("pin with an id", vec![pinned(chat(), id)]),
        (
            "pin of both",
            vec![pinned(chat(), pin("b2")), pinned(name("embed"), pin("b2"))],
        ),
        ("disable", vec![enable(chat(), false)]),
        ("enable", vec![enable(chat(), true)]),
        (
            "switch",
            vec![enable(chat(), false), enable(name("embed"), true)],
        ),
        ("remove", vec![Edit::Remove { instance: chat() }]),
        ("add", vec![add(false)]),
        ("add with a config", vec![add(true)]),
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/manifests/odd")
}

/// The odd files by their names.
fn corpus() -> BTreeMap<String, Texts> {
    let entries = std::fs::read_dir(folder()).expect("the corpus is there");
    let paths = entries.map(|entry| entry.expect("readable").path());
    paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| {
            let text = std::fs::read(&path).expect("readable");
            let manifest = SourceText::from_bytes("orchestrator.yaml", text).expect("UTF-8");
            let stem = path.file_stem().expect("it has a name").to_string_lossy();
            let configs = BTreeMap::new();
            (stem.into_owned(), Texts { manifest, configs })
        })
        .collect()
}

/// The lines that differ, with what ends them where that is not a plain line feed.
fn difference(before: &str, after: &str) -> String {
    let mut text = String::new();
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Equal => continue,
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
        };
        let line = change.value();
        let end = match line.strip_suffix('\n') {
            None => " [no line end]",
            Some(line) if line.ends_with('\r') => " [CR]",
            Some(_) => "",
        };
        let _ = writeln!(text, "{sign}{}{end}", line.trim_end_matches(['\r', '\n']));
    }
    text
}

#[test]
fn edits_of_odd_files_change_what_is_meant_and_nothing_else() {
    let corpus = corpus();
    assert!(corpus.len() >= 30, "{} odd files", corpus.len());
    let overwrite = std::env::var("EDITS").is_ok_and(|value| value == "overwrite");
    let mut differing = Vec::new();
    for (stem, texts) in &corpus {
        let mut out = String::new();
        for (what, list) in edits() {
            let edited = edit(texts, &list).unwrap_or_else(|error| {
                panic!(
                    "{what} of {stem}: {error} {:?}",
                    std::error::Error::source(&error)
                )
            });
            check(stem, what, texts, &edited, &list);
            let _ = writeln!(out, "== {what}");
            out += &difference(&texts.manifest.text, &edited.manifest.text);
        }
        let path = folder().join(format!("{stem}.out"));
        if overwrite {
            std::fs::write(&path, &out).expect("written");
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&out) {
            differing.push(format!("{stem}:\n{out}"));
        }
    }
    assert!(
        differing.is_empty(),
        "not as expected, see EDITS=overwrite:\n{}",
        differing.join("\n")
    );
}

/// What holds of every edit, however the file is written.
fn check(stem: &str, what: &str, before: &Texts, after: &Texts, list: &[Edit]) {
    let place = format!("{what} of {stem}:\n{}", after.manifest.text);
    let was = Manifest::parse(before).expect("the corpus is valid");
    let is = Manifest::parse(after).expect("it stays valid");
    for edit in list {
        let (was, is) = (
            was.instances.get(edit.instance()),
            is.instances.get(edit.instance()),
        );
        let as_meant = match edit {
            Edit::Pin { pin, .. } => is.and_then(|is| is.binary.as_ref()).is_some_and(|now| {
                now.version.as_ref().map(ToString::to_string) == pin.version
                    && now.binary_id.map(|id| id.to_string()) == pin.binary_id
                    && now.sha256.is_none()
                    && now.source_url.is_none()
                    && pin
                        .variant
                        .as_ref()
                        .is_none_or(|variant| now.variant.to_string() == *variant)
            }),
            Edit::Enable { enabled, .. } => is.is_some_and(|is| is.enabled == *enabled),
            Edit::Add { .. } => is.is_some_and(|is| is.server.port == 8003),
            Edit::Remove { .. } => is.is_none(),
        };
        assert!(as_meant, "{place}");
        // Beside what was meant, the instance is what it was.
        if let (Some(was), Some(is)) = (was, is) {
            let rest = |instance: &Instance| Instance {
                binary: None,
                enabled: true,
                origins: BTreeMap::new(),
                ..instance.clone()
            };
            assert_eq!(rest(was), rest(is), "{place}");
        }
    }
    let removes = list.iter().any(|edit| matches!(edit, Edit::Remove { .. }));
    let comments = |text: &Texts| -> Vec<String> {
        let lines = text.manifest.text.lines();
        let comments = lines.filter_map(|line| Some(line[line.find("# ")?..].to_owned()));
        comments.collect()
    };
    if !removes {
        let left = comments(after);
        for comment in comments(before) {
            // A comment beside what is taken out goes with it.
            let beside = comment == "# of the archive" || comment == "# here";
            assert!(
                beside || left.contains(&comment),
                "`{comment}` is gone: {place}"
            );
        }
    }
    let bare = |text: &str| text.matches('\n').count() - text.matches("\r\n").count();
    if bare(&before.manifest.text) == 0 && before.manifest.text.contains("\r\n") {
        assert_eq!(bare(&after.manifest.text), 0, "{place}");
    }
    let ends = |text: &Texts| text.manifest.text.ends_with('\n');
    assert_eq!(ends(before), ends(after), "{place}");
}

const CONFIG: &str = "{\r
    \"name\": \"chat\",\r
    \"binary\": {\r
        \"version\": \"b1\",\r
        \"sha256\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"\r
    },\r
    \"server\": { \"port\": 8001 },\r
    \"model_metadata\": null\r
}";

/// Texts with a `config.json` of `chat`.
fn with_config(inline: &str) -> Texts {
    let manifest = format!("version: 1\ninstances:\n  chat: {inline}\n");
    let config = SourceText::new("instances/chat/config.json", CONFIG);
    Texts {
        manifest: SourceText::new("orchestrator.yaml", manifest),
        configs: BTreeMap::from([(name("chat"), config)]),
    }
}

fn edited(texts: &Texts, edit_: Edit) -> (String, String) {
    let edited = edit(texts, &[edit_]).expect("it can be edited");
    let config = &edited.configs[&name("chat")];
    (
        difference(&texts.manifest.text, &edited.manifest.text),
        difference(CONFIG, &config.text),
    )
}

#[test]
fn a_value_is_changed_in_the_layer_it_comes_from() {
    let instance = || name("chat");
    let to_b2 = || Edit::Pin {
        instance: instance(),
        pin: pin("b2"),
    };
    let (manifest, config) = edited(&with_config("{}"), to_b2());
    assert_eq!(manifest, "");
    insta::assert_snapshot!(config, @r#"
    -        "version": "b1", [CR]
    -        "sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" [CR]
    +        "version": "b2" [CR]
    "#);

    // What stands inline counts, so that is what is changed.
    let (manifest, config) = edited(&with_config("{ binary: { version: b0 } }"), to_b2());
    assert_eq!(config, "");
    insta::assert_snapshot!(manifest, @"
    -  chat: { binary: { version: b0 } }
    +  chat: { binary: { version: b2 } }
    ");

    // A variant may lie above the pin it belongs to.
    let with_variant = Edit::Pin {
        instance: instance(),
        pin: WrittenPin {
            variant: Some("vulkan".to_owned()),
            ..pin("b2")
        },
    };
    let texts = with_config("{ binary: { variant: cpu } }");
    let (manifest, config) = edited(&texts, with_variant);
    insta::assert_snapshot!(manifest + &config, @r#"
    -  chat: { binary: { variant: cpu } }
    +  chat: { binary: { variant: vulkan } }
    -        "version": "b1", [CR]
    -        "sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" [CR]
    +        "version": "b2" [CR]
    "#);

    // What is written nowhere goes where the rest is.
    let disable = || Edit::Enable {
        instance: instance(),
        enabled: false,
    };
    let (manifest, config) = edited(&with_config("{}"), disable());
    insta::assert_snapshot!(manifest + &config, @r#"
    -    "model_metadata": null [CR]
    +    "model_metadata": null, [CR]
    +    "enabled": false [CR]
    "#);
    let (manifest, config) = edited(&with_config("{ tags: [a] }"), disable());
    insta::assert_snapshot!(manifest + &config, @"
    -  chat: { tags: [a] }
    +  chat: { tags: [a], enabled: false }
    ");
}

#[test]
fn an_edit_that_would_make_the_files_wrong_is_none() {
    let texts = Texts {
        manifest: SourceText::new(
            "orchestrator.yaml",
            "\
version: 1
defaults: { binary: { version: b1 } }
instances:
  chat: { server: { port: 8001 }, depends_on: [embed] }
  embed: { server: { port: 8002 } }
  other: { server: { port: 8001 }, enabled: false }
",
        ),
        configs: BTreeMap::new(),
    };
    let refused = |edit_| {
        let error = edit(&texts, &[edit_]).expect_err("it is refused");
        let why = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}\n{}", why.unwrap_or_default())
    };
    let remove = Edit::Remove {
        instance: name("embed"),
    };
    insta::assert_snapshot!(refused(remove), @"
    the edited files would be wrong
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:4:48: `chat` depends on `embed`, which is not an instance
          4 |   chat: { server: { port: 8001 }, depends_on: [embed] }
            |                                                ^^^^^ possible here: `other`
    ");
    let enable = Edit::Enable {
        instance: name("other"),
        enabled: true,
    };
    insta::assert_snapshot!(refused(enable), @"
    the edited files would be wrong
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:6:28: port 8001 of `other` is also that of `chat` (orchestrator.yaml:4:27)
          6 |   other: { server: { port: 8001 }, enabled: true }
            |                            ^^^^ give one of them another port, or write `enabled: false` in one
    ");
}
