//! Kernel access and nothing above it: files beneath a root, namespaces, credentials, sockets, texts of procfs.
//!
//! Everything here reads; nothing writes, creates or signals, but for what entering a context needs of our own process.
//! Imports nothing else of ours and knows no fact, check or report.

pub mod credentials;
pub mod descriptors;
pub mod entry;
pub mod jail;
pub mod kernel;
pub mod namespaces;
pub mod peer;
pub mod process;
pub mod root;
pub mod seccomp;
mod tcp_table;

pub use root::{Access, Kind, LookError, Root, Seen};
