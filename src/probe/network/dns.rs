//! Questions to the target's own name servers, over UDP and TCP, from the namespace in which this process stands.
//!
//! Only hickory's transport is used, one server at a time: its resolver answers `localhost` by itself and keeps the first error of a server for final,
//! neither of which a C library does. Nothing is cached, no file is read, no thread is started, and every wait has a limit.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::task::JoinSet;

use super::flavour::Step;
use super::sources::Flavour;
use crate::formats::nsswitch::Status;
use crate::formats::resolv_conf::ResolvConf;
use crate::snapshot::{Fact, Reason};

/// The most time for one name.
const NAME_LIMIT: Duration = Duration::from_secs(2);
/// The most time for all.
const TOTAL_LIMIT: Duration = Duration::from_secs(5);

/// A name to ask for, in the way of a flavour.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub name: String,
    pub flavour: Flavour,
}

/// What the servers said of one full name and one family.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Addresses(Vec<String>),
    NoData,
    NoName,
    /// An error of the server: the next name of a search list may still be asked for.
    Failure(Reason),
    /// No usable answer.
    Silence(Reason),
}

/// Asks all questions at once. Every question has an answer in the result.
pub fn ask(questions: Vec<(Question, ResolvConf)>) -> BTreeMap<Question, Step> {
    let mut answers = BTreeMap::new();
    if questions.is_empty() {
        return answers;
    }
    for (question, _) in &questions {
        let late = timed_out("the name servers", TOTAL_LIMIT);
        answers.insert(question.clone(), Step::Unknown(late));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let reason = Reason::Unreadable { path: "the own event loop".into(), errno: error.kind().to_string() };
            answers.values_mut().for_each(|answer| *answer = Step::Unknown(reason.clone()));
            return answers;
        }
    };
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for (question, conf) in questions {
            tasks.spawn(async move {
                let answer = tokio::time::timeout(NAME_LIMIT, search(&question, &conf)).await;
                let late = || Step::Unknown(timed_out(&format!("the name servers for {}", question.name), NAME_LIMIT));
                (question.clone(), answer.unwrap_or_else(|_| late()))
            });
        }
        let collect = async {
            while let Some(done) = tasks.join_next().await {
                if let Ok((question, answer)) = done {
                    answers.insert(question, answer);
                }
            }
        };
        // What is late keeps the answer that says so.
        let _late = tokio::time::timeout(TOTAL_LIMIT, collect).await;
    });
    runtime.shutdown_background();
    answers
}

/// Goes through the names that a search list makes of one.
async fn search(question: &Question, conf: &ResolvConf) -> Step {
    let servers = servers(conf);
    let mut failed = None;
    for name in candidates(&question.name, conf, question.flavour) {
        let Ok(name) = Name::from_ascii(format!("{}.", name.trim_end_matches('.'))) else {
            continue;
        };
        let (v4, v6) = tokio::join!(family(&servers, &name, RecordType::A), family(&servers, &name, RecordType::AAAA));
        match verdict(question.flavour, v4, v6) {
            Verdict::Next => {}
            Verdict::Failed(reason) => failed = Some(reason),
            Verdict::Done(step) => return step,
        }
    }
    failed.map_or(Step::Nothing(Status::NotFound), Step::Unknown)
}

/// What the two families of one full name mean for the search.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Done(Step),
    Next,
    Failed(Reason),
}

fn verdict(flavour: Flavour, v4: Said, v6: Said) -> Verdict {
    let musl = flavour == Flavour::Musl;
    for said in [&v4, &v6] {
        match said {
            // musl lets an error or a denial of either family decide (`name_from_dns`).
            Said::Silence(reason) | Said::Failure(reason) if musl => {
                return Verdict::Done(Step::Unknown(reason.clone()));
            }
            Said::NoName if musl => return Verdict::Next,
            _ => {}
        }
    }
    if !matches!((&v4, &v6), (Said::Addresses(_), _) | (_, Said::Addresses(_))) {
        return match (v4, v6) {
            (Said::Silence(reason), _) | (_, Said::Silence(reason)) => Verdict::Done(Step::Unknown(reason)),
            // glibc goes on with the search list after an error of the server (`res_query.c`, `got_servfail`).
            (Said::Failure(reason), _) | (_, Said::Failure(reason)) => Verdict::Failed(reason),
            // A name without addresses ends musl's search and not glibc's.
            _ if musl => Verdict::Done(Step::Nothing(Status::NotFound)),
            _ => Verdict::Next,
        };
    }
    let fact = |said| match said {
        Said::Addresses(addresses) => Fact::Present(addresses),
        Said::NoData | Said::NoName => Fact::Absent,
        Said::Failure(reason) | Said::Silence(reason) => Fact::Unobserved(reason),
    };
    Verdict::Done(Step::Found { v4: fact(v4), v6: fact(v6), source: "dns" })
}

/// The full names that are asked for, in order (glibc `resolv/res_query.c`, musl `name_from_dns_search`).
fn candidates(name: &str, conf: &ResolvConf, flavour: Flavour) -> Vec<String> {
    let dots = u32::try_from(name.matches('.').count()).unwrap_or(u32::MAX);
    let bare = name.trim_end_matches('.').to_owned();
    if name.ends_with('.') || (flavour == Flavour::Musl && dots >= conf.ndots) {
        return vec![bare];
    }
    let list = conf.search.iter().flatten().map(|domain| {
        let domain = domain.trim_matches('.');
        if domain.is_empty() { bare.clone() } else { format!("{bare}.{domain}") }
    });
    let mut names: Vec<String> = list.collect();
    if dots >= conf.ndots {
        names.insert(0, bare);
    } else {
        names.push(bare);
    }
    names
}

/// One server and the means to ask it.
struct Server {
    address: IpAddr,
    pool: NameServerPool<TokioRuntimeProvider>,
    limit: Duration,
}

fn servers(conf: &ResolvConf) -> Vec<Server> {
    let asked = conf.asked();
    let share = NAME_LIMIT.mul_f32(0.9) / u32::try_from(asked.len()).unwrap_or(1).max(1);
    let limit = share.min(Duration::from_secs(u64::from(conf.timeout)));
    let mut servers = Vec::new();
    for address in asked {
        let mut options = ResolverOpts::default();
        options.timeout = limit;
        options.num_concurrent_reqs = 1;
        options.attempts = 1;
        if let Ok(tls) = TlsConfig::new() {
            let context = Arc::new(PoolContext::new(options, tls));
            let target = if address.is_unspecified() { IpAddr::V4(std::net::Ipv4Addr::LOCALHOST) } else { address };
            let config = NameServerConfig::udp_and_tcp(target);
            let pool = NameServerPool::from_config([config], context, TokioRuntimeProvider::new());
            servers.push(Server { address, pool, limit });
        }
    }
    servers
}

/// Asks one server after the other until one gives an answer that a C library takes: addresses, no data, or no such name.
async fn family(servers: &[Server], name: &Name, kind: RecordType) -> Said {
    let mut said = Said::Silence(Reason::NotEmulated { what: "a resolver without name servers".into() });
    for server in servers {
        let answer = tokio::time::timeout(server.limit, query(server, name, kind)).await;
        let late = || Said::Silence(timed_out(&format!("name server {}", server.address), server.limit));
        said = answer.unwrap_or_else(|_| late());
        if !matches!(said, Said::Failure(_) | Said::Silence(_)) {
            break;
        }
    }
    said
}

async fn query(server: &Server, name: &Name, kind: RecordType) -> Said {
    let mut options = DnsRequestOptions::default();
    options.use_edns = false;
    let path = || format!("name server {}", server.address);
    match server.pool.lookup(Query::query(name.clone(), kind), options).first_answer().await {
        Ok(response) => {
            let texts = response.answers.iter().filter_map(|record| match &record.data {
                RData::A(address) if kind == RecordType::A => Some(address.0.to_string()),
                RData::AAAA(address) if kind == RecordType::AAAA => Some(address.0.to_string()),
                _ => None,
            });
            let texts: Vec<String> = texts.take(64).collect();
            if texts.is_empty() { Said::NoData } else { Said::Addresses(texts) }
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
            ResponseCode::NXDomain => Said::NoName,
            ResponseCode::NoError => Said::NoData,
            code => Said::Failure(Reason::Unreadable { path: path(), errno: code.to_string() }),
        },
        Err(NetError::Dns(DnsError::ResponseCode(code))) => {
            Said::Failure(Reason::Unreadable { path: path(), errno: code.to_string() })
        }
        Err(NetError::Timeout) => Said::Silence(timed_out(&path(), server.limit)),
        Err(NetError::Io(error)) => {
            let errno = rustix::io::Errno::from_io_error(&error);
            let errno = errno.map_or_else(|| error.kind().to_string(), crate::sys::root::errno_name);
            Said::Silence(Reason::Unreadable { path: path(), errno })
        }
        Err(error) => Said::Silence(Reason::Unreadable { path: path(), errno: error.to_string() }),
    }
}

fn timed_out(waiting_for: &str, limit: Duration) -> Reason {
    let after_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    Reason::TimedOut { after_ms, waiting_for: waiting_for.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Flavour, Said, Verdict, candidates, verdict};
    use crate::formats::resolv_conf::parse;
    use crate::snapshot::Reason;

    #[test]
    fn the_search_list_comes_first_for_short_names_and_musl_leaves_it_out_for_long_ones() {
        let conf = parse(b"search corp.example lan\noptions ndots:1\n");
        let asked = |name, flavour| candidates(name, &conf, flavour).join(" ");
        assert_eq!(asked("cache", Flavour::Glibc), "cache.corp.example cache.lan cache");
        assert_eq!(asked("cache", Flavour::Musl), "cache.corp.example cache.lan cache");
        assert_eq!(asked("a.b", Flavour::Glibc), "a.b a.b.corp.example a.b.lan");
        assert_eq!(asked("a.b", Flavour::Musl), "a.b");
        assert_eq!(asked("cache.", Flavour::Nix), "cache");
    }

    #[test]
    fn a_denial_of_one_family_hides_the_other_from_musl_only() {
        let found = || Said::Addresses(vec!["10.0.0.1".into()]);
        assert_eq!(verdict(Flavour::Musl, found(), Said::NoName), Verdict::Next);
        assert!(matches!(verdict(Flavour::Glibc, found(), Said::NoName), Verdict::Done(super::Step::Found { .. })));
    }

    #[test]
    fn silence_never_becomes_no_such_name() {
        let silence = || Said::Silence(Reason::TimedOut { after_ms: 1, waiting_for: "x".into() });
        for flavour in [Flavour::Glibc, Flavour::Musl, Flavour::Nix] {
            assert!(matches!(verdict(flavour, silence(), Said::NoData), Verdict::Done(super::Step::Unknown(_))));
        }
    }
}
