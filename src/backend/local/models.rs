//! Looks at the models a launch names: whether all their parts are there, and whether they are models.
//! No more than the beginning of a file is read.

#![expect(
    clippy::disallowed_types,
    reason = "reads the beginning of the files it looks at"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;

use camino::{Utf8Path, Utf8PathBuf};

use crate::gguf::{self, Split};
use crate::instance::FileRole;
use crate::instance::record::RecordedLaunch;

/// What was found out about files in one look, so that none is read twice.
#[derive(Debug, Default)]
pub(super) struct Models(BTreeMap<Utf8PathBuf, Option<String>>);

impl Models {
    /// What is wrong with the models of a launch, in words.
    pub(super) fn defects(&mut self, root: &Utf8Path, launch: &RecordedLaunch) -> Vec<String> {
        let is_model = |path: &&Utf8PathBuf| {
            // What it does not name itself are the later parts of models.
            let role = launch.launch.files.get(*path);
            role.is_none_or(|role| *role == FileRole::Model)
        };
        let models = launch.facts.keys().filter(is_model);
        models
            .filter_map(|path| {
                let known = self.0.entry(root.join(path));
                let defect = known.or_insert_with_key(|full| defect(full)).as_ref()?;
                Some(format!("model `{path}` {defect}"))
            })
            .collect()
    }
}

fn defect(path: &Utf8Path) -> Option<String> {
    let mut head = Vec::with_capacity(gguf::HEAD);
    let limit = u64::try_from(gguf::HEAD).unwrap_or(u64::MAX);
    match File::open(path).and_then(|file| file.take(limit).read_to_end(&mut head)) {
        Ok(_) => gguf::defect(path.file_name().unwrap_or_default(), &head),
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}

/// The further parts of a model that is split, or why it cannot be loaded by this name. Nothing where
/// it is whole.
pub(super) fn parts(root: &Utf8Path, path: &Utf8Path) -> Result<Vec<Utf8PathBuf>, String> {
    let Some(split) = Split::of(path) else {
        return Ok(Vec::new());
    };
    let (first, later) = split.parts.split_first().ok_or_else(String::new)?;
    if split.part != 1 {
        return Err(format!(
            "`{path}` is a later part of a model; name its first one, `{first}`"
        ));
    }
    let missing: Vec<String> = later
        .iter()
        .filter(|part| !root.join(part).is_file())
        .map(|part| format!("`{part}`"))
        .collect();
    if missing.is_empty() {
        Ok(later.to_vec())
    } else {
        Err(format!(
            "model `{path}` is not whole; there is no {}",
            missing.join(", ")
        ))
    }
}
