//! TLS by files: the server's certificate, and the authorities whose certificates clients may show.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::Host;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::Tls;

/// Bytes of a PEM file at most.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {}: {cause}", path.display())]
pub struct TlsError {
    /// The field that names the file.
    field: &'static str,
    /// The file.
    path: PathBuf,
    /// Why.
    cause: String,
}

/// What accepts connections.
pub fn acceptor(host: &Host, tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let of_cert = |cause: String| TlsError { field: "tls.cert", path: tls.cert.clone(), cause };
    let chain = certificates(host, &tls.cert, "tls.cert")?;
    let key = read(host, &tls.key, "tls.key")?;
    let of_key = |cause: String| TlsError { field: "tls.key", path: tls.key.clone(), cause };
    let key =
        PrivateKeyDer::from_pem_slice(&key).map_err(|error| of_key(format!("it holds no private key: {error}")))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| of_cert(error.to_string()))?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let wrong = |cause: String| TlsError { field: "tls.client_ca", path: path.clone(), cause };
            let mut roots = RootCertStore::empty();
            for authority in certificates(host, path, "tls.client_ca")? {
                roots.add(authority).map_err(|error| wrong(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if tls.client_required { verifier } else { verifier.allow_unauthenticated() };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(error.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| of_cert(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(host: &Host, path: &Path, field: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |cause: String| TlsError { field, path: path.to_owned(), cause };
    let bytes = read(host, path, field)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|error| wrong(error.to_string()))?;
    if all.is_empty() { Err(wrong("it holds no certificate in PEM".to_owned())) } else { Ok(all) }
}

fn read(host: &Host, path: &Path, field: &'static str) -> Result<Vec<u8>, TlsError> {
    let wrong = |cause: String| TlsError { field, path: path.to_owned(), cause };
    let bytes = host.read_if_there(path, "tls").map_err(|error| wrong(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| wrong("it is not there".to_owned()))?;
    if bytes.len() > FILE_BYTES_MAX {
        Err(wrong("it is too large for what it should be".to_owned()))
    } else {
        Ok(bytes)
    }
}
