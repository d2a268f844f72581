//! Lists that were written by hand, by chance, or by somebody who means harm.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(text: &str) -> Result<Files, FileError> {
    Files::parse(text, Utf8Path::new(LIST))
}

fn listing(name: &str) -> String {
    let note = json!({ "sha256": Digest::of("x"), "size": 1 });
    json!({ "schema": 1, "files": { name: note } }).to_string()
}

#[test]
fn a_path_that_leaves_the_build_is_refused() {
    for name in [
        "",
        "..",
        "../x",
        "a/../x",
        "/etc/passwd",
        "a\0b",
        "a/../../x",
    ] {
        let error = parse(&listing(name)).expect_err(name);
        assert!(matches!(error, FileError::Damaged { .. }), "{error}");
        let link = json!({ "schema": 1, "files": {}, "links": { name: { "target": "x" } } });
        parse(&link.to_string()).expect_err(name);
    }
    for name in ["x", "a/b", "a b", "C:x", "...", "ü"] {
        parse(&listing(name)).expect(name);
    }
}

#[test]
fn a_later_list_is_not_taken_for_a_damaged_one() {
    let newer = parse(r#"{"schema":2,"files":[]}"#);
    assert!(matches!(newer, Err(FileError::Newer { found: 2, .. })));
    let known = parse(r#"{"schema":1,"files":{},"signed":"by somebody"}"#).expect("known");
    let text = serde_json::to_string(&known).expect("JSON");
    assert!(text.contains("signed"), "{text}");
}

#[test]
fn what_is_read_is_what_was_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = Utf8Path::from_path(folder.path()).expect("UTF-8");
    let mut files = Files::default();
    let member = Member {
        path: "sub/llama-server".into(),
        sha256: Digest::of("x"),
        size: 1,
        executable: true,
    };
    let archive = Digest::of("archive");
    assert!(files.add_file(&member.path, &member, archive));
    let digest = files.write(home).expect("written");
    let text = durable::read_text(&home.join(LIST)).expect("readable");
    let text = text.expect("there");
    assert_eq!(Digest::of(&text), digest);
    assert_eq!(parse(&text).expect("a list"), files);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*") {
        let _ = parse(&text);
        let _ = parse(&format!(r#"{{"schema":1,"files":{text}}}"#));
    }

    /// Whatever a list names is inside the build, or the list is refused.
    #[test]
    fn no_name_leads_outside(name in r"[./a\\]{0,12}|.{0,12}") {
        if let Ok(files) = parse(&listing(&name)) {
            for name in files.files.keys() {
                let inside = Utf8Path::new("/build").join(name);
                prop_assert!(inside.starts_with("/build"), "{inside}");
                prop_assert!(inside.components().all(|part| part.as_str() != ".."), "{inside}");
            }
        }
    }
}
