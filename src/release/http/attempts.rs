//! When to ask once more, and when to give up. Pure but for the dice.

use std::time::Duration;

use jiff::Timestamp;

use crate::release::source::{Patience, SourceError};

/// Attempts at one request or one download.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    patience: Patience,
    made: u32,
}

impl Attempts {
    pub(crate) const fn new(patience: Patience) -> Self {
        Self { patience, made: 0 }
    }

    /// Something came: failures are counted from here on.
    pub(crate) const fn progressed(&mut self) {
        self.made = 0;
    }

    /// How long to wait before the attempt after this failure; `None` to give up. Where the server
    /// says when to come again, never sooner.
    pub(crate) fn after(&mut self, error: &SourceError, now: Timestamp) -> Option<Duration> {
        if !error.is_transient() {
            return None;
        }
        let told = error.again_at().map(|at| at.duration_since(now));
        let told = told.map(|wait| Duration::try_from(wait).unwrap_or_default());
        match told {
            Some(wait) if wait > self.patience.wait => None,
            None if matches!(error, SourceError::RateLimited { .. }) => None,
            Some(wait) => Some(wait.max(self.pause()?)),
            None => self.pause(),
        }
    }

    /// The pause after one more failure: growing, and never quite the same for two who failed
    /// together.
    pub(crate) fn pause(&mut self) -> Option<Duration> {
        self.made += 1;
        if self.made >= self.patience.attempts {
            return None;
        }
        let doubled = 2_u32.saturating_pow(self.made - 1);
        let longest = self.patience.delay.saturating_mul(doubled);
        let longest = longest.min(self.patience.wait);
        Some(longest.mul_f64(0.5 + 0.5 * fastrand::f64()))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn unavailable() -> SourceError {
        SourceError::Unavailable {
            url: String::new(),
            status: 503,
            until: None,
        }
    }

    fn limited(until: Option<Timestamp>) -> SourceError {
        SourceError::RateLimited {
            host: String::new(),
            until,
            token_from: None,
            token_env: String::new(),
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut attempts = Attempts::new(Patience::default());
        let now = Timestamp::UNIX_EPOCH;
        let pauses: Vec<Duration> =
            std::iter::from_fn(|| attempts.after(&unavailable(), now)).collect();
        assert_eq!(pauses.len(), 4, "{pauses:?}");
        for pair in pauses.windows(2) {
            assert!(pair[0] <= pair[1], "{pauses:?}");
        }
        attempts.progressed();
        assert!(attempts.after(&unavailable(), now).is_some());
    }

    #[test]
    fn a_server_is_not_asked_before_the_time_it_names_nor_waited_for_too_long() {
        let mut attempts = Attempts::new(Patience::default());
        let now = Timestamp::UNIX_EPOCH;
        let soon = now + SignedDuration::from_secs(20);
        let wait = attempts.after(&limited(Some(soon)), now);
        assert!(wait.is_some_and(|wait| wait >= Duration::from_secs(20)));
        let late = now + SignedDuration::from_mins(40);
        assert_eq!(attempts.after(&limited(Some(late)), now), None);
        assert_eq!(attempts.after(&limited(None), now), None);
    }

    #[test]
    fn what_waiting_does_not_help_is_not_tried_again() {
        let mut attempts = Attempts::new(Patience::default());
        let gone = SourceError::NotFound {
            what: String::new(),
            url: String::new(),
        };
        assert_eq!(attempts.after(&gone, Timestamp::UNIX_EPOCH), None);
    }
}
