//! The contexts that one caller is compared with: its own, seen with its own environment; host, users and known services; and the parts of the
//! same job. Never another job's: whatever else stands in namespaces of its own is left out, unless the host's configuration names it.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::{RESERVE, look_from, not_entered, scope};
use crate::cli::arguments::Looking;
use crate::cli::configuration::{Allow, Configuration};
use crate::cli::exit::Failure;
use crate::cli::named_paths::Around;
use crate::cli::runners;
use crate::context::discover::docker::Named;
use crate::context::{
    Asker, Asking, Context, Discovered, EnvironmentSource, IdentitySource, Refused, RunnerPart, Scope, discover,
};
use crate::probe::Wishes;
use crate::probe::paths::PathWishes;
use crate::snapshot::secret::RunKey;
use crate::snapshot::{ContextKind, Header, Snapshot};

/// What was seen for one caller.
pub(in crate::cli) struct Asked {
    /// Its own context among them.
    pub(in crate::cli) snapshots: Vec<Snapshot>,
    /// The id of its own context.
    pub(in crate::cli) own: String,
    /// What an engine says of that container.
    pub(in crate::cli) engine: Option<Named>,
    /// Whether there is more that the host's administrator would be told.
    pub(in crate::cli) has_notes: bool,
}

/// Why nothing was seen.
pub(in crate::cli) enum NotAsked {
    /// The process is no more.
    Gone,
    /// It may not ask.
    Refused(String),
    /// parallax could not look.
    Failed(Failure),
}

/// Looks for one caller.
pub(in crate::cli) async fn asked(
    asker: Asker,
    uid: u32,
    configuration: &Configuration,
    key: &Arc<RunKey>,
    deadline: Instant,
) -> Result<Asked, NotAsked> {
    let allow = &configuration.serve.allow;
    let labels = allow.iter().filter_map(|allow| match allow {
        Allow::Label { key, .. } => Some(key.clone()),
        Allow::Uid(_) | Allow::Image(_) => None,
    });
    let looking = Looking { deadline: None, offline: false, no_credentials: true, users: Vec::new() };
    let scope = Scope { asker: Some(asker), labels: labels.collect(), ..scope(&looking, configuration) };
    let mut found = discover(&scope).await;
    let asking = found.asking.take().ok_or(NotAsked::Gone)?;
    admit(allow, uid, asking.engine.as_ref()).map_err(NotAsked::Refused)?;
    let has_notes = !found.notes.is_empty();
    let Asking { context, engine } = asking;
    let own = context.as_ref().map_or_else(|refused| &refused.header, |context| &context.header).id.clone();
    let (mut contexts, mut refused) = others(found, &own, engine.as_ref(), &configuration.serve.contexts);
    match context {
        Ok(context) => contexts.push(context),
        Err(one) => refused.push(*one),
    }
    // A caller must not be able to have others' endpoints asked, or their credentials used, by calling.
    let left_out = Some("parallax serve".to_owned());
    let paths = PathWishes { left_out: left_out.clone(), ..PathWishes::default() };
    let wishes = Wishes { reach: left_out, paths, ..configuration.wishes(&looking) };
    runners::tell(&mut contexts, deadline, &wishes).await.map_err(NotAsked::Failed)?;
    let runner = engine.as_ref().and_then(Named::part).and_then(|part| part.job.runner);
    contexts.retain(|context| stays(context, runner.as_deref(), &configuration.serve.contexts));
    let until = deadline.checked_sub(RESERVE).unwrap_or(deadline);
    let seen = look_from(contexts, &Around::default(), until, &wishes, key).await;
    let mut snapshots = seen.map_err(NotAsked::Failed)?;
    snapshots.extend(refused.into_iter().map(not_entered));
    Ok(Asked { snapshots, own, engine, has_notes })
}

/// Whether the caller may ask, by what the kernel and the engine say of it.
fn admit(allow: &[Allow], uid: u32, engine: Option<&Named>) -> Result<(), String> {
    let admits = |allow: &Allow| match allow {
        Allow::Uid(allowed) => uid == *allowed,
        Allow::Image(image) => engine.and_then(|named| named.image.as_deref()).is_some_and(|of| is_image(of, image)),
        Allow::Label { key, value } => engine.is_some_and(|named| named.labels.get(key) == Some(value)),
    };
    if allow.is_empty() || allow.iter().any(admits) {
        return Ok(());
    }
    let container = match engine {
        Some(_) => "neither the image nor a label of its container",
        None => "no container engine of this host knows its container, and its uid",
    };
    Err(format!(
        "this host does not answer this caller: {container} is among those that [serve] allow names (uid {uid})"
    ))
}

/// `NAME` admits every tag of it, `NAME:TAG` that one.
fn is_image(found: &str, allowed: &str) -> bool {
    found == allowed || found.strip_prefix(allowed).is_some_and(|rest| rest.starts_with([':', '@']))
}

/// Those of all contexts that the caller is compared with.
fn others(found: Discovered, own: &str, engine: Option<&Named>, named: &[String]) -> (Vec<Context>, Vec<Refused>) {
    let Discovered { contexts, refused, engines, .. } = found;
    let same_job = |header: &Header| {
        let other = engines.get(&header.id);
        // Others in the caller's own container are not told apart from it by anybody but the caller.
        engine.zip(other).is_some_and(|(own, other)| own.id != other.id && own.is_of_the_job_of(other))
    };
    let is_named = |header: &Header| named.contains(&header.id) || named.contains(&header.name);
    let is_kept = |header: &Header| match header.kind {
        _ if header.id == own => false,
        ContextKind::Host | ContextKind::User => true,
        ContextKind::Service if header.service.is_some() => true,
        _ if same_job(header) => true,
        // Whoever has a part in a job is shown to no other, whatever the configuration says.
        _ => is_named(header) && header.role.is_none() && !engines.get(&header.id).is_some_and(Named::is_of_a_runner),
    };
    let mut taken: BTreeSet<String> = BTreeSet::from([own.to_owned(), "job".to_owned()]);
    let mut part = |header: &mut Header| {
        let Some(part) = engines.get(&header.id).filter(|_| same_job(header)).and_then(Named::part) else { return };
        let word = part.service.map_or(part.role.to_owned(), |service| format!("{}:{service}", part.role));
        // Neither a container's id nor how many other jobs there are may show in the name.
        let mut name = format!("job/{word}");
        while !taken.insert(name.clone()) {
            name.push('~');
        }
        header.id = format!("container:{name}");
        header.name = name;
    };
    // A runner in a container is asked what it declares, and left out afterwards.
    let is_asked = |context: &Context| context.runner == RunnerPart::Manager && context.header.id != own;
    let contexts =
        contexts.into_iter().filter(|context| is_asked(context) || is_kept(&context.header)).map(|mut context| {
            part(&mut context.header);
            without_job(context)
        });
    let contexts = contexts.collect();
    let refused = refused.into_iter().filter(|refused| is_kept(&refused.header)).map(|mut refused| {
        part(&mut refused.header);
        refused
    });
    (contexts, refused.collect())
}

/// What is left once the runners were asked: of what they declare the caller's own runner's, by the label that it set.
fn stays(context: &Context, runner: Option<&str>, named: &[String]) -> bool {
    let header = &context.header;
    match header.kind {
        ContextKind::Declared => runner.is_some_and(|runner| header.id == format!("declared:runner:{runner}")),
        ContextKind::Container => {
            context.runner != RunnerPart::Manager || named.contains(&header.id) || named.contains(&header.name)
        }
        _ => true,
    }
}

/// A user of the host without what a job of theirs set: the shell executor runs jobs as a user, and each is another one's.
fn without_job(mut context: Context) -> Context {
    let header = &mut context.header;
    if header.kind != ContextKind::User || header.role.is_none() {
        return context;
    }
    (header.role, header.job, header.process) = (None, None, None);
    (context.process, context.environment) = (None, EnvironmentSource::None);
    context.take.source = IdentitySource::Accounts;
    context
}

#[cfg(test)]
mod tests {
    use super::{admit, is_image};
    use crate::cli::configuration::Allow;
    use crate::context::discover::docker::Named;

    #[test]
    fn who_may_ask_is_decided_by_uid_and_by_what_the_engine_says() {
        let named = Named {
            id: "a".repeat(64),
            name: "n".into(),
            image: Some("registry.example/ci/nix:2.8".into()),
            labels: [("team".to_owned(), "blue".to_owned())].into(),
            binds: Vec::new(),
            created: None,
            server: None,
            socket: String::new(),
        };
        let label = |value: &str| [Allow::Label { key: "team".into(), value: value.into() }];
        assert!(admit(&[], 7, None).is_ok());
        assert!(admit(&[Allow::Uid(7)], 7, None).is_ok() && admit(&[Allow::Uid(0)], 7, None).is_err());
        assert!(admit(&label("blue"), 7, Some(&named)).is_ok());
        assert!(admit(&label("red"), 7, Some(&named)).is_err() && admit(&label("blue"), 7, None).is_err());
    }

    #[test]
    fn an_image_without_a_tag_admits_all_of_its_tags_and_no_image_that_only_begins_so() {
        assert!(is_image("registry.example:5000/nix:2.8", "registry.example:5000/nix"));
        assert!(is_image("nix:2.8", "nix:2.8") && !is_image("nix:2.8.1", "nix:2.8") && !is_image("nixos", "nix"));
    }
}
