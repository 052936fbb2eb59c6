//! Questions to real listeners on loopback: what is made of silence, of endless and of broken answers; and the plan before anything is sent.

mod linked;
mod plan;
mod talk;
mod trust;

use std::net::IpAddr;
use std::sync::Arc;

use super::bundle::Roots;
use super::plan::{Expected, Inquiry, Question};
use crate::probe::environment::Environment;
use crate::probe::{Target, Wishes};
use crate::snapshot::Fact;
use crate::sys::Root;
use crate::sys::process::ProcessDirectory;

/// A question to a server on loopback.
fn question(url: &str, port: u16, inquiry: Inquiry) -> Question {
    Question {
        url: url.to_owned(),
        named_by: ["test".to_owned()].into(),
        host: "localhost".to_owned(),
        port,
        tls: url.starts_with("https"),
        inquiry,
        addresses: vec![IpAddr::from([127, 0, 0, 1])],
        more: None,
        proxy: Fact::Absent,
        proxy_addresses: Vec::new(),
        proxy_more: None,
        roots: Arc::new(roots(Vec::new())),
        on_disk: Fact::Absent,
    }
}

fn roots(anchors: Vec<rustls::pki_types::TrustAnchor<'static>>) -> Roots {
    Roots {
        path: Fact::Present("/bundle".to_owned()),
        named_by: Fact::Present("default".to_owned()),
        anchors: Fact::Present(anchors),
    }
}

fn get(path: &str, expected: Expected) -> Inquiry {
    Inquiry::Get { path: path.to_owned(), expected }
}

/// Calls with a target whose root holds these files and whose environment has these variables.
fn with_target<T>(files: &[(&str, &str)], variables: &[&str], wishes: &Wishes, call: impl FnOnce(&Target) -> T) -> T {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(path, text).expect("write");
    }
    let root = Root::open(directory.path()).expect("the root");
    let process = ProcessDirectory::open(std::process::id()).expect("our own process").texts();
    let environment = Fact::Present(Environment::parse(variables.join("\0").as_bytes()));
    call(&Target {
        root: &root,
        boot: "boot",
        process: &process,
        live: true,
        environment: &environment,
        wishes,
        key: None,
        locks: &Ok(Vec::new()),
        incomplete: &[],
    })
}
