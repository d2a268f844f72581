//! The release source: whether it can be asked, with which token, and how often still.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::facts::{Failure, FailureKind, Reach, Source, SourceKind, Wanted};
use super::{Check, Code, Examined, Finding};
use crate::observed::Seen;
use crate::plan::action::Ago;

/// So few requests are soon used up: resolving one pin takes up to three.
const FEW: u64 = 5;

pub(super) fn examine(
    source: &Source,
    wanted: Option<&Seen<Vec<Wanted>>>,
    at: Timestamp,
) -> Vec<Examined> {
    vec![token(&source.kind), reached(source, &Needs::of(wanted), at)]
}

/// The instances that cannot be had without asking somebody.
struct Needs {
    /// Something has to be known first.
    answers: Vec<String>,
    /// That, or their build is not here.
    files: Vec<String>,
}

impl Needs {
    fn of(wanted: Option<&Seen<Vec<Wanted>>>) -> Self {
        let known = wanted.and_then(Seen::known).into_iter().flatten();
        let enabled: Vec<&Wanted> = known.filter(|one| one.enabled).collect();
        let named = |is_meant: fn(&Wanted) -> bool| -> Vec<String> {
            let meant = enabled.iter().filter(|one| is_meant(one));
            meant.map(|one| format!("`{}`", one.name)).collect()
        };
        Self {
            answers: named(|one| one.unresolved),
            files: named(|one| one.unresolved || !one.installed),
        }
    }
}

fn token(source: &SourceKind) -> Examined {
    let examined = Examined::of(Check::Token);
    match source {
        SourceKind::Unknown(why) => Examined::skipped(Check::Token, why),
        SourceKind::Directory { .. } => examined.tell("none is needed for a folder"),
        SourceKind::Api {
            token, variables, ..
        } => with_token(examined, token.as_deref(), variables, source),
    }
}

fn with_token(
    mut examined: Examined,
    token: Option<&str>,
    variables: &[String],
    source: &SourceKind,
) -> Examined {
    let SourceKind::Api { reach, .. } = source else {
        return examined;
    };
    let failure = match reach {
        Reach::Failed(failure) => Some(failure),
        Reach::Answered { .. } | Reach::NotAsked(_) => None,
    };
    let Some(from) = token else {
        let looked_in: Vec<String> = variables.iter().map(|name| format!("`{name}`")).collect();
        let (first, places) = match looked_in.first() {
            Some(first) => (first.clone(), looked_in.join(" and ")),
            None => (
                "the variable of `source.token_env`".to_owned(),
                "the variable of `source.token_env`, which must not be one of github.com's"
                    .to_owned(),
            ),
        };
        examined.find(Finding::new(
            Code::NoToken,
            "",
            format!("there is none in {places}; GitHub answers 60 requests an hour without"),
            format!("put one into {first} (no scope is needed), if that is too few"),
        ));
        return examined;
    };
    let refused = failure.and_then(|failure| match failure.kind {
        FailureKind::Token => Some((Code::TokenRefused, failure)),
        FailureKind::BadToken => Some((Code::BadToken, failure)),
        FailureKind::Unreachable | FailureKind::Limited | FailureKind::Wrong => None,
    });
    if let Some((code, failure)) = refused {
        let fix = failure.fix.clone();
        let fix = fix.unwrap_or_else(|| format!("renew it, or unset `{from}`"));
        examined.find(Finding::new(code, format!("`{from}`"), &failure.why, fix));
    }
    examined.tell(format!("there is one in `{from}`"))
}

fn reached(source: &Source, needs: &Needs, at: Timestamp) -> Examined {
    let mut examined = Examined::of(Check::Source);
    let mut told = Vec::new();
    match &source.kind {
        SourceKind::Unknown(why) => examined.skip(why),
        SourceKind::Directory { path, archives } => match archives {
            Ok(0) if !needs.files.is_empty() => examined.find(unreachable(
                format!("`{path}`"),
                "has no archives",
                "put the archive of the build into it, named as upstream names it",
                &needs.files,
            )),
            Ok(count) => {
                let s = if *count == 1 { "" } else { "s" };
                told.push(format!("`{path}` has {count} archive{s}"));
            }
            Err(why) => examined.find(unreachable(
                format!("`{path}`"),
                why,
                "create it, or correct `source.directory` in orchestrator.yaml",
                &needs.files,
            )),
        },
        SourceKind::Api { url, reach, .. } => {
            // Without a mirror, downloads come from beside the API.
            let needing = match source.mirror {
                Some(_) => &needs.answers,
                None => &needs.files,
            };
            told.extend(judge(&mut examined, url, reach, needing, at));
        }
    }
    if let Some((url, reach)) = &source.mirror {
        told.extend(judge(&mut examined, url, reach, &needs.files, at));
    }
    if told.is_empty() {
        examined
    } else {
        examined.tell(told.join("; "))
    }
}

/// Judges one address; what is well is returned in words.
fn judge(
    examined: &mut Examined,
    url: &str,
    reach: &Reach,
    needing: &[String],
    at: Timestamp,
) -> Option<String> {
    match reach {
        Reach::NotAsked(why) => {
            examined.skip(format_args!("`{url}`: {why}"));
            None
        }
        Reach::Answered { quota } => {
            let Some(quota) = quota else {
                return Some(format!("`{url}` answers"));
            };
            let until = quota
                .reset
                .map_or_else(String::new, |reset| format!(" until {}", clock(reset)));
            let fix = match quota.reset {
                Some(reset) => format!(
                    "wait {}, or use a token; a lock that covers the manifest needs no request",
                    Ago(Ago::between(at, reset))
                ),
                None => "wait, or use a token; a lock that covers the manifest needs no request"
                    .to_owned(),
            };
            let left = format!("{} of {} requests are left{until}", quota.left, quota.limit);
            let code = match quota.left {
                0 => Code::QuotaUsedUp,
                few if few <= FEW => Code::QuotaLow,
                _ => return Some(format!("`{url}` answers; {left}")),
            };
            examined.find(Finding::new(code, format!("`{url}`"), left, fix));
            None
        }
        // Told beside the token.
        Reach::Failed(failure)
            if matches!(failure.kind, FailureKind::Token | FailureKind::BadToken) =>
        {
            examined.skip(format_args!("`{url}`: it wants another token"));
            None
        }
        Reach::Failed(failure) => {
            examined.find(failed(url, failure, needing));
            None
        }
    }
}

fn clock(at: Timestamp) -> String {
    let local = at.to_zoned_datetime(TimeZone::system());
    local.strftime("%H:%M:%S").to_string()
}

fn failed(url: &str, failure: &Failure, needing: &[String]) -> Finding {
    let subject = format!("`{url}`");
    let fix = failure.fix.as_deref();
    let fix = fix.unwrap_or("run `llama-orch doctor` again later");
    match failure.kind {
        FailureKind::Unreachable => unreachable(subject, &failure.why, fix, needing),
        FailureKind::Limited => Finding::new(Code::QuotaUsedUp, subject, &failure.why, fix),
        FailureKind::Token | FailureKind::BadToken | FailureKind::Wrong => {
            Finding::new(Code::SourceWrong, subject, &failure.why, fix)
        }
    }
}

fn unreachable(subject: String, why: &str, fix: &str, needing: &[String]) -> Finding {
    if needing.is_empty() {
        let what = format!("{why}; nothing has to be asked of it now");
        return Finding::new(Code::SourceUnreachable, subject, what, fix);
    }
    let what = format!("{why}; {} cannot be had without", needing.join(", "));
    Finding::new(Code::NeededSourceUnreachable, subject, what, fix)
}
