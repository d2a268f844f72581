//! YAML as people write it: what is read, and what is refused with its place.

use insta::assert_snapshot;

use super::*;

#[test]
fn arguments_and_variables_stay_the_text_they_were() {
    let chat = only(&chat(
        "\
server: { port: 0x1F97 }
args: [no, 1e3, 0x10, 007, 1_000, true, null, ~, 'a b', \"\\u00e9\", --a=b, 2026-01-01]
env: { A: 010, B: on, C: \"\", D: 1.50 }
",
    ));
    assert_eq!(chat.server.port, 8087);
    let words = [
        "no", "1e3", "0x10", "007", "1_000", "true", "null", "~", "a b", "é", "--a=b",
    ];
    assert_eq!(chat.args[..11], words);
    let env: Vec<_> = chat.env.values().cloned().collect();
    assert_eq!(
        env,
        ["010", "on", "", "1.50"].map(|text| EnvironmentValue::Literal(text.into()))
    );
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let manifest = parse(
        "\
version: 1
instances:
  a: &a
    server: { port: 1, parallel: 2 }
    args: &args [--metrics]
  b:
    <<: *a
    server: { <<: { port: 9, parallel: 3 }, port: 2 }
  c: { server: { port: 3 }, args: *args }
",
    );
    let instance = |text| &manifest.instances[&name(text)];
    assert_eq!(
        (instance("b").server.port, instance("b").server.parallel),
        (2, Some(3))
    );
    assert_eq!(instance("b").args, ["--metrics"]);
    assert_eq!(instance("c").args, ["--metrics"]);
}

#[test]
fn a_bomb_of_aliases_is_refused_before_it_goes_off() {
    let mut bomb = "version: 1\ndefaults:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        writeln!(bomb, "  a{level}: &a{level} [{below}]").expect("a text takes any text");
    }
    assert!(
        mistakes(&bomb).contains("stand for more than"),
        "{}",
        mistakes(&bomb)
    );

    let deep = format!(
        "version: 1\ninstances: {}{}",
        "[".repeat(100),
        "]".repeat(100)
    );
    assert!(mistakes(&deep).contains("nested more than 64 levels deep"));
    let mut deep = "version: 1\na0: &a0 [[[[[[[[[[x]]]]]]]]]]\n".to_owned();
    for level in 1..20 {
        writeln!(deep, "a{level}: &a{level} [[[[[[*a{}]]]]]]", level - 1).expect("any text");
    }
    assert!(mistakes(&deep).contains("nested more than 64 levels deep"));
    assert!(mistakes("a: &a [*a]").contains("an anchor cannot contain itself"));
}

#[test]
fn texts_that_are_not_one_yaml_document_say_so() {
    assert_snapshot!(mistakes("version: 1\ninstances: {}\n---\nversion: 1\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:3:1: a second document begins here
          3 | ---
            | ^^^ keep one document and remove the `---` before the second
    ");
    assert_snapshot!(mistakes("version: 1\ninstances:\n\tchat: {}\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:3:2: not valid YAML: tabs disallowed within this context (block indentation)
          3 |     chat: {}
            |     ^ indent with spaces, YAML allows no tabs there
    ");
    assert_snapshot!(mistakes("version: 1\ninstances: {\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:2:12: not valid YAML: unclosed bracket '{'
          2 | instances: {
            |            ^
    ");
    assert_snapshot!(mistakes("version: 1\n<<<<<<< HEAD\ninstances: {}\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:2:1: git left a conflict here
          2 | <<<<<<< HEAD
            | ^^^^^^^ resolve the conflict and commit the file
    ");
    assert_snapshot!(mistakes("version: 1\ninstances:\n  a: !secret x\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:3:14: the tag `!secret` means nothing here
          3 |   a: !secret x
            |              ^ leave it out
    ");
    assert_snapshot!(mistakes("version: 1\ninstances:\n  [a]: {}\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:3:3: a key must be a plain text
          3 |   [a]: {}
            |   ^^^
    ");
    assert_snapshot!(mistakes("version: 1\ninstances: *missing\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:2:12: not valid YAML: while parsing node, found unknown anchor
          2 | instances: *missing
            |            ^
    ");
    assert_snapshot!(mistakes("- a\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:1:1: a manifest is a mapping
          1 | - a
            | ^^^ begin with `version: 1` and `instances:`
    ");
    assert_snapshot!(mistakes("version: 1\ninstances:\n  a:\n    tags: x: y\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:4:12: not valid YAML: mapping values are not allowed in this context
          4 |     tags: x: y
            |            ^ put a value that contains `: ` into quotes
    ");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let unix = WHOLE.to_owned();
    let windows = format!("\u{feff}{}", unix.replace('\n', "\r\n"));
    assert_eq!(parse(&windows), parse(&unix));
    let found = mistakes("\u{feff}verson: 1\r\ninstances: []\r\n");
    assert_snapshot!(found, @r"
    `orchestrator.yaml` has 3 mistakes
      orchestrator.yaml:1:1: `version` is missing
          1 | verson: 1
            | ^ begin the file with `version: 1`
      orchestrator.yaml:1:1: unknown key `verson`
          1 | verson: 1
            | ^^^^^^ did you mean `version`?
      orchestrator.yaml:2:12: `instances` wants a mapping, not a list
          2 | instances: []
            |            ^^
    ");
}

#[test]
fn a_manifest_may_be_json() {
    let manifest = r#"{ "version": 1, "instances": { "a": { "server": { "port": 1 } } } }"#;
    assert_eq!(parse(manifest).instances.len(), 1);
}

#[test]
fn bytes_that_are_no_utf8_are_refused_with_their_place() {
    let found = SourceText::from_bytes("orchestrator.yaml", b"version: 1\n# caf\xe9\n".to_vec());
    assert_snapshot!(found.expect_err("not UTF-8"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:2:6: the text is not UTF-8 from here on
          2 | # caf�
            |      ^ save it as UTF-8
    ");
    let utf16 = b"\xff\xfev\x00e\x00".to_vec();
    let found = SourceText::from_bytes("orchestrator.yaml", utf16).expect_err("not UTF-8");
    assert!(found.to_string().contains("UTF-16"), "{found}");
    let text = SourceText::from_bytes("a", "é".into()).expect("UTF-8");
    assert_eq!(text.text, "é");
}

#[test]
fn durations_are_seconds_or_words() {
    for (text, millis) in [
        ("10", 10_000),
        ("0.5", 500),
        ("500ms", 500),
        ("10s", 10_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1.5h", 5_400_000),
        ("1d", 86_400_000),
        ("1m30s500ms", 90_500),
        ("\"10s\"", 10_000),
    ] {
        let chat = only(&chat(&format!(
            "server: {{ port: 1 }}\nstop_timeout: {text}"
        )));
        assert_eq!(chat.stop_timeout, Duration::from_millis(millis), "{text}");
    }
    for text in [
        "-1", "1y", "s", "1m1m", "1s1m", "''", "1e99", "400d", "nan", "1 m", ".", "1..2s",
    ] {
        let found = mistakes(&chat(&format!(
            "server: {{ port: 1 }}\nstop_timeout: {text}"
        )));
        assert!(
            found.contains("`stop_timeout` wants a duration"),
            "{text}: {found}"
        );
    }
}
