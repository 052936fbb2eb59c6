//! A server with a certificate made on the spot, and whom the clients written in Go trust it by.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Barred, Ways, route};
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::environment::Environment;
use crate::probe::reach::bundle::Bundles;
use crate::probe::reach::plan::Client;
use crate::probe::{Target, Wishes};
use crate::snapshot::facts::Facts;
use crate::snapshot::{Fact, List};
use crate::sys::process::ProcessDirectory;
use crate::sys::{LookError, Root};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Private CA");
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root")
}

/// A server whose certificate is for this name and until this year.
async fn server(issuer: &Issuer, name: &str, year: i32) -> SocketAddr {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let leaf = params.signed_by(&key, issuer).expect("a leaf").der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let secret = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = builder.expect("versions").with_no_client_auth().with_single_cert(vec![leaf], secret);
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a certificate")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

/// What a client comes to at this server, where these files lie in its root directory.
async fn outcome(at: SocketAddr, named_by: &str, files: &[(String, String)]) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = directory.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(path, text).expect("write");
    }
    let target = Target {
        root: &Root::open(directory.path()).expect("a root"),
        boot: "boot",
        process: &ProcessDirectory::open(std::process::id()).expect("our own process").texts(),
        live: true,
        environment: &Fact::Present(Environment::parse(b"HOME=/home/me\0")),
        wishes: &Wishes::default(),
        key: None,
        locks: &Err(LookError::NotFound { path: "/proc/locks".into() }),
        incomplete: &[],
    };
    let mut facts = Facts::default();
    facts.network.proxies = Fact::Present(List::default());
    facts.network.names = Fact::Present(List::default());
    facts.nix.settings = Fact::Present(List::default());
    let mut ways = Ways {
        target: &target,
        facts: &facts,
        names: &facts.network.names,
        bundles: Bundles::new(&target, &facts.nix),
    };
    let url = EndpointUrl::parse(&format!("https://{at}"));
    let route = route(&mut ways, &url, named_by, Client::Go).expect("a way");
    let request = Request::get(route.whole("/")).body(Empty::<Bytes>::new()).expect("a request");
    match route.send(request).await {
        Ok(answer) => answer.status.to_string(),
        Err(Barred::Outcome(word)) => word.to_owned(),
        Err(Barred::Unknown(reason)) => format!("unknown: {reason}"),
    }
}

#[test]
fn clients_written_in_go_trust_by_the_directory_of_their_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let issuer = authority();
        let (good, over, other) = (
            server(&issuer, "127.0.0.1", 2099).await,
            server(&issuer, "127.0.0.1", 2021).await,
            server(&issuer, "store.example", 2099).await,
        );
        let file = |path: String| vec![(path, issuer.pem())];
        let of_mc = file("home/me/.mc/certs/CAs/store.pem".into());
        assert_eq!(outcome(good, "mc alias cache", &of_mc).await, "200");
        assert_eq!(outcome(good, "mc alias cache", &[]).await, "untrusted");
        assert_eq!(outcome(over, "mc alias cache", &of_mc).await, "untrusted");
        assert_eq!(outcome(other, "mc alias cache", &of_mc).await, "untrusted");
        assert_eq!(outcome(good, "registry here", &of_mc).await, "untrusted", "Docker looks elsewhere");
        let of_docker = file(format!("etc/docker/certs.d/{good}/ca.crt"));
        assert_eq!(outcome(good, "registry here", &of_docker).await, "200");
        assert_eq!(outcome(good, "mc alias cache", &of_docker).await, "untrusted");
    });
}
