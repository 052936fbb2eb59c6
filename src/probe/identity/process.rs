//! The representative process: which it is, when it started, whether its executable was replaced, its unit.

use crate::formats::cgroup::{self, Owner};
use crate::formats::stat;
use crate::probe::{Target, fact};
use crate::snapshot::facts::Process;
use crate::snapshot::{Fact, ObjectId, Reason};
use crate::sys::kernel;

/// What the kernel appends to a link whose file is gone (`d_path` in `fs/d_path.c`).
const DELETED: &str = " (deleted)";

/// Observes it; for a context without a process there is none, and all but `live` is absent.
pub(super) fn observe(target: &Target<'_>) -> Process {
    if !target.live {
        return Process {
            live: Fact::Present(false),
            identity: Fact::Absent,
            started: Fact::Absent,
            executable: Fact::Absent,
            replaced: Fact::Absent,
            environment: Fact::Absent,
            unit: Fact::Absent,
        };
    }
    let ticks = start_ticks(target);
    let link = fact(target.process.executable.as_ref().map_err(Clone::clone));
    Process {
        live: Fact::Present(true),
        identity: ticks.clone().map(|ticks| ObjectId::process(target.boot, target.process.pid, ticks)),
        started: ticks.and_then(started_ms),
        executable: link.clone().map(|link| link.strip_suffix(DELETED).unwrap_or(link).to_owned()),
        replaced: link.map(|link| link.ends_with(DELETED)),
        environment: target
            .environment
            .as_ref()
            .map(|read| if read.is_of_engine() { "engine" } else { "process" }.to_owned()),
        unit: fact(target.process.cgroup.as_ref().map_err(Clone::clone)).and_then(|text| match cgroup::owner(text) {
            Some(Owner::Unit(unit)) => Fact::Present(unit),
            Some(Owner::Container(_) | Owner::Machine(_)) | None => Fact::Absent,
        }),
        // Which process holds which socket is one pass over all processes, before this identity was taken on.
    }
}

fn start_ticks(target: &Target<'_>) -> Fact<u64> {
    fact(target.process.stat.as_ref().map_err(Clone::clone)).and_then(|text| {
        let malformed = || Reason::Malformed {
            path: format!("/proc/{}/stat", target.process.pid),
            line: Some(1),
            detail: "not a stat line".into(),
        };
        stat::parse(text).map_or_else(|| Fact::Unobserved(malformed()), |stat| Fact::Present(stat.start_ticks))
    })
}

fn started_ms(ticks: u64) -> Fact<i64> {
    let Some(rate) = kernel::ticks_per_second() else {
        return Fact::Unobserved(Reason::NotEmulated { what: "the unit of process start times".into() });
    };
    let since_boot = u128::from(ticks) * 1000 / u128::from(rate);
    match i64::try_from(since_boot).ok().and_then(|since| kernel::booted_ms().checked_add(since)) {
        Some(started) => Fact::Present(started),
        None => Fact::Unobserved(Reason::Malformed {
            path: "/proc/PID/stat".into(),
            line: Some(1),
            detail: "a start time beyond all clocks".into(),
        }),
    }
}
