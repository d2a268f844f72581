//! A launch as a command line that can be copied into a shell, less its secrets.

use crate::manifest::without_tokens;

/// Options whose value is a secret, or their beginning with `=`.
const SECRET: [&str; 5] = ["--api-key", "--api_key", "--hf-token", "--hf_token", "-hft"];

/// What stands for a secret.
const MASK: &str = "***";

/// Columns a line of a command has before it goes on below.
const WIDTH: usize = 74;

/// The arguments with every secret masked.
pub fn redacted(arguments: &[String]) -> Vec<String> {
    let mut after_secret = false;
    let redact = |argument: &String| {
        let was_after = std::mem::replace(&mut after_secret, SECRET.contains(&argument.as_str()));
        if was_after {
            return MASK.to_owned();
        }
        match argument.split_once('=') {
            Some((option, _)) if SECRET.contains(&option) => format!("{option}={MASK}"),
            _ => without_tokens(argument),
        }
    };
    arguments.iter().map(redact).collect()
}

/// The lines of a command for a POSIX shell, broken before options.
pub fn command_line(program: &str, arguments: &[String]) -> Vec<String> {
    let mut lines = vec![quoted(program)];
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next() {
        let mut part = quoted(word);
        if word.starts_with('-')
            && let Some(value) = words.next_if(|next| !next.starts_with('-'))
        {
            part = format!("{part} {}", quoted(value));
        }
        match lines.last_mut() {
            Some(line) if line.len() + part.len() < WIDTH => *line = format!("{line} {part}"),
            last => {
                if let Some(line) = last {
                    line.push_str(" \\");
                }
                lines.push(format!("  {part}"));
            }
        }
    }
    lines
}

/// A word as a POSIX shell has to be given it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn no_secret_is_shown() {
        let arguments = words(&[
            "--port",
            "1",
            "--api-key",
            "s3cret",
            "--hf-token=hf_abcdefghijklmnopqrstuvwxyz",
            "--api-key-file",
            "secrets/key",
        ]);
        let shown = words(&[
            "--port",
            "1",
            "--api-key",
            "***",
            "--hf-token=***",
            "--api-key-file",
            "secrets/key",
        ]);
        assert_eq!(redacted(&arguments), shown);
    }

    #[test]
    fn a_shell_takes_the_words_apart_as_they_were() {
        let arguments = words(&["--model", "a model's.gguf", "", "-ngl", "99", "$HOME"]);
        assert_eq!(
            command_line("bins/x/llama-server", &arguments),
            [r"bins/x/llama-server --model 'a model'\''s.gguf' '' -ngl 99 '$HOME'"]
        );
        let long = words(&["--model", &"m".repeat(60), "--port", "8071"]);
        let lines = command_line("bins/x/llama-server", &long);
        let ends: Vec<bool> = lines.iter().map(|line| line.ends_with(" \\")).collect();
        assert_eq!(ends, [true, true, false], "{lines:?}");
        assert_eq!(lines[2], "  --port 8071");
    }
}
