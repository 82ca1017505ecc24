//! TLS by files, and services known by their certificates.

use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Client, Identity};
use server::config::Tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::place::{Place, decision};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
}

/// A certificate and its key.
fn signed(by: &Authority, name: &str) -> (String, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &by.issuer).unwrap().pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_known_by_its_certificate() {
    let place = Place::with(&["default"]);
    let (servers, clients, strangers) = (authority("servers"), authority("clients"), authority("strangers"));
    let (cert, key) = signed(&servers, "localhost");
    place.write("access/access.toml", "[[certificate]]\nname = \"scorer\"\ndns = \"scorer.example\"\nroles = [{ role = \"writer\", trails = [\"default\"] }]\n");
    for (name, pem) in [("tls/cert.pem", &cert), ("tls/key.pem", &key), ("tls/clients.pem", &clients.pem)] {
        place.write(name, pem);
    }
    let mut config = place.config();
    let file = |name: &str| place.dir().join("tls").join(name);
    config.limits.header_s_max = 2;
    config.tls = Some(Tls {
        cert: file("cert.pem"),
        key: file("key.pem"),
        client_ca: Some(file("clients.pem")),
        client_required: false,
    });
    assert!(server::check(&place.host, &config).is_ok());
    let reader = place.token("reader", "default");
    // It is asked when somebody logs in, and nobody does.
    let login = "issuer = \"https://id.example\"\nclient_id = \"onrecord\"\n\
        redirect_url = \"https://audit.example/login/callback\"\n";
    config.login = Some(toml::from_str(login).unwrap());
    let up = place.up_with(config.clone()).await;
    let base = up.base.replace("127.0.0.1", "localhost");
    let client = |identity: Option<(String, String)>| {
        let builder = Client::builder().tls_certs_only([Certificate::from_pem(servers.pem.as_bytes()).unwrap()]);
        let builder = builder.timeout(Duration::from_secs(10));
        match identity {
            Some((cert, key)) => {
                builder.identity(Identity::from_pem((cert + &key).as_bytes()).unwrap()).build().unwrap()
            }
            None => builder.build().unwrap(),
        }
    };
    let append = async |client: Client| {
        let request = client.post(format!("{base}/v1/trails/default/records"));
        request
            .header("content-type", "application/json")
            .body(decision(0))
            .send()
            .await
            .map(|response| response.status().as_u16())
    };
    assert_eq!(append(client(Some(signed(&clients, "scorer.example")))).await.unwrap(), 200);
    assert_eq!(append(client(Some(signed(&clients, "other.example")))).await.unwrap(), 401);
    assert_eq!(append(client(None)).await.unwrap(), 401);
    // A cookie that was left over hides no certificate, and goes where nothing else says who asks.
    let cookie = format!("__Host-onrecord={}", "0".repeat(64));
    let me = async |client: Client| {
        let response = client.get(format!("{base}/v1/me")).header("cookie", &cookie).send().await.unwrap();
        let cleared = response.headers().get("set-cookie").map(|set| set.to_str().unwrap().to_owned());
        (response.status().as_u16(), cleared.is_some_and(|set| set.starts_with("__Host-onrecord=; ")))
    };
    assert_eq!(me(client(Some(signed(&clients, "scorer.example")))).await, (200, false));
    assert_eq!(me(client(Some(signed(&clients, "other.example")))).await, (401, true));
    assert_eq!(me(client(None)).await, (401, true));
    // Whose certificate no known authority vouches for gets no connection.
    assert!(append(client(Some(signed(&strangers, "scorer.example")))).await.is_err());
    let stats = client(None).get(format!("{base}/v1/trails/default/stats")).bearer_auth(&reader).send().await.unwrap();
    assert_eq!((stats.status().as_u16(), stats.version()), (200, reqwest::Version::HTTP_2));
    // Without TLS there is no answer.
    assert!(Client::new().get(up.base.replace("https", "http")).send().await.is_err());
    // I12: a handshake that is begun and not gone on with ends in the time that there is for it.
    let address = up.base.strip_prefix("https://").unwrap();
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    silent.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(30), silent.read_to_end(&mut Vec::new())).await;
    assert!(read.is_ok(), "a handshake stays open");
    up.down().await;
    place.write("tls/key.pem", "no key");
    let error = server::check(&place.host, &config).unwrap_err().to_string();
    assert!(error.starts_with("tls.key: "), "{error}");
}
