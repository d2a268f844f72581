//! A token goes to the API, and nowhere else.

use super::*;

const SECRET: &str = "ghp_not-to-be-told";

/// A source whose token stands in this variable.
fn with_token(api: &Url) -> GitHub {
    let mut source = source(api);
    source.token_env = "OUR_TOKEN".to_owned();
    GitHub::with_environment(&source, quick(), |name| {
        (name == "OUR_TOKEN").then(|| format!(" {SECRET}\n"))
    })
}

fn tokens(server: &Server) -> Vec<Option<String>> {
    let token = |asked: super::super::server::Asked| {
        let mut lines = asked.headers.into_iter();
        lines.find(|line| line.starts_with("authorization"))
    };
    server.asked().into_iter().map(token).collect()
}

#[test]
fn the_api_gets_the_token_and_a_download_does_not() {
    let server = Server::start([
        (LATEST, Reply::json(fixtures::text("v0.6.0"))),
        (NAMED, Reply::file("b11429\n")),
        (ARCHIVE, Reply::file("archive")),
    ]);
    let github = with_token(&server.url);
    run(github.answer(&Question::NewestStable)).expect("an answer");
    fetch(&github, &archive()).expect("an archive");
    let sent = Some(format!("authorization: bearer {SECRET}"));
    assert_eq!(tokens(&server), [sent, None, None]);
}

#[test]
fn a_redirect_of_the_api_to_another_host_is_not_followed_with_the_token() {
    let stranger = Server::start([("/x", Reply::json(fixtures::text("b11429")))]);
    // The same machine by another name, which the manifest names as well.
    let there = stranger.url.as_str().replace("127.0.0.1", "localhost");
    let server = Server::start([(B11429, Reply::redirect(&format!("{there}x")))]);
    let mut configured = source(&server.url);
    configured.token_env = "OUR_TOKEN".to_owned();
    configured.mirror = Some(there.parse().expect("a URL"));
    let github = GitHub::with_environment(&configured, quick(), |_| Some(SECRET.to_owned()));
    run(github.answer(&Question::Assets(Tag::new(11429)))).expect("an answer");
    assert_eq!(tokens(&server).len(), 1);
    assert!(tokens(&server)[0].is_some());
    assert_eq!(tokens(&stranger), [None]);
}

#[test]
fn a_refused_token_is_named_and_never_printed() {
    for reply in [
        Reply::new(401, "application/json", "{}"),
        Reply::new(403, "application/json", "{}"),
        Reply::new(403, "application/json", "{}").with("x-ratelimit-remaining", "0"),
        Reply::new(429, "application/json", "{}"),
    ] {
        let server = Server::start([(B11429, reply)]);
        let github = with_token(&server.url);
        let error =
            run(github.answer(&Question::Assets(Tag::new(11429)))).expect_err("it is refused");
        let hint = error.hint().expect("a hint");
        assert!(hint.contains("`OUR_TOKEN`"), "{hint}");
        let all = format!("{error} {error:?} {hint} {github:?}");
        assert!(!all.contains("not-to-be-told"), "{all}");
    }
}

#[test]
fn a_token_that_no_header_can_carry_is_named_and_nothing_is_asked() {
    let server = Server::start([(B11429, Reply::json(fixtures::text("b11429")))]);
    let mut source = source(&server.url);
    source.token_env = "OUR_TOKEN".to_owned();
    let github = GitHub::with_environment(&source, quick(), |_| {
        Some(format!("{SECRET}\n# of last year\n"))
    });
    let error = run(github.answer(&Question::Assets(Tag::new(11429)))).expect_err("not sent");
    assert_eq!(
        error.to_string(),
        "the token of `OUR_TOKEN` cannot be sent: it contains characters no header may have"
    );
    assert!(!error.is_transient());
    assert!(error.hint().expect("a hint").contains("`OUR_TOKEN`"));
    assert!(!format!("{error:?}").contains("not-to-be-told"));
    assert!(server.asked().is_empty());
}

/// A token of github.com is for github.com: another API gets the variable that is named for it.
#[test]
fn only_githubs_own_api_gets_a_variable_nobody_named() {
    let token = |api: &str, token_env: &str| {
        let mut source = source(&api.parse().expect("a URL"));
        source.token_env = token_env.to_owned();
        let github = GitHub::with_environment(&source, quick(), |name| {
            ["GITHUB_TOKEN", "GH_TOKEN", "OUR_TOKEN"]
                .contains(&name)
                .then(|| SECRET.to_owned())
        });
        github.token().map(|token| token.from)
    };
    let github = "https://api.github.com";
    let other = "https://ghe.example/api/v3";
    assert_eq!(
        token(github, "GITHUB_TOKEN").as_deref(),
        Some("GITHUB_TOKEN")
    );
    assert_eq!(token(github, "UNSET").as_deref(), Some("GH_TOKEN"));
    assert_eq!(token(other, "OUR_TOKEN").as_deref(), Some("OUR_TOKEN"));
    assert_eq!(token(other, "GITHUB_TOKEN"), None);
    assert_eq!(token(other, "UNSET"), None);
}
