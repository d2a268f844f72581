//! Makes programs and libraries as small as can be, of which only the tables are true, for the
//! tests of this crate.

/// A library or program of Linux on x64 to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Elf {
    libraries: Vec<String>,
    run_path: Option<String>,
    needs: Vec<(String, Vec<String>)>,
    offers: Vec<String>,
}

/// One section, as far as its header says something.
struct Section {
    kind: u32,
    link: u32,
    bytes: Vec<u8>,
}

impl Elf {
    /// One that is loaded with this library.
    pub(crate) fn with_library(mut self, name: &str) -> Self {
        self.libraries.push(name.to_owned());
        self
    }

    pub(crate) fn with_run_path(mut self, folders: &str) -> Self {
        self.run_path = Some(folders.to_owned());
        self
    }

    /// One that uses symbols of these versions, and is loaded with the library that has them.
    pub(crate) fn with_versions(mut self, library: &str, versions: &[&str]) -> Self {
        let versions = versions.iter().map(|&version| version.to_owned()).collect();
        self.needs.push((library.to_owned(), versions));
        self.with_library(library)
    }

    /// One that uses what came with this version of glibc.
    pub(crate) fn with_glibc(self, version: &str) -> Self {
        self.with_versions("libc.so.6", &["GLIBC_2.2.5", &format!("GLIBC_{version}")])
    }

    /// One that has symbols of these versions.
    pub(crate) fn offering(mut self, versions: &[&str]) -> Self {
        self.offers = versions.iter().map(|&version| version.to_owned()).collect();
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        const STRINGS: u32 = 1;
        let mut strings = Strings(vec![0]);
        let mut dynamic = Vec::new();
        let mut entry =
            |tag: u64, value: u64| dynamic.extend([tag, value].map(u64::to_le_bytes).concat());
        for library in &self.libraries {
            entry(1, strings.at(library).into());
        }
        if let Some(folders) = &self.run_path {
            entry(29, strings.at(folders).into());
        }
        entry(0, 0);
        let mut needs = Vec::new();
        for (index, (library, versions)) in self.needs.iter().enumerate() {
            let own = 16 + 16 * u32::try_from(versions.len()).expect("few");
            let next = if index + 1 < self.needs.len() { own } else { 0 };
            needs.extend(1_u16.to_le_bytes());
            needs.extend(u16::try_from(versions.len()).expect("few").to_le_bytes());
            needs.extend(
                [strings.at(library), 16, next]
                    .map(u32::to_le_bytes)
                    .concat(),
            );
            for (index, version) in versions.iter().enumerate() {
                let next = if index + 1 < versions.len() { 16 } else { 0 };
                needs.extend(0_u32.to_le_bytes());
                needs.extend([0_u16, 2].map(u16::to_le_bytes).concat());
                needs.extend([strings.at(version), next].map(u32::to_le_bytes).concat());
            }
        }
        let mut offers = Vec::new();
        for (index, version) in self.offers.iter().enumerate() {
            let next = if index + 1 < self.offers.len() { 28 } else { 0 };
            offers.extend([1_u16, 0, 1, 1].map(u16::to_le_bytes).concat());
            offers.extend([0, 20, next].map(u32::to_le_bytes).concat());
            offers.extend([strings.at(version), 0].map(u32::to_le_bytes).concat());
        }
        let section = |kind, bytes| Section {
            kind,
            link: STRINGS,
            bytes,
        };
        file(&[
            Section {
                kind: 3,
                link: 0,
                bytes: strings.0,
            },
            section(6, dynamic),
            section(0x6fff_fffe, needs),
            section(0x6fff_fffd, offers),
        ])
    }
}

/// A table of texts, each ended by a zero.
struct Strings(Vec<u8>);

impl Strings {
    fn at(&mut self, text: &str) -> u32 {
        let at = u32::try_from(self.0.len()).expect("few");
        self.0.extend(text.as_bytes());
        self.0.push(0);
        at
    }
}

/// Header, the sections' bytes, and their headers; the first section is the one of names as well.
fn file(sections: &[Section]) -> Vec<u8> {
    let long = |value: usize| u64::try_from(value).expect("short").to_le_bytes();
    let sections: Vec<&Section> = sections
        .iter()
        .filter(|section| !section.bytes.is_empty())
        .collect();
    let mut bytes = Vec::new();
    let mut headers = vec![0; 64];
    for section in &sections {
        headers.extend([0, section.kind].map(u32::to_le_bytes).concat());
        headers.extend([0_u64; 2].map(u64::to_le_bytes).concat());
        headers.extend([long(64 + bytes.len()), long(section.bytes.len())].concat());
        headers.extend([section.link, 0].map(u32::to_le_bytes).concat());
        headers.extend([8_u64, 0].map(u64::to_le_bytes).concat());
        bytes.extend(&section.bytes);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let mut all = b"\x7fELF\x02\x01\x01".to_vec();
    all.resize(16, 0);
    all.extend([3_u16, 62].map(u16::to_le_bytes).concat());
    all.extend(1_u32.to_le_bytes());
    all.extend([long(0), long(0), long(64 + bytes.len())].concat());
    all.extend(0_u32.to_le_bytes());
    let count = u16::try_from(sections.len() + 1).expect("few");
    all.extend([64, 56, 0, 64, count, 1].map(u16::to_le_bytes).concat());
    all.extend(bytes);
    all.extend(headers);
    all
}

/// A library of Windows on x64 that is loaded with these.
pub(crate) fn pe(libraries: &[&str]) -> Vec<u8> {
    const ADDRESS: u32 = 0x1000;
    const AT: u32 = 0x200;
    let mut names = Vec::new();
    let mut imports = Vec::new();
    let table = 20 * (u32::try_from(libraries.len()).expect("few") + 1);
    for library in libraries {
        let name = ADDRESS + table + u32::try_from(names.len()).expect("few");
        imports.extend([1, 0, 0, name, 1].map(u32::to_le_bytes).concat());
        names.extend(library.as_bytes());
        names.push(0);
    }
    imports.extend([0; 20]);
    imports.extend(names);
    let size = u32::try_from(imports.len()).expect("short");

    let mut all = b"MZ".to_vec();
    all.resize(0x3c, 0);
    all.extend(0x40_u32.to_le_bytes());
    all.extend(b"PE\0\0");
    all.extend([0x8664_u16, 1].map(u16::to_le_bytes).concat());
    all.extend([0; 12]);
    all.extend([240_u16, 0x2022].map(u16::to_le_bytes).concat());
    all.extend(0x20b_u16.to_le_bytes());
    all.resize(0x40 + 24 + 108, 0);
    all.extend([16, 0, 0, ADDRESS, size].map(u32::to_le_bytes).concat());
    all.resize(0x40 + 24 + 240, 0);
    all.extend(b".rdata\0\0");
    all.extend([size, ADDRESS, size, AT].map(u32::to_le_bytes).concat());
    all.resize(0x200, 0);
    all.extend(imports);
    all
}

/// A library of macOS on arm64 that is loaded with these.
pub(crate) fn macho(libraries: &[&str]) -> Vec<u8> {
    let mut commands = Vec::new();
    for library in libraries {
        let length = (24 + library.len() + 1).next_multiple_of(8);
        let size = u32::try_from(length).expect("short");
        let start = commands.len();
        commands.extend([0xc, size, 24, 0, 0, 0].map(u32::to_le_bytes).concat());
        commands.extend(library.as_bytes());
        commands.resize(start + length, 0);
    }
    let count = u32::try_from(libraries.len()).expect("few");
    let size = u32::try_from(commands.len()).expect("short");
    let header = [0xfeed_facf, 0x0100_000c, 0, 6, count, size, 0, 0];
    let mut all = header.map(u32::to_le_bytes).concat();
    all.extend(commands);
    all
}
