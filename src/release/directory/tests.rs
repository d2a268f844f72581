//! Questions to folders of archives.

use tempfile::TempDir;

use super::*;

struct Folder(TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, text).expect("a file");
        }
        Self(folder)
    }

    fn source(&self) -> Directory {
        Directory::new(
            Utf8PathBuf::from_path_buf(self.0.path().to_owned()).expect("UTF-8"),
            Network::default(),
        )
    }

    fn ask(&self, question: Question) -> Result<Answer, SourceError> {
        run(self.source().answer(&question))
    }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work)
}

const LINUX: &str = "llama-b9001-bin-ubuntu-x64.tar.gz";
const WINDOWS: &str = "llama-b9001-bin-win-cuda-13.4-x64.zip";
const CUDART: &str = "cudart-llama-bin-win-cuda-13.4-x64.zip";
const NEWER: &str = "llama-b10002-bin-ubuntu-x64.tar.gz";

#[test]
fn a_folder_lists_what_belongs_to_a_build() {
    let folder = Folder::with(&[
        (LINUX, "linux"),
        (WINDOWS, "windows"),
        (CUDART, "cuda"),
        (NEWER, "newer"),
        ("tiny.gguf", "a model"),
        ("llama-b9001-ui.tar.gz", "ignored"),
    ]);
    let Ok(Answer::Assets(Release { assets, .. })) = folder.ask(Question::Assets(Tag::new(9001)))
    else {
        panic!("no assets");
    };
    let names: Vec<&str> = assets.iter().map(|asset| asset.name.as_str()).collect();
    assert_eq!(names, [CUDART, LINUX, WINDOWS]);
    assert_eq!(assets[1].digest, Some(Digest::of("linux")));
    assert_eq!(assets[1].size, 5);
}

#[test]
fn sums_that_are_there_are_believed_without_hashing() {
    let sums = format!(
        "{}  {LINUX}\n{} *./{NEWER}\n\n",
        Digest::of("a"),
        Digest::of("b")
    );
    let folder = Folder::with(&[(LINUX, "linux"), (NEWER, "newer"), ("SHA256SUMS", &sums)]);
    let digest = |tag| match folder.ask(Question::Assets(Tag::new(tag))) {
        Ok(Answer::Assets(release)) => release.assets[0].digest,
        other => panic!("no assets: {other:?}"),
    };
    assert_eq!(digest(9001), Some(Digest::of("a")));
    assert_eq!(digest(10002), Some(Digest::of("b")));
}

#[test]
fn a_line_of_sums_that_says_nothing_is_named() {
    let folder = Folder::with(&[(LINUX, "linux"), ("SHA256SUMS", "# sums\nabc  x\n")]);
    let error = folder
        .ask(Question::Assets(Tag::new(9001)))
        .expect_err("no digest");
    assert!(
        matches!(error, SourceError::BadSums { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn the_recent_builds_are_listed_newest_first_and_nothing_is_hashed() {
    let folder = Folder::with(&[(LINUX, "linux"), (NEWER, "newer")]);
    let Ok(Answer::Releases(releases)) = folder.ask(Question::Recent) else {
        panic!("no releases");
    };
    let tags: Vec<String> = releases
        .iter()
        .map(|release| release.tag.to_string())
        .collect();
    assert_eq!(tags, ["b10002", "b9001"]);
    assert!(
        releases
            .iter()
            .all(|release| release.assets[0].digest.is_none())
    );
}

#[test]
fn stable_is_what_the_folder_names_and_never_guessed() {
    let named = Folder::with(&[(LINUX, ""), (NEWER, ""), ("nightly-tag.txt", "b9001\n")]);
    let answer = named.ask(Question::NewestStable).expect("it is named");
    let stable = Answer::Stable {
        release: None,
        tag: Tag::new(9001),
    };
    assert_eq!(answer, stable);
    let error = Folder::with(&[(LINUX, ""), (NEWER, "")])
        .ask(Question::NewestStable)
        .expect_err("the newest may be there to be tried");
    assert!(error.to_string().contains("nightly-tag.txt"), "{error}");
}

#[test]
fn a_stable_release_is_named_by_a_file_of_its_own() {
    let question = Question::TagOf("v0.9.0".parse().expect("a version"));
    for name in ["nightly-tag-v0.9.0.txt", "v0.9.0/nightly-tag.txt"] {
        let folder = Folder::with(&[(name, "b9001\n")]);
        assert_eq!(
            folder.ask(question).expect(name),
            Answer::Tag(Tag::new(9001))
        );
    }
    let error = Folder::with(&[(LINUX, "")])
        .ask(question)
        .expect_err("unnamed");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("nightly-tag-v0.9.0.txt"))
    );
}

#[test]
fn a_build_that_is_not_there_names_those_that_are() {
    let folder = Folder::with(&[(LINUX, ""), (NEWER, "")]);
    let error = folder
        .ask(Question::Assets(Tag::new(9002)))
        .expect_err("not there");
    assert!(
        error
            .to_string()
            .ends_with("has no archive of b9002; it has b10002, b9001"),
        "{error}"
    );
    assert!(!error.is_transient());
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let source = Directory::new("/nowhere/at/all".into(), Network::default());
    let error = run(source.answer(&Question::Recent)).expect_err("nothing");
    assert_eq!(error.to_string(), "cannot read `/nowhere/at/all`");
}

#[test]
fn an_archive_is_opened_where_it_lies_and_nowhere_else() {
    let folder = Folder::with(&[(LINUX, "linux"), ("sub/x.zip", "")]);
    let open = |name: &str| {
        let archive = WantedArchive {
            name: name.to_owned(),
            size: None,
            digest: Digest::of("linux"),
            origin: ArchiveOrigin::Release(Tag::new(9001)),
        };
        run(folder.source().open(&archive, None))
    };
    assert!(matches!(open(LINUX), Ok(Opened::File(path)) if path.ends_with(LINUX)));
    for name in [
        "../x.zip",
        "sub/x.zip",
        "/etc/passwd",
        "",
        "gone.zip",
        "sub",
    ] {
        assert!(
            matches!(open(name), Err(SourceError::NoFile { .. })),
            "{name}"
        );
    }
}
