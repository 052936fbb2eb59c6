//! Real servers on this machine: a binary cache over HTTP or TLS, a proxy; each keeps who asked what. And an authority that signs their certificates.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a cache of Nix's usual store says of itself.
pub const INFO: &str = "StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n";

/// Who asked, and the head of the question.
pub type Asked = Arc<Mutex<Vec<(IpAddr, String)>>>;

/// A server that runs until it is dropped.
pub struct Server {
    pub port: u16,
    pub asked: Asked,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    listens: Option<std::thread::JoinHandle<()>>,
}

/// Where a server listens; port 0 takes a free one.
pub type At = (IpAddr, u16);

/// The rest of a question's head, and what is said to it.
type Treat = Arc<dyn Fn(TcpStream, &Asked) + Send + Sync>;

impl Server {
    /// A page under every path.
    pub fn http(at: At, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::listen(at, Arc::new(move |stream, asked| talk(stream, asked, &answer)))
    }

    /// A binary cache.
    pub fn cache(at: At) -> Self {
        Self::http(at, |path| page(path.ends_with("/nix-cache-info"), "parallax-cache"))
    }

    /// A binary cache over TLS, which shows this certificate until it ends.
    pub fn tls(at: At, certificate: &Issued) -> Self {
        Self::https(at, certificate, |path| page(path.ends_with("/nix-cache-info"), "parallax-cache"))
    }

    /// A page under every path over TLS.
    pub fn https(at: At, certificate: &Issued, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let config = certificate.config();
        Self::listen(
            at,
            Arc::new(move |stream, asked| {
                let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
                talk(Over(StreamOwned::new(connection, stream)), asked, &answer);
            }),
        )
    }

    /// A proxy for plain pages and tunnels. What it passes on is not kept, only that it was asked.
    pub fn proxy(at: At) -> Self {
        Self::listen(at, Arc::new(pass_on))
    }

    fn listen(at: At, treat: Treat) -> Self {
        let listener = TcpListener::bind(at).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Asked::default());
        let (stopped, kept) = (Arc::clone(&stop), Arc::clone(&asked));
        let listens = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let (treat, kept) = (Arc::clone(&treat), Arc::clone(&kept));
                std::thread::spawn(move || treat(stream, &kept));
            }
        });
        Self { port: address.port(), asked, address, stop, listens: Some(listens) }
    }

    /// Who asked, and what, so far.
    pub fn asked(&self) -> Vec<(IpAddr, String)> {
        self.asked.lock().expect("a lock").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        // The port is free again.
        let _ = self.listens.take().map(std::thread::JoinHandle::join);
    }
}

/// What a server of this kind says: `nix-cache-info`, or that there is no such page.
pub fn page(is_info: bool, program: &str) -> String {
    let (status, body) = if is_info { ("200 OK", INFO) } else { ("404 Not Found", "no such page\n") };
    paged(status, body, program)
}

/// An answer with this status and body.
pub fn paged(status: &str, body: &str, program: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nServer: {program}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// A stream that knows who is at its other end.
trait Peer: Read + Write {
    fn peer(&self) -> IpAddr;
}

impl Peer for TcpStream {
    fn peer(&self) -> IpAddr {
        self.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip())
    }
}

struct Over(StreamOwned<ServerConnection, TcpStream>);

impl Read for Over {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Over {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Peer for Over {
    fn peer(&self) -> IpAddr {
        self.0.sock.peer()
    }
}

fn head(stream: &mut impl Read) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 << 10 && stream.read(&mut byte).is_ok_and(|count| count == 1)
    {
        head.push(byte[0]);
        // No method of HTTP begins so; a server that speaks no TLS ends it here, as nginx does.
        if !head[0].is_ascii_uppercase() {
            break;
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn talk(mut stream: impl Peer, asked: &Asked, answer: &impl Fn(&str) -> String) {
    let question = head(&mut stream);
    let (path, is_empty) = (question.split(' ').nth(1).unwrap_or_default().to_owned(), question.is_empty());
    asked.lock().expect("a lock").push((stream.peer(), question));
    if path.is_empty() && !is_empty {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if !path.is_empty() {
        let _ = stream.write_all(answer(&path).as_bytes()).and_then(|()| stream.flush());
    }
}

fn pass_on(mut stream: TcpStream, asked: &Asked) {
    let question = head(&mut stream);
    let mut words = question.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let authority = target.trim_start_matches("http://").split('/').next().unwrap_or_default().to_owned();
    asked.lock().expect("a lock").push((stream.peer(), question.clone()));
    let Ok(mut onward) = TcpStream::connect(&authority) else {
        let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        return;
    };
    if method == "CONNECT" {
        let _ = stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
    } else {
        let _ = onward.write_all(question.replacen(&format!("http://{authority}"), "", 1).as_bytes());
    }
    let (mut from, mut to) = (stream.try_clone().expect("a clone"), onward.try_clone().expect("a clone"));
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let _ = std::io::copy(&mut onward, &mut stream);
}

/// An authority of our own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate that it issued.
pub struct Issued {
    der: CertificateDer<'static>,
    pub pem: String,
    key: Vec<u8>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::OrganizationName, name);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root"))
    }

    /// A certificate for this name or address, valid up to the end of this year.
    pub fn issue(&self, name: &str, last_year: i32) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(last_year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let leaf = params.signed_by(&key, &self.0).expect("a leaf");
        Issued { der: leaf.der().clone(), pem: leaf.pem(), key: key.serialize_der() }
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A bundle that holds this authority alone.
    pub fn bundle(&self, directory: &Path, name: &str) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, self.pem()).expect("a bundle");
        path
    }
}

impl Issued {
    /// Its key (RFC 7468).
    pub fn key_pem(&self) -> String {
        let body = STANDARD.encode(&self.key);
        let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }

    fn config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::try_from(self.key.clone()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.expect("versions").with_no_client_auth();
        Arc::new(builder.with_single_cert(vec![self.der.clone()], key).expect("a configuration"))
    }
}
