//! `kill -9` while an archive comes over the network: the same command finishes it, and asks for no
//! byte that has come.

use std::time::Duration;

use llama_orch::release::Digest;
use serde_json::json;

use crate::assert_converged;
use crate::fault_server::{Fault, FaultServer};
use crate::sandbox::{Sandbox, eventually};

/// Where `apply` can die between the first byte and the registry.
const PLACES: [&str; 6] = [
    "install.receiving",
    "install.received",
    "install.verified",
    "install.unpacked",
    "install.renamed",
    "install.registered",
];

/// A root whose builds come from a release server.
struct Fetching {
    sandbox: Sandbox,
    server: FaultServer,
    /// The path of the archive of b1001, and its size in bytes.
    path: String,
    size: u64,
    digest: Digest,
}

impl Fetching {
    fn new() -> Self {
        Self::from(true)
    }

    /// With a server that says what tells an archive from another one, or does not.
    fn from(with_validator: bool) -> Self {
        let sandbox = Sandbox::new();
        let server = FaultServer::start();
        let name = Sandbox::archive(1001);
        let archive = std::fs::read(sandbox.root.join("releases").join(&name)).expect("packed");
        let (size, digest) = (archive.len() as u64, Digest::of(&archive));
        let release = json!({
            "tag_name": "b1001", "prerelease": true, "draft": false,
            "published_at": "2026-01-01T00:00:00Z",
            "assets": [{
                "name": name, "size": size, "state": "uploaded", "digest": format!("sha256:{digest}"),
            }],
        });
        server.put(
            "/api/repos/ggml-org/llama.cpp/releases/tags/b1001",
            release.to_string().into_bytes(),
        );
        let path = format!("/mirror/releases/download/b1001/{name}");
        if with_validator {
            server.put(&path, archive);
        } else {
            server.put_as(&path, archive, None);
        }
        let (api, mirror) = (server.url("/api"), server.url("/mirror"));
        sandbox.edit(
            "{ directory: releases }",
            &format!("{{ api: \"{api}\", mirror: \"{mirror}\" }}"),
        );
        Self {
            sandbox,
            server,
            path,
            size,
            digest,
        }
    }

    /// Bytes that have come so far.
    fn kept(&self) -> u64 {
        let partial = format!("bins/.cache/{}.partial", self.digest);
        let metadata = self.sandbox.root.join(partial).metadata();
        metadata.map_or(0, |metadata| metadata.len())
    }

    /// Slow enough that an `apply` can be killed in the middle.
    fn dawdle(&self) {
        let piece = usize::try_from(self.size / 40).expect("small");
        let slow = Fault::Slow(piece, Duration::from_millis(15));
        self.server.fail(&self.path, &[slow]);
    }

    /// Runs `apply` once more, to the end, and looks at what it asked for.
    #[track_caller]
    fn finish(&self, case: &str) {
        let kept = self.kept();
        self.server.mend(&self.path);
        self.server.asked();
        self.sandbox.run(&["apply"]).assert_code(0, case);
        let asked = self.server.asked();
        let ranges: Vec<Option<&str>> = asked
            .iter()
            .filter(|asked| asked.path == self.path)
            .map(|asked| asked.range.as_deref())
            .collect();
        let rest = format!("bytes={kept}-");
        if kept == self.size {
            assert_eq!(ranges, [], "{case}: all {kept} bytes were there");
        } else if kept == 0 {
            assert!(ranges.len() <= 1, "{case}: {ranges:?}");
        } else {
            assert_eq!(ranges, [Some(rest.as_str())], "{case}");
        }
        assert_converged(&self.sandbox, case, &["b1001"]);
        let left = self.sandbox.root.join("bins/.cache").read_dir_utf8();
        let left: Vec<_> = left.expect("readable").flatten().collect();
        assert!(left.is_empty(), "{case}: {left:?}");
    }
}

#[test]
fn a_download_killed_anywhere_is_finished_without_fetching_a_byte_twice() {
    for place in PLACES {
        let fetching = Fetching::new();
        fetching.dawdle();
        fetching
            .sandbox
            .run_until(place, &["apply"])
            .assert_killed(place);
        fetching.finish(place);
    }
}

/// Where all of it has come, there is nothing that a validator would be needed for.
#[test]
fn an_archive_that_has_come_is_not_fetched_again_though_nothing_tells_it_from_others() {
    for place in &PLACES[1..] {
        let fetching = Fetching::from(false);
        fetching
            .sandbox
            .run_until(place, &["apply"])
            .assert_killed(place);
        fetching.finish(place);
    }
}

#[test]
fn a_download_killed_at_any_moment_is_finished_without_fetching_a_byte_twice() {
    for fortieth in [1, 7, 20, 38] {
        let fetching = Fetching::new();
        fetching.dawdle();
        let mut apply = fetching.sandbox.spawn(&["apply"]);
        let enough = fetching.size * fortieth / 40;
        eventually("some of it has come", || {
            (fetching.kept() >= enough).then_some(())
        });
        apply.kill().expect("it was started");
        apply.wait().expect("it ends");
        fetching.finish(&format!("after {fortieth}/40"));
    }
}
