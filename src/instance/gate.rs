//! What a start must pass, in order: the port bound by the server itself, healthy, the build that
//! was pinned, the GPU where one is required, one request answered, and a while without dying.
//!
//! Pure: [`judge`] looks at what is known and says what to find out next. Finding out is left to
//! [`super::supervisor`]; what a log says is read in [`reason`] and [`load_log`], and what it must
//! say of the GPU is in [`gpu`].

pub mod gpu;
pub mod load_log;
pub mod reason;

use std::time::Duration;

use super::listener::{Holder, Listener};
use super::record::LoadFacts;
use super::{GateSpec, Launch};

/// One thing that can be right, wrong or unreadable, once it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Finding {
    /// Not looked at yet.
    #[default]
    Open,
    /// As it should be.
    Right,
    /// It cannot be read there; that is no failure.
    NotChecked,
    /// Wrong, in words that follow the server's name.
    Wrong(String),
}

/// What is known of a server that is starting. Times are measured, not read from a calendar.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GateFacts {
    /// Since it was spawned.
    pub age: Duration,
    /// Who listens on its port; `None` before anybody looked.
    pub listener: Option<Listener>,
    /// Since its port was seen bound.
    pub bound: Option<Duration>,
    /// Since it was seen healthy.
    pub healthy: Option<Duration>,
    /// What it last said about its health, or why it said nothing.
    pub last_answer: Option<String>,
    /// Whether it runs the build that was pinned.
    pub build: Finding,
    /// Whether it has the alias it was given.
    pub alias: Finding,
    /// What its log says of its load.
    pub load: Option<LoadFacts>,
    /// What that has to measure up to: what the last proven launch said, as far as the two can be
    /// compared ([`gpu::baseline`]).
    pub baseline: Option<LoadFacts>,
    /// Whether it answered the probe.
    pub probe: Finding,
}

/// What a gate needs to know next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Who listens on the port.
    Listener,
    /// Whether it is healthy.
    Health,
    /// The build number it reports.
    Build,
    /// The alias it reports.
    Alias,
    /// What its log says of its load.
    Load,
    /// The answer to the probe's request.
    Probe,
    /// Nothing but that it lives on for this long.
    Patience(Duration),
}

/// Where a gate stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Undecided.
    Starting(Need),
    /// Passed.
    Passed,
    /// Failed.
    Failed {
        /// Why, as one line.
        reason: String,
        /// Whether the same launch may pass at another time.
        transient: bool,
    },
}

/// Judges a server that still lives; one that ended before it passed has failed.
pub fn judge(spec: &GateSpec, launch: &Launch, facts: &GateFacts) -> Verdict {
    match &facts.listener {
        Some(Listener::Ours | Listener::Unreadable) => {}
        Some(Listener::Shared(holder)) => {
            return Verdict::Failed {
                reason: shared(launch.port, holder),
                transient: true,
            };
        }
        None | Some(Listener::Nobody | Listener::Stranger(_)) => {
            return unbound(spec, launch, facts);
        }
    }
    if facts.healthy.is_none() {
        let loading = facts.bound.unwrap_or(facts.age);
        return if loading >= spec.start_period {
            Verdict::Failed {
                reason: never_healthy(spec, facts),
                transient: false,
            }
        } else {
            Verdict::Starting(Need::Health)
        };
    }
    let alias_matters = facts.listener == Some(Listener::Unreadable) && !launch.router;
    let tells_its_number = launch.build.tag().is_some() && !launch.foreign;
    let build = (tells_its_number, &facts.build, Need::Build);
    let alias = (alias_matters, &facts.alias, Need::Alias);
    if let Some(verdict) = settled([build, alias]) {
        return verdict;
    }
    // A router loads its models in servers of their own, and none of them at first.
    if !launch.router {
        let Some(load) = &facts.load else {
            return Verdict::Starting(Need::Load);
        };
        if let Some(short) = gpu::shortcoming(launch, load, facts.baseline.as_ref()) {
            return Verdict::Failed {
                reason: short.reason,
                transient: short.transient,
            };
        }
    }
    let probes = spec.probe != super::ProbeKind::None;
    if let Some(verdict) = settled([(probes, &facts.probe, Need::Probe)]) {
        return verdict;
    }
    let left = spec
        .min_healthy
        .saturating_sub(facts.healthy.unwrap_or_default());
    if left.is_zero() {
        Verdict::Passed
    } else {
        Verdict::Starting(Need::Patience(left))
    }
}

/// The verdict that the first finding which matters and is not right comes to, if any is not.
fn settled<const COUNT: usize>(findings: [(bool, &Finding, Need); COUNT]) -> Option<Verdict> {
    let mut findings = findings.into_iter().filter(|(matters, ..)| *matters);
    findings.find_map(|(_, finding, need)| match finding {
        Finding::Open => Some(Verdict::Starting(need)),
        Finding::Wrong(reason) => Some(Verdict::Failed {
            reason: reason.clone(),
            transient: false,
        }),
        Finding::Right | Finding::NotChecked => None,
    })
}

/// A server that has not bound its port or socket: it has `start_period` for that as well, unless it is
/// still fetching its model, which nobody can put a time to.
fn unbound(spec: &GateSpec, launch: &Launch, facts: &GateFacts) -> Verdict {
    if launch.fetches || facts.age < spec.start_period {
        return Verdict::Starting(Need::Listener);
    }
    if let Some(Listener::Stranger(holder)) = &facts.listener {
        return Verdict::Failed {
            reason: taken(launch.port, holder),
            transient: true,
        };
    }
    let place = if super::is_socket(&launch.host) {
        format!("socket `{}`", launch.host)
    } else {
        format!("port {}", launch.port)
    };
    let period = spec.start_period.as_secs_f64();
    Verdict::Failed {
        reason: format!("did not bind {place} within {period} s"),
        transient: false,
    }
}

fn shared(port: u16, holder: &Holder) -> String {
    format!("shares port {port} with {holder}, so that requests go to either")
}

fn taken(port: u16, holder: &Holder) -> String {
    format!("port {port} is held by {holder}")
}

fn never_healthy(spec: &GateSpec, facts: &GateFacts) -> String {
    let period = spec.start_period.as_secs_f64();
    match &facts.last_answer {
        Some(answer) => format!("was not healthy within {period} s; last answer: {answer}"),
        None => format!("was not healthy within {period} s"),
    }
}

/// The build number in what `/props` calls `build_info`: `b9001-0000b9001` in builds of all ages.
/// `None` where it is not a number a release was made with: builds from a source archive call
/// themselves 0 or 1.
pub fn build_number(build_info: &str) -> Option<u32> {
    let after = build_info
        .split_once("build ")
        .map(|(_, after)| after)
        .or_else(|| build_info.strip_prefix('b'))?;
    let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|number| *number > 1)
}

#[cfg(test)]
mod tests;
