//! Mistakes, each shown with its place and what to write instead.

use insta::assert_snapshot;

use super::*;

#[test]
fn all_mistakes_come_at_once_with_their_lines() {
    assert_snapshot!(mistakes(&chat("\
healtcheck: { path: /health }
server:
  port: eighty
  host: [a]
gpu: { layers: 1, layers: 2 }
tags: gpu0
port: 1
")), @r"
    `orchestrator.yaml` has 6 mistakes
      orchestrator.yaml:4:5: unknown key `healtcheck` in instance `chat`
          4 |     healtcheck: { path: /health }
            |     ^^^^^^^^^^ did you mean `healthcheck`?
      orchestrator.yaml:6:13: `port` wants a number from 1 to 65535, not `eighty`
          6 |       port: eighty
            |             ^^^^^^
      orchestrator.yaml:7:13: `host` wants a text, not a list
          7 |       host: [a]
            |             ^^^
      orchestrator.yaml:8:23: duplicate key `layers`
          8 |     gpu: { layers: 1, layers: 2 }
            |                       ^^^^^^ the first one is at orchestrator.yaml:8:12
      orchestrator.yaml:9:11: `tags` wants a list, not `gpu0`
          9 |     tags: gpu0
            |           ^^^^ write `tags: [gpu0]`
      orchestrator.yaml:10:5: unknown key `port` in instance `chat`
         10 |     port: 1
            |     ^^^^ it belongs under `server`
    ");
}

#[test]
fn a_manifest_that_says_nothing_is_never_taken_for_no_instances() {
    for text in [
        "",
        "# only a comment\n",
        "~\n",
        "---\n",
        "{}",
        "version: 1\n",
        "version: 1\ninstances:\n",
    ] {
        let found = mistakes(text);
        assert!(
            found.contains("never taken for no instances"),
            "{text:?}: {found}"
        );
    }
    assert!(parse("version: 1\ninstances: {}\n").instances.is_empty());
}

#[test]
fn a_newer_manifest_is_not_judged_by_the_rules_of_this_version() {
    assert_snapshot!(mistakes("version: 2\nservers: []\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:1:10: `version: 2` is of a newer llama-orch than this one
          1 | version: 2
            |          ^ upgrade llama-orch
    ");
    assert_snapshot!(mistakes("instances: {}\n"), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:1:1: `version` is missing
          1 | instances: {}
            | ^ begin the file with `version: 1`
    ");
}

#[test]
fn a_literal_key_is_refused_and_not_repeated() {
    let found = mistakes(&chat(
        "server: { port: 8071, api_key: sk-live-0123456789abcdef }",
    ));
    assert_snapshot!(found, @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:4:36: `api_key` must not be written here
          4 |     server: { port: 8071, api_key: *** }
            |                                    ^^^
            = put the key into a file that git ignores and write `api_key: { file: secrets/chat.key }`, or `{ from_env: NAME }`
    ");
}

#[test]
fn no_secret_gets_into_a_message() {
    let secret = "TopSecret0123456789";
    let manifests = [
        format!("server: {{ port: 1, api_key: {secret} }}"),
        format!("server: {{ port: 1 }}\nargs: [--api-key, {secret}]"),
        format!("server: {{ port: 1 }}\nargs: [--api-key={secret}]"),
        format!("server: {{ port: 1 }}\nargs: [\"--hf-token\", \"{secret}\"]"),
        format!("server: {{ port: 1 }}\nenv: {{ OPENAI_API_KEY: {secret}, A: [] }}"),
        format!("server: {{ port: 1 }}\nenv: {{ HF_TOKEN: \"{secret}\", HF_TOKEN: x }}"),
        format!("server: {{ port: 1 }}\nenv: {{ MY_SECRET: '{secret}', A: [}}"),
        format!("server: {{ port: 1 }}\nenv:\n  DB_PASSWORD: {secret}, {secret}: x\n"),
        format!("server: {{ port: 1 }}\nenv: {{ A_TOKEN: &a !!str {secret}, A: [] }}"),
        format!("server: {{ port: hf_{secret} }}"),
        format!("server: {{ port: 1, ghp_{secret}: 1 }}"),
        format!("server: {{ port: 1 }}\nhf_token: {secret}"),
    ];
    for lines in manifests {
        let found = Manifest::parse(&texts(&chat(&lines), &[])).expect_err("a mistake");
        let printed = format!("{found} {found:?}");
        assert!(!printed.contains(secret), "{printed}");
    }
    let manifest = format!("version: 1\ninstances: {{}}\nsource: {{ token_env: ghp_{secret} }}\n");
    let found = mistakes(&manifest);
    assert!(
        found.contains("looks like a token") && !found.contains(secret),
        "{found}"
    );
}

#[test]
fn options_with_a_field_of_their_own_are_not_arguments() {
    let found = mistakes(&chat(
        "\
server: { port: 8071 }
args:
  - --host
  - 0.0.0.0
  - --port=9000
  - -a
  - --model
  - -hf
  - --hf_token
  - --models-dir
  - --parallel
  - '2'
  - -ngl
  - '99'
",
    ));
    assert_snapshot!(found, @r"
    `orchestrator.yaml` has 7 mistakes
      orchestrator.yaml:6:9: `args` cannot contain `--host`
          6 |       - --host
            |         ^^^^^^ write `server: { host: ... }`
      orchestrator.yaml:8:9: `args` cannot contain `--port`
          8 |       - --port=9000
            |         ^^^^^^^^^^^ write `server: { port: ... }`
      orchestrator.yaml:9:9: `args` cannot contain `-a`
          9 |       - -a
            |         ^^ the alias is always the instance's name; rename the instance
      orchestrator.yaml:10:9: `args` cannot contain `--model`
         10 |       - --model
            |         ^^^^^^^ write `model: { path: ... }`
      orchestrator.yaml:11:9: `args` cannot contain `-hf`
         11 |       - -hf
            |         ^^^ write `model: { hf: owner/name:quantization }`
      orchestrator.yaml:12:9: `args` cannot contain `--hf-token`
         12 |       - --hf_token
            |         ^^^^^^^^^^ write `env: { HF_TOKEN: { file: ... } }`; a command line is no place for a secret
      orchestrator.yaml:13:9: `args` cannot contain `--models-dir`
         13 |       - --models-dir
            |         ^^^^^^^^^^^^ write `model: { directory: ... }`
    ");
}

#[test]
fn two_enabled_instances_cannot_share_a_port() {
    let pair = |one: &str, other: &str| {
        format!(
            "version: 1\ninstances:\n  a: {{ server: {{ {one} }} }}\n  b: {{ server: {{ {other} }} }}\n"
        )
    };
    assert_snapshot!(mistakes(&pair("port: 1", "port: 1, host: localhost")), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:4:24: port 1 of `b` is also that of `a` (orchestrator.yaml:3:24)
          4 |   b: { server: { port: 1, host: localhost } }
            |                        ^ give one of them another port, or write `enabled: false` in one
    ");
    for (one, other) in [
        ("port: 1, host: 0.0.0.0", "port: 1"),
        ("port: 1", "port: 1, host: '::'"),
        ("port: 1, host: '[::1]'", "port: 1, host: '0:0:0:0:0:0:0:1'"),
        ("port: 1, host: gpu1", "port: 1, host: GPU1"),
        ("port: 1, host: '127.0.0.1,::1'", "port: 1, host: '::1'"),
        ("port: 1, host: /run/a.sock", "port: 1, host: /run/a.sock"),
    ] {
        assert!(
            mistakes(&pair(one, other)).contains("port 1 of `b` is also"),
            "{one} {other}"
        );
    }
    for (one, other) in [
        ("port: 1", "port: 2"),
        ("port: 1", "port: 1, host: '::1'"),
        ("port: 1", "port: 1, host: 127.0.0.2"),
        ("port: 1, host: 0.0.0.0", "port: 1, host: /run/a.sock"),
    ] {
        parse(&pair(one, other));
    }
    parse(
        "version: 1\ninstances:\n  a: { server: { port: 1 } }\n  b: { server: { port: 1 }, enabled: false }\n",
    );
}

#[test]
fn a_port_shared_through_defaults_is_told_where_the_instances_are() {
    let found = mistakes(
        "\
version: 1
defaults: { server: { port: 8071 } }
instances:
  a: {}
  b: {}
",
    );
    assert_snapshot!(found, @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:5:3: port 8071 of `b` is also that of `a` (orchestrator.yaml:4:3)
          5 |   b: {}
            |   ^ give one of them another port, or write `enabled: false` in one
    ");
}

#[test]
fn dependencies_are_instances_and_run_in_no_circle() {
    let found = mistakes(
        "\
version: 1
instances:
  chat:   { server: { port: 1 }, depends_on: [embd] }
  embed:  { server: { port: 2 }, depends_on: [rerank] }
  rerank: { server: { port: 3 }, depends_on: [vision, rerank] }
  vision: { server: { port: 4 }, depends_on: [embed] }
rollout: { canary: chta }
protect: [gone]
",
    );
    assert_snapshot!(found, @r"
    `orchestrator.yaml` has 4 mistakes
      orchestrator.yaml:3:47: `chat` depends on `embd`, which is not an instance
          3 |   chat:   { server: { port: 1 }, depends_on: [embd] }
            |                                               ^^^^ did you mean `embed`?
      orchestrator.yaml:5:55: `rerank` depends on itself
          5 |   rerank: { server: { port: 3 }, depends_on: [vision, rerank] }
            |                                                       ^^^^^^ remove it
      orchestrator.yaml:6:47: the dependencies run in a circle: `embed` -> `rerank` -> `vision` -> `embed`
          6 |   vision: { server: { port: 4 }, depends_on: [embed] }
            |                                               ^^^^^ remove one of them
      orchestrator.yaml:7:20: `canary` names `chta`, which is not an instance
          7 | rollout: { canary: chta }
            |                    ^^^^ did you mean `chat`?
    ");
}

#[test]
fn a_mistake_in_defaults_is_told_once() {
    let found = mistakes(
        "\
version: 1
defaults: { gpu: { backend: vulcan }, stop_timeot: 5s }
instances:
  a: { server: { port: 1 } }
  b: { server: { port: 2 } }
",
    );
    assert_snapshot!(found, @r"
    `orchestrator.yaml` has 2 mistakes
      orchestrator.yaml:2:29: `backend` wants one of `cpu`, `vulkan`, `cuda`, `metal`, `rocm`, `hip`, `sycl`, not `vulcan`
          2 | defaults: { gpu: { backend: vulcan }, stop_timeot: 5s }
            |                             ^^^^^^ did you mean `vulkan`?
      orchestrator.yaml:2:39: unknown key `stop_timeot` in `defaults`
          2 | defaults: { gpu: { backend: vulcan }, stop_timeot: 5s }
            |                                       ^^^^^^^^^^^ did you mean `stop_timeout`?
    ");
}

#[test]
fn a_mistake_in_a_config_names_that_file() {
    let found = mistakes_with(
        "version: 1\ninstances:\n  a: {}\n  b: {}\n",
        &[
            (
                "a",
                "{\n  \"name\": \"other\",\n  \"server\": { \"port\": \"8071\" },\n  \"extra\": 1\n}\n",
            ),
            ("b", "{ \"server\": { \"port\": 8072, } }"),
            ("unlisted", "{ is not read"),
        ],
    );
    assert_snapshot!(found, @r#"
    3 mistakes in `instances/a/config.json` and `instances/b/config.json`
      instances/a/config.json:2:11: `name` is not that of the instance, `a`
          2 |   "name": "other",
            |           ^^^^^^^ the folder is named after the instance; rename one of them
      instances/a/config.json:3:23: `port` wants a number from 1 to 65535, not `"8071"`
          3 |   "server": { "port": "8071" },
            |                       ^^^^^^ leave the quotes out
      instances/b/config.json:1:29: not valid JSON: key must be a string
          1 | { "server": { "port": 8072, } }
            |                             ^
    "#);
}

#[test]
fn what_this_version_cannot_do_is_said_plainly() {
    let lines = "server: { port: 1, front: true }\nrollout: { strategy: blue-green }";
    assert_snapshot!(mistakes(&chat(lines)), @r"
    `orchestrator.yaml` has 2 mistakes
      orchestrator.yaml:4:31: `front` is not available in this version
          4 |     server: { port: 1, front: true }
            |                               ^^^^
            = remove it; restarts stop the old server before they start the new one
      orchestrator.yaml:5:26: `strategy: blue-green` is not available in this version
          5 |     rollout: { strategy: blue-green }
            |                          ^^^^^^^^^^ write `strategy: stop-then-start`, or leave it out
    ");
}

#[test]
fn values_out_of_range_name_the_range() {
    let found = mistakes(&chat(
        "\
binary: { version: 9553, sha256: abc }
model: { path: ~/models/a.gguf, hf: x, context_size: 16k, threads: 0 }
server: { port: 70000, timeout: 1.5, parallel: two }
healthcheck: { interval: 0s, path: health, type: custom, start_period: 1m30, probe: embeding }
restart_policy: { backoff_multiplier: .inf, enabled: yes }
env: { EMPTY: , 'A=B': x, KEY: { file: a, from_env: b } }
stop_timeout: 2s1m
tags: [two words]
depends_on: [Not A Name]
",
    ));
    assert_snapshot!(found, @r#"
    `orchestrator.yaml` has 22 mistakes
      orchestrator.yaml:4:24: `version` wants a build or a release, not `9553`
          4 |     binary: { version: 9553, sha256: abc }
            |                        ^^^^ did you mean `b9553`?
      orchestrator.yaml:4:38: `sha256` wants a sha256 of 64 hexadecimal digits, not `abc`
          4 |     binary: { version: 9553, sha256: abc }
            |                                      ^^^
      orchestrator.yaml:5:20: `path` begins with `~`, which nothing expands here
          5 |     model: { path: ~/models/a.gguf, hf: x, context_size: 16k, threads: 0 }
            |                    ^^^^^^^^^^^^^^^ write the whole path, or one relative to the manifest's folder
      orchestrator.yaml:5:41: `hf` wants a repository such as `owner/name` or `owner/name:Q4_K_M`, not `x`
          5 |     model: { path: ~/models/a.gguf, hf: x, context_size: 16k, threads: 0 }
            |                                         ^
      orchestrator.yaml:5:58: `context_size` wants a number from 0 to 1073741824, not `16k`
          5 |     model: { path: ~/models/a.gguf, hf: x, context_size: 16k, threads: 0 }
            |                                                          ^^^ did you mean `16384`?
      orchestrator.yaml:5:72: `threads` wants a number from 1 to 4096, not `0`
          5 |     model: { path: ~/models/a.gguf, hf: x, context_size: 16k, threads: 0 }
            |                                                                        ^
      orchestrator.yaml:6:21: `port` wants a number from 1 to 65535, not `70000`
          6 |     server: { port: 70000, timeout: 1.5, parallel: two }
            |                     ^^^^^
      orchestrator.yaml:6:37: `timeout` wants whole seconds, not `1.5`
          6 |     server: { port: 70000, timeout: 1.5, parallel: two }
            |                                     ^^^
      orchestrator.yaml:6:52: `parallel` wants a number from 1 to 1024, not `two`
          6 |     server: { port: 70000, timeout: 1.5, parallel: two }
            |                                                    ^^^
      orchestrator.yaml:7:30: `interval` wants a duration of at least `100ms` such as `10s`, `5m` or `1h30m`, not `0s`
          7 |     healthcheck: { interval: 0s, path: health, type: custom, start_period: 1m30, probe: embeding }
            |                              ^^
      orchestrator.yaml:7:40: `path` wants a path such as `/health`, not `health`
          7 |     healthcheck: { interval: 0s, path: health, type: custom, start_period: 1m30, probe: embeding }
            |                                        ^^^^^^
      orchestrator.yaml:7:54: `type: custom` needs a `custom_script`
          7 |     healthcheck: { interval: 0s, path: health, type: custom, start_period: 1m30, probe: embeding }
            |                                                      ^^^^^^
            = name the program that tells whether the server is well
      orchestrator.yaml:7:76: `start_period` wants a duration such as `10s`, `5m` or `1h30m`, not `1m30`
          7 |     healthcheck: { interval: 0s, path: health, type: custom, start_period: 1m30, probe: embeding }
            |                                                                            ^^^^
      orchestrator.yaml:7:89: `probe` wants one of `none`, `completion`, `embedding`, `rerank`, not `embeding`
          7 |     healthcheck: { interval: 0s, path: health, type: custom, start_period: 1m30, probe: embeding }
            |                                                                                         ^^^^^^^^
            = did you mean `embedding`?
      orchestrator.yaml:8:43: `backoff_multiplier` wants a number from 1 to 1000, not `.inf`
          8 |     restart_policy: { backoff_multiplier: .inf, enabled: yes }
            |                                           ^^^^
      orchestrator.yaml:8:58: `enabled` wants `true` or `false`, not `yes`
          8 |     restart_policy: { backoff_multiplier: .inf, enabled: yes }
            |                                                          ^^^ write `true`
      orchestrator.yaml:9:17: `EMPTY` wants a text, not nothing
          9 |     env: { EMPTY: , 'A=B': x, KEY: { file: a, from_env: b } }
            |                 ^ write `""` for an empty text
      orchestrator.yaml:9:21: `A=B` cannot be the name of a variable
          9 |     env: { EMPTY: , 'A=B': x, KEY: { file: a, from_env: b } }
            |                     ^^^^^
      orchestrator.yaml:9:36: `KEY` wants `{ file: path }` or `{ from_env: NAME }`
          9 |     env: { EMPTY: , 'A=B': x, KEY: { file: a, from_env: b } }
            |                                    ^^^^^^^^^^^^^^^^^^^^^^^^
      orchestrator.yaml:10:19: `stop_timeout` wants a duration such as `10s`, `5m` or `1h30m`, not `2s1m`
         10 |     stop_timeout: 2s1m
            |                   ^^^^
      orchestrator.yaml:11:12: `tags` wants a tag without spaces, not `two words`
         11 |     tags: [two words]
            |            ^^^^^^^^^
      orchestrator.yaml:12:18: `depends_on` wants an instance name (1 to 64 of a-z, 0-9, `_` and `-`, with a letter or digit at both ends), not `Not A Name`
         12 |     depends_on: [Not A Name]
            |                  ^^^^^^^^^^
    "#);
}

#[test]
fn pins_that_name_no_build_are_mistakes() {
    let with_pin = |pin: &str| chat(&format!("server: {{ port: 1 }}\nbinary: {pin}"));
    assert_snapshot!(mistakes(&with_pin("{ variant: cuda }")), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:5:5: `binary` names no build
          5 |     binary: { variant: cuda }
            |     ^^^^^^ write `version: stable`, a build such as `version: b9553`, or a `binary_id`
    ");
    let url = "https://builds.example/a.tar.gz";
    assert_snapshot!(mistakes(&with_pin(&format!("{{ source_url: {url} }}"))), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:5:5: `binary` names no build
          5 |     binary: { source_url: https://builds.example/a.tar.gz }
            |     ^^^^^^ write `version: stable`, a build such as `version: b9553`, or a `binary_id`
    ");
    let http = mistakes(&with_pin(
        "{ version: mine, source_url: http://builds.example/a.tar.gz }",
    ));
    assert!(
        http.contains("plain `http` only goes to this machine"),
        "{http}"
    );
    parse(&with_pin(
        "{ version: mine, source_url: http://127.0.0.1:9/a.tar.gz }",
    ));
    parse(&with_pin(&format!(
        "{{ version: 0.9.0, source_url: {url} }}"
    )));
    parse(&with_pin(
        "{ binary_id: 5cf01664-31fb-a1f7-c8d4-631b430848e3 }",
    ));
}

#[test]
fn a_name_that_is_none_comes_with_the_nearest_that_is() {
    let found = mistakes("version: 1\ninstances:\n  My Chat: { server: { port: 1 } }\n");
    assert!(found.contains("did you mean `my-chat`?"), "{found}");
}

#[test]
fn a_long_line_is_cut_around_the_carets() {
    let values: String = (0..60)
        .map(|n| {
            if n == 40 {
                "[], ".into()
            } else {
                format!("v{n}, ")
            }
        })
        .collect();
    let lines = format!("server: {{ port: 1 }}\nargs: [{values}]");
    assert_snapshot!(mistakes(&chat(&lines)), @r"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:5:202: `args` wants a text, not a list
          5 | ...v32, v33, v34, v35, v36, v37, v38, v39, [], v41, v42, v43, v44, v45, v46, v47, v48, v49, v50, v51, v...
            |                                            ^^
    ");
}

#[test]
fn carets_stand_under_what_they_mean_in_any_script() {
    let lines = "server: { port: 1 }\nargs: [\"モデル\", \"\u{1F999}\", []]";
    let found = Manifest::parse(&texts(&chat(lines), &[])).expect_err("a mistake");
    assert_eq!((found.list[0].line, found.list[0].column), (5, 24));
    assert_snapshot!(found, @r#"
    `orchestrator.yaml` has 1 mistake
      orchestrator.yaml:5:24: `args` wants a text, not a list
          5 |     args: ["モデル", "🦙", []]
            |                            ^^
    "#);
}
