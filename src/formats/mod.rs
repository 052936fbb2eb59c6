//! Pure parsers of foreign formats: bytes in, a typed value or an error with its line out. No I/O, no judgement, nothing of ours imported.
//! Everything here may be hostile; every parser is total, bounded and fuzzed.

pub mod attic_answer;
pub mod attic_config;
pub mod aws_profile;
pub mod binfmt;
pub mod cgroup;
pub mod docker_config;
pub mod elf;
pub mod endpoint_url;
pub mod gitlab_runner;
pub mod hosts;
pub mod id_map;
pub mod ld_cache;
pub mod mc_config;
pub mod mountinfo;
pub mod narinfo;
pub mod netrc;
pub mod nix_base32;
pub mod nix_cache_info;
pub mod nix_conf;
pub mod nix_hash;
pub mod nix_signature;
pub mod nix_worker;
pub mod nsswitch;
pub mod package_lists;
pub mod passwd;
pub mod proc_locks;
pub mod proc_net;
pub mod proc_route;
pub mod resolv_conf;
pub mod s3_answer;
pub mod script;
pub mod stat;
pub mod status;
pub mod store_path;
pub mod store_reference;
