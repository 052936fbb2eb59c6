//! ELF files, as far as they decide whether a program can start: machine, interpreter, needed libraries and their versions
//! (`elf(5)`; System V ABI; `fs/binfmt_elf.c` of Linux; symbol versions as in the Linux Standard Base, 10.7).
//!
//! Sans I/O: the caller hands in a function that reads pieces, so that of a program of 200 MB only its few tables are read. Every
//! piece has a cap, offsets are never trusted, and nothing here loads, maps or relocates. The layouts are the `object` crate's.

use object::elf::{self, FileHeader32, FileHeader64, Verdaux, Verdef, Vernaux, Verneed};
use object::pod::{Pod, from_bytes};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, U16, U32};

/// The most that is read of a table of program headers (the kernel's own limit, `load_elf_phdrs`).
const PROGRAM_HEADERS: u64 = 64 << 10;
/// The longest interpreter path that the kernel takes (`PATH_MAX`).
const INTERPRETER: u64 = 4096;
/// Most bytes of the dynamic section and of the version tables.
const DYNAMIC: u64 = 256 << 10;
/// Most bytes of the dynamic string table.
const STRINGS: u64 = 8 << 20;
/// Most entries of one linked list of versions.
const VERSIONS: usize = 4096;

/// Word size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Elf32,
    Elf64,
}

/// What is read of one ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    pub class: Class,
    pub little_endian: bool,
    /// `e_machine`.
    pub machine: u16,
    /// Whether it is `ET_EXEC` or `ET_DYN`, which are the kinds that the kernel starts.
    pub executable: bool,
    /// PT_INTERP, without its NUL.
    pub interpreter: Option<String>,
    /// The end of what PT_LOAD segments take from the file: a shorter file was cut off.
    pub extent: u64,
    /// The dynamic section; `None` when it has none.
    pub dynamic: Option<Dynamic>,
}

/// What the dynamic section asks of the loader (`ld.so(8)`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dynamic {
    pub soname: Option<String>,
    /// DT_NEEDED, in order.
    pub needed: Vec<String>,
    pub rpath: Option<String>,
    pub runpath: Option<String>,
    /// Versions that must be there, with the library that must have them. Weak ones are left out: the loader only warns.
    pub versions_needed: Vec<(String, String)>,
    /// Versions that it defines itself.
    pub versions_defined: Vec<String>,
}

/// Why a file was not read as ELF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError<E> {
    /// The reader failed.
    #[error(transparent)]
    Read(E),
    /// It does not start with the magic.
    #[error("not an ELF file")]
    NotElf,
    /// It starts like one, and the kernel refuses it with ENOEXEC.
    #[error("not an ELF file that the kernel starts: {0}")]
    Refused(&'static str),
    /// The kernel may start it; its tables for the loader make no sense.
    #[error("its dynamic section can't be read: {0}")]
    Dynamic(&'static str),
}

/// Reads pieces of a file: `length` bytes from `offset`, fewer at its end.
pub trait Pieces {
    type Error;
    fn piece(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, Self::Error>;
}

impl Pieces for &[u8] {
    type Error = std::convert::Infallible;
    fn piece(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, Self::Error> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let end = start.saturating_add(length).min(self.len());
        Ok(self.get(start..end).unwrap_or_default().to_vec())
    }
}

/// Reads what decides about starting.
pub fn parse<P: Pieces>(pieces: &mut P) -> Result<Elf, ElfError<P::Error>> {
    let head = pieces.piece(0, size_of::<FileHeader64<Endianness>>()).map_err(ElfError::Read)?;
    if !head.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    match head.get(4) {
        Some(1) => parse_as::<FileHeader32<Endianness>, P>(&head, Class::Elf32, pieces),
        Some(2) => parse_as::<FileHeader64<Endianness>, P>(&head, Class::Elf64, pieces),
        _ => Err(ElfError::Refused("its class is neither 32 nor 64 bit")),
    }
}

/// One PT_LOAD segment: where it lies in memory and in the file.
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
}

fn parse_as<H, P>(head: &[u8], class: Class, pieces: &mut P) -> Result<Elf, ElfError<P::Error>>
where
    H: FileHeader<Endian = Endianness>,
    P: Pieces,
{
    let little_endian = match head.get(5) {
        Some(1) => true,
        Some(2) => false,
        _ => return Err(ElfError::Refused("its byte order is unknown")),
    };
    let endian = if little_endian { Endianness::Little } else { Endianness::Big };
    let (header, _) = from_bytes::<H>(head).map_err(|()| ElfError::Refused("it ends within its header"))?;
    let count = u64::from(header.e_phnum(endian));
    let entry = u64::from(header.e_phentsize(endian));
    let size = size_of::<H::ProgramHeader>();
    if entry != u64::try_from(size).unwrap_or(u64::MAX) || count == 0 || count * entry > PROGRAM_HEADERS {
        return Err(ElfError::Refused("its program headers have an impossible size"));
    }
    let table = whole(pieces, header.e_phoff(endian).into(), count * entry, PROGRAM_HEADERS)?
        .ok_or(ElfError::Refused("it ends within its program headers"))?;
    let mut found = Elf {
        class,
        little_endian,
        machine: header.e_machine(endian).0,
        executable: matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN),
        interpreter: None,
        extent: 0,
        dynamic: None,
    };
    let mut segments = Vec::new();
    let mut dynamic = None;
    let mut asked = false;
    for bytes in table.chunks_exact(size) {
        let Ok((program, _)) = from_bytes::<H::ProgramHeader>(bytes) else { continue };
        let segment = Segment {
            address: program.p_vaddr(endian).into(),
            offset: program.p_offset(endian).into(),
            size: program.p_filesz(endian).into(),
        };
        match program.p_type(endian) {
            elf::PT_LOAD => {
                found.extent = found.extent.max(segment.offset.saturating_add(segment.size));
                segments.push(segment);
            }
            // The kernel takes the first and looks no further.
            elf::PT_INTERP if !asked => {
                asked = true;
                found.interpreter = Some(interpreter(pieces, &segment)?);
            }
            elf::PT_DYNAMIC => dynamic = Some(segment),
            _ => {}
        }
    }
    if let Some(segment) = dynamic {
        found.dynamic = Some(Tables { endian, segments, pieces }.read::<H>(&segment)?);
    }
    Ok(found)
}

/// PT_INTERP as `load_elf_binary` takes it: 2 to `PATH_MAX` bytes that end in NUL.
fn interpreter<P: Pieces>(pieces: &mut P, segment: &Segment) -> Result<String, ElfError<P::Error>> {
    let refused = ElfError::Refused("its interpreter is no path");
    if segment.size < 2 || segment.size > INTERPRETER {
        return Err(refused);
    }
    let bytes = whole(pieces, segment.offset, segment.size, INTERPRETER)?;
    match bytes.as_deref().and_then(<[u8]>::split_last) {
        Some((0, _)) => {}
        _ => return Err(refused),
    }
    Ok(string_at(&bytes.unwrap_or_default(), 0).unwrap_or_default())
}

/// All of a range, or `None` where the file ends before it does or it is longer than the cap.
fn whole<P: Pieces>(pieces: &mut P, offset: u64, length: u64, cap: u64) -> Result<Option<Vec<u8>>, ElfError<P::Error>> {
    let Some(length) = usize::try_from(length).ok().filter(|_| length <= cap) else { return Ok(None) };
    let bytes = pieces.piece(offset, length).map_err(ElfError::Read)?;
    Ok((bytes.len() == length).then_some(bytes))
}

/// The string that starts here and ends in NUL or with the table.
fn string_at(table: &[u8], offset: u64) -> Option<String> {
    let rest = table.get(usize::try_from(offset).ok()?..)?;
    let text = rest.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// The tables that the dynamic section points to, by address.
struct Tables<'a, P> {
    endian: Endianness,
    segments: Vec<Segment>,
    pieces: &'a mut P,
}

impl<P: Pieces> Tables<'_, P> {
    fn read<H: FileHeader<Endian = Endianness>>(&mut self, at: &Segment) -> Result<Dynamic, ElfError<P::Error>> {
        let table = whole(self.pieces, at.offset, at.size, DYNAMIC)?.ok_or(ElfError::Dynamic("cut off or too long"))?;
        let entries: Vec<(i64, u64)> = table
            .chunks_exact(size_of::<H::Dyn>())
            .filter_map(|bytes| from_bytes::<H::Dyn>(bytes).ok())
            .map(|(entry, _)| (entry.tag(self.endian).0, entry.val(self.endian)))
            .take_while(|(tag, _)| *tag != elf::DT_NULL.0)
            .collect();
        let value = |wanted: elf::DynamicTag| entries.iter().find(|(tag, _)| *tag == wanted.0).map(|(_, value)| *value);
        let strings = match (value(elf::DT_STRTAB), value(elf::DT_STRSZ)) {
            (Some(address), Some(size)) => self.at_address(address, size, STRINGS)?,
            _ => None,
        };
        let needs_strings = [elf::DT_NEEDED, elf::DT_VERNEED, elf::DT_VERDEF, elf::DT_RUNPATH, elf::DT_RPATH];
        let strings = match strings {
            Some(strings) => strings,
            None if needs_strings.into_iter().any(|tag| value(tag).is_some()) => {
                return Err(ElfError::Dynamic("its string table is cut off or too long"));
            }
            None => Vec::new(),
        };
        let string = |tag| value(tag).and_then(|offset| string_at(&strings, offset));
        let mut found = Dynamic {
            soname: string(elf::DT_SONAME),
            rpath: string(elf::DT_RPATH),
            runpath: string(elf::DT_RUNPATH),
            ..Dynamic::default()
        };
        let needed = entries.iter().filter(|(tag, _)| *tag == elf::DT_NEEDED.0);
        found.needed = needed.filter_map(|(_, offset)| string_at(&strings, *offset)).collect();
        if let Some(address) = value(elf::DT_VERNEED) {
            let table = self.version_table(address)?;
            found.versions_needed = versions_needed(&table, &strings, self.endian);
        }
        if let Some(address) = value(elf::DT_VERDEF) {
            let table = self.version_table(address)?;
            found.versions_defined = versions_defined(&table, &strings, self.endian);
        }
        Ok(found)
    }

    /// The file's bytes at a virtual address; `None` where no segment holds them all.
    fn at_address(&mut self, address: u64, length: u64, cap: u64) -> Result<Option<Vec<u8>>, ElfError<P::Error>> {
        let Some((offset, left)) = self.place(address) else { return Ok(None) };
        if length > left {
            return Ok(None);
        }
        whole(self.pieces, offset, length, cap)
    }

    /// A version table has no size of its own: it is read up to its segment's end or the cap.
    fn version_table(&mut self, address: u64) -> Result<Vec<u8>, ElfError<P::Error>> {
        let (offset, left) = self.place(address).ok_or(ElfError::Dynamic("its version table lies nowhere"))?;
        let length = usize::try_from(left.min(DYNAMIC)).unwrap_or(0);
        self.pieces.piece(offset, length).map_err(ElfError::Read)
    }

    fn place(&self, address: u64) -> Option<(u64, u64)> {
        self.segments.iter().find_map(|segment| {
            let within = address.checked_sub(segment.address)?;
            let left = segment.size.checked_sub(within).filter(|left| *left > 0)?;
            Some((segment.offset.checked_add(within)?, left))
        })
    }
}

fn entry_at<T: Pod>(table: &[u8], offset: usize) -> Option<&T> {
    from_bytes(table.get(offset..)?).ok().map(|(entry, _)| entry)
}

fn step(offset: usize, by: U32<Endianness>, endian: Endianness) -> Option<usize> {
    offset.checked_add(usize::try_from(by.get(endian)).ok()?)
}

fn number(value: U16<Endianness>, endian: Endianness) -> usize {
    usize::from(value.get(endian))
}

fn versions_needed(table: &[u8], strings: &[u8], endian: Endianness) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut at = Some(0);
    while let Some(offset) = at
        && let Some(need) = entry_at::<Verneed<Endianness>>(table, offset)
        && found.len() < VERSIONS
    {
        let library = string_at(strings, need.vn_file.get(endian).into()).unwrap_or_default();
        let mut place = step(offset, need.vn_aux, endian);
        for _ in 0..number(need.vn_cnt, endian).min(VERSIONS) {
            let Some(entry) = place.and_then(|place| entry_at::<Vernaux<Endianness>>(table, place)) else { break };
            let weak = entry.vna_flags.get(endian).0 & elf::VER_FLG_WEAK.0 != 0;
            if !weak && let Some(version) = string_at(strings, entry.vna_name.get(endian).into()) {
                found.push((library.clone(), version));
            }
            place = place.and_then(|place| step(place, entry.vna_next, endian));
        }
        at = (need.vn_next.get(endian) != 0).then(|| step(offset, need.vn_next, endian)).flatten();
    }
    found
}

fn versions_defined(table: &[u8], strings: &[u8], endian: Endianness) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = Some(0);
    while let Some(offset) = at
        && let Some(definition) = entry_at::<Verdef<Endianness>>(table, offset)
        && found.len() < VERSIONS
    {
        // The first name is the version itself; the others are those that it includes.
        let name = step(offset, definition.vd_aux, endian)
            .and_then(|place| entry_at::<Verdaux<Endianness>>(table, place))
            .and_then(|entry| string_at(strings, entry.vda_name.get(endian).into()));
        let base = definition.vd_flags.get(endian).0 & elf::VER_FLG_BASE.0 != 0;
        found.extend(name.filter(|_| !base));
        at = (definition.vd_next.get(endian) != 0).then(|| step(offset, definition.vd_next, endian)).flatten();
    }
    found
}

/// The name of an ELF machine as `uname -m` prints it; the number where it has none here.
pub fn machine_name(machine: u16, class: Class, little_endian: bool) -> String {
    let name = match (elf::Machine(machine), class, little_endian) {
        (elf::EM_X86_64, ..) => "x86_64",
        (elf::EM_386, ..) => "i386",
        (elf::EM_AARCH64, _, true) => "aarch64",
        (elf::EM_AARCH64, _, false) => "aarch64_be",
        (elf::EM_ARM, ..) => "arm",
        (elf::EM_RISCV, Class::Elf64, _) => "riscv64",
        (elf::EM_RISCV, Class::Elf32, _) => "riscv32",
        (elf::EM_PPC64, _, true) => "ppc64le",
        (elf::EM_PPC64, _, false) => "ppc64",
        (elf::EM_PPC, ..) => "ppc",
        (elf::EM_S390, Class::Elf64, _) => "s390x",
        (elf::EM_S390, ..) => "s390",
        (elf::EM_LOONGARCH, ..) => "loongarch64",
        (elf::EM_MIPS, Class::Elf64, _) => "mips64",
        (elf::EM_MIPS, ..) => "mips",
        (elf::EM_SPARCV9, ..) => "sparc64",
        _ => return format!("e_machine {machine}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Class, ElfError, parse};

    fn shell() -> Vec<u8> {
        std::fs::read("/proc/self/exe").expect("our own executable")
    }

    #[test]
    fn our_own_executable_is_read_as_what_it_is() {
        let bytes = shell();
        let found = parse(&mut bytes.as_slice()).expect("an ELF file");
        assert!(found.executable);
        assert_eq!(found.class, if cfg!(target_pointer_width = "64") { Class::Elf64 } else { Class::Elf32 });
        assert!(found.extent <= u64::try_from(bytes.len()).expect("a length"));
        // A program that was linked with its C library has no loader (`target-feature=+crt-static`).
        assert_eq!(found.interpreter.is_none(), cfg!(target_feature = "crt-static"));
    }

    #[test]
    fn a_file_that_is_cut_anywhere_never_panics() {
        let bytes = shell();
        for length in (0..6000).step_by(7) {
            let _ = parse(&mut &bytes[..length]);
        }
        assert_eq!(parse(&mut &bytes[..3]), Err(ElfError::NotElf));
        assert_eq!(parse(&mut &bytes[..40]), Err(ElfError::Refused("it ends within its header")));
    }

    #[test]
    fn flipped_bytes_in_the_tables_never_panic_and_never_loop() {
        let mut bytes = shell();
        bytes.truncate(64 << 10);
        for at in (0..bytes.len()).step_by(97).chain(0..512) {
            let kept = bytes[at];
            for value in [0, 1, 0x7f, 0xff] {
                bytes[at] = value;
                let _ = parse(&mut bytes.as_slice());
            }
            bytes[at] = kept;
        }
    }
}
