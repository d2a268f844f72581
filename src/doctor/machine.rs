//! The machine against what builds and instances ask of it: the C library, the CUDA runtime, limits, the
//! clock and the environment. Its devices are in [`super::devices`].

use jiff::{SignedDuration, Timestamp};

use super::advisories::AS_OF;
use super::facts::{Build, Clock, Limits, Machine, Wanted};
use super::{Check, Code, Examined, Finding, devices};
use crate::observed::Seen;
use crate::plan::action::{Ago, Bytes};
use crate::release::Os;
use crate::release::host::{Doubt, Libc};

/// Fewer open files than this are too few for a server: its connections, its model's parts and what
/// its driver opens.
const FILES: u64 = 1024;

/// Fewer processes and threads than this are too few: a server has a thread for each core and for each
/// connection it serves.
const PROCESSES: u64 = 512;

/// How far a clock may be off before it is told, and before certificates cannot be judged by it.
const OFF: SignedDuration = SignedDuration::from_mins(5);
const FAR_OFF: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn examine(
    machine: &Machine,
    wanted: Option<&Seen<Vec<Wanted>>>,
    builds: Option<&Seen<Vec<Build>>>,
    at: Timestamp,
) -> Vec<Examined> {
    vec![
        devices::gpu(machine, wanted),
        devices::vulkan(machine, wanted),
        glibc(machine, wanted, builds),
        cudart(builds),
        limits(&machine.limits, wanted),
        clock(&machine.clock, at),
        environment(&machine.stray),
    ]
}

/// The instances that are to run. Nothing where there is no manifest, or none that can be read.
pub(super) fn enabled(wanted: Option<&Seen<Vec<Wanted>>>) -> impl Iterator<Item = &Wanted> {
    let known = wanted.and_then(Seen::known);
    known.into_iter().flatten().filter(|one| one.enabled)
}

/// Says where it is not known what instances ask for.
pub(super) fn unread(examined: &mut Examined, wanted: Option<&Seen<Vec<Wanted>>>) {
    if let Some(Seen::Unknown(why)) = wanted {
        examined.skip(format_args!("what instances ask for: {why}"));
    }
}

fn glibc(
    machine: &Machine,
    wanted: Option<&Seen<Vec<Wanted>>>,
    builds: Option<&Seen<Vec<Build>>>,
) -> Examined {
    const FIX: &str =
        "pin a variant or a build that was made on an older system, or upgrade this one";
    let mut examined = Examined::of(Check::Glibc);
    let Some(host) = &machine.host else {
        return Examined::skipped(
            Check::Glibc,
            "it is not known which C library this system has",
        );
    };
    if host.os != Os::Linux {
        return examined.tell("there is none on this system");
    }
    let has = match host.libc {
        Libc::Glibc(has) => format!("glibc {has}"),
        Libc::Musl => "musl".to_owned(),
        Libc::Unknown => {
            return Examined::skipped(
                Check::Glibc,
                "there is no libc.so.6 in the usual places, so its version is not known",
            );
        }
    };
    let installed = builds.and_then(Seen::known).into_iter().flatten();
    let mut judged = 0;
    for build in installed {
        judged += 1;
        if let Some((file, needs)) = &build.too_new {
            let what = format!("`{file}` needs glibc {needs}, and this machine has {has}");
            let code = if build.used_by.is_empty() {
                Code::GlibcMayBeTooOld
            } else {
                Code::GlibcTooOld
            };
            examined.find(Finding::new(code, &build.name, what, FIX));
        }
        if let Some(why) = &build.backend_too_new {
            examined.find(Finding::new(
                Code::GlibcTooOldForBackend,
                &build.name,
                why,
                FIX,
            ));
        }
    }
    for one in enabled(wanted).filter(|one| !one.installed) {
        let parts = one
            .variant
            .as_ref()
            .and_then(crate::release::Variant::parts);
        if let Some(doubt) = parts.and_then(|parts| host.libc_doubt(&parts)) {
            let variant = one
                .variant
                .as_ref()
                .map_or("", crate::release::Variant::as_str);
            let what = format!("upstream's `{variant}` build {doubt}");
            let code = if doubt == Doubt::NoGlibc {
                Code::GlibcTooOld
            } else {
                Code::GlibcMayBeTooOld
            };
            examined.find(Finding::new(code, one.name.as_str(), what, FIX));
        }
    }
    examined.tell(match judged {
        0 => has,
        1 => format!("{has}, which the installed build can do with"),
        many => format!("{has}, which the {many} installed builds can do with"),
    })
}

fn cudart(builds: Option<&Seen<Vec<Build>>>) -> Examined {
    let mut examined = Examined::of(Check::Cudart);
    let builds = match builds {
        None => return examined.tell("there are no builds to look at"),
        Some(Seen::Unknown(why)) => return Examined::skipped(Check::Cudart, why),
        Some(Seen::Known(builds)) => builds,
    };
    for build in builds {
        let missing: Vec<_> = build.missing.iter().filter(|it| it.of_cuda).collect();
        let Some(first) = missing.first() else {
            continue;
        };
        let more = match missing.len() {
            1 => String::new(),
            many => format!(" (and {} more)", many - 1),
        };
        examined.find(Finding::new(
            Code::CudartMissing,
            &build.name,
            format!("`{}` needs `{}`{more}, which is not beside it", first.file, first.library),
            format!(
                "`llama-orch binary remove {}`, then `llama-orch apply` installs it with its runtime",
                build.id
            ),
        ));
    }
    let cuda = builds
        .iter()
        .filter(|build| build.name.contains("cuda"))
        .count();
    examined.tell(match cuda {
        0 => "no CUDA build is installed".to_owned(),
        1 => "the CUDA build has its runtime beside it".to_owned(),
        many => format!("the {many} CUDA builds have their runtime beside them"),
    })
}

fn limits(limits: &Limits, wanted: Option<&Seen<Vec<Wanted>>>) -> Examined {
    let mut examined = Examined::of(Check::Limits);
    let mut told = Vec::new();
    let mut few =
        |examined: &mut Examined, seen: &Seen<Option<u64>>, least, code, what, option| match seen {
            Seen::Unknown(why) => examined.skip(format_args!("{what}: {why}")),
            Seen::Known(Some(limit)) if *limit < least => examined.find(Finding::new(
                code,
                "",
                format!("this shell allows {limit} {what}, and a server may need {least}"),
                format!("`ulimit {option} {}` before `llama-orch apply`", least * 4),
            )),
            Seen::Known(Some(limit)) => told.push(format!("{limit} {what}")),
            Seen::Known(None) => told.push(format!("any number of {what}")),
        };
    let open = (Code::FewOpenFiles, "open files", "-n");
    few(&mut examined, &limits.files, FILES, open.0, open.1, open.2);
    let processes = (Code::FewProcesses, "processes", "-u");
    let (code, what, option) = processes;
    few(
        &mut examined,
        &limits.processes,
        PROCESSES,
        code,
        what,
        option,
    );
    lockable(&mut examined, limits, wanted);
    if let Some(limit) = limits.group {
        told.push(format!("{} of memory in its control group", Bytes(limit)));
        for one in enabled(wanted).filter(|one| one.model > limit) {
            examined.find(Finding::new(
                Code::MemoryLimit,
                one.name.as_str(),
                format!("its model is {}, and the control group may use {}", Bytes(one.model), Bytes(limit)),
                "give the container or service more memory (`MemoryMax=`, `--memory`), or take a smaller model",
            ));
        }
    }
    if let Seen::Known(core) = &limits.core
        && *core != Some(0)
    {
        examined.find(Finding::new(
            Code::CoreDumps,
            "",
            "a server that crashes writes its memory to disk, its model with it",
            "`ulimit -c 0` before `llama-orch apply`, unless that is wanted",
        ));
    }
    examined.tell(told.join(", "))
}

/// Models that are to be locked in memory. llama.cpp spells it `--mlock`, and from b10114 on
/// `--load-mode` with a value that has `mlock` in it (ggml-org/llama.cpp#20834, #26135).
fn lockable(examined: &mut Examined, limits: &Limits, wanted: Option<&Seen<Vec<Wanted>>>) {
    let locks = |one: &&Wanted| {
        one.args.iter().enumerate().any(|(index, argument)| {
            let (option, value) = argument.split_once('=').unwrap_or((argument, ""));
            let next = one.args.get(index + 1).map_or("", String::as_str);
            let value = if value.is_empty() { next } else { value };
            option == "--mlock"
                || (["-lm", "--load-mode"].contains(&option) && value.contains("mlock"))
        })
    };
    for one in enabled(wanted).filter(locks) {
        match &limits.locked {
            Seen::Known(Some(limit)) if one.model > *limit => examined.find(Finding::new(
                Code::LockLimit,
                one.name.as_str(),
                format!(
                    "is to lock {} in memory, and {} may be locked",
                    Bytes(one.model),
                    Bytes(*limit)
                ),
                "raise `memlock` in /etc/security/limits.conf (`LimitMEMLOCK=` of a service), or leave the option out",
            )),
            Seen::Known(_) => {}
            Seen::Unknown(why) => examined.skip(format_args!("what may be locked: {why}")),
        }
    }
}

fn clock(clock: &Clock, at: Timestamp) -> Examined {
    const FIX: &str = "`timedatectl set-ntp true`, or set it by hand";
    let mut examined = Examined::of(Check::Clock);
    if let Ok(made) = format!("{AS_OF}T00:00:00Z").parse::<Timestamp>()
        && at < made
    {
        let what = format!("stands at {at}, before this program was made ({AS_OF})");
        examined.find(Finding::new(Code::ClockBehind, "", what, FIX));
    }
    let now = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let told = match clock.remote {
        Some(_) => "agrees with that of the release source".to_owned(),
        None => format!("{now}, with nothing to compare it with"),
    };
    if let Some((remote, local)) = clock.remote {
        let off = local.duration_since(remote);
        let (size, way) = (
            off.abs(),
            if off.is_negative() {
                "behind"
            } else {
                "ahead of"
            },
        );
        if size > OFF {
            let code = if size > FAR_OFF {
                Code::ClockFarOff
            } else {
                Code::ClockOff
            };
            let what = format!(
                "is {} {way} that of the release source",
                Ago(size.as_secs())
            );
            examined.find(Finding::new(code, "", what, FIX));
        }
    }
    if let Some((file, written)) = &clock.youngest
        && written.duration_since(at) > OFF
    {
        examined.find(Finding::new(
            Code::FileFromTheFuture,
            file.clone(),
            format!(
                "was written {} from now",
                Ago(written.duration_since(at).as_secs())
            ),
            format!("{FIX}; if it is right, `touch {file}`"),
        ));
    }
    examined.tell(told)
}

fn environment(stray: &[String]) -> Examined {
    let mut examined = Examined::of(Check::Environment);
    for name in stray {
        examined.find(Finding::new(
            Code::StrayArgument,
            name.clone(),
            "is set here; servers are not given it, and one started by hand would obey it",
            format!("`unset {name}`, or write what it says under the instance's `args`"),
        ));
    }
    examined.tell("no `LLAMA_ARG_*` is set")
}
