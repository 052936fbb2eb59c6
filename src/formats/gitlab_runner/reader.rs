//! From TOML to the types of this format: one pass over the document, every value with its place.

use std::collections::BTreeMap;

use secrecy::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Cache, Configuration, Docker, Problem, Runner, S3, Service, Variable, Volume, Written, short};

/// Most entries that are read; a runner with more is none that anybody wrote.
const MOST: usize = 256;

/// Reads a file.
pub fn read(text: &[u8]) -> Configuration {
    let mut found = Configuration::default();
    let problem = |line, detail: &str| Problem { line, key: "the file".into(), detail: detail.into() };
    let Ok(text) = std::str::from_utf8(text) else {
        found.problems.push(problem(1, "not UTF-8"));
        return found;
    };
    let reader = Lines::of(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if let Some(first) = errors.iter().map(|error| error.span().map_or(0, |span| span.start)).min() {
        // The parser's message may quote the text, and the text may be a secret.
        found.problems.push(problem(reader.line(first), "not TOML"));
        return found;
    }
    let mut section = Section { table: document.get_ref(), lines: &reader, problems: &mut found.problems };
    found.runners = section
        .tables("runners")
        .into_iter()
        .take(MOST)
        .map(|(table, line)| runner(&mut section.of(table), line))
        .collect();
    found.problems.sort_by_key(|problem| problem.line);
    found
}

fn runner(section: &mut Section<'_, '_>, line: u32) -> Runner {
    let token = section.text("token");
    Runner {
        line,
        name: section.text("name").unwrap_or_default(),
        short: token.as_deref().map(short).unwrap_or_default(),
        token: token.map(SecretString::from),
        url: section.written("url"),
        clone_url: section.written("clone_url"),
        executor: section.text("executor").unwrap_or_default(),
        builds_dir: section.text("builds_dir"),
        cache_dir: section.text("cache_dir"),
        environment: section.texts("environment").into_iter().filter_map(variable).collect(),
        tls_ca_file: section.written("tls-ca-file"),
        feature_flags: section.flags("feature_flags"),
        docker: section.table("docker").map(|(table, _)| docker(&mut section.of(table))),
        cache: section.table("cache").map(|(table, _)| cache(&mut section.of(table))),
    }
}

fn variable(written: Written<String>) -> Option<Variable> {
    let (name, value) = written.value.split_once('=')?;
    Some(Variable { name: name.to_owned(), value: SecretString::from(value), line: written.line })
}

fn docker(section: &mut Section<'_, '_>) -> Docker {
    let mut volumes: Vec<Volume> = Vec::new();
    for written in section.texts("volumes").into_iter().filter(|written| !written.value.is_empty()) {
        match Volume::parse(&written.value, written.line) {
            Ok(volume) if volumes.iter().any(|other| other.destination == volume.destination) => {
                section.refuse(
                    "volumes",
                    written.line,
                    "a second volume for the same place: the runner stops every job",
                );
            }
            Ok(volume) => volumes.push(volume),
            Err(problem) => section.problems.push(problem),
        }
    }
    let services = section.tables("services").into_iter().take(MOST).map(|(table, _)| {
        let mut service = section.of(table);
        Service { name: service.text("name").unwrap_or_default(), alias: service.text("alias") }
    });
    let services = services.collect();
    Docker {
        host: section.written("host"),
        image: section.text("image"),
        helper_image: section.text("helper_image"),
        hostname: section.text("hostname"),
        runtime: section.text("runtime"),
        user: section.text("user"),
        userns_mode: section.text("userns_mode"),
        network_mode: section.written("network_mode"),
        pid_mode: section.text("pid_mode"),
        ipc_mode: section.text("ipcmode"),
        volume_driver: section.text("volume_driver"),
        cache_dir: section.text("cache_dir"),
        privileged: section.boolean("privileged"),
        services_privileged: section.boolean("services_privileged").map(|written| written.value),
        disable_cache: section.boolean("disable_cache").is_some_and(|written| written.value),
        shm_size: section.integer("shm_size"),
        volumes,
        volumes_from: section.values("volumes_from"),
        devices: section.values("devices"),
        cap_add: section.values("cap_add"),
        cap_drop: section.values("cap_drop"),
        security_opt: section.values("security_opt"),
        group_add: section.values("group_add"),
        extra_hosts: section.texts("extra_hosts"),
        dns: section.values("dns"),
        dns_search: section.values("dns_search"),
        links: section.values("links"),
        pull_policy: section.one_or_more("pull_policy"),
        tmpfs: section.pairs("tmpfs"),
        sysctls: section.pairs("sysctls"),
        services,
    }
}

fn cache(section: &mut Section<'_, '_>) -> Cache {
    let s3 = section.table("s3").map(|(table, line)| {
        let mut s3 = section.of(table);
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        S3 {
            line,
            server_address: s3.written("ServerAddress").filter(|written| !written.value.is_empty()),
            bucket: s3.text("BucketName"),
            location: s3.text("BucketLocation"),
            insecure: s3.boolean("Insecure").is_some_and(|written| written.value),
            authentication: filled(s3.text("AuthenticationType")),
            access_key: s3.written("AccessKey").filter(|written| !written.value.is_empty()),
            secret_key: filled(s3.text("SecretKey")).map(SecretString::from),
        }
    });
    Cache {
        kind: section.text("Type").unwrap_or_default(),
        path: section.text("Path"),
        shared: section.boolean("Shared").is_some_and(|written| written.value),
        s3,
    }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    fn line(&self, at: usize) -> u32 {
        u32::try_from(self.0.partition_point(|start| *start <= at)).unwrap_or(u32::MAX)
    }
}

/// One table, and where its problems go.
struct Section<'a, 'p> {
    table: &'a DeTable<'a>,
    lines: &'a Lines,
    problems: &'p mut Vec<Problem>,
}

type Value<'a> = &'a Spanned<DeValue<'a>>;

impl<'a> Section<'a, '_> {
    fn of<'q>(&'q mut self, table: &'a DeTable<'a>) -> Section<'a, 'q> {
        Section { table, lines: self.lines, problems: self.problems }
    }

    /// By the exact key, else by one that differs in letter case only, as the runner's library matches them.
    fn get(&self, key: &str) -> Option<Value<'a>> {
        let exact = self.table.iter().find(|(name, _)| name.get_ref() == key);
        let loose = || self.table.iter().find(|(name, _)| name.get_ref().eq_ignore_ascii_case(key));
        exact.or_else(loose).map(|(_, value)| value)
    }

    fn line(&self, value: Value<'a>) -> u32 {
        self.lines.line(value.span().start)
    }

    fn refuse(&mut self, key: &str, line: u32, detail: &str) {
        self.problems.push(Problem { line, key: key.to_owned(), detail: detail.to_owned() });
    }

    /// The value as `take` reads it; one of another type is a problem.
    fn read<T>(&mut self, key: &str, wanted: &str, take: impl Fn(&'a DeValue<'a>) -> Option<T>) -> Option<Written<T>> {
        let value = self.get(key)?;
        let line = self.line(value);
        let taken = take(value.get_ref()).map(|value| Written { value, line });
        if taken.is_none() {
            self.refuse(key, line, &format!("not {wanted}"));
        }
        taken
    }

    fn written(&mut self, key: &str) -> Option<Written<String>> {
        self.read(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.written(key).map(|written| written.value)
    }

    fn boolean(&mut self, key: &str) -> Option<Written<bool>> {
        self.read(key, "true or false", DeValue::as_bool)
    }

    fn integer(&mut self, key: &str) -> Option<i64> {
        let number = |value: &DeValue<'_>| {
            value.as_integer().and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
        };
        self.read(key, "a number", number).map(|written| written.value)
    }

    fn texts(&mut self, key: &str) -> Vec<Written<String>> {
        let lines = self.lines;
        let all = |value: &'a DeValue<'a>| {
            let text = |item: &'a Spanned<DeValue<'a>>| {
                let line = lines.line(item.span().start);
                Some(Written { value: item.get_ref().as_str()?.to_owned(), line })
            };
            value.as_array()?.iter().map(text).collect::<Option<Vec<_>>>()
        };
        self.read(key, "a list of texts", all).map(|written| written.value).unwrap_or_default()
    }

    fn values(&mut self, key: &str) -> Vec<String> {
        self.texts(key).into_iter().map(|written| written.value).collect()
    }

    /// A text, or a list of them.
    fn one_or_more(&mut self, key: &str) -> Vec<String> {
        match self.get(key).map(Spanned::get_ref) {
            Some(DeValue::String(text)) => vec![text.clone().into_owned()],
            _ => self.values(key),
        }
    }

    fn pairs(&mut self, key: &str) -> BTreeMap<String, String> {
        let all = |value: &'a DeValue<'a>| {
            let entries = value.as_table()?.iter();
            entries
                .map(|(name, value)| Some((name.get_ref().to_string(), value.get_ref().as_str()?.to_owned())))
                .collect()
        };
        self.read(key, "a table of texts", all).map(|written| written.value).unwrap_or_default()
    }

    fn flags(&mut self, key: &str) -> BTreeMap<String, bool> {
        let all = |value: &'a DeValue<'a>| {
            let entries = value.as_table()?.iter();
            entries.map(|(name, value)| Some((name.get_ref().to_string(), value.get_ref().as_bool()?))).collect()
        };
        self.read(key, "a table of true and false", all).map(|written| written.value).unwrap_or_default()
    }

    fn table(&mut self, key: &str) -> Option<(&'a DeTable<'a>, u32)> {
        self.read(key, "a table", DeValue::as_table).map(|written| (written.value, written.line))
    }

    fn tables(&mut self, key: &str) -> Vec<(&'a DeTable<'a>, u32)> {
        let lines = self.lines;
        let all = |value: &'a DeValue<'a>| {
            let table =
                |item: &'a Spanned<DeValue<'a>>| Some((item.get_ref().as_table()?, lines.line(item.span().start)));
            value.as_array()?.iter().map(table).collect::<Option<Vec<_>>>()
        };
        self.read(key, "a list of tables", all).map(|written| written.value).unwrap_or_default()
    }
}
