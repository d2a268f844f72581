//! Linux: one `stat` for each process (`proc(5)`), and what DRM drivers write of their clients
//! (the kernel's `Documentation/gpu/drm-usage-stats.rst`).

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{Life, Person};

pub(super) fn people() -> Option<BTreeMap<u32, Person>> {
    let user = rustix::process::geteuid().as_raw();
    let page = rustix::param::page_size() as u64;
    let mut people = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if entry
            .metadata()
            .is_ok_and(|metadata| metadata.uid() == user)
            && let Ok(stat) = std::fs::read(entry.path().join("stat"))
            && let Some(person) = parse(&stat, page)
        {
            people.insert(pid, person);
        }
    }
    Some(people)
}

/// The fields of `stat` from the third on follow the last `)`, since the second is a name that may
/// contain anything.
fn parse(stat: &[u8], page: u64) -> Option<Person> {
    let after = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&stat[after..])
        .ok()?
        .split_whitespace()
        .collect();
    Some(Person {
        life: match *fields.first()? {
            "T" | "t" => Life::Suspended,
            "Z" | "X" | "x" => Life::Dead,
            _ => Life::Runs,
        },
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        resident: fields.get(21)?.parse::<u64>().ok()?.saturating_mul(page),
    })
}

pub(super) fn counts_gpu() -> bool {
    Path::new("/dev/dri").is_dir()
}

pub(super) fn proportional(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    text.lines().find_map(|line| kibibytes(line, "Pss:"))
}

/// What a process's open DRM devices say, each client once however often it is open.
pub(super) fn gpu(pid: u32) -> Option<u64> {
    let mut clients = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        let opens_gpu =
            std::fs::read_link(entry.path()).is_ok_and(|target| target.starts_with("/dev/dri"));
        if !opens_gpu {
            continue;
        }
        let number = entry.file_name();
        let path = format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy());
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        if let Some((client, bytes)) = client(&text) {
            clients.insert(client, bytes);
        }
    }
    (!clients.is_empty()).then(|| clients.values().sum())
}

/// The device and number of a client, and the bytes of video memory it has.
fn client(text: &str) -> Option<((String, String), u64)> {
    let value = |key: &str| {
        text.lines()
            .find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()))
    };
    let amount = ["drm-resident-vram", "drm-total-vram", "drm-memory-vram"]
        .iter()
        .find_map(|key| {
            text.lines().find_map(|line| {
                kibibytes(line, &format!("{key}0:")).or_else(|| kibibytes(line, &format!("{key}:")))
            })
        })?;
    let id = value("drm-client-id:")?;
    Some(((value("drm-pdev:").unwrap_or_default(), id), amount))
}

/// The amount behind a key, in bytes. A number without a unit is one of bytes.
fn kibibytes(line: &str, key: &str) -> Option<u64> {
    let mut words = line.strip_prefix(key)?.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    Some(match words.next() {
        Some("kB" | "KiB") => number.saturating_mul(1 << 10),
        Some("MiB") => number.saturating_mul(1 << 20),
        _ => number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let stat = b"4121 (a) R (b) T 1 4100 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 1000 3 0";
        let person = parse(stat, 4096).expect("it has the form");
        assert_eq!(person.life, Life::Suspended);
        assert_eq!((person.group, person.started), (4100, 777));
        assert_eq!(person.resident, 3 * 4096);
    }

    #[test]
    fn what_a_driver_says_of_a_client_is_read_in_its_units() {
        let text = "pos:\t0\ndrm-driver:\tamdgpu\ndrm-client-id:\t42\ndrm-pdev:\t0000:03:00.0\n\
                    drm-memory-vram:\t8192 KiB\ndrm-memory-gtt:\t7 KiB\n";
        let expected = ("0000:03:00.0".to_owned(), "42".to_owned());
        assert_eq!(client(text), Some((expected, 8 << 20)));
        let newer = "drm-client-id: 1\ndrm-total-vram0: 3 MiB\ndrm-resident-vram0: 2 MiB\n";
        assert_eq!(
            client(newer),
            Some(((String::new(), "1".to_owned()), 2 << 20))
        );
        assert_eq!(client("drm-driver:\tamdgpu\n"), None);
    }
}
