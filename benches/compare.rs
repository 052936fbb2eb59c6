//! Comparing 10,000 snapshots, beside what parsing their bytes with serde_json takes: the ratio is to stay below 3.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use parallax::check::{Catalogue, Options, evaluate};
use parallax::snapshot::Snapshot;
use serde_json::{Value, json};

/// Contexts of ten machines; a tenth of them have a fault.
fn documents(count: usize) -> Vec<Vec<u8>> {
    let document = |number: usize| {
        let endpoints: Vec<Value> = (0..8)
            .map(|port| {
                json!({ "url": format!("http://127.0.0.1:{}", 9000 + port), "named_by": "nix substituters", "origin": "/etc/nix/nix.conf:3",
                    "scheme": "http", "host": "127.0.0.1", "port": 9000 + port, "loopback": true, "listening": !number.is_multiple_of(10) })
            })
            .collect();
        let tools: Vec<Value> = (0..20)
            .map(|tool| json!({ "name": format!("tool-{tool}"), "path": format!("/usr/bin/tool-{tool}"), "startable": true }))
            .collect();
        let key =
            json!({ "endpoint": "http://cache:9000", "account": format!("account-{}", number % 3), "chosen": true });
        let host = number % 10;
        json!({
            "schema": "parallax.snapshot/1", "version": "1", "taken_ms": 0, "took_ms": 0,
            "context": { "id": format!("container:{number}"), "kind": "container", "name": number.to_string(),
                "boot": format!("boot-{host}"), "host": format!("host-{host}"), "entry": "entered" },
            "facts": {
                "identity": { "namespaces": { "mnt": format!("object:b:4:{number}:nsfs") } },
                "store": { "used": true, "db": { "identity": format!("object:b:1:{}:ext4", number % 100), "writable": false } },
                "network": { "endpoints": endpoints }, "tools": { "found": tools }, "credentials": { "s3": [key] },
            },
            "unobserved": {},
        })
        .to_string()
        .into_bytes()
    };
    (0..count).map(document).collect()
}

fn compare(bench: &mut Criterion) {
    let documents = documents(10_000);
    let catalogue = Catalogue::builtin().unwrap_or_else(|error| panic!("{error}"));
    let snapshots: Vec<Snapshot> =
        documents.iter().map(|text| Snapshot::from_json(text).unwrap_or_else(|error| panic!("{error}"))).collect();
    let mut group = bench.benchmark_group("10,000 snapshots");
    group.sample_size(10);
    group.bench_function("serde_json parses them", |bench| {
        bench.iter(|| documents.iter().filter(|text| serde_json::from_slice::<Value>(text).is_ok()).count());
    });
    group.bench_function("read as snapshots", |bench| {
        bench.iter(|| documents.iter().filter(|text| Snapshot::from_json(text).is_ok()).count());
    });
    for count in [1_000, 10_000] {
        group.bench_function(format!("evaluate {count}"), |bench| {
            bench.iter(|| {
                evaluate(&catalogue, black_box(&snapshots[..count]), &Options::default()).map(|found| found.len())
            });
        });
    }
}

criterion_group!(benches, compare);
criterion_main!(benches);
