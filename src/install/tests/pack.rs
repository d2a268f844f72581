//! Packs archives, well-formed ones and hostile ones, in memory.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A server as small as can be: it knows `--version`, in the older of the two forms.
pub(in crate::install) const SERVER: &str = "#!/bin/sh\necho 'version: 9001 (abcdef12)' >&2\n";

/// An archive to be.
#[derive(Debug, Clone, Default)]
pub(in crate::install) struct Pack {
    members: Vec<Member>,
}

#[derive(Debug, Clone)]
struct Member {
    name: Vec<u8>,
    kind: EntryType,
    mode: u32,
    content: Vec<u8>,
    target: Vec<u8>,
}

impl Pack {
    pub(in crate::install) fn empty() -> Self {
        Self::default()
    }

    /// What a release of this age looks like.
    pub(in crate::install) fn release() -> Self {
        Self::below("llama-b9001/")
            .with_link("llama-b9001/libllama.so", "libllama.so.0")
            .with_link("llama-b9001/libllama.so.0", "libllama.so.0.0.9001")
    }

    /// A server and its siblings below a folder, without links.
    pub(in crate::install) fn below(folder: &str) -> Self {
        Self::empty()
            .with_file(&format!("{folder}LICENSE"), b"MIT", 0o644)
            .with_file(&format!("{folder}llama-server"), SERVER.as_bytes(), 0o755)
            .with_file(&format!("{folder}libllama.so.0.0.9001"), b"\x7fELF", 0o755)
    }

    pub(in crate::install) fn with_file(mut self, name: &str, content: &[u8], mode: u32) -> Self {
        self.push(name.as_bytes(), EntryType::Regular, mode, content, b"");
        self
    }

    pub(in crate::install) fn with_folder(mut self, name: &str) -> Self {
        self.push(name.as_bytes(), EntryType::Directory, 0o755, b"", b"");
        self
    }

    pub(in crate::install) fn with_link(mut self, name: &str, target: &str) -> Self {
        self.push(
            name.as_bytes(),
            EntryType::Symlink,
            0o777,
            b"",
            target.as_bytes(),
        );
        self
    }

    /// Any entry at all, however wrong.
    pub(in crate::install) fn with(mut self, name: &[u8], kind: EntryType, target: &str) -> Self {
        self.push(name, kind, 0o644, b"", target.as_bytes());
        self
    }

    /// Replaces what the server does.
    pub(in crate::install) fn with_server(mut self, script: &str) -> Self {
        for member in &mut self.members {
            if member.name.ends_with(b"llama-server") {
                member.content = format!("#!/bin/sh\n{script}\n").into_bytes();
            }
        }
        self
    }

    fn push(&mut self, name: &[u8], kind: EntryType, mode: u32, content: &[u8], target: &[u8]) {
        self.members.push(Member {
            name: name.to_vec(),
            kind,
            mode,
            content: content.to_vec(),
            target: target.to_vec(),
        });
    }

    pub(in crate::install) fn tar(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for member in &self.members {
            let mut header = Header::new_gnu();
            // Written by hand: the builder itself refuses names such as `../x`.
            let fields = header.as_gnu_mut().expect("a GNU header");
            fields.name[..member.name.len()].copy_from_slice(&member.name);
            fields.linkname[..member.target.len()].copy_from_slice(&member.target);
            header.set_entry_type(member.kind);
            header.set_mode(member.mode);
            header.set_size(member.content.len() as u64);
            header.set_cksum();
            archive
                .append(&header, member.content.as_slice())
                .expect("written to memory");
        }
        archive.into_inner().expect("written to memory")
    }

    pub(in crate::install) fn tar_gz(&self) -> Vec<u8> {
        gzip(&self.tar())
    }

    pub(in crate::install) fn zip(&self) -> Vec<u8> {
        let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for member in &self.members {
            let name = String::from_utf8_lossy(&member.name).into_owned();
            let options = SimpleFileOptions::default().unix_permissions(member.mode);
            match member.kind {
                EntryType::Symlink => {
                    let target = String::from_utf8_lossy(&member.target).into_owned();
                    archive
                        .add_symlink(name, target, options)
                        .expect("written to memory");
                }
                EntryType::Directory => archive.add_directory(name, options).expect("written"),
                _ => {
                    archive
                        .start_file(name, options)
                        .expect("written to memory");
                    archive
                        .write_all(&member.content)
                        .expect("written to memory");
                }
            }
        }
        archive.finish().expect("written to memory").into_inner()
    }
}

pub(in crate::install) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("written to memory");
    encoder.finish().expect("written to memory")
}
