//! Unix: owners by user id, and what file system a folder lies on (statfs(2)).

use std::io;

use camino::Utf8Path;

/// The owner of a folder and this user, where they are not the same.
pub(super) fn other_owner(path: &Utf8Path) -> io::Result<Option<(u32, u32)>> {
    let stat = rustix::fs::stat(path.as_std_path())?;
    let user = rustix::process::geteuid().as_raw();
    Ok((stat.st_uid != user).then_some((stat.st_uid, user)))
}

/// The id of its owner.
pub(super) fn owner(path: &Utf8Path) -> io::Result<String> {
    let stat = rustix::fs::stat(path.as_std_path())?;
    Ok(stat.st_uid.to_string())
}

/// The number of this user.
#[expect(clippy::unnecessary_wraps, reason = "other systems have none")]
pub(super) fn user_id() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// Whether this is root.
pub(super) fn is_administrator() -> bool {
    rustix::process::geteuid().is_root()
}

/// The name of the network file system a path lies on, if it does.
#[cfg(target_os = "linux")]
pub(super) fn network_file_system(path: &Utf8Path) -> io::Result<Option<&'static str>> {
    /// `f_type` of statfs(2).
    const KINDS: [(u64, &str); 8] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xfe53_4d42, "SMB"),
        (0xff53_4d42, "CIFS"),
        (0x0102_1997, "9P"),
        (0x00c3_6400, "Ceph"),
        (0x0bd0_0bd0, "Lustre"),
        (0x5346_414f, "AFS"),
    ];
    let stat = rustix::fs::statfs(path.as_std_path())?;
    #[expect(clippy::cast_sign_loss, reason = "f_type is a magic number of 32 bits")]
    let magic = (stat.f_type as u64) & 0xffff_ffff;
    Ok(KINDS
        .iter()
        .find(|(kind, _)| *kind == magic)
        .map(|(_, name)| *name))
}

/// The name of the network file system a path lies on, if it does.
#[cfg(target_os = "macos")]
pub(super) fn network_file_system(path: &Utf8Path) -> io::Result<Option<&'static str>> {
    /// `f_fstypename` of statfs(2).
    const KINDS: [&str; 4] = ["nfs", "smbfs", "afpfs", "webdav"];
    let stat = rustix::fs::statfs(path.as_std_path())?;
    let name: Vec<u8> = stat
        .f_fstypename
        .iter()
        .map(|letter| letter.cast_unsigned())
        .take_while(|letter| *letter != 0)
        .collect();
    Ok(KINDS.into_iter().find(|kind| kind.as_bytes() == name))
}
