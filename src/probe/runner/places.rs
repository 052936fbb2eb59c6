//! In a job: what is mounted at the places for which its runner declares directories of the host.

use super::{Target, fact};
use crate::probe::store::places::{Mounts, look};
use crate::snapshot::facts::RunnerPlace;
use crate::snapshot::{Fact, List};

/// One element per place that was asked for; absent where nothing is declared for this context.
pub(super) fn observe(target: &Target<'_>) -> Fact<List<RunnerPlace>> {
    let wishes = &target.wishes.runner;
    let (Some(runner), Some(places)) = (&wishes.short, &wishes.places) else { return Fact::Absent };
    let mounts = Mounts::read(target);
    Fact::Present(List::complete(places.iter().map(|place| one(target, &mounts, runner, place)).collect()))
}

fn one(target: &Target<'_>, mounts: &Mounts, runner: &str, destination: &str) -> RunnerPlace {
    // A mount point is written as the kernel resolved it.
    let resolved = fact(target.root.resolve(destination));
    let place = look(target, mounts, destination);
    let mounted = match &resolved {
        Fact::Present(path) => place.mount.point.clone().map(|point| point == *path),
        Fact::Absent => Fact::Present(false),
        Fact::Unobserved(reason) => Fact::Unobserved(reason.clone()),
    };
    RunnerPlace {
        runner: runner.to_owned(),
        destination: destination.to_owned(),
        mounted,
        read_only: place.mount.read_only,
        identity: place.identity,
    }
}
