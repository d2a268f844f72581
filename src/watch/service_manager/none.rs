//! There is nobody to tell.

use std::time::Duration;

pub(super) const fn ready() {}
pub(super) const fn reloading() {}
pub(super) const fn status(_: &str) {}
pub(super) const fn patience() -> Option<Duration> {
    None
}
pub(super) const fn alive() {}
pub(super) const fn stopping() {}
