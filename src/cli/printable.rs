//! What a terminal may be given of a text that others have a hand in: a model writes into its server's
//! log, and what a terminal takes for a command must not come from there.
//!
//! Text, line breaks, tabs and colours (SGR, `ESC [ ... m`) stay; every other control character and
//! control sequence goes.

use std::borrow::Cow;

/// The text without what would drive a terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() && c != '\n') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\x1b' => {
                let (length, is_colour) = sequence(rest);
                if is_colour {
                    shown.push_str(&rest[..length]);
                }
                length
            }
            first => {
                if !first.is_control() || first == '\n' || first == '\t' {
                    shown.push(first);
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Cow::Owned(shown)
}

/// The length of the sequence that begins with this ESC, and whether it only sets colours (ECMA-48).
fn sequence(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    match bytes.get(1) {
        Some(b'[') => {
            let body = bytes[2..]
                .iter()
                .take_while(|byte| (0x20..=0x3f).contains(*byte))
                .count();
            let parameters = &bytes[2..2 + body];
            let plain = parameters
                .iter()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'));
            match bytes.get(2 + body) {
                Some(end) if (0x40..=0x7e).contains(end) => (3 + body, plain && *end == b'm'),
                _ => (2 + body, false),
            }
        }
        // Texts for the terminal itself, such as its title or the clipboard, end with BEL or ESC \.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => {
            let body = &text[2..];
            let ends = [("\x07", 1), ("\x1b\\", 2)].into_iter();
            let end = ends
                .filter_map(|(end, length)| Some(body.find(end)? + length))
                .min();
            (2 + end.unwrap_or(body.len()), false)
        }
        Some(byte) if byte.is_ascii() && !byte.is_ascii_control() => (2, false),
        _ => (1, false),
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn text_and_colours_stay() {
        for text in [
            "plain",
            "two\nlines\tand a tab",
            "\x1b[1;31mred\x1b[0m",
            "größe 模型",
        ] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn nothing_drives_the_terminal() {
        for (text, shown) in [
            ("a\x1b[2Jb", "ab"),
            ("a\x1b[10;10Hb", "ab"),
            ("a\x1b]0;title\x07b", "ab"),
            ("a\x1b]52;c;cm0gLXJm\x1b\\b", "ab"),
            ("a\x1bPpayload\x1b\\b", "ab"),
            ("a\x1b]never ends", "a"),
            ("a\x1bcb", "ab"),
            ("a\rb\x08\x07\x7f", "ab"),
            ("a\u{9b}2Jb", "a2Jb"),
            ("a\x1b[?25mb", "ab"),
            ("a\x1b", "a"),
            ("a\x1b[", "a"),
            ("a\x1b[31", "a"),
            ("\x1b\x1b[31mred", "\x1b[31mred"),
            ("\x1bé", "é"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }
}
