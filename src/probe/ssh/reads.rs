//! The one budget of all files that this probe reads for all addresses. A file that is read for several of them counts once.
//!
//! Whoever writes a configuration says how often others are named in it; this bounds what that costs. Beyond it a file is too long to be read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::sys::{LookError, Root};

/// The most files.
pub const MOST_FILES: u32 = 128;
/// The most bytes of all of them.
const MOST_BYTES: usize = 16 << 20;
/// The most directories that are listed for patterns.
const MOST_LISTS: u32 = 256;
/// The most names of a directory that are looked at.
const MOST_NAMES: usize = 4096;

type Text = Result<Rc<Vec<u8>>, LookError>;

/// A root directory, and what may still be read in it.
pub struct Reads<'a> {
    root: &'a Root,
    bytes: Cell<usize>,
    lists: Cell<u32>,
    seen: RefCell<BTreeMap<String, Text>>,
}

impl<'a> Reads<'a> {
    pub fn new(root: &'a Root) -> Self {
        Self { root, bytes: Cell::new(MOST_BYTES), lists: Cell::new(0), seen: RefCell::default() }
    }

    /// Reads a file, of at most so many bytes.
    pub fn read(&self, path: &str, cap: usize) -> Text {
        if let Some(text) = self.seen.borrow().get(path) {
            return text.clone();
        }
        let spent = || LookError::TooLong { path: format!("{path}, with the files before it,"), cap: MOST_BYTES };
        if self.seen.borrow().len() >= MOST_FILES as usize {
            return Err(spent());
        }
        let left = self.bytes.get();
        let text = match self.root.read(path, cap.min(left)) {
            Err(LookError::TooLong { .. }) if left < cap => {
                // What was read of it is spent too.
                self.bytes.set(0);
                Err(spent())
            }
            text => text.map(Rc::new),
        };
        let read = text.as_ref().map_or(0, |text| text.len());
        self.bytes.set(self.bytes.get().saturating_sub(read));
        self.seen.borrow_mut().insert(path.to_owned(), text.clone());
        text
    }

    /// The names in a directory; an error in words where they are too many, or too many directories were listed.
    pub fn list(&self, path: &str) -> Result<Result<Vec<String>, LookError>, String> {
        if self.lists.replace(self.lists.get().saturating_add(1)) >= MOST_LISTS {
            return Err("too many directories that an Include matches in".to_owned());
        }
        match self.root.list(path, MOST_NAMES) {
            Ok((_, true)) => Err(format!("{path}, which has too many files")),
            Ok((names, false)) => Ok(Ok(names)),
            Err(error) => Ok(Err(error)),
        }
    }
}
