//! Waiting for the open requests of a server that is to end.
//!
//! Nothing is locked and nothing is taken away meanwhile: whoever gives the wait up leaves everything
//! as it was. That it is to end, and how long it is waited for, stands in the plan.

use std::time::Duration;

use super::facts::handed_to_server;
use super::perform::{POLL, failed, objection};
use super::{Local, read_record, read_state};
use crate::backend::{ActionError, Progress};
use crate::durable;
use crate::instance::folder::InstanceFolder;
use crate::instance::probe::{self, Address, Answer, Request};
use crate::instance::process;
use crate::instance::state::State;

/// How often a server is asked.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// How long it may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What a server says of its open requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Load {
    /// None, or it sleeps.
    Idle,
    /// So many.
    Open(u64),
    /// It could not be asked, for this reason. Not the same as none.
    Unknown(String),
}

impl Local {
    /// Waits until the server of an instance has no open request, but not longer than `patience`.
    /// With `wanted`, it is to run again, and a person who puts it down or suspends it meanwhile ends the wait.
    ///
    /// # Errors
    /// [`ActionError::PutDown`], [`ActionError::Suspended`], and files that cannot be read.
    pub(super) async fn drain(
        &self,
        folder: &InstanceFolder,
        patience: Duration,
        wanted: bool,
        progress: &dyn Progress,
    ) -> Result<(), ActionError> {
        let name = folder.name();
        let unread = |error: durable::FileError| {
            let hint = error.hint();
            failed(format!("cannot drain `{name}`"), hint)(error)
        };
        let deadline = tokio::time::Instant::now() + patience;
        let mut next = tokio::time::Instant::now();
        let mut load = Load::Unknown("it was not asked".to_owned());
        let mut shown = String::new();
        progress.phase("draining");
        loop {
            if wanted
                && let Some(record) = read_record(folder).map_err(unread)?
                && let Some(objection) = objection(folder, &record)
            {
                return Err(objection);
            }
            if !durable::is_locked(&folder.server_lock()).map_err(unread)? {
                return Ok(());
            }
            let now = tokio::time::Instant::now();
            if now >= next {
                load = self.load(folder).await;
                next = now + ASK_EVERY;
                let phase = match &load {
                    Load::Idle => return Ok(()),
                    Load::Open(1) => "draining: 1 request open".to_owned(),
                    Load::Open(open) => format!("draining: {open} requests open"),
                    Load::Unknown(why) => format!("draining: {why}"),
                };
                if phase != shown {
                    progress.phase(&phase);
                    shown = phase;
                }
            }
            if now >= deadline {
                progress.remark(&overdue(&load, patience));
                return Ok(());
            }
            tokio::time::sleep(POLL.min(deadline - now)).await;
        }
    }

    /// Asks the server of an instance, away from the thread that everything else runs on.
    async fn load(&self, folder: &InstanceFolder) -> Load {
        let state = match read_state(folder) {
            Ok(Some(state)) => state,
            Ok(None) => return Load::Unknown("nothing says where it listens".to_owned()),
            Err(error) => return Load::Unknown(error.to_string()),
        };
        let root = folder.root().to_owned();
        let asked = tokio::task::spawn_blocking(move || {
            let launch = &state.launch.launch;
            let address = match Address::within(&root, &launch.host, launch.port) {
                Ok(address) => address,
                Err(error) => return Load::Unknown(error.to_string()),
            };
            let key = process::api_key(&root, launch).or_else(|| key_it_was_given(&state));
            if launch.router {
                return Load::Unknown("a router does not tell".to_owned());
            }
            of_server(|path| {
                let request = Request {
                    path,
                    body: None,
                    api_key: key.as_deref(),
                };
                probe::ask(&address, &request, TIMEOUT, &[]).map_err(|error| error.to_string())
            })
        });
        asked
            .await
            .unwrap_or_else(|error| Load::Unknown(error.to_string()))
    }
}

/// The key a server got from a variable that this process does not have.
pub(super) fn key_it_was_given(state: &State) -> Option<String> {
    use crate::instance::EnvironmentValue::FromEnv;
    match &state.launch.launch.api_key {
        Some(FromEnv(variable)) => handed_to_server(state).remove(variable),
        Some(_) | None => None,
    }
}

/// How busy a server is. `/metrics` neither wakes a sleeping server nor keeps one from falling asleep,
/// and is off unless asked for; `/slots` is on unless it was turned off, and wakes one, so `/props` is
/// asked first (llama.cpp's tools/server/README.md, b11429).
pub(super) fn of_server(ask: impl Fn(&str) -> Result<Answer, String>) -> Load {
    let metrics = ask("/metrics").ok().filter(|answer| answer.status == 200);
    if let Some(open) = metrics.and_then(|answer| open_in_metrics(&answer.body)) {
        return match open {
            0 => Load::Idle,
            open => Load::Open(open),
        };
    }
    match ask("/props") {
        Ok(props) if props.status == 200 => {
            let props: Option<serde_json::Value> = serde_json::from_str(&props.body).ok();
            let sleeps = props.and_then(|props| props.get("is_sleeping")?.as_bool());
            if sleeps == Some(true) {
                return Load::Idle;
            }
        }
        Ok(refused) => return Load::Unknown(format!("`/props` said {}", refused.summary())),
        Err(why) => return Load::Unknown(why),
    }
    match ask("/slots") {
        Ok(slots) if slots.status == 200 => match open_in_slots(&slots.body) {
            Some(0) => Load::Idle,
            Some(open) => Load::Open(open),
            None => Load::Unknown("`/slots` said nothing that is understood".to_owned()),
        },
        Ok(refused) => Load::Unknown(format!("`/slots` said {}", refused.summary())),
        Err(why) => Load::Unknown(why),
    }
}

/// Requests that are worked on and those that wait for a slot.
fn open_in_metrics(text: &str) -> Option<u64> {
    let gauge = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let value: f64 = line.trim().parse().ok()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of requests"
        )]
        value.is_finite().then_some(value.max(0.0) as u64)
    };
    let waiting = gauge("llamacpp:requests_deferred ").unwrap_or_default();
    Some(gauge("llamacpp:requests_processing ")?.saturating_add(waiting))
}

/// Slots that are at work.
fn open_in_slots(text: &str) -> Option<u64> {
    let slots: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    slots.iter().try_fold(0, |open, slot| {
        let at_work = slot.get("is_processing")?.as_bool()?;
        Some(open + u64::from(at_work))
    })
}

/// What is said when the time is over.
fn overdue(load: &Load, patience: Duration) -> String {
    let seconds = patience.as_secs_f64();
    match load {
        Load::Open(1) => format!("1 request was still open after {seconds} s of draining"),
        Load::Open(open) => {
            format!("{open} requests were still open after {seconds} s of draining")
        }
        Load::Unknown(why) => {
            format!("could not tell whether it was idle ({why}); it was given all of {seconds} s")
        }
        Load::Idle => format!("became idle after {seconds} s of draining"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    /// What a server with these answers is taken for, and what it was asked.
    fn asked(answers: &[(&str, u16, &str)]) -> (Load, Vec<String>) {
        let answers: BTreeMap<&str, (u16, &str)> = answers
            .iter()
            .map(|(path, status, body)| (*path, (*status, *body)))
            .collect();
        let asked = RefCell::new(Vec::new());
        let load = of_server(|path| {
            asked.borrow_mut().push(path.to_owned());
            let (status, body) = answers.get(path).ok_or("nobody listens")?;
            Ok(Answer {
                status: *status,
                body: (*body).to_owned(),
            })
        });
        (load, asked.into_inner())
    }

    const OFF: &str = r#"{"error":{"code":501,"message":"This server does not support it","type":"not_supported_error"}}"#;
    const AWAKE: (&str, u16, &str) = ("/props", 200, r#"{"is_sleeping":false}"#);

    #[test]
    fn metrics_tell_of_requests_that_wait_for_a_slot_too() {
        let text = "# HELP llamacpp:requests_processing Number of requests processing.\n\
                    # TYPE llamacpp:requests_processing gauge\n\
                    llamacpp:requests_processing 2\n\
                    llamacpp:requests_deferred 1\n";
        assert_eq!(asked(&[("/metrics", 200, text)]).0, Load::Open(3));
        let idle = "llamacpp:requests_processing 0\nllamacpp:requests_deferred 0\n";
        assert_eq!(asked(&[("/metrics", 200, idle)]).0, Load::Idle);
    }

    #[test]
    fn slots_are_asked_where_there_are_no_metrics() {
        let slots = r#"[{"id":0,"is_processing":true},{"id":1,"is_processing":false}]"#;
        let (load, order) = asked(&[("/metrics", 501, OFF), AWAKE, ("/slots", 200, slots)]);
        assert_eq!(load, Load::Open(1));
        assert_eq!(order, ["/metrics", "/props", "/slots"]);
        let idle = r#"[{"id":0,"is_processing":false}]"#;
        let (load, _) = asked(&[("/metrics", 501, OFF), AWAKE, ("/slots", 200, idle)]);
        assert_eq!(load, Load::Idle);
    }

    #[test]
    fn a_server_that_sleeps_is_idle_and_goes_on_sleeping() {
        let asleep = ("/props", 200, r#"{"is_sleeping":true}"#);
        let (load, order) = asked(&[("/metrics", 501, OFF), asleep]);
        assert_eq!(load, Load::Idle);
        assert_eq!(order, ["/metrics", "/props"]);
    }

    #[test]
    fn what_cannot_be_asked_is_never_idle() {
        let unknown = |answers: &[(&str, u16, &str)]| match asked(answers).0 {
            Load::Unknown(why) => why,
            known => panic!("{known:?}"),
        };
        assert_eq!(
            unknown(&[("/metrics", 501, OFF), AWAKE, ("/slots", 501, OFF)]),
            "`/slots` said 501 This server does not support it"
        );
        assert_eq!(unknown(&[("/props", 401, "")]), "`/props` said 401");
        assert_eq!(unknown(&[]), "nobody listens");
        assert_eq!(
            unknown(&[AWAKE, ("/slots", 200, "{}")]),
            "`/slots` said nothing that is understood"
        );
    }
}
