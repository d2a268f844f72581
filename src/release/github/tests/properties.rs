//! Whatever a server or a disk comes up with: an answer or an error, and never a panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Any JSON, mostly of a shape that is nearly right.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "b[0-9]{0,12}".prop_map(Value::from),
        "sha256:[0-9a-f]{60,64}".prop_map(Value::from),
        "20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:00:00Z".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop_oneof![
            Just("tag_name".to_owned()),
            Just("assets".to_owned()),
            Just("name".to_owned()),
            Just("size".to_owned()),
            Just("digest".to_owned()),
            Just("state".to_owned()),
            Just("published_at".to_owned()),
            "[a-z]{1,5}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_a_release_or_a_mistake(value in any_json(), seconds in any::<i32>()) {
        let now = Timestamp::from_second(seconds.into()).expect("in range");
        if let Ok(release) = serde_json::from_value::<ApiRelease>(value) {
            let listed = release.assets.len();
            let release = release.into_release(Tag::new(1), now);
            prop_assert!(release.assets.len() <= listed);
            // A file that is missing from the list is still to come.
            prop_assert!(release.uploading || release.assets.len() == listed);
        }
    }

    #[test]
    fn any_text_is_a_tag_a_version_or_a_digest_as_it_is_printed_or_none(
        text in prop_oneof![".{0,70}", "b[0-9]{0,12}", "v[0-9.]{0,20}", "(sha256:)?[0-9a-fA-F]{62,66}"],
    ) {
        if let Ok(tag) = text.parse::<Tag>() {
            prop_assert_eq!(tag.to_string().parse(), Ok(tag));
        }
        if let Ok(version) = text.parse::<Version>() {
            prop_assert_eq!(version.to_string().parse(), Ok(version));
        }
        if let Ok(digest) = text.parse::<Digest>() {
            let bare = text.trim_start_matches("sha256:").to_ascii_lowercase();
            prop_assert_eq!(digest.to_string(), bare);
        }
    }

    #[test]
    fn any_text_names_a_build_or_none(text in ".{0,40}") {
        match tag_in(&text, "v0.9.0") {
            Ok(tag) => prop_assert_eq!(tag.number(), text.trim()[1..].parse::<u32>().expect("a number")),
            Err(error) => {
                let wanted = error.to_string();
                prop_assert!(wanted.contains("nightly-tag.txt"), "{}", wanted);
            }
        }
    }
}

/// A server and a cache under a proptest are slow, so a list has to do.
#[test]
fn odd_bytes_are_no_answer() {
    let bodies: [&[u8]; 8] = [
        b"",
        b"\0",
        b"null",
        b"[]",
        b"\xff\xfe{}",
        b"{\"tag_name\":\"b1\",\"assets\":{}}",
        b"{\"tag_name\":\"b1\",\"assets\":[{\"name\":\"a\",\"size\":-1}]}",
        b"{\"tag_name\":\"b1\",\"assets\":[{\"name\":\"a\",\"size\":1e400}]}",
    ];
    for body in bodies {
        let server = Server::start([(B11429, Reply::json(body))]);
        let error = ask(&server, Question::Assets(Tag::new(11429))).expect_err("no answer");
        assert!(matches!(error, SourceError::NotAnApi { .. }), "{error}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let server = Server::start([(B11429, Reply::json(deep))]);
    ask(&server, Question::Assets(Tag::new(11429))).expect_err("too deep");
    let odd = json!({ "tag_name": "b11429", "assets": [], "more": { "of": ["it"] } });
    let server = Server::start([(B11429, Reply::json(odd.to_string()))]);
    ask(&server, Question::Assets(Tag::new(11429))).expect("what is not known is passed over");
}
