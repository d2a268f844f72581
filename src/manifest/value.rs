//! How single values are read: numbers, truth values, durations, texts and the like.
//!
//! Each reader judges one value by itself; what a field means is left to its section.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use camino::Utf8PathBuf;
use url::{Host, Url};

use super::decode::{Fault, suggest};
use super::node::{Kind, Node};
use crate::instance::EnvironmentValue;
use crate::release::ParseError;

/// The longest duration that makes sense anywhere, in seconds: 366 days.
const LONGEST: f64 = 366.0 * 86_400.0;

/// A whole number within a range.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&Node) -> Result<T, Fault>
where
    T: TryFrom<i128> + PartialOrd + std::fmt::Display,
{
    move |node| {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        let scalar = node.scalar().filter(|_| !node.is_null());
        let scalar = scalar.ok_or_else(|| Fault::wants(&wanted, node))?;
        let fits = |number: i128| {
            T::try_from(number)
                .ok()
                .filter(|number| range.contains(number))
        };
        let number = whole_number(&scalar.text).and_then(fits);
        match number {
            Some(number) if scalar.plain => Ok(number),
            Some(_) => Err(Fault::wants(&wanted, node).hint("leave the quotes out")),
            None => {
                let text = scalar.text.to_ascii_lowercase();
                let thousands = text.strip_suffix('k').and_then(whole_number);
                let meant = thousands
                    .and_then(|number| number.checked_mul(1024))
                    .filter(|number| {
                        T::try_from(*number).is_ok_and(|number| range.contains(&number))
                    });
                let fault = Fault::wants(&wanted, node);
                Err(match meant {
                    Some(number) => fault.hint(format!("did you mean `{number}`?")),
                    None => fault,
                })
            }
        }
    }
}

/// A whole number in one of YAML's notations; JSON of other tools may write `600.0`.
fn whole_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let radix = |digits: &str, radix| {
        let all = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        all.then(|| i128::from_str_radix(digits, radix).ok())
            .flatten()
    };
    let number = match digits.get(..2) {
        Some("0x") => radix(&digits[2..], 16),
        Some("0o") => radix(&digits[2..], 8),
        _ => radix(digits.strip_suffix(".0").unwrap_or(digits), 10),
    }?;
    Some(if negative { -number } else { number })
}

/// A number that may have a fraction.
pub(super) fn fraction(range: RangeInclusive<f64>) -> impl Fn(&Node) -> Result<f64, Fault> {
    move |node| {
        let plain = node.scalar().filter(|scalar| scalar.plain);
        plain
            .and_then(|scalar| decimal(&scalar.text))
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let wanted = format!("a number from {} to {}", range.start(), range.end());
                Fault::wants(&wanted, node)
            })
    }
}

/// A decimal number; `inf` and `nan`, which Rust would read, are none.
fn decimal(text: &str) -> Option<f64> {
    let digits = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e'));
    if digits { text.parse().ok() } else { None }
}

/// `true` or `false`.
pub(super) fn truth(node: &Node) -> Result<bool, Fault> {
    let scalar = node.scalar();
    let plain = scalar
        .filter(|scalar| scalar.plain)
        .map(|scalar| scalar.text.as_str());
    match plain {
        Some("true" | "True" | "TRUE") => Ok(true),
        Some("false" | "False" | "FALSE") => Ok(false),
        _ => {
            let fault = Fault::wants("`true` or `false`", node);
            let text = scalar.map(|scalar| scalar.text.to_ascii_lowercase());
            Err(match text.as_deref() {
                Some("yes" | "on" | "y" | "1" | "true") => fault.hint("write `true`"),
                Some("no" | "off" | "n" | "0" | "false") => fault.hint("write `false`"),
                _ => fault,
            })
        }
    }
}

/// A duration: a number of seconds, or numbers with the units `ms s m h d`.
pub(super) fn duration(node: &Node) -> Result<Duration, Fault> {
    duration_of_at_least(Duration::ZERO)(node)
}

/// A duration that is not shorter than the given one.
pub(super) fn duration_of_at_least(
    shortest: Duration,
) -> impl Fn(&Node) -> Result<Duration, Fault> {
    move |node| {
        let scalar = node.scalar().filter(|_| !node.is_null());
        let seconds = scalar.and_then(|scalar| seconds(&scalar.text));
        let duration = seconds
            .filter(|seconds| (0.0..=LONGEST).contains(seconds))
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .filter(|duration| *duration >= shortest);
        duration.ok_or_else(|| {
            let bound = if seconds.is_some_and(|seconds| seconds > LONGEST) {
                " of at most `366d`".to_owned()
            } else if shortest.is_zero() {
                String::new()
            } else {
                format!(" of at least `{}`", print_duration(shortest))
            };
            let wanted = format!("a duration{bound} such as `10s`, `5m` or `1h30m`");
            Fault::wants(&wanted, node)
        })
    }
}

/// A duration as a manifest has it, `1h30m` or a number of seconds; `None` where it is none.
pub fn duration_of(text: &str) -> Option<Duration> {
    let seconds = seconds(text).filter(|seconds| (0.0..=LONGEST).contains(seconds))?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn seconds(text: &str) -> Option<f64> {
    if let Some(number) = decimal(text) {
        return Some(number);
    }
    let mut rest = text;
    let mut total = 0.0;
    let mut last = f64::INFINITY;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        // Larger units come first and none comes twice, so that a slip is not summed up.
        if unit >= last {
            return None;
        }
        last = unit;
        total += number * unit;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then_some(total)
}

/// A duration in the form that [`duration`] reads.
pub(super) fn print_duration(duration: Duration) -> String {
    let mut text = String::new();
    let mut seconds = duration.as_secs();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if seconds >= length {
            text.push_str(&(seconds / length).to_string());
            text.push_str(unit);
            seconds %= length;
        }
    }
    match duration.subsec_nanos() {
        0 if text.is_empty() => "0s".to_owned(),
        0 => text,
        nanos if nanos % 1_000_000 == 0 => format!("{text}{}ms", nanos / 1_000_000),
        _ => format!("{}", duration.as_secs_f64()),
    }
}

/// Any single text, in the words it was written with.
pub(super) fn text(node: &Node) -> Result<String, Fault> {
    let scalar = node.scalar().ok_or_else(|| Fault::wants("a text", node))?;
    if scalar.plain && scalar.text.is_empty() {
        return Err(Fault::wants("a text", node).hint("write `\"\"` for an empty text"));
    }
    if scalar.text.contains('\0') {
        return Err(Fault::says("cannot contain the character NUL"));
    }
    Ok(scalar.text.clone())
}

/// A text with something in it, on one line.
pub(super) fn line(node: &Node) -> Result<String, Fault> {
    let text = text(node)?;
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(Fault::wants("a text of one line", node));
    }
    Ok(text)
}

/// A path, relative to the root or absolute. Files written on Windows have back-slashes.
pub(super) fn path(node: &Node) -> Result<Utf8PathBuf, Fault> {
    let path = line(node)?.replace('\\', "/");
    if path == "~" || path.starts_with("~/") {
        let fault = Fault::says("begins with `~`, which nothing expands here");
        return Err(fault.hint("write the whole path, or one relative to the manifest's folder"));
    }
    Ok(path.into())
}

/// One of a few words.
pub(super) fn word<T: Copy>(
    words: &'static [(&'static str, T)],
) -> impl Fn(&Node) -> Result<T, Fault> {
    move |node| {
        let found = node
            .scalar()
            .filter(|_| !node.is_null())
            .map(|scalar| scalar.text.as_str());
        if let Some((_, value)) = words.iter().find(|(name, _)| Some(*name) == found) {
            return Ok(*value);
        }
        let names = words.iter().map(|(name, _)| *name);
        let wanted: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
        let wanted = match &wanted[..] {
            [one, other] => format!("{one} or {other}"),
            _ => format!("one of {}", wanted.join(", ")),
        };
        let fault = Fault::wants(&wanted, node);
        let near = found
            .map(|found| suggest(found, names))
            .filter(|hint| hint.starts_with("did"));
        Err(near.into_iter().fold(fault, Fault::hint))
    }
}

/// Anything that has a parser of its own.
pub(super) fn parsed<T: FromStr<Err = ParseError>>(node: &Node) -> Result<T, Fault> {
    let scalar = node.scalar().filter(|_| !node.is_null());
    let scalar = scalar.ok_or_else(|| Fault::wants("a text", node))?;
    scalar
        .text
        .parse()
        .map_err(|error: ParseError| Fault::wants(error.wanted, node))
}

/// A URL to fetch from: https, or plain http to this machine itself.
pub(super) fn url(node: &Node) -> Result<Url, Fault> {
    let wanted = "an `https://` URL";
    let url = Url::parse(&line(node)?).map_err(|_| Fault::wants(wanted, node))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::says("must not carry a user name or password")
            .hint(
                "whoever can read the manifest could use them; `source.token_env` names the variable of a token for the API, \
                 and an archive that nobody else may fetch is handed over with `llama-orch binary install VERSION --from-file PATH`",
            ));
    }
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        "http" => Err(Fault::wants(wanted, node).hint("plain `http` only goes to this machine")),
        _ => Err(Fault::wants(wanted, node)),
    }
}

/// `{ file: path }` or `{ from_env: NAME }`. `None` where the value is not a mapping.
pub(super) fn reference(node: &Node) -> Result<Option<EnvironmentValue>, Fault> {
    let wanted = "`{ file: path }` or `{ from_env: NAME }`";
    let Kind::Map(entries) = &node.kind else {
        return Ok(None);
    };
    let [entry] = &entries[..] else {
        return Err(Fault::says(format!("wants {wanted}")));
    };
    match entry.key.as_str() {
        "file" => path(&entry.value).map(EnvironmentValue::File).map(Some),
        "from_env" => variable(&entry.value)
            .map(EnvironmentValue::FromEnv)
            .map(Some),
        other => Err(Fault::says(format!("wants {wanted}, not `{other}`"))),
    }
}

/// The name of an environment variable.
pub(super) fn variable(node: &Node) -> Result<String, Fault> {
    let name = line(node)?;
    if super::excerpt::is_token(&name) {
        let fault = Fault::says("wants the name of a variable, and this looks like a token itself");
        return Err(fault.hint("revoke it, and write the name of a variable that holds one"));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(plain) {
        return Err(Fault::wants("the name of an environment variable", node));
    }
    Ok(name)
}
