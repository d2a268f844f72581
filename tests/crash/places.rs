//! Every place at which this program can be killed on purpose is one at which a test has it killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Places that no run on this machine comes by, and why.
const OUT_OF_REACH: [(&str, &str); 1] = [(
    "install.aside",
    "only where the system cannot exchange two folders; its unit tests leave what it leaves",
)];

fn sources(folder: &str) -> String {
    let mut left: Vec<PathBuf> = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut text = String::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = path.read_dir().expect("readable");
            left.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else {
            text.push_str(&std::fs::read_to_string(&path).expect("a source file"));
        }
    }
    text
}

#[test]
fn every_place_is_in_a_test() {
    let call = "kill_point::reached(\"";
    let source = sources("src");
    let named: BTreeSet<&str> = source
        .split(call)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(named.len() > 30, "{named:?}");
    let tests = sources("tests/crash");
    let is_tested = |place: &str| {
        tests.contains(&format!("\"{place}\"")) || tests.contains(&format!("\"{place}:"))
    };
    for (place, _) in OUT_OF_REACH {
        assert!(named.contains(place), "`{place}` is none any more");
    }
    let missing: Vec<&str> = named
        .into_iter()
        .filter(|place| !is_tested(place))
        .collect();
    assert_eq!(missing, Vec::<&str>::new(), "nobody is killed there");
}
