//! What git says and where it fetches from, fit to be shown: without credentials, in one line.

/// The most characters of git's words that are shown.
const LENGTH: usize = 300;
/// What stands for a secret.
const HIDDEN: &str = "***";
/// What stands for no words at all.
pub(super) const NOTHING: &str = "it says nothing";

/// A remote's address without what lets somebody in.
pub(super) fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let rest = match user_end(rest) {
        Some(end) => &rest[end..],
        None => rest,
    };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    format!("{scheme}://{rest}")
}

/// What of an address lets somebody in, to be found in other words as well.
pub(super) fn secrets(address: &str) -> Vec<String> {
    let Some((_, rest)) = address.split_once("://") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(end) = user_end(rest) {
        let user = &rest[..end - 1];
        match user.split_once(':') {
            Some((name, password)) => {
                found.push(password.to_owned());
                // A token may stand in either place.
                if name.len() >= 16 {
                    found.push(name.to_owned());
                }
            }
            None if user.len() >= 8 => found.push(user.to_owned()),
            None => {}
        }
    }
    if let Some((_, query)) = rest.split_once('?') {
        let values = query.split('&').filter_map(|pair| pair.split_once('='));
        found.extend(values.map(|(_, value)| value.to_owned()));
    }
    found.retain(|secret| secret.len() >= 3);
    found
}

/// Git's words in one line: no control characters, no advice, no credentials, not too long.
pub(super) fn one_line(words: &str, secrets: &[String]) -> String {
    let lines = words.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("hint:"));
    let joined = lines.collect::<Vec<_>>().join("; ");
    let joined = plain(&joined);
    let mut line: String = joined
        .split_inclusive(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`'))
        .map(without_credentials_at_end)
        .collect();
    for secret in secrets {
        line = line.replace(secret.as_str(), HIDDEN);
    }
    if line.chars().count() > LENGTH {
        line = line.chars().take(LENGTH).chain("...".chars()).collect();
    }
    if line.is_empty() {
        NOTHING.to_owned()
    } else {
        line
    }
}

/// A text somebody else wrote, without what a terminal would act on.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

fn without_credentials_at_end(word: &str) -> String {
    if !word.contains("://") {
        return word.to_owned();
    }
    let end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`');
    let address = word.trim_end_matches(end);
    without_credentials(address) + &word[address.len()..]
}

/// Where the host begins, in an address without its scheme, if a user stands before it.
fn user_end(rest: &str) -> Option<usize> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    if let Some(at) = authority.rfind('@') {
        return Some(at + 1);
    }
    // A password with a slash in it: what stands behind the colon is no port.
    let (_, port) = authority.split_once(':')?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port {
        return None;
    }
    rest.rfind('@').map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::{one_line, secrets, without_credentials};

    #[test]
    fn an_address_is_shown_without_what_lets_somebody_in() {
        let shown = [
            ("https://git.example/ops.git", "https://git.example/ops.git"),
            (
                "https://joe:pa55@git.example/o.git",
                "https://git.example/o.git",
            ),
            (
                "https://ghp_0123456789@git.example:8443/o",
                "https://git.example:8443/o",
            ),
            (
                "https://joe:pa/55@git.example/o.git",
                "https://git.example/o.git",
            ),
            (
                "https://joe:p@ss@git.example/o.git",
                "https://git.example/o.git",
            ),
            (
                "https://git.example/o.git?private_token=abc",
                "https://git.example/o.git",
            ),
            (
                "ssh://git@git.example:22/o.git",
                "ssh://git.example:22/o.git",
            ),
            ("git@git.example:ops/o.git", "git@git.example:ops/o.git"),
            ("/srv/git/ops.git", "/srv/git/ops.git"),
            ("https://git.example/o@v1", "https://git.example/o@v1"),
        ];
        for (address, expected) in shown {
            assert_eq!(without_credentials(address), expected);
        }
    }

    #[test]
    fn what_git_says_is_one_line_without_secrets() {
        let known = secrets("https://joe:pa55word@git.example/o.git");
        let words = "\
remote: \u{1b}[31mHello\tpa55word
hint: ask somebody
fatal: Authentication failed for 'https://joe:other@git.example/o.git/'\n";
        assert_eq!(
            one_line(words, &known),
            "remote: [31mHello***; fatal: Authentication failed for 'https://git.example/o.git/'"
        );
        assert_eq!(one_line("\n", &known), "it says nothing");
        assert!(one_line(&"x".repeat(1000), &[]).len() < 320);
    }
}
