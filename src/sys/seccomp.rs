//! A system call filter that denies what a looker never does: executing, tracing, mounting, changing files, signalling others.
//!
//! It denies by list, with `EPERM`, so that the reading that any probe may need goes on. Flags that lie in memory are invisible to a filter
//! (`openat2`, `clone3`); the former is left to the credentials, the latter is answered with `ENOSYS`, after which libc uses `clone`.

use std::collections::BTreeMap;

use nix::libc as c;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Why the filter was not installed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the system call filter could not be installed ({detail})")]
pub struct SeccompError {
    detail: String,
}

impl From<seccompiler::Error> for SeccompError {
    fn from(error: seccompiler::Error) -> Self {
        Self { detail: error.to_string() }
    }
}

impl From<seccompiler::BackendError> for SeccompError {
    fn from(error: seccompiler::BackendError) -> Self {
        Self { detail: error.to_string() }
    }
}

/// System calls that are denied whatever their arguments.
const DENIED: &[c::c_long] = &[
    // Executing and reaching into other processes.
    c::SYS_execve,
    c::SYS_execveat,
    c::SYS_ptrace,
    c::SYS_process_vm_readv,
    c::SYS_process_vm_writev,
    c::SYS_process_madvise,
    c::SYS_process_mrelease,
    c::SYS_kcmp,
    c::SYS_pidfd_getfd,
    c::SYS_pidfd_send_signal,
    c::SYS_tkill,
    c::SYS_rt_sigqueueinfo,
    c::SYS_rt_tgsigqueueinfo,
    c::SYS_perf_event_open,
    c::SYS_userfaultfd,
    c::SYS_bpf,
    // Io_uring carries out calls that no filter sees.
    c::SYS_io_uring_setup,
    c::SYS_io_uring_enter,
    c::SYS_io_uring_register,
    // Mounts, roots and namespaces.
    c::SYS_mount,
    c::SYS_umount2,
    c::SYS_move_mount,
    c::SYS_open_tree,
    c::SYS_fsopen,
    c::SYS_fsconfig,
    c::SYS_fsmount,
    c::SYS_fspick,
    c::SYS_mount_setattr,
    c::SYS_pivot_root,
    c::SYS_chroot,
    c::SYS_setns,
    c::SYS_unshare,
    c::SYS_swapon,
    c::SYS_swapoff,
    c::SYS_quotactl,
    c::SYS_acct,
    // Handles open files without any path check.
    c::SYS_open_by_handle_at,
    c::SYS_fanotify_init,
    // Files and what hangs on them.
    c::SYS_unlinkat,
    c::SYS_renameat2,
    c::SYS_linkat,
    c::SYS_symlinkat,
    c::SYS_mkdirat,
    c::SYS_mknodat,
    c::SYS_fchmod,
    c::SYS_fchmodat,
    c::SYS_fchmodat2,
    c::SYS_fchown,
    c::SYS_fchownat,
    c::SYS_utimensat,
    c::SYS_truncate,
    c::SYS_ftruncate,
    c::SYS_fallocate,
    c::SYS_setxattr,
    c::SYS_lsetxattr,
    c::SYS_fsetxattr,
    c::SYS_removexattr,
    c::SYS_lremovexattr,
    c::SYS_fremovexattr,
    // System V and POSIX objects that outlive us.
    c::SYS_shmget,
    c::SYS_msgget,
    c::SYS_semget,
    c::SYS_mq_open,
    c::SYS_mq_unlink,
    // Keys.
    c::SYS_add_key,
    c::SYS_request_key,
    c::SYS_keyctl,
    // The machine.
    c::SYS_init_module,
    c::SYS_finit_module,
    c::SYS_delete_module,
    c::SYS_kexec_load,
    c::SYS_reboot,
    c::SYS_settimeofday,
    c::SYS_clock_settime,
    c::SYS_clock_adjtime,
    c::SYS_adjtimex,
    c::SYS_sethostname,
    c::SYS_setdomainname,
    c::SYS_personality,
    c::SYS_vhangup,
    c::SYS_syslog,
];

/// The older forms, which only some architectures have.
#[cfg(target_arch = "x86_64")]
const DENIED_OLDER: &[c::c_long] = &[
    c::SYS_fork,
    c::SYS_vfork,
    c::SYS_creat,
    c::SYS_unlink,
    c::SYS_rmdir,
    c::SYS_rename,
    c::SYS_renameat,
    c::SYS_link,
    c::SYS_symlink,
    c::SYS_mkdir,
    c::SYS_mknod,
    c::SYS_chmod,
    c::SYS_chown,
    c::SYS_lchown,
    c::SYS_utime,
    c::SYS_utimes,
    c::SYS_futimesat,
    c::SYS_iopl,
    c::SYS_ioperm,
    c::SYS_modify_ldt,
    c::SYS_kexec_file_load,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_OLDER: &[c::c_long] = &[];

/// Calls that the C library's headers do not name yet: `setxattrat`, `removexattrat`, `open_tree_attr` and `file_setattr`, whose numbers are the
/// same on every architecture (Linux 6.17, `scripts/syscall.tbl`).
const DENIED_NEWER: &[c::c_long] = &[463, 466, 467, 469];

/// Where the second numbering of x86-64 begins (x32, `__X32_SYSCALL_BIT`): the same calls under the same architecture word, which a list of numbers
/// does not see.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Installs the filter for this thread and all that it starts. Needs `no_new_privs`.
pub fn deny_what_a_looker_never_does() -> Result<(), SeccompError> {
    seccompiler::apply_filter(&program(denied()?, c::EPERM)?)?;
    let unseen = BTreeMap::from([(c::SYS_clone3, vec![])]);
    seccompiler::apply_filter(&program(unseen, c::ENOSYS)?)?;
    #[cfg(target_arch = "x86_64")]
    seccompiler::apply_filter(&no_second_numbering())?;
    Ok(())
}

/// Classic BPF over `struct seccomp_data`, whose first word is the number (`seccomp(2)`, `bpf(4)`); the crate's rules know single numbers only.
#[cfg(target_arch = "x86_64")]
fn no_second_numbering() -> BpfProgram {
    use seccompiler::sock_filter;
    let statement = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    vec![
        statement(c::BPF_LD | c::BPF_W | c::BPF_ABS, 0, 0, 0),
        statement(c::BPF_JMP | c::BPF_JGE | c::BPF_K, 0, 1, X32),
        statement(c::BPF_RET | c::BPF_K, 0, 0, SeccompAction::Errno(c::ENOSYS.unsigned_abs()).into()),
        statement(c::BPF_RET | c::BPF_K, 0, 0, SeccompAction::Allow.into()),
    ]
}

fn program(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, SeccompError> {
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, std::env::consts::ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

fn denied() -> Result<BTreeMap<i64, Vec<SeccompRule>>, SeccompError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().chain(DENIED_OLDER).chain(DENIED_NEWER).map(|call| (*call, vec![])).collect();
    rules.insert(c::SYS_openat, writing(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(c::SYS_open, writing(1)?);
    // abort(3) signals our own process; any other is not ours to signal.
    let own = u64::from(std::process::id());
    for call in [c::SYS_kill, c::SYS_tgkill] {
        rules.insert(call, vec![rule(0, SeccompCmpOp::Ne, own)?]);
    }
    // A thread is ours; a process of its own is not needed.
    let thread = c::CLONE_THREAD.unsigned_abs().into();
    rules.insert(c::SYS_clone, vec![rule(0, SeccompCmpOp::MaskedEq(thread), 0)?]);
    // Putting characters into a terminal's input (ioctl_tty(2)).
    rules.insert(c::SYS_ioctl, vec![rule(1, SeccompCmpOp::Eq, c::TIOCSTI)?]);
    Ok(rules)
}

/// Every combination of flags with which a file is opened for writing, created or cut.
fn writing(argument: u8) -> Result<Vec<SeccompRule>, SeccompError> {
    let flag = |flag: i32| u64::from(flag.unsigned_abs());
    let (mode, create, cut) = (flag(c::O_ACCMODE), flag(c::O_CREAT), flag(c::O_TRUNC));
    [(mode, flag(c::O_WRONLY)), (mode, flag(c::O_RDWR)), (mode, mode), (create, create), (cut, cut)]
        .into_iter()
        .map(|(mask, value)| rule(argument, SeccompCmpOp::MaskedEq(mask), value))
        .collect()
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, SeccompError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

#[cfg(test)]
mod tests {
    use super::{denied, deny_what_a_looker_never_does};
    use std::io::ErrorKind::PermissionDenied;

    #[test]
    fn calls_that_are_newer_than_the_headers_are_denied_by_number() {
        let rules = denied().expect("the rules");
        // setxattrat, removexattrat, open_tree_attr, file_setattr; and not getxattrat.
        assert!([463, 466, 467, 469].iter().all(|call| rules.get(call).is_some_and(Vec::is_empty)));
        assert!(!rules.contains_key(&464));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_second_numbering_is_refused_from_its_first_number_on() {
        let program = super::no_second_numbering();
        let answer = |number: u32| {
            let test = &program[1];
            let skipped = if number >= test.k { test.jt } else { test.jf };
            program[2 + usize::from(skipped)].k
        };
        let refused = 0x0005_0000 | nix::libc::ENOSYS.unsigned_abs();
        assert_eq!((answer(0x4000_0000), answer(0x4000_0208), answer(u32::MAX)), (refused, refused, refused));
        assert_eq!((answer(0), answer(469)), (0x7fff_0000, 0x7fff_0000));
    }

    /// The filter binds the thread that installs it, so a thread of its own can show what it denies.
    #[test]
    fn a_filtered_thread_reads_and_resolves_and_neither_writes_nor_executes_nor_signals() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("file");
        std::fs::write(&path, "text").expect("write");
        let filtered = move || {
            rustix::thread::set_no_new_privs(true).expect("no_new_privs");
            deny_what_a_looker_never_does().expect("the filter");
            let kind = |result: std::io::Result<()>| result.expect_err("it is denied").kind();
            assert_eq!(kind(std::fs::write(&path, "other")), PermissionDenied);
            assert_eq!(kind(std::fs::OpenOptions::new().append(true).open(&path).map(drop)), PermissionDenied);
            assert_eq!(kind(std::fs::write(path.with_extension("new"), "")), PermissionDenied);
            assert_eq!(kind(std::fs::remove_file(&path)), PermissionDenied);
            assert_eq!(kind(std::fs::rename(&path, path.with_extension("new"))), PermissionDenied);
            assert_eq!(kind(std::fs::create_dir(path.with_extension("new"))), PermissionDenied);
            assert_eq!(kind(std::process::Command::new("/bin/true").spawn().map(drop)), PermissionDenied);
            let signal = nix::sys::signal::kill(nix::unistd::Pid::from_raw(1), None);
            assert_eq!(signal, Err(nix::errno::Errno::EPERM));
            assert_eq!(std::fs::read_to_string(&path).expect("reading goes on"), "text");
            // What a name lookup needs: an event loop, a datagram and a stream socket, a thread.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
                let address = listener.local_addr().expect("its address");
                tokio::net::TcpStream::connect(address).await.expect("a stream");
                let datagrams = tokio::net::UdpSocket::bind(("127.0.0.1", 0)).await.expect("a socket");
                datagrams.send_to(b"x", address).await.expect("a datagram");
            });
            std::thread::spawn(|| ()).join().expect("a thread");
        };
        std::thread::spawn(filtered).join().expect("every denial held");
    }
}
