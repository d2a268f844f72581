//! Moments as people read them: by the clock on the wall, and how long ago that was. Machines get
//! RFC 3339, which is how the documents of `--json` have them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use llama_orch::plan::action::Ago;

/// From when on a day says more than a number of hours, in seconds.
const LONG_AGO: i64 = 48 * 3600;

/// `2026-11-27 12:00:00`, by the clock of this machine.
pub(crate) fn local(at: Timestamp) -> String {
    let at = at.to_zoned_datetime(TimeZone::system());
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `3 min ago`, or the day where that says more.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> String {
    match Ago::between(at, now) {
        seconds if seconds < LONG_AGO => format!("{} ago", Ago(seconds)),
        _ => {
            let at = at.to_zoned_datetime(TimeZone::system());
            at.strftime("%Y-%m-%d").to_string()
        }
    }
}

/// `2026-11-27 12:00:00, 3 min ago`; long ago, the first half says it all.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    match Ago::between(at, now) {
        seconds if seconds < LONG_AGO => format!("{}, {} ago", local(at), Ago(seconds)),
        _ => local(at),
    }
}

/// The same of a moment in RFC 3339, as our files have them; what is none stays as it is.
pub(crate) fn moment_of(at: &str, now: Timestamp) -> String {
    at.parse()
        .map_or_else(|_| at.to_owned(), |at| moment(at, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_told_by_the_clock_and_by_its_distance() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().expect("a moment");
        let before = |seconds: i64| now - jiff::SignedDuration::from_secs(seconds);
        for (seconds, short) in [
            (5, "5 s ago"),
            (200, "3 min ago"),
            (3 * 3600, "3 h ago"),
            // The clocks of two machines differ: never in the future.
            (-30, "0 s ago"),
        ] {
            assert_eq!(when(before(seconds), now), short);
            let long = moment(before(seconds), now);
            assert_eq!(long, format!("{}, {short}", local(before(seconds))));
        }
        let old = before(10 * 86400);
        assert!(when(old, now).starts_with("2026-11-1"));
        assert_eq!(moment(old, now), local(old));
        assert_eq!(moment_of("yesterday", now), "yesterday");
        assert_eq!(moment_of(&old.to_string(), now), local(old));
    }
}
