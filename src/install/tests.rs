//! Stories of whole installs, from folders of archives that are packed here.

mod fit;
pub(super) mod pack;
mod real;

use std::io;
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use super::*;
use crate::desired::WantedArchive;
use crate::instance::BinaryId;
use crate::release::directory::Directory;
use crate::release::source::{Network, Opened, Patience, Pieces, Resume, Validator};
use crate::release::{Arch, Digest, Os, Tag, Variant};
use pack::{Pack, SERVER};

/// A root with a folder of archives and a `bins`, both gone afterwards.
pub(super) struct Sandbox {
    _folder: TempDir,
    pub(super) releases: Utf8PathBuf,
    pub(super) bins: Utf8PathBuf,
}

impl Sandbox {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("a UTF-8 path");
        let (releases, bins) = (root.join("releases"), root.join("bins"));
        for path in [&releases, &bins] {
            std::fs::create_dir(path).expect("a folder");
        }
        Self {
            _folder: folder,
            releases,
            bins,
        }
    }

    /// Puts an archive into the folder of releases and wants it as build b9001.
    pub(super) fn publish(&self, name: &str, bytes: &[u8]) -> WantedBinary {
        std::fs::write(self.releases.join(name), bytes).expect("an archive");
        WantedBinary {
            id: BinaryId::new(uuid::Uuid::new_v4()),
            build: Tag::new(9001).into(),
            variant: Variant::new("ubuntu-x64"),
            archives: vec![wanted(name, bytes)],
        }
    }

    pub(super) fn install(&self, binary: &WantedBinary) -> Result<Installed, InstallError> {
        self.install_from(
            binary,
            &Directory::new(self.releases.clone(), Network::default()),
            &|_| (),
        )
    }

    pub(super) fn install_from(
        &self,
        binary: &WantedBinary,
        source: &impl ReleaseSource,
        progress: OnProgress<'_>,
    ) -> Result<Installed, InstallError> {
        self.install_on(&Host::bare(Os::Linux, Arch::X64), binary, source, progress)
    }

    pub(super) fn install_on(
        &self,
        host: &Host,
        binary: &WantedBinary,
        source: &impl ReleaseSource,
        progress: OnProgress<'_>,
    ) -> Result<Installed, InstallError> {
        let request = InstallRequest {
            binary,
            bins: &self.bins,
            host: Some(host),
            official: true,
            slots: &Semaphore::new(1),
            unverified: false,
            minted: false,
        };
        runtime().block_on(install(&request, source, progress))
    }

    /// What lies in `bins`, locks and our own files aside.
    pub(super) fn litter(&self) -> Vec<String> {
        let ours = [
            "registry.json",
            "registry.lock",
            ".gitignore",
            ".staging",
            ".cache",
        ];
        let mut names = names(&self.bins);
        names.retain(|name| !ours.contains(&name.as_str()));
        names.extend(names_of_staging(&self.bins));
        names.extend(super::tests::names(&cache::folder(&self.bins)));
        names
    }
}

pub(super) fn wanted(name: &str, bytes: &[u8]) -> WantedArchive {
    WantedArchive {
        name: name.to_owned(),
        size: Some(bytes.len() as u64),
        digest: Digest::of(bytes),
        origin: ArchiveOrigin::Release(Tag::new(9001)),
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn names(folder: &Utf8Path) -> Vec<String> {
    let Ok(entries) = folder.read_dir_utf8() else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_owned())
        .collect();
    names.sort();
    names
}

fn names_of_staging(bins: &Utf8Path) -> Vec<String> {
    let mut names = names(&staging::folder(bins));
    // The lock of an archive may outlast its install: another test that starts a program in that
    // instant holds it as well, and the next sweep removes it.
    names.retain(|name| name != "lock" && Utf8Path::new(name).extension() != Some("lock"));
    names
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[test]
fn a_release_is_unpacked_with_its_links_and_registered() {
    let sandbox = Sandbox::new();
    let binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );

    let installed = sandbox.install(&binary).expect("installed");

    assert_eq!(installed.outcome, Outcome::Installed);
    let folder = sandbox.bins.join(binary.id.to_string());
    assert_eq!(
        names(&folder),
        [
            LIST,
            METADATA,
            "LICENSE",
            "libllama.so",
            "libllama.so.0",
            "libllama.so.0.0.9001",
            "llama-server"
        ]
    );
    let link = std::fs::read_link(folder.join("libllama.so")).expect("a link");
    assert_eq!(link.to_str(), Some("libllama.so.0"));
    let registry = Registry::load(&sandbox.bins).expect("a registry");
    let entry = registry.get(binary.id).expect("an entry");
    assert_eq!(entry.version, "b9001");
    assert_eq!(entry.digest(), binary.digest());
    assert_eq!(entry.executables, ["libllama.so.0.0.9001", "llama-server"]);
    assert_eq!(
        entry.program().expect("inside bins"),
        format!("{}/llama-server", binary.id)
    );
    assert_eq!(sandbox.litter(), [binary.id.to_string()]);
}

#[test]
fn installing_twice_reads_nothing_the_second_time() {
    let sandbox = Sandbox::new();
    let binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    sandbox.install(&binary).expect("installed");
    std::fs::remove_file(sandbox.releases.join("llama-b9001-bin-ubuntu-x64.tar.gz")).expect("gone");

    let again = sandbox.install(&binary).expect("there");

    assert_eq!(again.outcome, Outcome::Present);
}

#[test]
fn the_same_bits_under_another_id_become_an_alias() {
    let sandbox = Sandbox::new();
    let first = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    sandbox.install(&first).expect("installed");
    let second = WantedBinary {
        id: BinaryId::new(uuid::Uuid::new_v4()),
        ..first.clone()
    };

    let installed = sandbox.install(&second).expect("there");

    assert_eq!(installed.outcome, Outcome::Aliased);
    assert_eq!(installed.entry.id, first.id);
    let registry = Registry::load(&sandbox.bins).expect("a registry");
    assert_eq!(
        registry.get(second.id).map(|entry| entry.id),
        Some(first.id)
    );
}

#[test]
fn a_damaged_build_that_is_wanted_by_an_alias_is_mended_under_its_own_id() {
    let sandbox = Sandbox::new();
    let first = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    sandbox.install(&first).expect("installed");
    let alias = WantedBinary {
        id: BinaryId::new(uuid::Uuid::new_v4()),
        ..first.clone()
    };
    sandbox.install(&alias).expect("there");
    let folder = sandbox.bins.join(first.id.to_string());
    std::fs::remove_file(folder.join("llama-server")).expect("damaged");

    let mended = sandbox.install(&alias).expect("installed again");

    assert_eq!(mended.outcome, Outcome::Installed);
    let registry = Registry::load(&sandbox.bins).expect("a registry");
    assert_eq!(registry.entries().len(), 1);
    let entry = registry.get(alias.id).expect("an entry");
    assert_eq!(
        (entry.id, entry.aliases.as_slice()),
        (first.id, &[alias.id][..])
    );
    assert!(folder.join("llama-server").is_file());
    assert_eq!(sandbox.litter(), [first.id.to_string()]);
}

#[test]
fn archives_of_all_ages_have_their_server_found() {
    let layouts: [(&str, Vec<u8>); 5] = [
        (
            "llama-b9001-bin-ubuntu-x64.tar.gz",
            Pack::release().tar_gz(),
        ),
        (
            "llama-b9002-bin-ubuntu-x64.tar.gz",
            Pack::below("./").tar_gz(),
        ),
        (
            "llama-b9003-bin-ubuntu-x64.tar.gz",
            Pack::release().with_folder(".").tar_gz(),
        ),
        (
            "llama-b9004-bin-ubuntu-x64.zip",
            Pack::below("build/bin/").zip(),
        ),
        ("llama-b9005-bin-ubuntu-x64.zip", Pack::below("").zip()),
    ];
    for (name, bytes) in layouts {
        let sandbox = Sandbox::new();
        let binary = sandbox.publish(name, &bytes);
        let installed = sandbox.install(&binary).map_err(|error| chain(&error));
        let entry = installed.expect(name).entry;
        assert!(
            sandbox
                .bins
                .join(entry.program().expect("inside bins"))
                .is_file(),
            "{name}"
        );
        assert_eq!(sandbox.litter(), [binary.id.to_string()], "{name}");
    }
}

#[test]
fn a_companion_is_laid_beside_the_server_and_its_licence_yields() {
    let sandbox = Sandbox::new();
    let mut binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-cuda-12.8-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    binary.variant = Variant::new("ubuntu-cuda-12.8-x64");
    let name = "cudart-llama-b9001-bin-ubuntu-cuda-12.8-x64.tar.gz";
    let cudart = Pack::empty()
        .with_file("cudart/libcudart.so.12", b"cuda", 0o755)
        .with_file("cudart/LICENSE", b"NVIDIA's", 0o644)
        .tar_gz();
    std::fs::write(sandbox.releases.join(name), &cudart).expect("an archive");
    binary.archives.push(wanted(name, &cudart));

    let installed = sandbox.install(&binary).expect("installed");

    let folder = sandbox.bins.join(binary.id.to_string());
    assert!(folder.join("libcudart.so.12").is_file());
    let licence = std::fs::read(folder.join("LICENSE")).expect("a licence");
    assert_eq!(licence, b"MIT");
    assert_eq!(installed.remarks.len(), 1, "{:?}", installed.remarks);
    assert_eq!(installed.entry.companions[0].name, name);
}

#[test]
fn no_companion_is_laid_along_a_link_that_leaves_the_build() {
    let sandbox = Sandbox::new();
    // `d/..` reads like the folder it is in, and is the one above it.
    let server = Pack::below("")
        .with_link("d", ".")
        .with_link("e", "d/..")
        .with_link("f", "e/..")
        .with_link("g", "f/..")
        .with_link("h", "g/..");
    let mut binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-cuda-12.8-x64.tar.gz",
        &server.tar_gz(),
    );
    let name = "cudart-llama-b9001-bin-ubuntu-cuda-12.8-x64.tar.gz";
    let cudart = Pack::empty()
        .with_file("g/escaped", b"anything", 0o755)
        .with_file("libcudart.so.12", b"cuda", 0o755)
        .tar_gz();
    std::fs::write(sandbox.releases.join(name), &cudart).expect("an archive");
    binary.archives.push(wanted(name, &cudart));

    sandbox.install(&binary).expect_err("the links leave");

    assert_eq!(sandbox.litter(), Vec::<String>::new());
    for folder in [sandbox.bins.join(".staging"), sandbox.bins.join("..")] {
        assert!(!folder.join("escaped").exists(), "{folder}");
    }
}

#[test]
fn the_wrong_file_is_refused_before_its_content_is_looked_at() {
    let sandbox = Sandbox::new();
    let mut binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", b"<html>login</html>");
    binary.archives[0].digest = Digest::of(b"what was published");

    let error = sandbox.install(&binary).expect_err("another file");

    let said = chain(&error);
    assert!(
        said.contains("is not the file that was published"),
        "{said}"
    );
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains(sandbox.releases.as_str()))
    );
    assert_eq!(sandbox.litter(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_cut_off_or_too_long_is_told_by_its_size() {
    let sandbox = Sandbox::new();
    let mut binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    binary.archives[0].size = Some(1_000_000);

    let error = sandbox.install(&binary).expect_err("too short");

    let said = chain(&error);
    assert!(said.contains("and 1000000 were published"), "{said}");
    assert_eq!(sandbox.litter(), Vec::<String>::new());
}

#[test]
fn a_build_that_says_it_is_another_one_is_refused_unless_it_is_a_fork() {
    let sandbox = Sandbox::new();
    let liar = Pack::release()
        .with_server("echo 'version: 8000 (abc)' >&2")
        .tar_gz();
    let mut binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &liar);

    let error = sandbox.install(&binary).expect_err("another build");
    assert_eq!(
        error.to_string(),
        "`llama-server --version` says build 8000, not b9001"
    );
    assert_eq!(sandbox.litter(), Vec::<String>::new());

    let path = sandbox.releases.join("llama-b9001-bin-ubuntu-x64.tar.gz");
    let url = url::Url::from_file_path(path).expect("a URL");
    binary.archives[0].origin = ArchiveOrigin::Url(url);
    let installed = sandbox
        .install(&binary)
        .expect("a fork may say what it likes");
    assert_eq!(
        installed.remarks,
        ["`llama-server --version` says build 8000, not b9001"]
    );
}

#[test]
fn a_server_that_does_not_run_here_is_refused_with_what_it_said() {
    let sandbox = Sandbox::new();
    let broken = Pack::release()
        .with_server("echo 'GLIBC_2.38 not found' >&2; exit 1")
        .tar_gz();
    let binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &broken);

    let error = sandbox.install(&binary).expect_err("broken");

    assert!(chain(&error).contains("GLIBC_2.38 not found"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("cpu")));
}

#[test]
fn a_build_for_another_system_is_installed_without_running_it() {
    let sandbox = Sandbox::new();
    let bytes = Pack::empty()
        .with_file("llama-server.exe", b"MZ", 0o644)
        .zip();
    let mut binary = sandbox.publish("llama-b9001-bin-win-cpu-x64.zip", &bytes);
    binary.variant = Variant::new("win-cpu-x64");

    let installed = sandbox.install(&binary).expect("installed");

    assert_eq!(
        installed.remarks,
        ["it was not run: it is for Windows on x64"]
    );
    assert!(
        installed
            .entry
            .program()
            .is_ok_and(|path| path.file_name() == Some("llama-server.exe"))
    );
}

#[test]
fn an_archive_without_a_server_is_refused() {
    let sandbox = Sandbox::new();
    let bytes = Pack::empty().with_file("README", b"hello", 0o644).tar_gz();
    let binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &bytes);

    let error = sandbox.install(&binary).expect_err("no server");

    assert!(matches!(error, InstallError::NoServer { .. }), "{error}");
}

#[test]
fn an_id_that_belongs_to_another_build_is_never_reused() {
    let sandbox = Sandbox::new();
    let first = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    sandbox.install(&first).expect("installed");
    let other = Pack::release()
        .with_file("llama-b9001/more", b"x", 0o644)
        .tar_gz();
    let mut second = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &other);
    second.id = first.id;

    let error = sandbox.install(&second).expect_err("taken");

    assert!(matches!(error, InstallError::OtherBuild { .. }), "{error}");
}

#[test]
fn a_build_whose_folder_was_lost_is_installed_again_under_its_id() {
    let sandbox = Sandbox::new();
    let binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    sandbox.install(&binary).expect("installed");
    let folder = sandbox.bins.join(binary.id.to_string());
    std::fs::remove_file(folder.join("llama-server")).expect("lost");

    let again = sandbox.install(&binary).expect("installed again");

    assert_eq!(again.outcome, Outcome::Installed);
    assert!(folder.join("llama-server").is_file());
    assert_eq!(sandbox.litter(), [binary.id.to_string()]);
}

#[test]
fn after_a_crash_complete_builds_are_registered_and_the_rest_is_removed() {
    let sandbox = Sandbox::new();
    let binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    sandbox.install(&binary).expect("installed");
    std::fs::remove_file(sandbox.bins.join("registry.json")).expect("killed before it was written");
    let half = staging::folder(&sandbox.bins).join("71ce").join("0");
    std::fs::create_dir_all(half).expect("killed while it was unpacked");
    let stranger = sandbox.bins.join(uuid::Uuid::new_v4().to_string());
    std::fs::create_dir(&stranger).expect("somebody else's");

    let recovered = recover(&sandbox.bins).expect("recovered");

    assert_eq!(recovered.registered, [binary.id]);
    assert_eq!(recovered.removed, 1);
    assert_eq!(recovered.strangers, [stranger]);
    assert_eq!(names_of_staging(&sandbox.bins), Vec::<String>::new());
    assert_eq!(
        sandbox.install(&binary).expect("there").outcome,
        Outcome::Present
    );
    assert_eq!(recover(&sandbox.bins).expect("again").registered, []);
}

#[test]
fn nothing_is_swept_while_somebody_installs() {
    let sandbox = Sandbox::new();
    let staging = runtime()
        .block_on(Staging::enter(&sandbox.bins, Digest::of("x"), || ()))
        .expect("entered");

    let recovered = recover(&sandbox.bins).expect("looked");

    assert!(recovered.busy);
    drop(staging);
    assert!(!recover(&sandbox.bins).expect("looked").busy);
}

#[test]
fn of_two_installers_the_second_waits_and_finds_it_done() {
    let sandbox = Sandbox::new();
    let binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    let mut outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let install = || sandbox.install(&binary).expect("installed").outcome;
        let both = [scope.spawn(install), scope.spawn(install)];
        both.into_iter()
            .map(|one| one.join().expect("no panic"))
            .collect()
    });
    outcomes.sort_by_key(|outcome| *outcome == Outcome::Present);
    assert_eq!(outcomes, [Outcome::Installed, Outcome::Present]);
    assert_eq!(sandbox.litter(), [binary.id.to_string()]);
}

#[test]
fn a_build_that_is_taken_away_leaves_nothing() {
    let sandbox = Sandbox::new();
    let binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    sandbox.install(&binary).expect("installed");

    assert!(uninstall(&sandbox.bins, binary.id).expect("taken away"));

    assert_eq!(sandbox.litter(), Vec::<String>::new());
    assert!(
        Registry::load(&sandbox.bins)
            .expect("a registry")
            .entries()
            .is_empty()
    );
    assert!(!uninstall(&sandbox.bins, binary.id).expect("nothing to do"));
}

#[test]
fn progress_ends_with_every_byte_and_the_check() {
    let sandbox = Sandbox::new();
    let bytes = Pack::release().tar_gz();
    let binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &bytes);
    let told = Mutex::new(Vec::new());
    let tell = |step| told.lock().expect("no panic").push(step);

    let source = Directory::new(sandbox.releases.clone(), Network::default());
    sandbox
        .install_from(&binary, &source, &tell)
        .expect("installed");

    let told = told.into_inner().expect("no panic");
    let size = bytes.len() as u64;
    let last = Progress::Receiving {
        bytes: size,
        total: Some(size),
    };
    assert_eq!(&told[told.len() - 2..], [last, Progress::Checking]);
}

#[test]
fn builds_stay_out_of_git_and_a_persons_own_rules_stay() {
    let sandbox = Sandbox::new();
    let binary = sandbox.publish(
        "llama-b9001-bin-ubuntu-x64.tar.gz",
        &Pack::release().tar_gz(),
    );
    sandbox.install(&binary).expect("installed");
    let path = sandbox.bins.join(".gitignore");
    assert_eq!(std::fs::read_to_string(&path).expect("written"), "*\n");

    std::fs::write(&path, "mine\n").expect("edited");
    uninstall(&sandbox.bins, binary.id).expect("taken away");
    sandbox.install(&binary).expect("installed");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "mine\n");
}

/// A source whose archives come in pieces.
struct Wire {
    bytes: Vec<u8>,
    length: Option<u64>,
    ending: Ending,
}

/// What comes after the last piece.
#[derive(Clone, Copy)]
enum Ending {
    End,
    Error,
    Silence,
}

impl ReleaseSource for Wire {
    async fn answer(
        &self,
        _question: &crate::desired::Question,
    ) -> Result<crate::desired::Answer, crate::release::source::SourceError> {
        panic!("an install asks nothing")
    }

    fn patience(&self) -> Patience {
        Patience {
            delay: std::time::Duration::from_millis(1),
            ..Patience::default()
        }
    }

    fn location(&self, archive: &WantedArchive) -> String {
        format!("https://example.org/{}", archive.name)
    }

    async fn open(
        &self,
        _archive: &WantedArchive,
        _resume: Option<&Resume>,
    ) -> Result<Opened, crate::release::source::SourceError> {
        use futures_util::StreamExt as _;
        let pieces: Vec<io::Result<Vec<u8>>> = self
            .bytes
            .chunks(100)
            .map(|piece| Ok(piece.to_vec()))
            .collect();
        let pieces = futures_util::stream::iter(pieces);
        let pieces: Pieces = match self.ending {
            Ending::End => Box::pin(pieces),
            Ending::Error => {
                let error = io::Error::other("connection reset");
                Box::pin(pieces.chain(futures_util::stream::iter([Err(error)])))
            }
            Ending::Silence => Box::pin(pieces.chain(futures_util::stream::pending())),
        };
        Ok(Opened::Stream {
            from: 0,
            total: self.length,
            validator: match self.ending {
                Ending::Silence => Some(Validator::Etag("\"one\"".to_owned())),
                Ending::End | Ending::Error => None,
            },
            pieces,
        })
    }
}

#[test]
fn what_comes_in_pieces_is_installed_as_it_comes() {
    let sandbox = Sandbox::new();
    for (name, bytes) in [
        (
            "llama-b9001-bin-ubuntu-x64.tar.gz",
            Pack::release().tar_gz(),
        ),
        ("llama-b9001-bin-ubuntu-x64.zip", Pack::release().zip()),
    ] {
        let binary = sandbox.publish(name, &bytes);
        let wire = Wire {
            bytes,
            length: None,
            ending: Ending::End,
        };
        let installed = sandbox.install_from(&binary, &wire, &|_| ()).expect(name);
        let url = format!("https://example.org/{name}");
        assert_eq!(installed.entry.download_url, Some(url));
    }
}

#[test]
fn a_connection_that_breaks_says_how_far_it_came_and_leaves_nothing() {
    for ending in [Ending::Error, Ending::End] {
        let sandbox = Sandbox::new();
        let bytes = Pack::release().tar_gz();
        let binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &bytes);
        let size = bytes.len() as u64;
        let wire = Wire {
            bytes: bytes[..250].to_vec(),
            length: None,
            ending,
        };

        let error = sandbox
            .install_from(&binary, &wire, &|_| ())
            .expect_err("cut");

        let name = "llama-b9001-bin-ubuntu-x64.tar.gz";
        assert_eq!(
            error.to_string(),
            format!("`{name}` ended after 250 of {size} bytes")
        );
        assert!(error.is_transient());
        assert_eq!(sandbox.litter(), Vec::<String>::new());
    }
}

#[test]
fn a_source_that_announces_another_size_is_not_read() {
    let sandbox = Sandbox::new();
    let bytes = Pack::release().tar_gz();
    let binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &bytes);
    let wire = Wire {
        bytes,
        length: Some(1),
        ending: Ending::End,
    };
    let error = sandbox
        .install_from(&binary, &wire, &|_| ())
        .expect_err("another size");
    assert!(
        matches!(error, InstallError::OtherSize { found: 1, .. }),
        "{error}"
    );
}

#[test]
fn an_install_that_is_given_up_leaves_what_it_can_go_on_from() {
    let sandbox = Sandbox::new();
    let bytes = Pack::release().tar_gz();
    let binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", &bytes);
    let runtime = runtime();
    let (told, heard) = std::sync::mpsc::channel();
    let tell = move |step| told.send(step).expect("somebody listens");
    let request = InstallRequest {
        binary: &binary,
        bins: &sandbox.bins,
        host: None,
        official: true,
        slots: &Semaphore::new(1),
        unverified: false,
        minted: false,
    };
    let stalled = Wire {
        ending: Ending::Silence,
        bytes: bytes[..200].to_vec(),
        length: None,
    };
    runtime.block_on(async {
        let installing = install(&request, &stalled, &tell);
        let first = async {
            let came = |step: &Progress| matches!(step, Progress::Receiving { bytes: 200, .. });
            while !heard.try_iter().any(|step| came(&step)) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = installing => panic!("it cannot end"),
            () = first => {}
        }
    });
    // The thread that writes ends when nothing more can come.
    drop(runtime);
    let digest = binary.archives[0].digest;
    assert_eq!(
        sandbox.litter(),
        [format!("{digest}.json"), format!("{digest}.partial")]
    );
    assert!(!recover(&sandbox.bins).expect("looked").busy);
}

#[test]
fn a_full_disk_is_known_before_the_first_byte() {
    let sandbox = Sandbox::new();
    let mut binary = sandbox.publish("llama-b9001-bin-ubuntu-x64.tar.gz", SERVER.as_bytes());
    binary.archives[0].size = Some(u64::MAX / 10);

    let error = sandbox
        .install(&binary)
        .expect_err("too large for any disk");

    assert!(matches!(error, InstallError::NoSpace { .. }), "{error}");
}
