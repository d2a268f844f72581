//! Collections that are still open while a tree is built, and values that aliases can repeat.

use std::collections::HashMap;

use super::{Entry, Node};
use crate::manifest::text::Span;

/// A value that aliases can repeat.
pub(super) struct Anchored {
    /// The value.
    pub(super) node: Node,
    /// Its levels.
    pub(super) height: usize,
    /// The values in it, by which the budget for aliases is counted.
    pub(super) size: usize,
}

/// A collection that is still open.
pub(super) struct Frame {
    /// The byte at which it begins.
    pub(super) start: usize,
    /// Its anchor as the parser numbers them; 0 for none.
    pub(super) anchor: usize,
    /// Its levels so far.
    pub(super) height: usize,
    /// The values in it so far.
    pub(super) size: usize,
    /// What is in it so far.
    pub(super) content: Content,
}

/// What is in a collection so far.
pub(super) enum Content {
    List(Vec<Node>),
    Map(Mapping),
}

/// A mapping so far.
#[derive(Default)]
pub(super) struct Mapping {
    /// What is written in it.
    pub(super) entries: Vec<Entry>,
    /// Where each key is.
    pub(super) index: HashMap<String, Span>,
    /// What `<<` names.
    pub(super) merged: Vec<Node>,
    /// What comes next.
    pub(super) pending: Pending,
}

/// What the next value of a mapping belongs to.
#[derive(Default)]
pub(super) enum Pending {
    /// It is a key.
    #[default]
    Key,
    /// This key.
    Value(String, Span),
    /// `<<`.
    Merge,
    /// A key that is not used.
    Dropped,
}
