//! ELF, the programs and libraries of Linux.

use object::Endianness;
use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, SHT_DYNAMIC, SHT_GNU_VERDEF, SHT_GNU_VERNEED};
use object::read::ReadRef;
use object::read::elf::{FileHeader, SectionHeader as _, SectionTable};

use super::{Format, Linkage, LinkageError, MAX_ENTRIES, MAX_TABLE, text};
use crate::release::host::Glibc;

pub(super) fn parse<'data, Elf, R>(data: R) -> Result<Linkage, LinkageError>
where
    Elf: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = Elf::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    for section in sections.iter() {
        let kind = section.sh_type(endian);
        let is_read = [SHT_DYNAMIC, SHT_GNU_VERNEED, SHT_GNU_VERDEF].contains(&kind);
        if is_read && section.sh_size(endian).into() > MAX_TABLE {
            return Err(LinkageError::Damaged("a table of it is absurdly long"));
        }
    }
    let mut linkage = Linkage::new(Format::Elf);
    let dynamic = sections.dynamic_table(endian, data)?;
    for entry in &dynamic {
        match entry.tag {
            DT_NEEDED => linkage.libraries.push(text(dynamic.string(entry)?)),
            DT_RPATH | DT_RUNPATH => {
                let folders = text(dynamic.string(entry)?);
                let folders = folders.split(':').filter(|folder| !folder.is_empty());
                linkage.run_path.extend(folders.map(str::to_owned));
            }
            _ => {}
        }
    }
    linkage.needs = needed::<Elf, R>(&sections, endian, data)?;
    linkage.offers = defined::<Elf, R>(&sections, endian, data)?;
    Ok(linkage)
}

/// The newest glibc in `.gnu.version_r`.
fn needed<'data, Elf, R>(
    sections: &SectionTable<'data, Elf, R>,
    endian: Elf::Endian,
    data: R,
) -> Result<Option<Glibc>, LinkageError>
where
    Elf: FileHeader,
    R: ReadRef<'data>,
{
    let Some((files, link)) = sections.gnu_verneed(endian, data)? else {
        return Ok(None);
    };
    let strings = sections.strings(endian, data, link)?;
    let mut left = MAX_ENTRIES;
    let mut newest = None;
    for file in files {
        let (_, versions) = file?;
        for version in versions {
            count(&mut left)?;
            newest = newest.max(of_glibc(version?.name(endian, strings)?));
        }
    }
    Ok(newest)
}

/// The newest glibc in `.gnu.version_d`.
fn defined<'data, Elf, R>(
    sections: &SectionTable<'data, Elf, R>,
    endian: Elf::Endian,
    data: R,
) -> Result<Option<Glibc>, LinkageError>
where
    Elf: FileHeader,
    R: ReadRef<'data>,
{
    let Some((versions, link)) = sections.gnu_verdef(endian, data)? else {
        return Ok(None);
    };
    let strings = sections.strings(endian, data, link)?;
    let mut left = MAX_ENTRIES;
    let mut newest = None;
    for version in versions {
        count(&mut left)?;
        // The first name is the version's own, the others are those it builds on.
        let (_, mut names) = version?;
        if let Some(name) = names.next()? {
            newest = newest.max(of_glibc(name.name(endian, strings)?));
        }
    }
    Ok(newest)
}

fn of_glibc(name: &[u8]) -> Option<Glibc> {
    Glibc::of_symbol(std::str::from_utf8(name).ok()?)
}

fn count(left: &mut usize) -> Result<(), LinkageError> {
    *left = left
        .checked_sub(1)
        .ok_or(LinkageError::Damaged("a table of it has no end"))?;
    Ok(())
}
