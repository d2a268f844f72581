//! Everything a network, a proxy or a release server can do wrong while an archive is fetched: each
//! ends in a verified install or in the right error, and leaves nothing but what the next attempt
//! goes on from.

mod questions;

use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::write::GzEncoder;
use llama_orch::desired::{ArchiveOrigin, WantedArchive, WantedBinary};
use llama_orch::install::{
    FetchRequest, InstallError, InstallRequest, Installed, Outcome, Progress, cache,
    fetch_unverified, install, recover,
};
use llama_orch::instance::BinaryId;
use llama_orch::manifest::Source;
use llama_orch::registry::Registry;
use llama_orch::release::github::GitHub;
use llama_orch::release::given::Given;
use llama_orch::release::host::Host;
use llama_orch::release::source::{Network, Patience};
use llama_orch::release::{Digest, Tag, Variant};
use tokio::sync::Semaphore;

use crate::fault_server::{Fault, FaultServer};
use crate::support::archives;

const BUILD: u32 = 9001;

/// A release server, a folder of builds, and one build that is wanted.
struct World {
    server: FaultServer,
    bins: Utf8PathBuf,
    binary: WantedBinary,
    /// The archive that things go wrong with, which of the build's it is, and where it lies.
    archive: Vec<u8>,
    number: usize,
    path: String,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::of(&archives::name(BUILD), &release(BUILD))
    }

    fn zipped() -> Self {
        let name = archives::name(BUILD).replace(".tar.gz", ".zip");
        Self::of(&name, &zipped(BUILD))
    }

    fn of(name: &str, archive: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Utf8Path::from_path(folder.path()).expect("UTF-8");
        let server = FaultServer::start();
        let path = format!("/mirror/releases/download/b{BUILD}/{name}");
        server.put(&path, archive.to_vec());
        let binary = WantedBinary {
            id: BinaryId::new(uuid::Uuid::new_v4()),
            build: Tag::new(BUILD).into(),
            variant: Variant::new(archives::platform()),
            archives: vec![WantedArchive {
                name: name.to_owned(),
                size: Some(archive.len() as u64),
                digest: Digest::of(archive),
                origin: ArchiveOrigin::Release(Tag::new(BUILD)),
            }],
        };
        Self {
            bins: root.join("bins"),
            server,
            binary,
            archive: archive.to_vec(),
            number: 0,
            path,
            _folder: folder,
        }
    }

    /// A CUDA build, with whose runtime things go wrong.
    fn with_companion() -> Self {
        let cuda = archives::platform().replace("ubuntu-", "ubuntu-cuda-12.8-");
        let server = format!("llama-b{BUILD}-bin-{cuda}.tar.gz");
        let mut world = Self::of(&server, &release(BUILD));
        world.binary.variant = Variant::new(cuda);
        let name = format!("cudart-{server}");
        let runtime = packed(&[("cudart/libcudart.so.12", noise(600_000), 0o755)]);
        world.path = format!("/mirror/releases/download/b{BUILD}/{name}");
        world.server.put(&world.path, runtime.clone());
        world.binary.archives.push(WantedArchive {
            name,
            size: Some(runtime.len() as u64),
            digest: Digest::of(&runtime),
            origin: ArchiveOrigin::Release(Tag::new(BUILD)),
        });
        world.archive = runtime;
        world.number = 1;
        world
    }

    fn source(&self) -> GitHub {
        let source = Source {
            api: self.server.url("/api").parse().expect("a URL"),
            mirror: Some(self.server.url("/mirror").parse().expect("a URL")),
            ..Source::default()
        };
        let patience = Patience {
            idle: Duration::from_millis(300),
            delay: Duration::from_millis(2),
            ..Patience::default()
        };
        let network = Network {
            patience,
            ..Network::default()
        };
        GitHub::new(&source, network)
    }

    fn install(&self) -> Result<Installed, InstallError> {
        self.install_told(&|_| ())
    }

    fn install_told(
        &self,
        told: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Installed, InstallError> {
        let host = Host::detect();
        let request = InstallRequest {
            binary: &self.binary,
            bins: &self.bins,
            host: host.as_ref(),
            official: true,
            slots: &Semaphore::new(3),
            unverified: false,
            minted: false,
        };
        runtime().block_on(install(&request, &self.source(), told))
    }

    #[track_caller]
    fn assert_installed(&self, case: &str) {
        let installed = self
            .install()
            .unwrap_or_else(|error| panic!("{case}: {error:?}"));
        assert_eq!(installed.outcome, Outcome::Installed, "{case}");
        self.assert_whole(case);
    }

    #[track_caller]
    fn assert_whole(&self, case: &str) {
        let registry = Registry::load(&self.bins).expect("a registry");
        let entry = registry.get(self.binary.id).expect("registered");
        let program = self.bins.join(entry.program().expect("inside bins"));
        assert!(program.is_file(), "{case}");
        assert_eq!(self.left(), Vec::<String>::new(), "{case}: nothing is left");
    }

    /// What lies in `bins` besides builds and locks.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for folder in [".cache", ".staging"] {
            let Ok(entries) = self.bins.join(folder).read_dir_utf8() else {
                continue;
            };
            for entry in entries {
                let entry = entry.expect("an entry");
                let name = entry.file_name();
                if name != "lock" && Utf8Path::new(name).extension() != Some("lock") {
                    left.push(format!("{folder}/{name}"));
                }
            }
        }
        left.sort();
        left
    }

    /// That nothing is left, or only bytes that the next attempt can go on from.
    #[track_caller]
    fn assert_resumable(&self, case: &str) {
        let left = self.left();
        let mut known = 0;
        for archive in &self.binary.archives {
            let partial = [
                format!(".cache/{}.json", archive.digest),
                format!(".cache/{}.partial", archive.digest),
            ];
            let there = partial.iter().filter(|name| left.contains(name)).count();
            assert!(there != 1, "{case}: {left:?}");
            known += there;
        }
        assert_eq!(left.len(), known, "{case}: {left:?}");
        let registry = Registry::load(&self.bins).expect("a registry");
        assert!(registry.get(self.binary.id).is_none(), "{case}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Bytes that no compression makes smaller, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn script(build: u32) -> String {
    format!("#!/bin/sh\necho 'version: {build} (abcdef12)' >&2\n")
}

/// An archive of about 600 KB, as llama.cpp packs them.
fn release(build: u32) -> Vec<u8> {
    let folder = format!("llama-b{build}");
    packed(&[
        (
            &format!("{folder}/llama-server"),
            script(build).into_bytes(),
            0o755,
        ),
        (&format!("{folder}/data.bin"), noise(600_000), 0o644),
    ])
}

fn packed(files: &[(&str, Vec<u8>, u32)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    archive.sparse(false);
    for (path, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        archive
            .append_data(&mut header, path, content.as_slice())
            .expect("packed");
    }
    archive
        .into_inner()
        .and_then(GzEncoder::finish)
        .expect("finished")
}

fn zipped(build: u32) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, content, mode) in [
        ("llama-server", script(build).into_bytes(), 0o755),
        ("data.bin", noise(600_000), 0o644),
    ] {
        archive
            .start_file(name, options.unix_permissions(mode))
            .expect("packed");
        archive.write_all(&content).expect("packed");
    }
    archive.finish().expect("finished").into_inner()
}

/// What has to come of it.
enum End {
    /// It is installed by the same command, and at most so many bytes were sent for it, in hundredths
    /// of the archive's size.
    Installed(u64),
    /// It fails with an error that says this, and the next command installs it.
    Fails(&'static str),
}

/// What can go wrong with an archive of this size, and what has to come of it.
#[expect(clippy::too_many_lines, reason = "a table, a row each")]
fn faults(size: usize) -> Vec<(&'static str, Vec<Fault>, End)> {
    let cut = || Fault::Cut(size / 2);
    let status = |status| Fault::Status(status, Vec::new());
    let often = |fault: Fault| vec![fault; 12];
    vec![
        ("nothing", vec![], End::Installed(100)),
        ("cut once", vec![cut()], End::Installed(101)),
        (
            "cut twice",
            vec![cut(), Fault::Cut(size / 4)],
            End::Installed(101),
        ),
        ("reset", vec![Fault::Reset(size / 2)], End::Installed(200)),
        ("stalled", vec![Fault::Stall(size / 2)], End::Installed(101)),
        (
            "slow",
            vec![Fault::Slow(100_000, Duration::from_millis(20))],
            End::Installed(100),
        ),
        (
            "server trouble",
            vec![status(500), status(502), status(503)],
            End::Installed(100),
        ),
        (
            "asked to wait a moment",
            vec![Fault::Status(429, vec![("Retry-After", "1".into())])],
            End::Installed(100),
        ),
        (
            "range ignored",
            vec![cut(), Fault::IgnoredRange],
            End::Installed(155),
        ),
        (
            "range refused",
            vec![cut(), Fault::RefusedRange],
            End::Installed(155),
        ),
        (
            "another range",
            vec![cut(), Fault::OtherRange],
            End::Installed(255),
        ),
        (
            "no range",
            vec![cut(), Fault::BadRange],
            End::Installed(255),
        ),
        (
            "never whole",
            often(Fault::Cut(1000)),
            End::Fails("ended after"),
        ),
        (
            "stalled for ever",
            often(Fault::Stall(1000)),
            End::Fails("ended after"),
        ),
        (
            "too long",
            vec![Fault::Length(10)],
            End::Fails("were published"),
        ),
        (
            "too short",
            vec![Fault::Length(-10)],
            End::Fails("were published"),
        ),
        (
            "corrupt",
            vec![Fault::Corrupt(size / 2)],
            End::Fails("is not the file that was published"),
        ),
        (
            "corrupt after a cut",
            vec![cut(), Fault::Corrupt(10)],
            End::Fails("is not the file that was published"),
        ),
        ("gone", vec![status(404)], End::Fails("there is no file")),
        (
            "refused",
            vec![status(401)],
            End::Fails("refused the request with status 401"),
        ),
        (
            "server trouble for ever",
            often(status(500)),
            End::Fails("answered with status 500"),
        ),
        (
            "a limit that lasts",
            vec![Fault::lasting_limit()],
            End::Fails("answers no more requests before"),
        ),
        (
            "a page",
            vec![Fault::Page],
            End::Fails("a web page in place of the file"),
        ),
        (
            "another host",
            vec![Fault::Redirect("https://example.org/x.tar.gz".into())],
            End::Fails("leads to the host `example.org`"),
        ),
        (
            "plain http elsewhere",
            vec![Fault::Redirect("http://github.com/x.tar.gz".into())],
            End::Fails("is not https"),
        ),
    ]
}

#[test]
fn every_fault_of_a_download_ends_in_an_install_or_in_the_right_error() {
    for (case, faults, end) in faults(release(BUILD).len()) {
        for world in [World::new(), World::zipped(), World::with_companion()] {
            let case = format!("{case}, {}", world.binary.archives[world.number].name);
            world.server.fail(&world.path, &faults);
            match end {
                End::Installed(hundredths) => {
                    world.assert_installed(&case);
                    let others = world.binary.archives[..world.number].iter();
                    let others: u64 = others.filter_map(|archive| archive.size).sum();
                    let most = others + world.archive.len() as u64 * hundredths / 100;
                    let sent = world.server.sent();
                    assert!(sent <= most, "{case}: {sent} of {most}");
                }
                End::Fails(says) => {
                    let error = world.install().expect_err(&case);
                    let said = llama_orch::history::chain(&error);
                    assert!(said.contains(says), "{case}: {said}");
                    world.assert_resumable(&case);
                    world.server.mend(&world.path);
                    world.assert_installed(&case);
                }
            }
        }
    }
}

#[test]
fn cut_anywhere_and_resumed_by_the_next_command_nothing_is_fetched_twice() {
    for world in [World::new(), World::zipped()] {
        let size = world.archive.len();
        let places = [
            0,
            1,
            9,
            10,
            511,
            512,
            65_535,
            65_536,
            65_537,
            size / 2,
            size - 8,
            size - 1,
        ];
        for at in places {
            let world = World::of(&world.binary.archives[0].name, &world.archive);
            let case = format!("cut after {at} bytes");
            let refused = Fault::Status(404, Vec::new());
            world.server.fail(&world.path, &[Fault::Cut(at), refused]);
            world.install().expect_err(&case);
            world.assert_resumable(&case);
            world.assert_installed(&case);
            let sent = world.server.sent();
            assert!(sent <= size as u64 * 101 / 100, "{case}: {sent} of {size}");
            let last = world.server.asked().pop().expect("asked");
            let range = (at > 0).then(|| format!("bytes={at}-"));
            assert_eq!(last.range, range, "{case}");
        }
    }
}

#[test]
fn what_had_come_to_the_last_byte_is_not_asked_for_again() {
    let world = World::new();
    let digest = world.binary.archives[0].digest;
    let cache = world.bins.join(".cache");
    std::fs::create_dir_all(&cache).expect("a folder");
    std::fs::write(cache.join(format!("{digest}.partial")), &world.archive).expect("written");
    world.assert_installed("complete");
    assert!(world.server.asked().is_empty());
}

#[test]
fn a_bad_beginning_is_thrown_away_once_and_fetched_anew() {
    for length in [1_000, 10_000_000] {
        let world = World::new();
        let refused = Fault::Status(404, Vec::new());
        world
            .server
            .fail(&world.path, &[Fault::Cut(1_000), refused]);
        world.install().expect_err("cut");
        let digest = world.binary.archives[0].digest;
        let partial = world.bins.join(format!(".cache/{digest}.partial"));
        std::fs::write(&partial, vec![7; length]).expect("spoilt");
        world.assert_installed("a bad beginning");
    }
}

#[test]
fn an_archive_that_was_replaced_meanwhile_is_not_joined_to_its_predecessor() {
    let world = World::new();
    let mut old = world.archive.clone();
    old[1_000] ^= 1;
    world.server.put(&world.path, old);
    let refused = Fault::Status(404, Vec::new());
    world
        .server
        .fail(&world.path, &[Fault::Cut(5_000), refused]);
    world.install().expect_err("cut");
    world.server.put(&world.path, world.archive.clone());
    world.assert_installed("replaced");
    let last = world.server.asked().pop().expect("asked");
    assert!(last.if_range.is_some(), "{last:?}");
}

#[test]
fn without_a_strong_validator_nothing_is_gone_on_from() {
    for etag in [None, Some("W/\"weak\"".to_owned())] {
        let world = World::new();
        world
            .server
            .put_as(&world.path, world.archive.clone(), etag);
        world.server.fail(&world.path, &[Fault::Cut(5_000)]);
        world.assert_installed("no validator");
        let asked = world.server.asked();
        assert!(asked.iter().all(|asked| asked.range.is_none()), "{asked:?}");
    }
}

#[test]
fn without_an_etag_the_time_of_the_last_change_will_do() {
    let world = World::new();
    let (old, new) = (
        "Mon, 02 Nov 2026 10:00:00 GMT",
        "Tue, 03 Nov 2026 10:00:00 GMT",
    );
    let refused = || Fault::Status(404, Vec::new());
    world
        .server
        .put_dated(&world.path, world.archive.clone(), old);
    world
        .server
        .fail(&world.path, &[Fault::Cut(5_000), refused()]);
    world.install().expect_err("cut");
    world
        .server
        .fail(&world.path, &[Fault::Cut(5_000), refused()]);
    world.install().expect_err("cut again, further on");
    let last = world.server.asked().pop().expect("asked");
    assert_eq!(last.range.as_deref(), Some("bytes=10000-"));
    assert_eq!(last.if_range.as_deref(), Some(old));
    // Touched since: the rest may belong to something else.
    world
        .server
        .put_dated(&world.path, world.archive.clone(), new);
    world.server.sent();
    world.assert_installed("changed");
    assert_eq!(world.server.sent(), world.archive.len() as u64);
}

#[test]
fn two_builds_that_share_a_runtime_fetch_it_once_between_them() {
    let world = World::with_companion();
    let mut other = world.binary.clone();
    other.id = BinaryId::new(uuid::Uuid::new_v4());
    other.build = Tag::new(BUILD + 1).into();
    let archive = release(BUILD + 1);
    let name = world.binary.archives[0].name.replace("b9001", "b9002");
    let path = format!("/mirror/releases/download/b{}/{name}", BUILD + 1);
    world.server.put(&path, archive.clone());
    other.archives[0] = WantedArchive {
        name,
        size: Some(archive.len() as u64),
        digest: Digest::of(&archive),
        origin: ArchiveOrigin::Release(Tag::new(BUILD + 1)),
    };
    let slow = Fault::Slow(50_000, Duration::from_millis(20));
    world.server.fail(&world.path, &[slow]);
    std::thread::scope(|scope| {
        for binary in [&world.binary, &other] {
            let world = &world;
            scope.spawn(move || {
                let host = Host::detect();
                let request = InstallRequest {
                    binary,
                    bins: &world.bins,
                    host: host.as_ref(),
                    official: true,
                    slots: &Semaphore::new(3),
                    unverified: false,
                    minted: false,
                };
                let installed = runtime().block_on(install(&request, &world.source(), &|_| ()));
                installed.expect("installed");
            });
        }
    });
    let asked = world.server.asked();
    let of_runtime = asked.iter().filter(|asked| asked.path == world.path);
    assert_eq!(of_runtime.count(), 1, "{asked:?}");
    world.assert_whole("both");
}

#[test]
fn a_pause_is_told_with_its_reason_and_its_time() {
    let world = World::new();
    let limit = Fault::Status(429, vec![("Retry-After", "1".into())]);
    world.server.fail(&world.path, &[limit]);
    let told = Mutex::new(Vec::new());
    let tell = |step| {
        if let Progress::Pausing(pause) = step {
            told.lock().expect("no panic").push(pause.to_string());
        }
    };
    world.install_told(&tell).expect("installed");
    let told = told.into_inner().expect("no panic");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("answers no more requests before"),
        "{told:?}"
    );
    assert!(told[0].contains("; trying again at "), "{told:?}");
}

#[test]
fn a_file_put_into_the_cache_by_hand_is_read_in_place_of_a_download() {
    let world = World::new();
    let cache = world.bins.join(".cache");
    std::fs::create_dir_all(&cache).expect("a folder");
    let place = cache.join(&world.binary.archives[0].name);
    std::fs::write(&place, b"something else").expect("written");
    let error = world.install().expect_err("another size");
    assert!(error.to_string().contains(place.as_str()), "{error}");
    std::fs::write(&place, &world.archive).expect("written");
    world.install().expect("installed");
    assert!(world.server.asked().is_empty());
}

#[test]
fn an_archive_at_hand_is_read_in_place_of_a_download_and_verified_like_one() {
    for (content, ends) in [(release(BUILD), true), (release(BUILD + 1), false)] {
        let world = World::new();
        let file = world.bins.with_file_name(&world.binary.archives[0].name);
        std::fs::write(&file, content).expect("written");
        let source = world.source();
        let given = Given::new(vec![file.clone()], &source);
        let host = Host::detect();
        let request = InstallRequest {
            binary: &world.binary,
            bins: &world.bins,
            host: host.as_ref(),
            official: true,
            slots: &Semaphore::new(1),
            unverified: false,
            minted: false,
        };
        let installed = runtime().block_on(install(&request, &given, &|_| ()));
        assert_eq!(installed.is_ok(), ends, "{installed:?}");
        if let Ok(installed) = installed {
            assert_eq!(installed.entry.download_url, Some(file.into_string()));
        }
        assert!(world.server.asked().is_empty());
    }
}

#[test]
fn an_archive_without_a_digest_is_fetched_once_and_then_held_to_what_it_was() {
    let world = World::new();
    world.server.fail(&world.path, &[Fault::Cut(5_000)]);
    let wanted = &world.binary.archives[0];
    let request = FetchRequest {
        name: &wanted.name,
        size: None,
        origin: &wanted.origin,
        bins: &world.bins,
        slots: &Semaphore::new(1),
    };
    let source = world.source();
    let fetch = || {
        let fetched = runtime().block_on(fetch_unverified(&request, &source, &|_| ()));
        assert_eq!(fetched.expect("fetched"), wanted.digest);
    };
    fetch();
    world.server.asked();
    // As after a crash: what was fetched is known by where it lay.
    recover(&world.bins).expect("looked");
    fetch();
    let binary = WantedBinary {
        archives: vec![wanted.clone()],
        ..world.binary.clone()
    };
    let host = Host::detect();
    let install_request = InstallRequest {
        binary: &binary,
        bins: &world.bins,
        host: host.as_ref(),
        official: true,
        slots: &Semaphore::new(1),
        unverified: true,
        minted: false,
    };
    let installed = runtime().block_on(install(&install_request, &source, &|_| ()));
    assert!(installed.expect("installed").entry.unverified);
    recover(&world.bins).expect("looked");
    world.assert_whole("what was fetched");
    fetch();
    assert!(world.server.asked().is_empty(), "nothing is fetched twice");
}

#[test]
fn two_that_install_the_same_build_at_once_fetch_it_once_and_agree_on_its_id() {
    let world = World::new();
    let slow = Fault::Slow(50_000, Duration::from_millis(20));
    world.server.fail(&world.path, &[slow]);
    let other = WantedBinary {
        id: BinaryId::new(uuid::Uuid::new_v4()),
        ..world.binary.clone()
    };
    let host = Host::detect();
    let ids = std::thread::scope(|scope| {
        let threads = [&world.binary, &other].map(|binary| {
            let (world, host) = (&world, &host);
            scope.spawn(move || {
                let request = InstallRequest {
                    binary,
                    bins: &world.bins,
                    host: host.as_ref(),
                    official: true,
                    slots: &Semaphore::new(1),
                    unverified: false,
                    minted: false,
                };
                let installed = runtime().block_on(install(&request, &world.source(), &|_| ()));
                installed.expect("installed").entry.id
            })
        });
        threads.map(|thread| thread.join().expect("no panic"))
    });
    assert_eq!(ids[0], ids[1]);
    assert_eq!(world.server.asked().len(), 1);
    assert_eq!(
        Registry::load(&world.bins)
            .expect("a registry")
            .entries()
            .len(),
        1
    );
}

#[test]
fn unfinished_downloads_are_listed_and_can_be_cleared() {
    let world = World::new();
    let refused = Fault::Status(404, Vec::new());
    world
        .server
        .fail(&world.path, &[Fault::Cut(5_000), refused]);
    let error = world.install().expect_err("cut");
    assert!(matches!(error, InstallError::NotOpened { .. }), "{error:?}");
    let unfinished = cache::unfinished(&world.bins).expect("listed");
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].bytes, 5_000);
    assert_eq!(
        unfinished[0].name.as_deref(),
        Some(world.binary.archives[0].name.as_str())
    );
    assert!(!unfinished[0].busy);
    assert!(cache::clear(&unfinished[0]).expect("cleared"));
    assert_eq!(world.left(), Vec::<String>::new());
}
