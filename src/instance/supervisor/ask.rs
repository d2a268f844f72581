//! What a supervisor asks its server, and what it takes for an answer.

use std::io;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::life::Supervisor;
use crate::instance::gate::load_log::LoadLog;
use crate::instance::gate::{self, Finding};
use crate::instance::log;
use crate::instance::probe::{self, Address, Answer, ProbeError, Request};
use crate::instance::record::LoadFacts;
use crate::instance::waiting::Awaited;
use crate::instance::{CheckKind, ProbeKind, process};

/// Where the server is, and what opens it.
pub(super) struct Access {
    address: Result<Address, String>,
    api_key: Option<String>,
}

impl Supervisor {
    /// Where the server is: the path of a socket is relative to its folder, not to ours.
    fn address(&self) -> io::Result<Address> {
        let launch = &self.state.launch.launch;
        Address::within(self.folder.root(), &launch.host, launch.port)
    }

    pub(super) fn access(&self) -> Access {
        let launch = &self.state.launch.launch;
        Access {
            address: self.address().map_err(|error| error.to_string()),
            api_key: process::api_key(self.folder.root(), launch),
        }
    }

    /// Asks whether the server is well. An error without words is an interruption.
    pub(super) fn ask_health(&self, access: &Access) -> Result<(), Option<String>> {
        let spec = &self.state.supervision.gate;
        let address = access
            .address
            .as_ref()
            .map_err(|error| Some(error.clone()))?;
        match &spec.kind {
            CheckKind::Http => {
                let answer = self
                    .ask(access, &spec.path, None, spec.timeout)
                    .map_err(|error| words(&error))?;
                let body_fits = spec
                    .expected_body
                    .as_ref()
                    .is_none_or(|text| answer.body.contains(text));
                if spec.expected_status.contains(&answer.status) && body_fits {
                    Ok(())
                } else if body_fits {
                    Err(Some(answer.summary()))
                } else {
                    Err(Some(format!(
                        "{} without the expected text",
                        answer.summary()
                    )))
                }
            }
            CheckKind::Tcp => probe::connects(address, spec.timeout, &self.interruptions())
                .map_err(|error| words(&error)),
            CheckKind::Custom { script } => self.run_script(script.as_str(), spec.timeout),
        }
    }

    /// Whether somebody answers there at all.
    pub(super) fn connects(&self, access: &Access) -> bool {
        let timeout = self.state.supervision.gate.timeout;
        access
            .address
            .as_ref()
            .is_ok_and(|address| probe::connects(address, timeout, &self.interruptions()).is_ok())
    }

    fn ask(
        &self,
        access: &Access,
        path: &str,
        body: Option<&str>,
        timeout: Duration,
    ) -> Result<Answer, ProbeError> {
        let address = match &access.address {
            Ok(address) => address,
            Err(error) => return Err(ProbeError::System(io::Error::other(error.clone()))),
        };
        let request = Request {
            path,
            body,
            api_key: access.api_key.as_deref(),
        };
        probe::ask(address, &request, timeout, &self.interruptions())
    }

    /// What must not wait for a slow answer: an order, or the end of the server.
    pub(super) fn interruptions(&self) -> Vec<Awaited<'_>> {
        let mut others = self.orders.awaited().to_vec();
        others.extend(self.server.as_ref().map(|server| server.awaited()));
        others
    }

    pub(super) fn check_build(&self, access: &Access) -> Option<Finding> {
        let wanted = self.state.launch.launch.build.tag()?;
        let timeout = self.state.supervision.gate.timeout;
        let answer = match self.ask(access, "/props", None, timeout) {
            Err(ProbeError::Interrupted) => return None,
            answer => answer.ok(),
        };
        let number = answer
            .filter(|answer| answer.status == 200)
            .and_then(|answer| serde_json::from_str::<serde_json::Value>(&answer.body).ok())
            .and_then(|props| gate::build_number(props.get("build_info")?.as_str()?));
        Some(match number {
            None => Finding::NotChecked,
            Some(number) if number == wanted.number() => Finding::Right,
            Some(number) => Finding::Wrong(format!("says it is b{number}, not {wanted}")),
        })
    }

    /// What the log of the server says of its load. Nothing where it is not known where its part of
    /// the log begins.
    pub(super) fn read_load(&self) -> LoadFacts {
        let mut said = LoadLog::default();
        let server = self.state.server.as_ref();
        if let Some(offset) = server.and_then(|server| server.log_offset) {
            let path = self.folder.server_log();
            if let Err(error) = log::lines_since(&path, offset, |line| said.line(line)) {
                self.notes.note(format!("cannot read `{path}`: {error}"));
            }
        }
        said.found()
    }

    pub(super) fn check_alias(&self, access: &Access) -> Option<Finding> {
        let arguments = &self.state.launch.launch.arguments;
        let alias = arguments.iter().position(|argument| argument == "--alias");
        let Some(alias) = alias.and_then(|at| arguments.get(at + 1)) else {
            return Some(Finding::NotChecked);
        };
        let timeout = self.state.supervision.gate.timeout;
        let answer = match self.ask(access, "/v1/models", None, timeout) {
            Err(ProbeError::Interrupted) => return None,
            answer => answer.ok().filter(|answer| answer.status == 200),
        };
        let models = answer
            .and_then(|answer| serde_json::from_str::<serde_json::Value>(&answer.body).ok())
            .and_then(|body| body.get("data")?.as_array().cloned());
        let Some(models) = models else {
            return Some(Finding::NotChecked);
        };
        let known = models.iter().any(|model| {
            model.get("id").and_then(|id| id.as_str()) == Some(alias)
                || model
                    .get("aliases")
                    .and_then(|aliases| aliases.as_array())
                    .is_some_and(|aliases| {
                        aliases.iter().any(|known| known.as_str() == Some(alias))
                    })
        });
        Some(if known {
            Finding::Right
        } else {
            Finding::Wrong(format!(
                "does not know the alias `{alias}`: another server answers"
            ))
        })
    }

    pub(super) fn check_probe(&self, access: &Access) -> Option<Finding> {
        // A router answers for models by name, and which of them it may load is not ours to say.
        if self.state.launch.launch.router {
            return Some(Finding::NotChecked);
        }
        let spec = &self.state.supervision.gate;
        let (path, body, expected) = match spec.probe {
            ProbeKind::None => return Some(Finding::NotChecked),
            ProbeKind::Completion => (
                "/completion",
                r#"{"prompt":"Hello","n_predict":1}"#,
                "content",
            ),
            ProbeKind::Embedding => ("/embedding", r#"{"content":"Hello"}"#, "embedding"),
            ProbeKind::Rerank => (
                "/rerank",
                r#"{"query":"Hello","documents":["Hello"]}"#,
                "results",
            ),
        };
        // The first request may compile kernels and fill caches, so it has the time of a start.
        let timeout = spec.timeout.max(spec.start_period);
        let failed = |why: &str| Finding::Wrong(format!("did not answer `{path}`: {why}"));
        Some(match self.ask(access, path, Some(body), timeout) {
            Err(ProbeError::Interrupted) => return None,
            Err(error) => failed(&error.to_string()),
            Ok(answer) if answer.status != 200 => failed(&answer.summary()),
            Ok(answer) if answer.body.contains(&format!("\"{expected}\"")) => Finding::Right,
            Ok(_) => failed(&format!("there is no `{expected}` in the answer")),
        })
    }

    /// Runs the user's own check, with the address in its environment.
    fn run_script(&self, script: &str, timeout: Duration) -> Result<(), Option<String>> {
        let launch = &self.state.launch.launch;
        let root = self.folder.root();
        let passed = ["PATH", "HOME", "LANG"];
        let environment = passed
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut command = Command::new(root.join(script).as_std_path());
        command.env_clear().envs(environment).current_dir(root);
        command.env("LLAMA_ORCH_INSTANCE", self.folder.name().as_str());
        command
            .env("LLAMA_ORCH_HOST", &launch.host)
            .env("LLAMA_ORCH_PORT", launch.port.to_string());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        process::run_bounded(command, timeout, &self.interruptions())
    }
}

fn words(error: &ProbeError) -> Option<String> {
    (!matches!(error, ProbeError::Interrupted)).then(|| error.to_string())
}
