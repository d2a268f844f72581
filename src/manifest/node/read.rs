//! Builds the tree of a text from the events of a YAML parser.
//!
//! The parser is that of serde-saphyr without serde: serde's data model knows neither the place of
//! a key nor whether a scalar was quoted. The events of JSON come from [`super::json`].

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span as EventSpan, options};

use super::json::{self, Token};
use super::open::{Anchored, Content, Frame, Mapping, Pending};
use super::{Entry, Kind, Node, Scalar, syntax};
use crate::manifest::Origin;
use crate::manifest::mistake::Collector;
use crate::manifest::text::{FileId, SourceText, Span};

/// Levels a tree may have, aliases resolved; bounds the recursion over it.
const DEPTH: usize = 64;
/// What aliases and `<<` may add to a tree, in values (long texts count for several).
const BUDGET: usize = 1_000_000;

/// Reads a text. `None`, with a mistake noted, where it is not valid YAML or JSON; a duplicate key
/// is noted and left out. A text without content is a null.
pub(crate) fn read(
    source: &SourceText,
    file: FileId,
    mistakes: &mut Collector<'_>,
) -> Option<Node> {
    let mut reader = Reader {
        source,
        file,
        mistakes,
        stack: Vec::new(),
        anchors: HashMap::new(),
        added: 0,
    };
    match syntax::finds_mistake(source) {
        Some((range, message, hint)) => {
            let span = Span {
                file,
                start: range.start,
                end: range.end,
            };
            reader.stop(span, message, hint);
            None
        }
        None if source.is_json() => reader.run_json().ok().flatten(),
        None => reader.run(),
    }
}

struct Reader<'r, 'a> {
    source: &'r SourceText,
    file: FileId,
    mistakes: &'r mut Collector<'a>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    added: usize,
}

/// Marks that a mistake was noted and reading cannot go on.
struct Stop;

impl Reader<'_, '_> {
    fn run(&mut self) -> Option<Node> {
        let mut root = None;
        let mut documents = 0;
        let options = options! { simple_key_max_lookahead: 4096 };
        for event in Parser::new_from_str_with_options(&self.source.text, options) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    let start = error.marker().byte_offset().unwrap_or_default();
                    let (message, hint) = syntax::explain(self.source, start, &error.info());
                    self.stop(
                        Span {
                            file: self.file,
                            start,
                            end: start,
                        },
                        message,
                        hint,
                    );
                    return None;
                }
            };
            if let Event::DocumentStart(..) = event {
                documents += 1;
                if documents > 1 {
                    let span = self.span(&span);
                    let hint = "keep one document and remove the `---` before the second";
                    self.stop(span, "a second document begins here", Some(hint));
                    return None;
                }
                continue;
            }
            match self.event(event, &span) {
                Ok(Some(node)) => root = Some(node),
                Ok(None) => {}
                Err(Stop) => return None,
            }
        }
        let origin = Origin::Inline;
        let nothing = Kind::Scalar(Scalar {
            text: String::new(),
            plain: true,
        });
        let span = Span {
            file: self.file,
            start: 0,
            end: 0,
        };
        Some(root.unwrap_or(Node {
            span,
            origin,
            kind: nothing,
        }))
    }

    fn run_json(&mut self) -> Result<Option<Node>, Stop> {
        let text = &self.source.text;
        let skipped = text.len() - text.trim_start_matches('\u{feff}').len();
        let mut root = None;
        for (token, range) in json::tokens(&text[skipped..]) {
            let (start, end) = (range.start + skipped, range.end + skipped);
            let at = Span {
                file: self.file,
                start,
                end,
            };
            let node = match token {
                Token::Map => {
                    self.open(at, 0, Content::Map(Mapping::default()))?;
                    None
                }
                Token::List => {
                    self.open(at, 0, Content::List(Vec::new()))?;
                    None
                }
                Token::End => self.close(at)?,
                Token::String(text) => self.scalar(Scalar { text, plain: false }, at, 0)?,
                Token::Word(text) => self.scalar(Scalar { text, plain: true }, at, 0)?,
            };
            root = root.or(node);
        }
        Ok(root)
    }

    /// Takes one event in. A node that has no collection around it is the root.
    fn event(&mut self, event: Event<'_>, span: &EventSpan) -> Result<Option<Node>, Stop> {
        let at = self.span(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let mut plain = style == ScalarStyle::Plain;
                // The parser says `~` where nothing is written.
                let text = if plain && span.is_empty() {
                    "".into()
                } else {
                    text
                };
                if let Some(tag) = tag {
                    match tag.core_suffix() {
                        Some("str") => plain = false,
                        Some(_) => {}
                        None => {
                            let message =
                                format!("the tag `{}` means nothing here", tag.original());
                            return Err(self.stop(at, message, Some("leave it out")));
                        }
                    }
                }
                let scalar = Scalar {
                    text: text.into_owned(),
                    plain,
                };
                self.scalar(scalar, at, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self
                .open(at, anchor, Content::List(Vec::new()))
                .map(|()| None),
            Event::MappingStart(_, anchor, _) => self
                .open(at, anchor, Content::Map(Mapping::default()))
                .map(|()| None),
            Event::SequenceEnd | Event::MappingEnd => self.close(at),
            Event::Alias(anchor) => self.alias(anchor, at),
            // Streams and documents have no content; comments and anchors are not asked for.
            _ => Ok(None),
        }
    }

    fn scalar(&mut self, scalar: Scalar, at: Span, anchor: usize) -> Result<Option<Node>, Stop> {
        self.complete(Kind::Scalar(scalar), at, anchor, 1, 0)
    }

    fn open(&mut self, at: Span, anchor: usize, content: Content) -> Result<(), Stop> {
        if self.stack.len() >= DEPTH {
            return Err(self.stop(at, format!("nested more than {DEPTH} levels deep"), None));
        }
        self.stack.push(Frame {
            start: at.start,
            anchor,
            height: 1,
            size: 0,
            content,
        });
        Ok(())
    }

    fn close(&mut self, at: Span) -> Result<Option<Node>, Stop> {
        let Some(frame) = self.stack.pop() else {
            return Ok(None);
        };
        let kind = match frame.content {
            Content::List(items) => Kind::List(items),
            Content::Map(mapping) => Kind::Map(self.merge(mapping)?),
        };
        let span = Span {
            start: frame.start,
            ..at
        };
        self.complete(kind, span, frame.anchor, frame.height, frame.size)
    }

    /// Adds what `<<` names to a mapping: what is written wins, then the mapping named first.
    fn merge(&mut self, mapping: Mapping) -> Result<Vec<Entry>, Stop> {
        let Mapping {
            mut entries,
            mut index,
            merged,
            ..
        } = mapping;
        for node in merged {
            let sources = match node.kind {
                Kind::List(items) => items,
                Kind::Map(_) | Kind::Scalar(_) => vec![node],
            };
            for source in sources {
                let Kind::Map(additions) = source.kind else {
                    let hint = Some("write `<<: *name` or `<<: [*one, *other]`");
                    return Err(self.stop(source.span, "`<<` wants a mapping", hint));
                };
                for entry in additions {
                    if index.insert(entry.key.clone(), entry.span).is_none() {
                        entries.push(entry);
                    }
                }
            }
        }
        Ok(entries)
    }

    fn alias(&mut self, anchor: usize, at: Span) -> Result<Option<Node>, Stop> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(self.stop(at, "an anchor cannot contain itself", None));
        };
        if self.stack.len() + anchored.height > DEPTH {
            return Err(self.stop(at, format!("nested more than {DEPTH} levels deep"), None));
        }
        let (height, size) = (anchored.height, anchored.size);
        self.added = self.added.saturating_add(size);
        if self.added > BUDGET {
            let message = format!("the aliases up to here stand for more than {BUDGET} values");
            return Err(self.stop(at, message, None));
        }
        let kind = anchored.node.kind.clone();
        self.complete(kind, at, 0, height, size)
    }

    /// Puts a finished value where it belongs: into the collection around it, or on top.
    fn complete(
        &mut self,
        kind: Kind,
        span: Span,
        anchor: usize,
        height: usize,
        inner: usize,
    ) -> Result<Option<Node>, Stop> {
        let own = match &kind {
            Kind::Scalar(scalar) => 1 + scalar.text.len() / 32,
            Kind::List(_) | Kind::Map(_) => 1,
        };
        let size = inner + own;
        let node = Node {
            span,
            origin: Origin::Inline,
            kind,
        };
        if anchor != 0 {
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    height,
                    size,
                },
            );
        }
        let Some(frame) = self.stack.last_mut() else {
            return Ok(Some(node));
        };
        frame.height = frame.height.max(height + 1);
        frame.size += size;
        let mapping = match &mut frame.content {
            Content::List(items) => {
                items.push(node);
                return Ok(None);
            }
            Content::Map(mapping) => mapping,
        };
        match std::mem::take(&mut mapping.pending) {
            Pending::Value(key, span) => mapping.entries.push(Entry {
                key,
                span,
                value: node,
            }),
            Pending::Merge => mapping.merged.push(node),
            Pending::Dropped => {}
            Pending::Key => return self.key(node).map(|()| None),
        }
        Ok(None)
    }

    /// Takes a value as the next key of the mapping on top.
    fn key(&mut self, node: Node) -> Result<(), Stop> {
        let span = node.span;
        if node.is_null() {
            return Err(self.stop(span, "a key is missing here", None));
        }
        let Kind::Scalar(scalar) = node.kind else {
            return Err(self.stop(span, "a key must be a plain text", None));
        };
        let Some(Frame {
            content: Content::Map(mapping),
            ..
        }) = self.stack.last_mut()
        else {
            return Ok(());
        };
        if scalar.plain && scalar.text == "<<" {
            mapping.pending = Pending::Merge;
            return Ok(());
        }
        if let Some(first) = mapping.index.get(&scalar.text).copied() {
            mapping.pending = Pending::Dropped;
            let first = self.mistakes.describe(first);
            let hint = format!("the first one is at {first}");
            self.mistakes
                .push(span, format!("duplicate key `{}`", scalar.text), Some(hint));
        } else {
            mapping.index.insert(scalar.text.clone(), span);
            mapping.pending = Pending::Value(scalar.text, span);
        }
        Ok(())
    }

    fn span(&self, span: &EventSpan) -> Span {
        let range = span.byte_range().unwrap_or_default();
        Span {
            file: self.file,
            start: range.start,
            end: range.end.max(range.start),
        }
    }

    fn stop(&mut self, span: Span, message: impl Into<String>, hint: Option<&str>) -> Stop {
        self.mistakes.push(span, message, hint.map(str::to_owned));
        Stop
    }
}
