//! `/etc/nsswitch.conf` (`nsswitch.conf(5)`; glibc `nss/nss_database.c`, `nss/nss_action_parse.c`): which modules answer a lookup, in which
//! order, and after which of their statuses the search ends.

/// What a module reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Success,
    NotFound,
    Unavailable,
    TryAgain,
}

/// What follows a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Return,
    Continue,
    Merge,
}

/// One module of a line and its actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name, such as `files`, `dns`, `mdns4_minimal`.
    pub module: String,
    /// By [`Status`], in its order.
    actions: [Action; 4],
}

impl Service {
    /// A module with the default actions: success ends the search, everything else goes on.
    pub fn new(module: &str) -> Self {
        Self {
            module: module.to_owned(),
            actions: [Action::Return, Action::Continue, Action::Continue, Action::Continue],
        }
    }

    /// What follows this status.
    pub fn action(&self, status: Status) -> Action {
        let [success, not_found, unavailable, try_again] = self.actions;
        match status {
            Status::Success => success,
            Status::NotFound => not_found,
            Status::Unavailable => unavailable,
            Status::TryAgain => try_again,
        }
    }
}

/// A database line that glibc does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: not a list of modules and actions")]
pub struct NsswitchError {
    /// 1-based.
    pub line: u32,
}

/// The most modules of one line.
const MAX_SERVICES: usize = 32;

/// The last line for this database (a later line replaces an earlier one); `None` when there is none, and the default holds.
pub fn parse(text: &[u8], database: &str) -> Result<Option<Vec<Service>>, NsswitchError> {
    let mut found = None;
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(end) = line.find(|letter: char| letter == ':' || letter.is_ascii_whitespace()) else { continue };
        let (name, rest) = line.split_at(end);
        if name != database {
            continue;
        }
        let rest = rest.trim_start_matches(|letter: char| letter == ':' || letter.is_ascii_whitespace());
        let line = u32::try_from(index + 1).unwrap_or(u32::MAX);
        found = Some(services(rest).ok_or(NsswitchError { line })?);
    }
    Ok(found)
}

/// The list that holds for hosts without a line (glibc `nss_database_default_dns`).
pub fn default_hosts() -> Vec<Service> {
    vec![Service::new("files"), Service::new("dns")]
}

fn services(mut rest: &str) -> Option<Vec<Service>> {
    let mut services: Vec<Service> = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() || services.len() == MAX_SERVICES {
            return Some(services);
        }
        if let Some(inside) = rest.strip_prefix('[') {
            let (actions, after) = inside.split_once(']')?;
            apply(services.last_mut()?, actions)?;
            rest = after;
        } else {
            let end = rest.find(|letter: char| letter == '[' || letter.is_ascii_whitespace()).unwrap_or(rest.len());
            let (module, after) = rest.split_at(end);
            services.push(Service::new(module));
            rest = after;
        }
    }
}

/// `[NOTFOUND=return !UNAVAIL=continue]`: a leading `!` names every status but this one.
fn apply(service: &mut Service, text: &str) -> Option<()> {
    for word in text.split_whitespace() {
        let (status, action) = word.split_once('=')?;
        let (negated, status) = status.strip_prefix('!').map_or((false, status), |status| (true, status));
        let named = match status.to_ascii_uppercase().as_str() {
            "SUCCESS" => 0,
            "NOTFOUND" => 1,
            "UNAVAIL" => 2,
            "TRYAGAIN" => 3,
            _ => return None,
        };
        let action = match action.to_ascii_lowercase().as_str() {
            "return" => Action::Return,
            "continue" => Action::Continue,
            "merge" => Action::Merge,
            _ => return None,
        };
        for (index, slot) in service.actions.iter_mut().enumerate() {
            if (index == named) != negated {
                *slot = action;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{Action, Status, parse};

    #[test]
    fn the_line_of_a_systemd_host_is_read_with_its_actions() {
        let text = b"passwd: files\nhosts:      mymachines resolve [!UNAVAIL=return] files myhostname dns # x\n";
        let services = parse(text, "hosts").expect("it parses").expect("a line");
        let names: Vec<_> = services.iter().map(|service| service.module.as_str()).collect();
        assert_eq!(names, ["mymachines", "resolve", "files", "myhostname", "dns"]);
        assert_eq!(services[1].action(Status::NotFound), Action::Return);
        assert_eq!(services[1].action(Status::Unavailable), Action::Continue);
        assert_eq!(services[2].action(Status::Success), Action::Return);
    }

    #[test]
    fn actions_may_follow_without_a_blank_and_in_any_case() {
        let services =
            parse(b"hosts: mdns4_minimal[notfound=RETURN] dns\n", "hosts").expect("it parses").expect("a line");
        assert_eq!(services[0].module, "mdns4_minimal");
        assert_eq!(services[0].action(Status::NotFound), Action::Return);
        assert_eq!(services[0].action(Status::TryAgain), Action::Continue);
    }

    #[test]
    fn a_file_without_the_line_has_none_and_a_broken_line_is_named() {
        assert_eq!(parse(b"# hosts: dns\npasswd: files\n", "hosts"), Ok(None));
        assert_eq!(parse(b"\nhosts: [NOTFOUND=return] dns\n", "hosts").map_err(|error| error.line), Err(2));
        assert_eq!(parse(b"hosts: dns [NEVER=return]\n", "hosts").map_err(|error| error.line), Err(1));
    }
}
