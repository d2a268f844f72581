//! Takes valid JSON apart into the events a tree is built from.
//!
//! A machine may have a thousand `config.json`; the YAML parser would read them as well, at a tenth
//! of the speed. Whether the text is valid JSON has been judged before ([`super::syntax`]).

use std::ops::Range;

/// One event and where it is in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A mapping begins.
    Map,
    /// A list begins.
    List,
    /// The innermost mapping or list ends.
    End,
    /// A string, a key included, without its escapes.
    String(String),
    /// A number, a truth value or `null`.
    Word(String),
}

/// The tokens of a text, in order.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = (Token, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let gap = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':');
        at += text
            .as_bytes()
            .get(at..)?
            .iter()
            .take_while(|byte| gap(byte))
            .count();
        let rest = text.get(at..)?;
        let (token, length) = match rest.as_bytes().first()? {
            b'{' => (Token::Map, 1),
            b'[' => (Token::List, 1),
            b'}' | b']' => (Token::End, 1),
            b'"' => string(rest),
            _ => {
                let ends = |c: char| matches!(c, ',' | ':' | ']' | '}' | ' ' | '\t' | '\n' | '\r');
                let length = rest.find(ends).unwrap_or(rest.len());
                (Token::Word(rest[..length].to_owned()), length)
            }
        };
        let range = at..at + length;
        at = range.end;
        Some((token, range))
    })
}

/// The string a text begins with, and its length with the quotes.
fn string(text: &str) -> (Token, usize) {
    let mut escaped = false;
    let mut has_any = false;
    let quote = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        has_any |= escaped;
        ends
    });
    let length = quote.map_or(text.len(), |quote| quote + 2);
    let inner = text.get(1..length - 1).unwrap_or_default();
    let string = if has_any {
        serde_json::from_str(&text[..length]).unwrap_or_else(|_| inner.to_owned())
    } else {
        inner.to_owned()
    };
    (Token::String(string), length)
}
