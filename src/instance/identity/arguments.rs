//! What macOS keeps of a process' beginnings: its arguments and its environment.
//!
//! `sysctl(KERN_PROCARGS2)`: the number of arguments, the path of the executable, zeros up to the
//! first argument, then the arguments and the environment, each text ending in a zero (xnu,
//! `bsd/kern/kern_sysctl.c`).

/// The value of a variable in the environment a process was started with.
pub(super) fn variable<'a>(told: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (count, rest) = told.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    let end_of_path = rest.iter().position(|byte| *byte == 0)?;
    let rest = &rest[end_of_path..];
    let first = rest.iter().position(|byte| *byte != 0)?;
    rest[first..]
        .split(|byte| *byte == 0)
        .skip(count)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(arguments: &[&str], environment: &[&str]) -> Vec<u8> {
        let count = i32::try_from(arguments.len()).expect("few");
        let mut told = count.to_ne_bytes().to_vec();
        told.extend(b"/bins/1/llama-server\0\0\0\0");
        for text in arguments.iter().chain(environment) {
            told.extend(text.bytes().chain([0]));
        }
        told
    }

    #[test]
    fn a_variable_is_read_from_the_environment_and_from_no_argument() {
        let told = told(
            &["llama-server", "NONCE=forged", ""],
            &["NO=", "NONCE=right"],
        );
        assert_eq!(variable(&told, "NONCE"), Some(&b"right"[..]));
        assert_eq!(variable(&told, "NO"), Some(&b""[..]));
        assert_eq!(variable(&told, "ABSENT"), None);
    }

    #[test]
    fn what_is_cut_short_has_no_variables_or_fewer() {
        let whole = told(&["llama-server"], &["NONCE=right"]);
        for length in 0..whole.len() - 1 {
            let found = variable(&whole[..length], "NONCE");
            assert!(found.is_none_or(|value| value != b"right"), "{length}");
        }
        assert_eq!(variable(&(-1_i32).to_ne_bytes(), "NONCE"), None);
    }
}
