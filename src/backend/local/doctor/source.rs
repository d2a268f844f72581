//! Asks the release source whether it is there, and how many requests it still answers.

use std::time::Duration;

use jiff::Timestamp;

use crate::doctor::facts::{Failure, FailureKind, Quota, Reach, Source, SourceKind};
use crate::history::chain;
use crate::manifest;
use crate::release::Archive;
use crate::release::github::GitHub;
use crate::release::source::{Network, Patience, SourceError};
use crate::root::Root;

/// How long an answer may take: somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the source said the time was, and what it was here.
type Times = (Timestamp, Timestamp);

/// Looks at the source a manifest names.
pub(super) async fn look(
    source: &manifest::Source,
    root: Option<&Root>,
    offline: bool,
) -> (Source, Option<Times>) {
    if let (Some(folder), Some(root)) = (&source.directory, root) {
        let path = root.path().join(folder);
        let archives = archives(&path).map_err(|error| format!("cannot be read: {error}"));
        let kind = SourceKind::Directory {
            path: folder.clone(),
            archives,
        };
        return (Source { kind, mirror: None }, None);
    }
    let network = Network {
        offline,
        patience: Patience {
            connect: PATIENCE,
            idle: PATIENCE,
            ..Patience::default()
        },
        cache: None,
    };
    let github = GitHub::new(source, network);
    let (token, variables) = github.token_from();
    let mut times = None;
    let asking = async {
        if offline {
            return Reach::NotAsked("the network may not be used (`--offline`)".to_owned());
        }
        match tokio::time::timeout(PATIENCE, github.knock()).await {
            Err(_) => silent(),
            Ok(Err(error)) => Reach::Failed(failure(&error)),
            Ok(Ok(knock)) => {
                times = knock.date;
                let quota = knock.limit.zip(knock.left);
                Reach::Answered {
                    quota: quota.map(|(limit, left)| Quota {
                        limit,
                        left,
                        reset: knock.reset,
                    }),
                }
            }
        }
    };
    let at_mirror = async {
        let url = source.mirror.as_ref()?;
        let reach = if offline {
            Reach::NotAsked("the network may not be used (`--offline`)".to_owned())
        } else {
            match tokio::time::timeout(PATIENCE, github.knock_at_downloads()).await {
                Err(_) => silent(),
                Ok(Err(error)) => Reach::Failed(failure(&error)),
                Ok(Ok(())) => Reach::Answered { quota: None },
            }
        };
        Some((crate::release::shown(url), reach))
    };
    let (reach, mirror) = tokio::join!(asking, at_mirror);
    let kind = SourceKind::Api {
        url: github.api(),
        token,
        variables,
        reach,
    };
    (Source { kind, mirror }, times)
}

fn silent() -> Reach {
    Reach::Failed(Failure {
        kind: FailureKind::Unreachable,
        why: format!("did not answer within {} s", PATIENCE.as_secs()),
        fix: Some("check the network and the proxy variables".to_owned()),
    })
}

fn failure(error: &SourceError) -> Failure {
    let kind = match error {
        SourceError::RateLimited { .. } => FailureKind::Limited,
        SourceError::Refused {
            token_from: Some(_),
            ..
        } => FailureKind::Token,
        SourceError::BadToken { .. } => FailureKind::BadToken,
        error if error.is_transient() => FailureKind::Unreachable,
        _ => FailureKind::Wrong,
    };
    let why = match error {
        // Of the client's own words the last one says what it is.
        SourceError::Unreachable { source, .. } => {
            format!("is out of reach: {}", last_cause(source))
        }
        error => chain(error),
    };
    Failure {
        kind,
        why,
        fix: error.hint(),
    }
}

fn last_cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// How many archives lie in a folder.
fn archives(folder: &camino::Utf8Path) -> std::io::Result<usize> {
    let mut count = 0;
    for entry in folder.read_dir_utf8()? {
        count += usize::from(Archive::of(entry?.file_name()).is_some());
    }
    Ok(count)
}
