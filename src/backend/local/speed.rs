//! How fast servers generate, where they tell: for people who look. Asked of `/metrics` alone, which neither
//! wakes a sleeping server nor keeps one from falling asleep (llama.cpp's tools/server/README.md, b11429).

use std::collections::BTreeMap;
use std::time::Duration;

use super::drain::key_it_was_given;
use super::{Local, read_state};
use crate::instance::InstanceName;
use crate::instance::folder;
use crate::instance::probe::{self, Address, Request};
use crate::instance::process;
use crate::instance::state::{Phase, State};

/// How long one may take to answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Servers asked at a time.
const AT_A_TIME: usize = 8;

impl Local {
    /// Tokens a second of each server that runs and tells, averaged by itself. Blocks for as long as the
    /// slowest takes to answer.
    pub fn speeds(&self) -> BTreeMap<InstanceName, f64> {
        let names = folder::list(self.root.path()).unwrap_or_default();
        let mut speeds = BTreeMap::new();
        for names in names.chunks(AT_A_TIME) {
            let asked = std::thread::scope(|scope| {
                let asked: Vec<_> = names
                    .iter()
                    .map(|name| scope.spawn(|| self.speed(name)))
                    .collect();
                let speeds = asked.into_iter().map(|one| one.join().ok().flatten());
                speeds.collect::<Vec<_>>()
            });
            let told = names.iter().cloned().zip(asked);
            speeds.extend(told.filter_map(|(name, speed)| Some((name, speed?))));
        }
        speeds
    }

    fn speed(&self, name: &InstanceName) -> Option<f64> {
        let state = read_state(&self.folder(name)).ok()??;
        if state.phase != Phase::Running || !tells(&state) {
            return None;
        }
        let launch = &state.launch.launch;
        let address = Address::within(self.root.path(), &launch.host, launch.port).ok()?;
        let key = process::api_key(self.root.path(), launch).or_else(|| key_it_was_given(&state));
        let request = Request {
            path: "/metrics",
            body: None,
            api_key: key.as_deref(),
        };
        let answer = probe::ask(&address, &request, TIMEOUT, &[]).ok()?;
        (answer.status == 200).then(|| in_metrics(&answer.body))?
    }
}

/// Whether its server was started with metrics.
fn tells(state: &State) -> bool {
    let launch = &state.launch.launch;
    launch
        .arguments
        .iter()
        .any(|argument| argument == "--metrics")
        || launch
            .environment
            .contains_key("LLAMA_ARG_ENDPOINT_METRICS")
}

fn in_metrics(text: &str) -> Option<f64> {
    let name = "llamacpp:predicted_tokens_seconds ";
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let speed: f64 = line.trim().parse().ok()?;
    (speed.is_finite() && speed >= 0.0).then_some(speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_the_gauge_and_not_its_description() {
        let text = "# HELP llamacpp:predicted_tokens_seconds Average generation throughput in tokens/s.\n\
                    # TYPE llamacpp:predicted_tokens_seconds gauge\n\
                    llamacpp:predicted_tokens_seconds 41.5\n";
        assert_eq!(in_metrics(text), Some(41.5));
        assert_eq!(in_metrics("llamacpp:predicted_tokens_seconds NaN\n"), None);
        assert_eq!(in_metrics(""), None);
    }
}
