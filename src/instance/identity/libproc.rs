//! The calls of macOS that tell of processes: `libproc` and `sysctl` (xnu, `bsd/sys/proc_info.h`).
//!
//! Nothing is compared here, which is left to `os`.

#![expect(unsafe_code, reason = "the system is called")]

use std::ffi::{CStr, c_int, c_void};
use std::io;

use camino::Utf8PathBuf;
use uuid::Uuid;

use super::{NONCE, arguments};

/// The id of this boot.
pub(super) fn boot() -> io::Result<Uuid> {
    let mut text = [0_u8; 64];
    let mut length = text.len();
    // SAFETY: the name ends in a zero, `text` has room for as many bytes as are said, and nothing
    // is to be set.
    let asked = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            text.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    let text = CStr::from_bytes_until_nul(&text).map_err(io::Error::other)?;
    Uuid::try_parse_ascii(text.to_bytes()).map_err(io::Error::other)
}

/// The processes of this user but this one.
pub(in crate::instance) fn own_processes() -> io::Result<Vec<u32>> {
    let user = rustix::process::geteuid().as_raw();
    let mut pids = vec![0 as c_int; 1024];
    loop {
        let room = c_int::try_from(size_of_val(pids.as_slice())).map_err(io::Error::other)?;
        // SAFETY: `pids` has room for as many bytes as are said.
        let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), room) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        if count < pids.len() {
            pids.truncate(count);
            break;
        }
        pids = vec![0; pids.len() * 2];
    }
    let others = pids
        .into_iter()
        .filter_map(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid != 0 && *pid != std::process::id());
    Ok(others
        .filter(|pid| {
            about(*pid)
                .ok()
                .flatten()
                .is_some_and(|about| about.pbi_uid == user)
        })
        .collect())
}

/// What the kernel tells of a process, also of one that has ended and was not waited for.
pub(super) fn about(pid: u32) -> io::Result<Option<libc::proc_bsdinfo>> {
    let Ok(raw) = c_int::try_from(pid) else {
        return Ok(None);
    };
    let length = c_int::try_from(size_of::<libc::proc_bsdinfo>()).map_err(io::Error::other)?;
    let mut about = std::mem::MaybeUninit::<libc::proc_bsdinfo>::uninit();
    // SAFETY: `about` has room for as many bytes as are said. An argument of 1 asks for the dead too.
    let bytes = unsafe {
        libc::proc_pidinfo(
            raw,
            libc::PROC_PIDTBSDINFO,
            1,
            about.as_mut_ptr().cast(),
            length,
        )
    };
    if bytes == length {
        // SAFETY: the call has filled all of it.
        return Ok(Some(unsafe { about.assume_init() }));
    }
    match io::Error::last_os_error() {
        // Of other users' processes only little is told, which is enough to know that it is one.
        error if error.raw_os_error() == Some(libc::EPERM) && is_another_users(raw) => Ok(None),
        error => gone_is_none(Err(error)),
    }
}

/// Whether a process that we may not look into runs as another user, and so cannot be ours.
fn is_another_users(pid: c_int) -> bool {
    let Ok(length) = c_int::try_from(size_of::<libc::proc_bsdshortinfo>()) else {
        return false;
    };
    let mut about = std::mem::MaybeUninit::<libc::proc_bsdshortinfo>::uninit();
    // SAFETY: `about` has room for as many bytes as are said.
    let bytes = unsafe {
        let flavour = libc::PROC_PIDT_SHORTBSDINFO;
        libc::proc_pidinfo(pid, flavour, 0, about.as_mut_ptr().cast(), length)
    };
    if bytes != length {
        return false;
    }
    // SAFETY: the call has filled all of it.
    let about = unsafe { about.assume_init() };
    about.pbsi_uid != rustix::process::geteuid().as_raw()
}

/// The executable of a process; `None` when it has ended or its file is gone.
pub(super) fn program(pid: u32) -> io::Result<Option<Utf8PathBuf>> {
    let Ok(raw) = c_int::try_from(pid) else {
        return Ok(None);
    };
    let mut path = vec![0_u8; libc::PROC_PIDPATHINFO_MAXSIZE.cast_unsigned() as usize];
    let room = u32::try_from(path.len()).map_err(io::Error::other)?;
    // SAFETY: `path` has room for as many bytes as are said.
    let length = unsafe { libc::proc_pidpath(raw, path.as_mut_ptr().cast(), room) };
    match usize::try_from(length) {
        Ok(length) if length > 0 => {
            path.truncate(length);
            Ok(Some(String::from_utf8_lossy(&path).into_owned().into()))
        }
        _ => gone_is_none(Err(io::Error::last_os_error())),
    }
}

/// The file name of the executable of a process, where it can be had.
pub(in crate::instance) fn program_name(pid: u32) -> Option<String> {
    Some(program(pid).ok()??.file_name()?.to_owned())
}

/// The nonce in the environment a process was started with.
pub(super) fn nonce_of(pid: u32) -> io::Result<Option<Uuid>> {
    let Ok(raw) = c_int::try_from(pid) else {
        return Ok(None);
    };
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, raw];
    let mut told = vec![0_u8; longest_arguments()?];
    let mut length = told.len();
    // SAFETY: the name has three parts, `told` has room for as many bytes as are said, and nothing
    // is to be set.
    let asked = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            3,
            told.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if asked != 0 {
        return gone_is_none(Err(io::Error::last_os_error()));
    }
    let told = told.get(..length).unwrap_or_default();
    Ok(arguments::variable(told, NONCE).and_then(|nonce| Uuid::try_parse_ascii(nonce).ok()))
}

/// How many bytes the arguments and the environment of a process can have.
fn longest_arguments() -> io::Result<usize> {
    let mut name = [libc::CTL_KERN, libc::KERN_ARGMAX];
    let mut longest: c_int = 0;
    let mut length = size_of::<c_int>();
    // SAFETY: the name has two parts, `longest` has as many bytes as are said, and nothing is to be
    // set.
    let asked = unsafe {
        libc::sysctl(
            name.as_mut_ptr(),
            2,
            (&raw mut longest).cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    usize::try_from(longest).map_err(io::Error::other)
}

/// A process that ended while it was looked at is not an error. The kernel calls the arguments of
/// one that has none an invalid question.
fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ESRCH | libc::ENOENT | libc::EINVAL)
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The open descriptors of a process and of what kind each is. An error where it is not ours or gone.
pub(in crate::instance) fn descriptors(pid: u32) -> io::Result<Vec<(i32, c_int)>> {
    let raw = c_int::try_from(pid).map_err(io::Error::other)?;
    let empty = libc::proc_fdinfo {
        proc_fd: 0,
        proc_fdtype: 0,
    };
    let mut list = vec![empty; 64];
    loop {
        let room = c_int::try_from(size_of_val(list.as_slice())).map_err(io::Error::other)?;
        // SAFETY: `list` has room for as many bytes as are said.
        let bytes = unsafe {
            libc::proc_pidinfo(
                raw,
                libc::PROC_PIDLISTFDS,
                0,
                list.as_mut_ptr().cast(),
                room,
            )
        };
        if bytes <= 0 {
            return Err(io::Error::last_os_error());
        }
        if bytes < room {
            let count = usize::try_from(bytes).unwrap_or(0) / size_of::<libc::proc_fdinfo>();
            let descriptors = list.iter().take(count);
            return Ok(descriptors
                .map(|one| (one.proc_fd, one.proc_fdtype.cast_signed()))
                .collect());
        }
        list = vec![empty; list.len() * 2];
    }
}

/// What the kernel tells of a descriptor of a process, in the form of a flavour of `proc_pidfdinfo`.
pub(in crate::instance) fn descriptor_info(
    pid: u32,
    descriptor: i32,
    flavour: c_int,
    length: usize,
) -> Option<Vec<u8>> {
    let raw = c_int::try_from(pid).ok()?;
    let room = c_int::try_from(length).ok()?;
    // Aligned as the widest number in it has to be.
    let mut info = vec![0_u64; length.div_ceil(8)];
    // SAFETY: `info` has room for as many bytes as are said.
    let bytes = unsafe {
        libc::proc_pidfdinfo(
            raw,
            descriptor,
            flavour,
            info.as_mut_ptr().cast::<c_void>(),
            room,
        )
    };
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0)?;
    Some(
        info.into_iter()
            .flat_map(u64::to_ne_bytes)
            .take(bytes)
            .collect(),
    )
}
