//! Stories of a simulated machine: each `scenarios/*.txt` is a list of commands, and what comes of
//! them stands in the `*.out` beside it. Manifest, lock, resolving, planning and carrying out are the
//! real ones; only the machine and the releases are not.
//!
//! `SCENARIOS=overwrite` writes the outputs anew.

mod story;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use story::Story;

#[test]
fn each_story_comes_out_as_it_is_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios");
    let overwrite = std::env::var_os("SCENARIOS").is_some_and(|value| value == "overwrite");
    let stories = files(&folder, "txt");
    let mut outputs = files(&folder, "out");
    assert!(stories.len() >= 10, "there are more stories: {stories:?}");
    let mut wrong = Vec::new();
    for (name, path) in stories {
        let text = std::fs::read_to_string(&path).expect("a story");
        let told = Story::tell(&text);
        let output = path.with_extension("out");
        outputs.remove(&name);
        if overwrite {
            std::fs::write(&output, &told).expect("a place to write to");
            continue;
        }
        let written = std::fs::read_to_string(&output).unwrap_or_default();
        if written != told {
            let diff = similar::TextDiff::from_lines(&written, &told);
            let header = format!("{name}.out");
            let diff = diff.unified_diff().header(&header, "now").to_string();
            wrong.push(diff);
        }
    }
    let without_story: Vec<_> = outputs.into_keys().collect();
    assert!(
        without_story.is_empty(),
        "outputs of no story: {without_story:?}"
    );
    assert!(
        wrong.is_empty(),
        "these come out differently (`SCENARIOS=overwrite` writes them anew):\n{}",
        wrong.join("\n")
    );
}

fn files(folder: &Path, extension: &str) -> BTreeMap<String, PathBuf> {
    let entries = folder.read_dir().expect("the folder of the stories");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|is| is == extension))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .collect()
}
