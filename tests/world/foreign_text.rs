//! A container that writes to the reader's terminal, forges XML and turns the direction of writing, by every text that it has a hand in:
//! labels, variables, host name, passwd, PATH, nix.conf, credential files.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::doctor::parallax;
use crate::engine::Container;
use crate::hostile::JOB;
use crate::image::BUSYBOX;

/// Clears the screen, ends CDATA, forges a test case, a link and a heading, turns the writing, and is no XML.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]8;;http://evil\u{7}]]></failure></testcase><testcase name=\"forged\"/>\u{9b}31m\u{202e}\u{2066}\u{85}\r<script>&amp;\u{fffe}\u{7f}";

/// Characters that a terminal obeys, that turn the direction of writing, or that XML 1.0 does not allow.
fn is_dangerous(char: char) -> bool {
    (char.is_control() && char != '\n')
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

fn assert_harmless(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what} is UTF-8: {error}"));
    if let Some((at, char)) = text.char_indices().find(|(_, char)| is_dangerous(*char)) {
        let from = text[..at].char_indices().rev().nth(120).map_or(0, |(index, _)| index);
        panic!("{what} holds U+{:04X} raw, after {:?}", u32::from(char), &text[from..at]);
    }
}

/// Parses with expat, which shares no code with what wrote it, and returns the names of the cases.
fn expat(xml: &[u8]) -> Vec<String> {
    const READER: &str = "import sys, xml.etree.ElementTree as tree\n\
        for case in tree.fromstring(sys.stdin.buffer.read()).iter('testcase'): print(ascii(case.get('name')))";
    let mut python = Command::new("python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    python.stdin.take().expect("stdin").write_all(xml).expect("written");
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

fn world(directory: &std::path::Path) -> Container {
    let write = |name: &str, content: &[u8]| {
        let file = directory.join(name);
        std::fs::write(&file, content).expect("a file");
        file.display().to_string()
    };
    let line = HOSTILE.replace('\r', "");
    let long = "x".repeat(1 << 20);
    let nix = format!(
        "substituters = http://{line}.invalid http://127.0.0.1:1/{line} {long}\nsandbox = {line}\n{line} = {line}\n{line}\n\
         trusted-users = {line} {long}\n"
    );
    let mounts = [
        (write("passwd", format!("{line}:x:0:0:{line}:/{line}:/{line}\nroot:x:0:0::/root:/bin/sh\n{}\n", &long[..60_000]).as_bytes()), "/etc/passwd"),
        (write("nix.conf", &nix.as_bytes()[..nix.len().min(1 << 20)]), "/etc/nix/nix.conf"),
        (write("hosts", format!("127.0.0.1 {line} localhost\n{line}\n").as_bytes()), "/etc/hosts"),
        (write("resolv.conf", format!("nameserver {line}\nsearch {line}\n").as_bytes()), "/etc/resolv.conf"),
        (write("credentials", format!("[default]\naws_access_key_id = {line}\naws_secret_access_key = x\n[{line}]\n").as_bytes()), "/root/.aws/credentials"),
        (write("netrc", format!("machine {line} login {line} password x\n").as_bytes()), "/root/.netrc"),
        (write("mc", serde_json::json!({"version": "10", "aliases": {line.as_str(): {"url": format!("http://{line}"), "accessKey": line, "secretKey": "x"}}}).to_string().as_bytes()), "/root/.mc/config.json"),
    ];
    let mounts: Vec<String> = mounts.iter().map(|(file, place)| format!("{file}:{place}")).collect();
    let variables = [
        format!("PATH=/bin:/{HOSTILE}\n:/usr/bin:{}", "y".repeat(60_000)),
        format!("NIX_CONFIG=extra-substituters = http://{line}\n{line}"),
        format!("http_proxy=http://{HOSTILE}\n"),
        format!("AWS_PROFILE={HOSTILE}\n"),
        format!("AWS_ENDPOINT_URL=http://{HOSTILE}\n:99"),
        format!("MC_HOST_x=http://{HOSTILE}\n"),
        format!("NIX_REMOTE=unix:///{HOSTILE}\n"),
        format!("CI_JOB_NAME={HOSTILE}\n"),
    ];
    let label = format!("com.gitlab.gitlab-runner.job.id={HOSTILE}\n");
    let mut options = JOB.to_vec();
    options.extend(["--label", label.as_str()]);
    options.extend(mounts.iter().flat_map(|mount| ["-v", mount.as_str()]));
    options.extend(variables.iter().flat_map(|variable| ["-e", variable.as_str()]));
    Container::run("parallax-world-hostile", &options, BUSYBOX, &["/bin/sleep", "900"])
}

pub fn foreign_text_is_shown_and_never_obeyed() {
    let directory = tempfile::tempdir().expect("a directory");
    let container = world(directory.path());
    let run = |arguments: &[&str]| {
        let output = parallax().args(arguments).output().expect("parallax runs");
        let what = arguments.join(" ");
        assert_harmless(&format!("stdout of {what}"), &output.stdout);
        assert_harmless(&format!("stderr of {what}"), &output.stderr);
        output
    };
    for format in ["table", "json"] {
        let shown = run(&["doctor", "--offline", "-v", "--format", format]).stdout;
        assert!(String::from_utf8_lossy(&shown).contains("parallax-world-hostile"), "{format}");
    }
    for format in ["markdown", "codequality"] {
        run(&["doctor", "--offline", "-v", "--format", format]);
    }
    let junit = run(&["doctor", "--offline", "-v", "--format", "junit"]).stdout;
    let cases = expat(&junit);
    assert!(cases.iter().any(|name| name.contains("parallax-world-hostile")), "{cases:#?}");
    assert!(!cases.iter().any(|name| name == "'forged'"), "{cases:#?}");
    run(&["contexts"]);
    run(&["contexts", "--json"]);
    let probed = run(&["probe", "--container", &container.name]);
    // The text got that far: what was shown above was shown with it.
    let snapshot: serde_json::Value = serde_json::from_slice(&probed.stdout).expect("a snapshot");
    assert!(snapshot.to_string().contains("forged"), "the hostile text was read");
}
