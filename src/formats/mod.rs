//! Pure parsers of foreign formats: bytes in, a typed value or an error with its line out. No I/O, no judgement, nothing of ours imported.
//! Everything here may be hostile; every parser is total, bounded and fuzzed.

pub mod cgroup;
pub mod id_map;
pub mod mountinfo;
pub mod passwd;
pub mod binfmt;
pub mod elf;
pub mod ld_cache;
pub mod package_lists;
pub mod script;
pub mod stat;
pub mod status;
pub mod aws_profile;
pub mod docker_config;
pub mod mc_config;
pub mod netrc;
pub mod endpoint_url;
pub mod hosts;
pub mod nsswitch;
pub mod proc_net;
pub mod resolv_conf;
pub mod nix_conf;
pub mod nix_worker;
pub mod proc_locks;
pub mod store_reference;
