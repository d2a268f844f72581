//! Questions and downloads against a web server on a loopback port.

mod kept;
mod properties;
mod token;

use futures_util::StreamExt as _;

use super::server::{Reply, Server};
use super::*;
use crate::release::fixtures;

const LATEST: &str = "/repos/ggml-org/llama.cpp/releases/latest";
const RECENT_PAGE: &str = "/repos/ggml-org/llama.cpp/releases?per_page=10";
const B11429: &str = "/repos/ggml-org/llama.cpp/releases/tags/b11429";
const NAMED: &str = "/ggml-org/llama.cpp/releases/download/v0.6.0/nightly-tag.txt";
const ARCHIVE: &str =
    "/ggml-org/llama.cpp/releases/download/b11429/llama-b11429-bin-ubuntu-x64.tar.gz";

fn source(api: &Url) -> Source {
    Source {
        repository: "ggml-org/llama.cpp".to_owned(),
        api: api.clone(),
        mirror: None,
        directory: None,
        token_env: "LLAMA_ORCH_TEST_NO_SUCH_TOKEN".to_owned(),
        parallel_downloads: 3,
    }
}

/// A network on which nothing is worth waiting for.
fn quick() -> Network {
    Network {
        patience: Patience {
            delay: std::time::Duration::from_millis(1),
            ..Patience::default()
        },
        ..Network::default()
    }
}

fn ask(server: &Server, question: Question) -> Result<Answer, SourceError> {
    run(GitHub::new(&source(&server.url), quick()).answer(&question))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work)
}

fn archive() -> WantedArchive {
    WantedArchive {
        name: "llama-b11429-bin-ubuntu-x64.tar.gz".to_owned(),
        size: None,
        digest: Digest::of("x"),
        origin: ArchiveOrigin::Release(Tag::new(11429)),
    }
}

/// Everything of an archive, or why not.
fn fetch(source: &GitHub, archive: &WantedArchive) -> Result<Vec<u8>, String> {
    run(async {
        match source
            .open(archive, None)
            .await
            .map_err(|error| error.to_string())?
        {
            Opened::File(path) => Err(format!("a file: {path}")),
            Opened::Stream { mut pieces, .. } => {
                let mut bytes = Vec::new();
                while let Some(piece) = pieces.next().await {
                    bytes.extend(piece.map_err(|error| error.to_string())?);
                }
                Ok(bytes)
            }
        }
    })
}

#[test]
fn the_newest_stable_release_leads_to_the_build_it_names() {
    let server = Server::start([
        (LATEST, Reply::json(fixtures::text("v0.6.0"))),
        (NAMED, Reply::file("b11429\n")),
    ]);
    let answer = ask(&server, Question::NewestStable).expect("an answer");
    let stable = Answer::Stable {
        release: Some("v0.6.0".to_owned()),
        tag: Tag::new(11429),
    };
    assert_eq!(answer, stable);
    let asked = server.asked();
    assert!(
        asked[0]
            .headers
            .iter()
            .any(|line| line.starts_with("user-agent: llama-orch/"))
    );
    assert!(
        asked[0]
            .headers
            .iter()
            .any(|line| line.starts_with("x-github-api-version: "))
    );
}

#[test]
fn a_mirror_that_still_calls_a_build_stable_is_understood() {
    let server = Server::start([(LATEST, Reply::json(fixtures::text("b7572")))]);
    let answer = ask(&server, Question::NewestStable).expect("an answer");
    let stable = Answer::Stable {
        release: None,
        tag: Tag::new(7572),
    };
    assert_eq!(answer, stable);
}

#[test]
fn a_stable_release_that_names_no_build_says_what_it_names() {
    let tags = "/repos/ggml-org/llama.cpp/releases/tags/v0.6.0";
    let question = Question::TagOf("v0.6.0".parse().expect("a version"));
    for (text, wanted) in [
        ("latest", "`latest` is not a build tag"),
        ("", "`` is not a build tag"),
        ("b1b1", "is not a build tag"),
    ] {
        let server = Server::start([
            (tags, Reply::json(fixtures::text("v0.6.0"))),
            (NAMED, Reply::file(text)),
        ]);
        let error = ask(&server, question).expect_err(text);
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let server = Server::start([(tags, Reply::json(r#"{"tag_name":"v0.6.0","assets":[]}"#))]);
    let error = ask(&server, question).expect_err("no such file");
    assert!(matches!(error, SourceError::NamesNoBuild { .. }), "{error}");

    let server = Server::start([
        (tags, Reply::json(fixtures::text("v0.6.0"))),
        (NAMED, Reply::file(vec![b'b'; 100_000])),
    ]);
    let error = ask(&server, question).expect_err("far too long");
    assert!(matches!(error, SourceError::NotAnApi { .. }), "{error}");
}

#[test]
fn a_builds_files_come_with_their_digests() {
    let server = Server::start([(B11429, Reply::json(fixtures::text("b11429")))]);
    let answer = ask(&server, Question::Assets(Tag::new(11429))).expect("an answer");
    let release = Release {
        tag: Tag::new(11429),
        assets: fixtures::assets("b11429"),
        uploading: false,
        published: None,
    };
    assert_eq!(answer, Answer::Assets(release));
}

#[test]
fn what_stands_behind_the_question_mark_is_sent_and_not_told() {
    let server = Server::start([]);
    let url = format!("{}own.tar.gz?token=secret", server.url);
    let archive = WantedArchive {
        origin: ArchiveOrigin::Url(url.parse().expect("a URL")),
        ..archive()
    };
    let github = GitHub::new(&source(&server.url), quick());
    let told = fetch(&github, &archive).expect_err("there is none");
    assert!(
        told.contains("own.tar.gz") && !told.contains("secret"),
        "{told}"
    );
    assert_eq!(server.asked()[0].path, "/own.tar.gz?token=secret");
    assert_eq!(
        github.location(&archive),
        format!("{}own.tar.gz", server.url)
    );
}

#[test]
fn where_nothing_is_stable_another_version_is_hinted_at() {
    let server = Server::start([]);
    let error = ask(&server, Question::NewestStable).expect_err("there is none");
    assert_eq!(
        error.to_string(),
        format!(
            "there is no stable release at `{}{}`",
            server.url,
            &LATEST[1..]
        )
    );
    let hint = error.hint().expect("a hint");
    assert!(
        hint.contains("`nightly`") && !hint.contains("binary latest"),
        "{hint}"
    );

    let error = ask(&server, Question::Assets(Tag::new(11429))).expect_err("there is none");
    assert!(error.hint().expect("a hint").contains("binary latest"));
}

#[test]
fn a_file_that_is_still_being_uploaded_is_not_there() {
    let text = r#"{"tag_name":"b11429","assets":[
        {"name":"a.zip","size":1,"state":"uploaded","digest":null},
        {"name":"b.zip","size":0,"state":"starter"}]}"#;
    let server = Server::start([(B11429, Reply::json(text))]);
    let answer = ask(&server, Question::Assets(Tag::new(11429))).expect("an answer");
    let there = Asset {
        name: "a.zip".to_owned(),
        size: 1,
        digest: None,
    };
    let release = Release {
        tag: Tag::new(11429),
        assets: vec![there],
        uploading: true,
        published: None,
    };
    assert_eq!(answer, Answer::Assets(release));
}

#[test]
fn the_recent_builds_are_listed_newest_first_without_stable_releases() {
    let server = Server::start([(RECENT_PAGE, Reply::json(fixtures::text("recent")))]);
    let Ok(Answer::Releases(releases)) = ask(&server, Question::Recent) else {
        panic!("no list of releases");
    };
    let tags: Vec<String> = releases
        .iter()
        .map(|release| release.tag.to_string())
        .collect();
    assert_eq!(tags, ["b11429", "b11027", "b10883"]);
    assert_eq!(releases[1].assets, []);
}

#[test]
fn each_kind_of_refusal_says_what_it_is_and_what_helps() {
    let question = Question::Assets(Tag::new(11429));
    let replies = [
        Reply::new(404, "application/json", "{}"),
        Reply::new(403, "application/json", "{}")
            .with("x-ratelimit-remaining", "0")
            .with("x-ratelimit-reset", "4102444800"),
        Reply::new(429, "application/json", "{}"),
        Reply::new(403, "application/json", "{}"),
        Reply::new(
            403,
            "application/json",
            "{\"message\":\"You have exceeded a secondary rate limit.\"}",
        )
        .with("x-ratelimit-remaining", "4000")
        .with("x-ratelimit-reset", "4102444800"),
        Reply::new(429, "application/json", "{}")
            .with("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT"),
        Reply::new(401, "application/json", "{}"),
        Reply::new(502, "text/html", "<html>"),
        Reply::new(200, "text/html", "<html>login</html>"),
        Reply::json("{\"tag_name\":7}"),
        Reply::json("{"),
        Reply::json("{\"tag_name\":\"b11429\"}").cut_after(5),
    ];
    let told: Vec<String> = replies
        .into_iter()
        .map(|reply| {
            let server = Server::start([(B11429, reply)]);
            let error = ask(&server, question).expect_err("refused");
            let text = error
                .to_string()
                .replace(server.url.as_str(), "http://host/");
            let hint = error.hint().unwrap_or_default();
            format!(
                "{text}\n  transient: {}, hint: {hint}",
                error.is_transient()
            )
        })
        .collect();
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"before \d\d:\d\d:\d\d", "before [time]");
    settings.bind(|| insta::assert_snapshot!(told.join("\n"), @r#"
    there is no release `b11429` at `http://host/repos/ggml-org/llama.cpp/releases/tags/b11429`
      transient: false, hint: check the version: `llama-orch binary latest` shows the newest builds, `llama-orch plan` what each instance is pinned to
    `127.0.0.1` answers no more requests before [time] (its rate limit)
      transient: true, hint: wait until then, or put a token into `LLAMA_ORCH_TEST_NO_SUCH_TOKEN` (no scope is needed); what is locked and installed goes on as it is, and a folder in `source.directory` needs no API
    `127.0.0.1` answers no more requests for now (its rate limit)
      transient: true, hint: wait a minute, or put a token into `LLAMA_ORCH_TEST_NO_SUCH_TOKEN` (no scope is needed); what is locked and installed goes on as it is, and a folder in `source.directory` needs no API
    `http://host/repos/ggml-org/llama.cpp/releases/tags/b11429` refused the request with status 403
      transient: false, hint: check `source.repository` and `source.api` in `orchestrator.yaml`
    `127.0.0.1` answers no more requests for now (its rate limit)
      transient: true, hint: wait a minute, or put a token into `LLAMA_ORCH_TEST_NO_SUCH_TOKEN` (no scope is needed); what is locked and installed goes on as it is, and a folder in `source.directory` needs no API
    `127.0.0.1` answers no more requests before [time] (its rate limit)
      transient: true, hint: wait until then, or put a token into `LLAMA_ORCH_TEST_NO_SUCH_TOKEN` (no scope is needed); what is locked and installed goes on as it is, and a folder in `source.directory` needs no API
    `http://host/repos/ggml-org/llama.cpp/releases/tags/b11429` refused the request with status 401
      transient: false, hint: check `source.repository` and `source.api` in `orchestrator.yaml`
    `http://host/repos/ggml-org/llama.cpp/releases/tags/b11429` answered with status 502
      transient: true, hint: run `llama-orch plan` again later
    `http://host/repos/ggml-org/llama.cpp/releases/tags/b11429` did not answer as an API does: it sent `text/html` in place of JSON
      transient: false, hint: a login page or a proxy may have answered; check `source.api` in `orchestrator.yaml`
    `http://host/repos/ggml-org/llama.cpp/releases/tags/b11429` did not answer as an API does: invalid type: integer `7`, expected a string at line 1 column 13
      transient: false, hint: a login page or a proxy may have answered; check `source.api` in `orchestrator.yaml`
    `http://host/repos/ggml-org/llama.cpp/releases/tags/b11429` did not answer as an API does: EOF while parsing an object at line 1 column 1
      transient: false, hint: a login page or a proxy may have answered; check `source.api` in `orchestrator.yaml`
    cannot reach `http://host/repos/ggml-org/llama.cpp/releases/tags/b11429`
      transient: true, hint: check the network and the proxy variables; `source.directory` in `orchestrator.yaml` needs no network, and a lock that covers the manifest needs no API
    "#));
}

#[test]
fn a_question_is_asked_again_some_times_and_not_for_ever() {
    let question = Question::Assets(Tag::new(11429));
    let down = Reply::new(503, "text/plain", "");
    let server = Server::start([
        (B11429, down.clone()),
        (B11429, down.clone()),
        (B11429, Reply::json(fixtures::text("b11429"))),
    ]);
    ask(&server, question).expect("the third time");
    let server = Server::start([(B11429, down)]);
    ask(&server, question).expect_err("never");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_time_that_is_near_is_waited_for_and_one_that_is_far_is_not() {
    let question = Question::Assets(Tag::new(11429));
    let limited =
        |name: &str, value: &str| Reply::new(429, "application/json", "{}").with(name, value);
    for (name, value) in [
        ("retry-after", "0"),
        ("retry-after", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("x-ratelimit-reset", "1767225600"),
    ] {
        let server = Server::start([
            (B11429, limited(name, value)),
            (B11429, Reply::json(fixtures::text("b11429"))),
        ]);
        ask(&server, question).unwrap_or_else(|error| panic!("{name}: {value}: {error}"));
    }
    for (name, value) in [
        ("retry-after", "600"),
        ("retry-after", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ("retry-after", "soon"),
        ("x-ratelimit-reset", "4102444800"),
    ] {
        let server = Server::start([(B11429, limited(name, value))]);
        ask(&server, question).expect_err(value);
        assert_eq!(server.asked().len(), 1, "{name}: {value}");
    }
}

/// A release comes first, its files one by one.
#[test]
fn a_release_may_get_files_while_it_is_young() {
    let now = Timestamp::now();
    let minutes = |minutes| (now - SignedDuration::from_mins(minutes)).to_string();
    for (published, uploading) in [
        (minutes(5), true),
        (minutes(50), true),
        (minutes(70), false),
        (minutes(-5), true),
        (minutes(-100_000), false),
        ("lately".to_owned(), false),
    ] {
        let text = format!(r#"{{"tag_name":"b11429","published_at":"{published}","assets":[]}}"#);
        let server = Server::start([(B11429, Reply::json(text))]);
        let Ok(Answer::Assets(release)) = ask(&server, Question::Assets(Tag::new(11429))) else {
            panic!("no release");
        };
        assert_eq!(release.uploading, uploading, "{published}");
    }
}

#[test]
fn nobody_listening_is_transient_and_named() {
    let url = {
        let server = Server::start([]);
        server.url.clone()
    };
    let error =
        run(GitHub::new(&source(&url), quick()).answer(&Question::Recent)).expect_err("nobody");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    let unanswered = crate::desired::Unanswered::from(error);
    let crate::desired::Unanswered::Source {
        why,
        hint,
        unreachable,
    } = unanswered
    else {
        panic!("another kind");
    };
    assert!(unreachable);
    assert!(why.contains(url.as_str()), "{why}");
    assert!(hint.is_some());
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    let url = "http://192.0.2.1/".parse().expect("a URL");
    let error =
        run(GitHub::new(&source(&url), quick()).answer(&Question::Recent)).expect_err("refused");
    assert!(matches!(error, SourceError::Insecure { .. }), "{error}");
}

#[test]
fn a_download_takes_the_path_of_the_release_as_it_is() {
    let server = Server::start([(ARCHIVE, Reply::file("archive"))]);
    let github = GitHub::new(&source(&server.url), quick());
    assert_eq!(fetch(&github, &archive()), Ok(b"archive".to_vec()));
    let asked = &server.asked()[0];
    assert!(
        asked
            .headers
            .contains(&"accept-encoding: identity".to_owned()),
        "{asked:?}"
    );
}

#[test]
fn a_download_may_be_sent_on_by_the_host_that_was_asked_and_to_no_stranger() {
    let server = Server::start([
        (ARCHIVE, Reply::redirect("/elsewhere?signed=1")),
        ("/elsewhere?signed=1", Reply::file("archive")),
    ]);
    let github = GitHub::new(&source(&server.url), quick());
    assert_eq!(fetch(&github, &archive()), Ok(b"archive".to_vec()));

    let stranger = Server::start([("/x", Reply::file("evil"))]);
    let there = stranger.url.as_str().replace("127.0.0.1", "localhost");
    let server = Server::start([(ARCHIVE, Reply::redirect(&format!("{there}x")))]);
    let error =
        fetch(&GitHub::new(&source(&server.url), quick()), &archive()).expect_err("a stranger");
    assert!(
        error.ends_with("leads to the host `localhost`, which is not configured"),
        "{error}"
    );
    assert_eq!(stranger.asked().len(), 0);
}

#[test]
fn a_redirect_to_plain_http_and_one_without_end_are_refused() {
    let server = Server::start([(ARCHIVE, Reply::redirect("http://github.com/x"))]);
    let error =
        fetch(&GitHub::new(&source(&server.url), quick()), &archive()).expect_err("refused");
    assert!(error.contains("is not https"), "{error}");

    let server = Server::start([(ARCHIVE, Reply::redirect(ARCHIVE))]);
    fetch(&GitHub::new(&source(&server.url), quick()), &archive()).expect_err("refused");
    assert!(server.asked().len() < 10);
}

#[test]
fn a_page_in_place_of_an_archive_is_refused() {
    let server = Server::start([(ARCHIVE, Reply::new(200, "text/html", "<html>"))]);
    let error = fetch(&GitHub::new(&source(&server.url), quick()), &archive()).expect_err("a page");
    assert!(error.contains("web page"), "{error}");
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_not_an_end() {
    let server = Server::start([(ARCHIVE, Reply::file(vec![0; 50_000]).cut_after(20_000))]);
    fetch(&GitHub::new(&source(&server.url), quick()), &archive()).expect_err("cut");
}

#[test]
fn downloads_lie_where_the_configuration_says() {
    let url = |api: &str, mirror: Option<&str>| {
        let mut source = source(&api.parse().expect("a URL"));
        source.mirror = mirror.map(|mirror| mirror.parse().expect("a URL"));
        let mut archive = archive();
        archive.name = "x.zip".to_owned();
        GitHub::new(&source, quick()).location(&archive)
    };
    let table = [
        url("https://api.github.com", None),
        url("https://ghe.example/api/v3", None),
        url("https://ghe.example:8443/api/v3/", None),
        url("https://api.octo.ghe.com", None),
        url("https://api.example.org", None),
        url(
            "https://api.github.com",
            Some("https://mirror.example/llama.cpp"),
        ),
        url(
            "https://api.github.com",
            Some("https://mirror.example/llama.cpp/"),
        ),
    ];
    insta::assert_snapshot!(table.join("\n"), @r#"
    https://github.com/ggml-org/llama.cpp/releases/download/b11429/x.zip
    https://ghe.example/ggml-org/llama.cpp/releases/download/b11429/x.zip
    https://ghe.example:8443/ggml-org/llama.cpp/releases/download/b11429/x.zip
    https://octo.ghe.com/ggml-org/llama.cpp/releases/download/b11429/x.zip
    https://api.example.org/ggml-org/llama.cpp/releases/download/b11429/x.zip
    https://mirror.example/llama.cpp/releases/download/b11429/x.zip
    https://mirror.example/llama.cpp/releases/download/b11429/x.zip
    "#);
}

#[test]
fn an_archive_of_a_persons_own_may_come_from_anywhere_secure() {
    let server = Server::start([("/own.tar.gz", Reply::file("own"))]);
    let mut wanted = archive();
    wanted.origin = ArchiveOrigin::Url(server.url.join("own.tar.gz").expect("a URL"));
    let github = GitHub::new(
        &source(&"https://api.github.com".parse().expect("a URL")),
        quick(),
    );
    assert_eq!(fetch(&github, &wanted), Ok(b"own".to_vec()));
}

#[test]
fn what_helps_against_a_strange_host_depends_on_whose_url_led_there() {
    let server = Server::start([
        (ARCHIVE, Reply::redirect("https://cdn.example/x")),
        ("/own.tar.gz", Reply::redirect("https://cdn.example/x")),
    ]);
    let github = GitHub::new(&source(&server.url), quick());
    let mut own = archive();
    own.origin = ArchiveOrigin::Url(server.url.join("own.tar.gz").expect("a URL"));
    let hints = [archive(), own].map(|archive| {
        let Err(error) = run(github.open(&archive, None)) else {
            panic!("it was opened");
        };
        assert!(matches!(error, SourceError::ForeignHost { .. }), "{error}");
        error.hint().expect("a hint")
    });
    assert_eq!(
        hints,
        [
            "if `cdn.example` is to be trusted, name it in `source.mirror` in `orchestrator.yaml`",
            "if `cdn.example` is to be trusted, write the URL it leads to in place of this one",
        ]
    );
}

#[test]
fn a_source_that_is_asked_nothing_builds_no_client() {
    let github = GitHub::new(
        &source(&"https://api.github.com".parse().expect("a URL")),
        quick(),
    );
    assert!(
        format!("{github:?}").contains("client: OnceLock(<uninit>)"),
        "{github:?}"
    );
}
