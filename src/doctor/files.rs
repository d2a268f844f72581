//! What lies in a root: what was written, our own files, builds, who may do what with them, and the
//! room there is for more.

use super::facts::{Access, Home, Why};
use super::{Check, Code, Examined, Finding};
use crate::observed::Seen;
use crate::plan::action::Bytes;

/// With less than this not even our own files can be relied on to be written.
const NOTHING: u64 = 16 << 20;

/// Less than this is little: a log may grow by as much in a day.
const LITTLE: u64 = 1 << 30;

/// What to do where there is little room.
const ROOM: &str = "`llama-orch binary prune` takes unused builds away; make room otherwise too";

/// So many paths are named; of more their number is told.
const NAMED: usize = 3;

pub(super) fn examine(home: &Home) -> Vec<Examined> {
    vec![files(home), builds(home), access(&home.access), disk(home)]
}

fn files(home: &Home) -> Examined {
    let mut examined = Examined::of(Check::Files);
    for unread in &home.unread {
        let fix = |otherwise: &str| unread.fix.clone().unwrap_or_else(|| otherwise.to_owned());
        let file = unread.file.as_str();
        examined.find(match &unread.why {
            Why::NoManifest => Finding::new(
                Code::ManifestMissing,
                file,
                "is missing, which never means that nothing is wanted",
                fix("bring it back, or end servers with `llama-orch down --all`"),
            ),
            Why::Mistake(what) => Finding::new(
                Code::ManifestMistake,
                file,
                what,
                fix("`llama-orch config validate` shows the place"),
            ),
            Why::Damaged(what) => Finding::new(
                Code::FileDamaged,
                file,
                format!("is damaged: {what}"),
                fix("restore it from a backup"),
            ),
            Why::Newer(what) => Finding::new(
                Code::FileOfLaterVersion,
                file,
                what,
                fix("use the newer llama-orch that wrote it"),
            ),
            Why::Lines(count) => Finding::new(
                Code::HistoryDamaged,
                file,
                format!("{count} of its lines cannot be read, which a crash can cause"),
                fix("nothing has to be done; `llama-orch history` shows the others"),
            ),
            Why::Unseen(why) => {
                examined.skip(format_args!("{file}: {why}"));
                continue;
            }
        });
    }
    let s = if home.whole == 1 { "" } else { "s" };
    examined.tell(format!("{} file{s} read, none is damaged", home.whole))
}

fn builds(home: &Home) -> Examined {
    let builds = match &home.builds {
        Seen::Known(builds) => builds,
        Seen::Unknown(why) => return Examined::skipped(Check::Builds, why),
    };
    let mut examined = Examined::of(Check::Builds);
    for build in builds {
        let used = !build.used_by.is_empty();
        let remove = format!("`llama-orch binary remove {}`", build.id);
        if let Some(damage) = &build.damage {
            let (code, fix) = if used {
                let fix = "`llama-orch apply` installs it again under the same id";
                (Code::BuildDamaged, fix.to_owned())
            } else {
                (Code::UnusedBuildDamaged, remove.clone())
            };
            examined.find(Finding::new(code, &build.name, damage, fix));
            continue;
        }
        for why in &build.unread {
            examined.skip(format_args!("{}: {why}", build.name));
        }
        if let Some(lacking) = build.missing.iter().find(|it| !it.of_cuda) {
            let (file, library) = (&lacking.file, &lacking.library);
            let code = if used {
                Code::LibraryMissing
            } else {
                Code::UnusedBuildDamaged
            };
            examined.find(Finding::new(
                code,
                &build.name,
                format!("`{file}` needs `{library}`, which is not beside it"),
                format!("pin another build; {remove} takes this one away"),
            ));
        }
    }
    examined.tell(match builds.len() {
        0 => "none is installed".to_owned(),
        1 => "1 is installed, and whole at a glance (`binary verify` looks closer)".to_owned(),
        many => {
            format!("{many} are installed, and whole at a glance (`binary verify` looks closer)")
        }
    })
}

fn access(access: &Access) -> Examined {
    if let Some(why) = &access.untold {
        return Examined::skipped(Check::Permissions, why);
    }
    let mut examined = Examined::of(Check::Permissions);
    for why in &access.unseen {
        examined.skip(why);
    }
    let all = (&access.by_all, Code::WritableByAll, "o-w");
    let group = (&access.by_group, Code::WritableByGroup, "g-w");
    for (paths, code, change) in [all, group] {
        let whose = if code == Code::WritableByAll {
            "everybody on this machine may change it"
        } else {
            "its group may change it"
        };
        for path in paths.iter().take(NAMED) {
            let fix = format!("`chmod {change} {path}`");
            examined.find(Finding::new(code, path.as_str(), whose, fix));
        }
        if paths.len() > NAMED {
            let what = format!("the same is so of {} more", paths.len() - NAMED);
            let fix = format!("`chmod -R {change} .` in the root");
            examined.find(Finding::new(code, "", what, fix));
        }
    }
    for path in &access.secrets {
        examined.find(Finding::new(
            Code::SecretReadable,
            path.as_str(),
            "is a secret, and others may read it",
            format!("`chmod 600 {path}`"),
        ));
    }
    if access.state_open {
        examined.find(Finding::new(
            Code::StateReadable,
            ".llama-orch",
            "others may look into it, and logs may hold what was asked",
            "`chmod 700 .llama-orch`",
        ));
    }
    if let Some((owner, user)) = access.other_owner {
        examined.find(Finding::new(
            Code::OtherOwner,
            "",
            format!("the root belongs to user {owner}, and this is user {user}: changing verbs are refused"),
            format!("run them as the owner: `sudo -u '#{owner}' llama-orch ...`"),
        ));
    }
    if let Some(kind) = &access.network {
        examined.find(Finding::new(
            Code::NetworkRoot,
            "",
            format!(
                "the root lies on a network file system ({kind}), where locks are not reliable"
            ),
            "move it to a local disk, or say `--allow-network-root`",
        ));
    }
    if let Some(path) = &access.closed {
        examined.find(Finding::new(
            Code::RootNotWritable,
            path.as_str(),
            "cannot be written to",
            format!("`chmod u+rwx {path}`, or mount it for writing"),
        ));
    }
    examined.tell(format!(
        "{} files and folders, none that others may change",
        access.looked_at
    ))
}

fn disk(home: &Home) -> Examined {
    let mut examined = Examined::of(Check::Disk);
    let mut told = Vec::new();
    for (index, (folder, free)) in home.free.iter().enumerate() {
        let free = match free {
            Seen::Known(free) => *free,
            Seen::Unknown(why) => {
                examined.skip(format_args!("{folder}: {why}"));
                continue;
            }
        };
        let has = format!("{} are free", Bytes(free));
        let needed = home.needed.filter(|_| index == 0).unwrap_or_default();
        let subject = folder.as_str();
        if free < NOTHING {
            let what = format!("{has}: records and logs cannot be written");
            examined.find(Finding::new(Code::DiskFull, subject, what, ROOM));
        } else if free < needed {
            let what = format!("{has}, and what is to be installed takes {}", Bytes(needed));
            examined.find(Finding::new(Code::NoSpaceToInstall, subject, what, ROOM));
        } else if free < LITTLE {
            examined.find(Finding::new(Code::DiskLow, subject, has, ROOM));
        } else {
            told.push(match needed {
                0 => format!("{} free in {folder}", Bytes(free)),
                needed => format!(
                    "{} free in {folder}, {} to be used",
                    Bytes(free),
                    Bytes(needed)
                ),
            });
        }
    }
    if told.is_empty() {
        examined
    } else {
        examined.tell(told.join("; "))
    }
}
