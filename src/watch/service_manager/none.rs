//! There is nobody to tell.

pub(super) const fn ready() {}
pub(super) const fn reloading() {}
pub(super) const fn status(_: &str) {}
pub(super) const fn alive() {}
pub(super) const fn stopping() {}
