//! PE and Mach-O, the programs and libraries of Windows and macOS: the libraries they name.

use object::Endianness;
use object::LittleEndian as LE;
use object::pe::{IMAGE_DIRECTORY_ENTRY_IMPORT, ImageDosHeader, ImageImportDescriptor};
use object::read::ReadRef;
use object::read::macho::MachHeader;
use object::read::pe::ImageNtHeaders;

use super::{Format, Linkage, LinkageError, MAX_ENTRIES, MAX_TABLE, text};

/// The longest name of a library that is read, in bytes.
const MAX_NAME: u64 = 4096;

pub(super) fn pe<'data, Pe, R>(data: R) -> Result<Linkage, LinkageError>
where
    Pe: ImageNtHeaders,
    R: ReadRef<'data>,
{
    let outside = || LinkageError::Damaged("its list of imports lies outside of it");
    let mut linkage = Linkage::new(Format::Pe);
    let mut offset = ImageDosHeader::parse(data)?.nt_headers_offset().into();
    let (headers, directories) = Pe::parse(data, &mut offset)?;
    let sections = headers.sections(data, offset)?;
    let Some(imports) = directories.get(IMAGE_DIRECTORY_ENTRY_IMPORT) else {
        return Ok(linkage);
    };
    let address = imports.virtual_address.get(LE);
    if address == 0 {
        return Ok(linkage);
    }
    let place = |address| {
        let (offset, size) = sections.pe_file_range_at(address)?;
        Some((u64::from(offset), u64::from(size)))
    };
    let (mut at, _) = place(address).ok_or_else(outside)?;
    for _ in 0..MAX_ENTRIES {
        let import: &ImageImportDescriptor = data.read(&mut at).map_err(|()| outside())?;
        if import.is_null() {
            break;
        }
        let (start, size) = place(import.name.get(LE)).ok_or_else(outside)?;
        let name = data
            .read_bytes_at_until(start..start + size.min(MAX_NAME), 0)
            .map_err(|()| outside())?;
        linkage.libraries.push(text(name));
    }
    Ok(linkage)
}

pub(super) fn macho<'data, Mach, R>(data: R) -> Result<Linkage, LinkageError>
where
    Mach: MachHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let mut linkage = Linkage::new(Format::MachO);
    let header = Mach::parse(data, 0)?;
    let endian = header.endian()?;
    if u64::from(header.sizeofcmds(endian)) > MAX_TABLE {
        return Err(LinkageError::Damaged("a table of it is absurdly long"));
    }
    let mut commands = header.load_commands(endian, data, 0)?;
    while let Some(command) = commands.next()? {
        if let Some(library) = command.dylib()? {
            let name = command.string(endian, library.dylib.name)?;
            linkage.libraries.push(text(name));
        }
    }
    Ok(linkage)
}
