//! When a server that ended is started again: pure arithmetic, asked by the supervisor.
//!
//! Whether giving up means to fall back or to stay down is left to the supervisor.

use std::time::Duration;

use jiff::Timestamp;

use super::RestartPolicy;
use super::state::Restarts;

/// Starts in a row that are granted to a launch that is not proven, where the policy sets none.
pub const UNPROVEN_RETRIES: u32 = 5;

/// What to do about a server that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStart {
    /// Start it at once.
    Now,
    /// Start it then.
    At(Timestamp),
    /// Do not start it again.
    GiveUp,
}

/// Decides when to start again a launch that was restarted `restarts.in_a_row` times so far.
///
/// A proven launch is tried without end unless the policy sets `max_retries`; one that is not
/// proven yet gets [`UNPROVEN_RETRIES`].
pub fn next_start(
    policy: &RestartPolicy,
    restarts: &Restarts,
    proven: bool,
    now: Timestamp,
) -> NextStart {
    let limit = policy.max_retries.or((!proven).then_some(UNPROVEN_RETRIES));
    if !policy.enabled || limit.is_some_and(|limit| restarts.in_a_row >= limit) {
        return NextStart::GiveUp;
    }
    let wait = delay(policy, restarts.in_a_row);
    if wait.is_zero() {
        return NextStart::Now;
    }
    // A wait beyond the end of the calendar is no wait anybody meant; the policy caps it anyway.
    now.checked_add(wait).map_or(NextStart::Now, NextStart::At)
}

/// The wait before restart number `restarts_so_far` + 1.
fn delay(policy: &RestartPolicy, restarts_so_far: u32) -> Duration {
    let factor = if policy.backoff_multiplier.is_finite() {
        policy.backoff_multiplier.max(1.0)
    } else {
        1.0
    };
    let exponent = i32::try_from(restarts_so_far).unwrap_or(i32::MAX);
    let seconds = policy.initial_delay.as_secs_f64() * factor.powi(exponent);
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(policy.max_delay)
        .min(policy.max_delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: &RestartPolicy, proven: bool, starts: u32) -> Vec<String> {
        let now = Timestamp::UNIX_EPOCH;
        (0..starts)
            .map(|in_a_row| {
                let restarts = Restarts {
                    in_a_row,
                    ..Restarts::default()
                };
                match next_start(policy, &restarts, proven, now) {
                    NextStart::Now => "now".to_owned(),
                    NextStart::At(at) => format!("{} s", at.as_second()),
                    NextStart::GiveUp => "give up".to_owned(),
                }
            })
            .collect()
    }

    #[test]
    fn a_new_launch_is_given_up_after_five_restarts() {
        let policy = RestartPolicy::default();
        assert_eq!(
            waits(&policy, false, 6),
            ["1 s", "2 s", "4 s", "8 s", "16 s", "give up"]
        );
    }

    #[test]
    fn a_proven_launch_waits_longer_and_longer_without_end() {
        let policy = RestartPolicy::default();
        assert_eq!(
            waits(&policy, true, 11)[7..],
            ["128 s", "256 s", "300 s", "300 s"]
        );
        let restarts = Restarts {
            in_a_row: u32::MAX,
            ..Restarts::default()
        };
        assert_ne!(
            next_start(&policy, &restarts, true, Timestamp::UNIX_EPOCH),
            NextStart::GiveUp,
        );
    }

    #[test]
    fn a_limit_that_is_written_binds_a_proven_launch_too() {
        let policy = RestartPolicy {
            max_retries: Some(1),
            ..RestartPolicy::default()
        };
        assert_eq!(waits(&policy, true, 2), ["1 s", "give up"]);
    }

    #[test]
    fn nothing_is_restarted_where_the_policy_says_no() {
        let policy = RestartPolicy {
            enabled: false,
            ..RestartPolicy::default()
        };
        assert_eq!(waits(&policy, true, 1), ["give up"]);
    }

    #[test]
    fn odd_numbers_neither_panic_nor_shorten_the_wait() {
        for backoff_multiplier in [f64::NAN, f64::INFINITY, -3.0, 0.0] {
            let policy = RestartPolicy {
                backoff_multiplier,
                ..RestartPolicy::default()
            };
            assert_eq!(
                waits(&policy, true, 3),
                ["1 s", "1 s", "1 s"],
                "{backoff_multiplier}"
            );
        }
        let policy = RestartPolicy {
            initial_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            ..RestartPolicy::default()
        };
        assert_eq!(waits(&policy, true, 1), ["now"]);
        let endless = RestartPolicy {
            max_delay: Duration::MAX,
            ..RestartPolicy::default()
        };
        let restarts = Restarts {
            in_a_row: 5000,
            ..Restarts::default()
        };
        let next = next_start(&endless, &restarts, true, Timestamp::UNIX_EPOCH);
        assert_eq!(next, NextStart::Now);
    }
}
