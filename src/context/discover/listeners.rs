//! Which process holds which socket: one pass over `/proc/*/fd` for all contexts together.

use std::collections::BTreeMap;

/// The pids that hold each socket, by the socket's inode in sockfs, sorted; and how many processes could not be looked into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders {
    /// Pids by inode, as in the last column of `/proc/net/tcp` and the seventh of `/proc/net/unix`.
    pub by_inode: BTreeMap<u64, Vec<u32>>,
    /// Processes whose descriptors are unreadable: a socket without holder may be theirs.
    pub unreadable: usize,
}

/// Reads the descriptors of every process once.
pub fn listeners_by_inode() -> std::io::Result<Holders> {
    let mut holders = Holders::default();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let descriptors = match std::fs::read_dir(entry.path().join("fd")) {
            Ok(descriptors) => descriptors,
            // It ended meanwhile and holds nothing any more.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(_) => {
                holders.unreadable += 1;
                continue;
            }
        };
        for inode in
            descriptors.flatten().filter_map(|descriptor| socket_inode(&std::fs::read_link(descriptor.path()).ok()?))
        {
            let pids = holders.by_inode.entry(inode).or_default();
            if !pids.contains(&pid) {
                pids.push(pid);
            }
        }
    }
    holders.by_inode.values_mut().for_each(|pids| pids.sort_unstable());
    Ok(holders)
}

fn socket_inode(link: &std::path::Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::listeners_by_inode;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_listening_socket_leads_to_the_process_that_holds_it() {
        use std::os::fd::AsRawFd;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let path = format!("/proc/self/fd/{}", listener.as_raw_fd());
        let inode = std::fs::metadata(path).expect("its metadata").ino();
        let holders = listeners_by_inode().expect("procfs");
        assert_eq!(holders.by_inode.get(&inode), Some(&vec![std::process::id()]));
    }
}
