//! Pure parsers of foreign formats: bytes in, a typed value or an error with its line out. No I/O, no judgement, nothing of ours imported.
//! Everything here may be hostile; every parser is total, bounded and fuzzed.

pub mod mountinfo;
pub mod nix_conf;
pub mod nix_worker;
pub mod passwd;
pub mod proc_locks;
pub mod store_reference;
