//! ELF files beneath the root, each read once: a hundred tools share a handful of libraries.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::formats::elf::{self, Elf, ElfError, Pieces};
use crate::sys::{LookError, Root};

/// Most files that are remembered.
const REMEMBERED: usize = 4096;

/// What was read of an ELF file.
pub(super) type Read = Rc<Result<Elf, ElfError<LookError>>>;

/// The files that were read.
#[derive(Default)]
pub(super) struct Libraries {
    read: RefCell<BTreeMap<String, Read>>,
}

impl Libraries {
    /// Reads a file, or remembers it.
    pub(super) fn read(&self, root: &Root, path: &str) -> Read {
        if let Some(read) = self.read.borrow().get(path) {
            return Rc::clone(read);
        }
        let read = Rc::new(elf::parse(&mut Beneath { root, path, start: None }));
        let mut remembered = self.read.borrow_mut();
        if remembered.len() < REMEMBERED {
            remembered.insert(path.to_owned(), Rc::clone(&read));
        }
        read
    }
}

/// One file beneath the root; its first page, which holds most tables, is read once.
struct Beneath<'a> {
    root: &'a Root,
    path: &'a str,
    start: Option<Vec<u8>>,
}

const PAGE: usize = 4096;

impl Pieces for Beneath<'_> {
    type Error = LookError;

    fn piece(&mut self, offset: u64, length: usize) -> Result<Vec<u8>, LookError> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        if from.saturating_add(length) > PAGE {
            return self.root.read_at(self.path, offset, length);
        }
        if self.start.is_none() {
            self.start = Some(self.root.read_at(self.path, 0, PAGE)?);
        }
        let start = self.start.as_deref().unwrap_or_default();
        let end = (from + length).min(start.len());
        Ok(start.get(from.min(end)..end).unwrap_or_default().to_vec())
    }
}
