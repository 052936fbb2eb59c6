//! The certificate that an endpoint shows, and whether the roots of this context sign it. A handshake that takes every certificate, so that it can be
//! looked at; nothing secret is ever said over such a connection.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, InvalidMessage, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::bundle::Roots;
use super::plan::Question;
use crate::snapshot::facts::Certificate;
use crate::snapshot::{Fact, Reason};

/// The most names of a certificate that are kept.
const MAX_NAMES: usize = 32;

/// Takes every certificate; signatures of the handshake are verified, so that who shows a certificate has its key.
#[derive(Debug)]
struct TakeAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TakeAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Why no certificate was seen, in words.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{0} is no name of a TLS server")]
    Name(String),
    #[error("TLS with {host}: {detail}")]
    Handshake { host: String, detail: String },
    /// What came is no record of TLS (RFC 8446, 5.1), as when a server for plain HTTP answers.
    #[error("{host} speaks no TLS")]
    NotSpoken { host: String },
}

/// Makes the handshake.
pub async fn handshake(stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let failed = |detail: String| TlsError::Handshake { host: host.to_owned(), detail };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let mut config = builder
        .map_err(|error| failed(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakeAny(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map_err(|error| {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
        match cause {
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                TlsError::NotSpoken { host: host.to_owned() }
            }
            _ => failed(error.to_string()),
        }
    })
}

/// What was shown, and what this context makes of it.
pub fn observe(stream: &TlsStream<TcpStream>, question: &Question) -> Certificate {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    judged(chain, &question.host, &question.roots, UnixTime::now())
}

/// The digest by which a leaf is known.
pub fn fingerprint(leaf: &CertificateDer<'_>) -> String {
    hexadecimal(&Sha256::digest(leaf))
}

pub fn judged(chain: &[CertificateDer<'_>], host: &str, roots: &Roots, now: UnixTime) -> Certificate {
    let mut certificate =
        Certificate { bundle: roots.path.clone(), bundle_named_by: roots.named_by.clone(), ..Certificate::default() };
    let Some((leaf, intermediates)) = chain.split_first() else { return certificate };
    certificate.spoken = Fact::Present(true);
    certificate.leaf = Fact::Present(fingerprint(leaf));
    let Ok((_, parsed)) = X509Certificate::from_der(leaf) else { return certificate };
    let validity = parsed.validity();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let (begin, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    certificate.names = Fact::Present(names(&parsed));
    certificate.issuer = Fact::Present(parsed.issuer().to_string());
    certificate.not_after = Fact::Present(end.saturating_mul(1000));
    certificate.current = Fact::Present((begin..=end).contains(&seconds));
    certificate.names_host = names_host(leaf, host);
    // Judged at an instant at which the leaf is valid: an expired one is a finding of its own.
    let at = u64::try_from(seconds.clamp(begin, end)).unwrap_or_default();
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
    certificate.trusted = roots.anchors.as_ref().and_then(|anchors| signed_by(leaf, intermediates, anchors, at));
    certificate
}

fn names_host(leaf: &CertificateDer<'_>, host: &str) -> Fact<bool> {
    let Ok(entity) = webpki::EndEntityCert::try_from(leaf) else { return Fact::default() };
    match ServerName::try_from(host) {
        Ok(name) => Fact::Present(entity.verify_is_valid_for_subject_name(&name).is_ok()),
        Err(_) => Fact::default(),
    }
}

/// Whether one of these roots signs the chain. Only a missing root is a no; any other refusal may be the library's own.
fn signed_by(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    anchors: &[rustls::pki_types::TrustAnchor<'static>],
    at: UnixTime,
) -> Fact<bool> {
    let refused = |error: webpki::Error| {
        Fact::Unobserved(Reason::NotEmulated { what: format!("a chain that rustls-webpki refuses ({error})") })
    };
    let entity = match webpki::EndEntityCert::try_from(leaf) {
        Ok(entity) => entity,
        Err(error) => return refused(error),
    };
    // A leaf that stands in the bundle itself needs no other root (OpenSSL, `verify(1)`, "Trust Settings").
    if webpki::anchor_from_trusted_cert(leaf).is_ok_and(|own| anchors.contains(&own)) {
        return Fact::Present(true);
    }
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let usage = webpki::KeyUsage::server_auth();
    match entity.verify_for_usage(algorithms, anchors, intermediates, at, usage, None, None) {
        Ok(_) => Fact::Present(true),
        Err(webpki::Error::UnknownIssuer) => Fact::Present(false),
        // A leaf that signs itself is in a bundle or it is not; webpki takes no authority for a server.
        Err(webpki::Error::CaUsedAsEndEntity) if is_own_issuer(leaf) => Fact::Present(false),
        Err(error) => refused(error),
    }
}

fn is_own_issuer(leaf: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(leaf).is_ok_and(|(_, parsed)| parsed.subject() == parsed.issuer())
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let alternatives = extension.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let mut names: Vec<String> = alternatives
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string()),
                16 => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    names.sort();
    names.dedup();
    names.truncate(MAX_NAMES);
    names
}

/// Lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
