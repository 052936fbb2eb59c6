//! In a container: which objects are at the places into which its engine mounted something of its machine. The engine says what and where; the kernel
//! says which object it is.

use crate::probe::Target;
use crate::probe::store::places::{Mounts, look};
use crate::snapshot::facts::BindSource;
use crate::snapshot::{Fact, List, Reason};

/// The most that are looked at.
const MOST: usize = 256;

/// One element per directory or file.
pub(super) fn observe(target: &Target<'_>, mounts: &Mounts) -> Fact<List<BindSource>> {
    let Some(binds) = &target.wishes.paths.binds else { return Fact::Absent };
    let one = |(source, destination): &(String, String)| BindSource {
        source: source.clone(),
        destination: destination.clone(),
        identity: look(target, mounts, destination).identity,
    };
    let more = (binds.len() > MOST)
        .then(|| Reason::Truncated { at: MOST as u64, what: "what an engine mounted here".to_owned() });
    Fact::Present(List { items: binds.iter().take(MOST).map(one).collect(), more })
}
