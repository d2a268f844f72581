//! Whatever the text, reading it ends and points into it.

use proptest::prelude::*;
use serde_json::Value;

use super::super::mistake::Collector;
use super::super::node::{self, Kind, Node};
use super::super::text::yaml_text;
use super::*;

fn read(name: &str, text: &str) -> Option<Node> {
    let source = SourceText::new(name, text);
    let mut mistakes = Collector::default();
    let file = mistakes.add_file(&source);
    let node = node::read(&source, file, &mut mistakes);
    node.filter(|_| mistakes.is_empty())
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::String),
        "[ -~]{0,20}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Texts made of what manifests are made of, so that most get past the first word.
fn nearly_a_manifest() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => prop::sample::select(vec![
            "version: 1\n", "instances:\n", "  chat:\n", "    server: ", "{ port: 1 }\n", "defaults:\n",
            "    args: ", "[", "]", "{", "}", ", ", ": ", "- ", "&a ", "*a", "<<: ", "!!str ", "| \n", "\t",
            "\n", "\r\n", "    ", "'", "\"", "# x\n", "---\n", "\u{feff}", "    binary: ", "version: stable",
            "    env: ", "API_KEY: ", "--api-key", "\\x00", "%YAML 1.2\n", "? ", "~", "é", "\u{1F999}",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in nearly_a_manifest(), config in nearly_a_manifest()) {
        let texts = texts(&text, &[("chat", &config)]);
        if let Err(mistakes) = Manifest::parse(&texts) {
            prop_assert!(!mistakes.list.is_empty());
            prop_assert!(!mistakes.to_string().is_empty());
        }
    }

    #[test]
    fn no_config_makes_the_parser_panic(config in json_value()) {
        let config = config.to_string();
        let _ = Manifest::parse(&texts("version: 1\ninstances: { chat: }\n", &[("chat", &config)]));
    }

    #[test]
    fn json_is_read_as_json_readers_read_it(value in json_value()) {
        for text in [value.to_string(), format!("{value:#}")] {
            let node = read("config.json", &text);
            prop_assert_eq!(node.map(|node| node.to_json()), Some(value.clone()), "{}", text);
        }
    }

    #[test]
    fn a_place_is_that_of_the_text_it_names(words in prop::collection::vec("[a-zé\u{1F999}漢]{1,8}", 1..6)) {
        let text = format!("[{}]", words.iter().map(|word| yaml_text(word)).collect::<Vec<_>>().join(",\n "));
        let node = read("a.yaml", &text).expect("valid YAML");
        let Kind::List(items) = &node.kind else { panic!("a list") };
        let source = SourceText::new("a.yaml", text.as_str());
        for (at, (item, word)) in items.iter().zip(&words).enumerate() {
            prop_assert_eq!(&text[item.span.start..item.span.end], yaml_text(word));
            let place = source.place(item.span.start);
            prop_assert_eq!((place.number, place.column), (at + 1, 2));
        }
    }

    #[test]
    fn a_text_of_ours_is_read_as_that_text(text in any::<String>()) {
        let key = format!("k{text}");
        let written = format!("key: {}\n{}: 1\n", yaml_text(&text), yaml_text(&key));
        let node = read("a.yaml", &written).expect("valid YAML");
        prop_assert_eq!(node.get("key").and_then(Node::scalar).map(|scalar| &scalar.text), Some(&text));
        let found = node.get(&key).is_some();
        prop_assert!(found);
    }
}
