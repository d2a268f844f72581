//! The recorded lists of release files, for the tests of this module.

#![expect(clippy::disallowed_methods, reason = "reads recorded lists")]

use camino::Utf8Path;
use serde_json::Value;

use super::Asset;

pub(super) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/github");

/// The text of one list.
pub(super) fn text(tag: &str) -> String {
    let path = Utf8Path::new(FOLDER).join(format!("{tag}.json"));
    std::fs::read_to_string(path).expect("a recorded list")
}

/// The files of one release.
pub(super) fn assets(tag: &str) -> Vec<Asset> {
    let release: Value = serde_json::from_str(&text(tag)).expect("JSON");
    let assets = release["assets"].as_array().expect("a list of files");
    let asset = |asset: &Value| Asset {
        name: asset["name"].as_str().expect("a name").to_owned(),
        size: asset["size"].as_u64().expect("a size"),
        digest: asset["digest"]
            .as_str()
            .map(|text| text.parse().expect("a digest")),
    };
    assets.iter().map(asset).collect()
}

/// The files of every release that was recorded.
pub(super) fn all() -> Vec<(String, Vec<Asset>)> {
    let folder = Utf8Path::new(FOLDER)
        .read_dir_utf8()
        .expect("recorded lists");
    let mut tags: Vec<String> = folder
        .filter_map(|entry| {
            let name = entry.expect("an entry").file_name().to_owned();
            name.strip_suffix(".json").map(str::to_owned)
        })
        .filter(|tag| tag != "recent")
        .collect();
    tags.sort();
    assert!(tags.len() >= 10, "{tags:?}");
    tags.into_iter()
        .map(|tag| (tag.clone(), assets(&tag)))
        .collect()
}
