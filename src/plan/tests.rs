//! Stories about plans: a world, what is planned for it, and that nothing is left to plan once that
//! has come true.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks at the one kind of step it is about"
)]

mod builds;
mod drain;
mod fit;
mod instances;
mod order;
mod parts;
mod properties;
mod removals;
mod restart;
mod rollback;
mod suspend;
mod watch;
mod world;
