//! Answers that are kept: when nothing is asked, and when it is asked whether they still hold.

#![expect(
    clippy::disallowed_methods,
    reason = "does to the cache what time and accidents do"
)]

use camino::Utf8PathBuf;
use tempfile::TempDir;

use super::*;

/// A root's cache.
struct Kept {
    _folder: TempDir,
    cache: Utf8PathBuf,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).expect("UTF-8");
        Self {
            cache: path.join("cache"),
            _folder: folder,
        }
    }

    fn network(&self) -> Network {
        Network {
            cache: Some(self.cache.clone()),
            ..quick()
        }
    }

    fn ask(&self, server: &Server, question: Question) -> Result<Answer, SourceError> {
        run(GitHub::new(&source(&server.url), self.network()).answer(&question))
    }

    fn ask_as(&self, server: &Server, token: fn(&str) -> Option<String>) {
        let github = GitHub::with_environment(&source(&server.url), self.network(), token);
        run(github.answer(&ASSETS)).expect("an answer");
    }

    fn ask_offline(&self, server: &Server, question: Question) -> Result<Answer, SourceError> {
        let network = Network {
            offline: true,
            ..self.network()
        };
        run(GitHub::new(&source(&server.url), network).answer(&question))
    }

    fn files(&self) -> Vec<Utf8PathBuf> {
        let Ok(entries) = self.cache.join("api").read_dir_utf8() else {
            return Vec::new();
        };
        let paths = entries.map(|entry| entry.expect("an entry").into_path());
        paths
            .filter(|path| path.extension() == Some("json"))
            .collect()
    }

    /// Lets this many minutes go by since everything was fetched.
    fn age(&self, minutes: i64) {
        for path in self.files() {
            let text = std::fs::read_to_string(&path).expect("readable");
            let mut kept: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let fetched: Timestamp = kept["fetched"]
                .as_str()
                .and_then(|text| text.parse().ok())
                .expect("a time");
            let earlier = fetched - SignedDuration::from_mins(minutes);
            kept["fetched"] = earlier.to_string().into();
            std::fs::write(&path, kept.to_string()).expect("writable");
        }
    }

    fn spoil(&self, content: &str) {
        for path in self.files() {
            std::fs::write(path, content).expect("writable");
        }
    }
}

const ASSETS: Question = Question::Assets(Tag::new(11429));

fn publishing() -> Server {
    let reply = Reply::json(fixtures::text("b11429")).with("etag", "\"one\"");
    Server::start([(B11429, reply)])
}

#[test]
fn an_answer_holds_for_some_minutes() {
    let (kept, server) = (Kept::new(), publishing());
    let first = kept.ask(&server, ASSETS).expect("an answer");
    for minutes in [0, 5, 4] {
        kept.age(minutes);
        assert_eq!(kept.ask(&server, ASSETS).expect("an answer"), first);
    }
    assert_eq!(server.asked().len(), 1);
    kept.age(2);
    assert_eq!(kept.ask(&server, ASSETS).expect("an answer"), first);
    assert_eq!(server.asked().len(), 2);
    // A clock that was wrong must not make it hold for ever.
    kept.age(-60);
    kept.ask(&server, ASSETS).expect("an answer");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn an_old_answer_that_still_holds_is_not_sent_again() {
    let kept = Kept::new();
    let server = Server::start([
        (
            B11429,
            Reply::json(fixtures::text("b11429")).with("etag", "W/\"one\""),
        ),
        (B11429, Reply::new(304, "application/json", "")),
    ]);
    let first = kept.ask(&server, ASSETS).expect("an answer");
    kept.age(60);
    assert_eq!(kept.ask(&server, ASSETS).expect("an answer"), first);
    let asked = server.asked();
    let condition = "if-none-match: w/\"one\"".to_owned();
    assert!(!asked[0].headers.contains(&condition));
    assert!(asked[1].headers.contains(&condition), "{asked:?}");
    // From then on it is as good as new.
    assert_eq!(kept.ask(&server, ASSETS).expect("an answer"), first);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_release_that_is_being_uploaded_is_looked_at_again_soon() {
    let kept = Kept::new();
    let young = Timestamp::now() - SignedDuration::from_mins(10);
    let text = format!(r#"{{"tag_name":"b11429","published_at":"{young}","assets":[]}}"#);
    let server = Server::start([
        (B11429, Reply::json(text)),
        (B11429, Reply::json(fixtures::text("b11429"))),
    ]);
    kept.ask(&server, ASSETS).expect("an answer");
    kept.ask(&server, ASSETS).expect("an answer");
    assert_eq!(server.asked().len(), 1);
    kept.age(2);
    let Ok(Answer::Assets(release)) = kept.ask(&server, ASSETS) else {
        panic!("no release");
    };
    assert!(!release.assets.is_empty());
}

#[test]
fn with_a_token_an_answer_is_asked_after_soon_and_belongs_to_it_alone() {
    let (kept, server) = (Kept::new(), publishing());
    let one = |_: &str| Some("one-secret".to_owned());
    let other = |_: &str| Some("other-secret".to_owned());
    kept.ask_as(&server, one);
    kept.ask_as(&server, one);
    assert_eq!(server.asked().len(), 1);
    kept.ask_as(&server, other);
    kept.ask_as(&server, |_| None);
    assert_eq!(server.asked().len(), 3);
    kept.age(2);
    kept.ask_as(&server, one);
    kept.ask_as(&server, |_| None);
    assert_eq!(server.asked().len(), 4);
    for path in kept.cache.join("api").read_dir_utf8().expect("a folder") {
        let path = path.expect("an entry").into_path();
        let text = std::fs::read_to_string(&path).expect("readable");
        assert!(!format!("{path} {text}").contains("-secret"), "{path}");
    }
}

#[test]
fn the_build_a_stable_release_names_is_fetched_once() {
    let kept = Kept::new();
    let server = Server::start([
        (LATEST, Reply::json(fixtures::text("v0.6.0"))),
        (NAMED, Reply::file("<html>busy</html>")),
        (NAMED, Reply::file("b11429\n")),
    ]);
    kept.ask(&server, Question::NewestStable)
        .expect_err("what is no tag is not kept");
    kept.ask(&server, Question::NewestStable).expect("a build");
    kept.age(60 * 24);
    kept.ask(&server, Question::NewestStable).expect("a build");
    let named = server.asked();
    let named = named.iter().filter(|asked| asked.path == NAMED);
    assert_eq!(named.count(), 2);
}

#[test]
fn a_refusal_is_not_kept() {
    let kept = Kept::new();
    let server = Server::start([
        (B11429, Reply::new(404, "application/json", "{}")),
        (B11429, Reply::json(fixtures::text("b11429"))),
    ]);
    kept.ask(&server, ASSETS).expect_err("not yet");
    kept.ask(&server, ASSETS).expect("now");
}

#[test]
fn without_the_network_an_answer_of_any_age_will_do_and_nobody_is_asked() {
    let (kept, server) = (Kept::new(), publishing());
    let online = kept.ask(&server, ASSETS).expect("an answer");
    kept.age(60 * 24 * 90);
    assert_eq!(kept.ask_offline(&server, ASSETS).expect("kept"), online);
    let error = kept
        .ask_offline(&server, Question::Recent)
        .expect_err("never asked");
    assert!(matches!(error, SourceError::Offline { .. }), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--offline")));
    let github = GitHub::new(
        &source(&server.url),
        Network {
            offline: true,
            ..kept.network()
        },
    );
    let Err(error) = run(github.open(&archive(), None)) else {
        panic!("it was opened");
    };
    let SourceError::OfflineFile { url, name } = &error else {
        panic!("{error}");
    };
    assert!(url.ends_with(ARCHIVE), "{url}");
    assert_eq!(name, "llama-b11429-bin-ubuntu-x64.tar.gz");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_cannot_be_read_is_asked_again() {
    let (kept, server) = (Kept::new(), publishing());
    let first = kept.ask(&server, ASSETS).expect("an answer");
    for (number, content) in ["", "{", "[]", "{\"schema\":2}", "{\"schema\":1,\"body\":7}"]
        .into_iter()
        .enumerate()
    {
        kept.spoil(content);
        assert_eq!(kept.ask(&server, ASSETS).expect("an answer"), first);
        assert_eq!(server.asked().len(), number + 2, "{content}");
    }
}

#[test]
fn a_place_that_cannot_be_written_costs_nothing_but_requests() {
    let (kept, server) = (Kept::new(), publishing());
    std::fs::write(&kept.cache, "a file in the way").expect("writable");
    kept.ask(&server, ASSETS).expect("an answer");
    kept.ask(&server, ASSETS).expect("an answer");
    assert_eq!(server.asked().len(), 2);

    // What lies above is not created: somebody may have moved the root away.
    let gone = Network {
        cache: Some(kept.cache.with_file_name("gone").join("cache")),
        ..quick()
    };
    run(GitHub::new(&source(&server.url), gone.clone()).answer(&ASSETS)).expect("an answer");
    assert!(!kept.cache.with_file_name("gone").exists());
}

#[test]
fn the_oldest_answers_go_when_there_are_too_many() {
    let (kept, server) = (Kept::new(), publishing());
    let folder = kept.cache.join("api");
    std::fs::create_dir_all(&folder).expect("a folder");
    for number in 0..250 {
        std::fs::write(folder.join(format!("{number:03}.json")), "{}").expect("writable");
    }
    kept.ask(&server, ASSETS).expect("an answer");
    assert_eq!(kept.files().len(), 200);
    kept.ask(&server, ASSETS).expect("an answer");
    assert_eq!(server.asked().len(), 1, "the newest one stays");
}
