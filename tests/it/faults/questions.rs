//! The same of questions about releases: each fault, at each of the places that are asked.

use llama_orch::desired::{Answer, Question};
use llama_orch::history::chain;
use llama_orch::release::source::ReleaseSource as _;

use super::*;

const API: &str = "/api/repos/ggml-org/llama.cpp/releases";

/// A question, the path at which something goes wrong on the way to its answer.
const PLACES: [(Question, &str); 4] = [
    (
        Question::Assets(Tag::new(BUILD)),
        "/api/repos/ggml-org/llama.cpp/releases/tags/b9001",
    ),
    (Question::Recent, API),
    (
        Question::NewestStable,
        "/api/repos/ggml-org/llama.cpp/releases/latest",
    ),
    (
        Question::NewestStable,
        "/mirror/releases/download/v0.9.0/nightly-tag.txt",
    ),
];

/// What has to come of it.
enum Comes {
    Answer,
    Error(&'static str),
}

/// A world whose server knows two releases.
fn world() -> World {
    let world = World::new();
    let archive = &world.binary.archives[0];
    let build = serde_json::json!({
        "tag_name": format!("b{BUILD}"), "prerelease": true, "draft": false,
        "published_at": "2026-01-01T00:00:00Z",
        "assets": [{
            "name": archive.name, "size": archive.size, "state": "uploaded",
            "digest": format!("sha256:{}", archive.digest),
        }],
    });
    let stable = serde_json::json!({
        "tag_name": "v0.9.0", "prerelease": false, "draft": false,
        "published_at": "2026-01-01T00:00:00Z",
        "assets": [{ "name": "nightly-tag.txt", "size": 6, "state": "uploaded" }],
    });
    let bytes = |value: &serde_json::Value| value.to_string().into_bytes();
    let list = serde_json::Value::Array(vec![build.clone()]);
    world
        .server
        .put(&format!("{API}/tags/b{BUILD}"), bytes(&build));
    world.server.put(API, bytes(&list));
    world.server.put(&format!("{API}/latest"), bytes(&stable));
    let path = "/mirror/releases/download/v0.9.0/nightly-tag.txt";
    world.server.put(path, format!("b{BUILD}\n").into_bytes());
    world
}

fn faults() -> Vec<(&'static str, Vec<Fault>, Comes)> {
    let status = |status| Fault::Status(status, Vec::new());
    let often = |fault: Fault| vec![fault; 12];
    vec![
        ("nothing", vec![], Comes::Answer),
        (
            "server trouble",
            vec![status(500), status(503)],
            Comes::Answer,
        ),
        ("cut", vec![Fault::Cut(3)], Comes::Answer),
        ("reset", vec![Fault::Reset(3)], Comes::Answer),
        ("stalled", vec![Fault::Stall(3)], Comes::Answer),
        (
            "asked to wait a moment",
            vec![Fault::Status(429, vec![("Retry-After", "1".into())])],
            Comes::Answer,
        ),
        (
            "server trouble for ever",
            often(status(502)),
            Comes::Error("status 502"),
        ),
        (
            "cut for ever",
            often(Fault::Cut(3)),
            Comes::Error("cannot reach"),
        ),
        (
            "a limit that lasts",
            vec![Fault::lasting_limit()],
            Comes::Error("answers no more requests before"),
        ),
        ("gone", vec![status(404)], Comes::Error("there is no")),
        (
            "refused",
            vec![status(401)],
            Comes::Error("refused the request with status 401"),
        ),
        (
            "another host",
            vec![Fault::Redirect("https://example.org/".into())],
            Comes::Error("leads to the host `example.org`"),
        ),
        (
            "plain http elsewhere",
            vec![Fault::Redirect("http://github.com/".into())],
            Comes::Error("is not https"),
        ),
        // The text of a page is no JSON, and no tag.
        (
            "a page",
            vec![Fault::Page],
            Comes::Error("did not answer as an API does|names no build"),
        ),
        (
            "another byte",
            vec![Fault::Corrupt(0)],
            Comes::Error("did not answer as an API does|names no build"),
        ),
    ]
}

#[test]
fn every_fault_of_a_question_ends_in_its_answer_or_in_the_right_error() {
    for (question, path) in PLACES {
        for (case, faults, comes) in faults() {
            let case = format!("{case}, {path}");
            let world = world();
            world.server.fail(path, &faults);
            let ask = || runtime().block_on(world.source().answer(&question));
            match comes {
                Comes::Answer => {
                    ask().unwrap_or_else(|error| panic!("{case}: {}", chain(&error)));
                }
                Comes::Error(says) => {
                    let error = ask().expect_err(&case);
                    let said = chain(&error);
                    let expected = says.split('|').any(|says| said.contains(says));
                    assert!(expected, "{case}: {said}");
                    world.server.mend(path);
                    ask().unwrap_or_else(|error| panic!("{case}: {}", chain(&error)));
                }
            }
        }
    }
}

#[test]
fn the_answers_without_a_fault_are_those_of_the_server() {
    let world = world();
    let ask = |question| {
        let answer = runtime().block_on(world.source().answer(&question));
        answer.expect("an answer")
    };
    let Answer::Stable { release, tag } = ask(Question::NewestStable) else {
        panic!("another kind of answer");
    };
    assert_eq!((release.as_deref(), tag), (Some("v0.9.0"), Tag::new(BUILD)));
    let Answer::Assets(listed) = ask(Question::Assets(tag)) else {
        panic!("another kind of answer");
    };
    assert_eq!(
        listed.assets[0].digest,
        Some(world.binary.archives[0].digest)
    );
    assert!(!listed.uploading);
}
