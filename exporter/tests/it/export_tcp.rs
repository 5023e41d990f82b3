//! Shipping over real sockets: a receiver that comes, goes and comes back, and TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use inotrail::config::{Export, Tls};
use inotrail::lane::Lane;
use inotrail::metrics::{Dropped, Metrics};
use inotrail::ship;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tonic::codec::CompressionEncoding::Zstd;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::fakes::collector::{Answer, Collector};
use super::requests::{Queue, config, request, settled};

/// Waits for a condition, and fails where it does not come true.
pub(crate) async fn wait(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(60), met).await.is_ok(), "in vain: {what}");
}

/// Serves until the returned runtime is dropped: the only way to end tonic's connections as a killed process does.
pub(crate) fn serve(
    collector: &Collector,
    at: SocketAddr,
    tls: Option<ServerTlsConfig>,
) -> (SocketAddr, tokio::runtime::Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let service = collector.service(&[Zstd]);
    let listener = std::net::TcpListener::bind(at).unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap();
    runtime.spawn(async move {
        let mut server = Server::builder();
        if let Some(tls) = tls {
            server = server.tls_config(tls).unwrap();
        }
        let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
        server.add_service(service).serve_with_incoming(incoming).await.unwrap();
    });
    (at, runtime)
}

/// A port that is free now.
pub(crate) fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ship(config: &Export, metrics: &Metrics) -> Queue {
    Queue::new(metrics, 16 << 20, |journal, books| ship::spawn(config, 0, journal, books).unwrap())
}

fn to(scheme: &str, at: SocketAddr) -> Export {
    Export { endpoint: format!("{scheme}://localhost:{}", at.port()).parse().unwrap(), ..config() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_comes_goes_and_comes_back() {
    let collector = Collector::new(|_, _| Answer::Ok);
    let at = free();
    let metrics = Arc::new(Metrics::default());
    let queue = ship(&to("http", at), &metrics);
    queue.offer(request(1, 10, 20));
    wait("a first attempt", || metrics.export_retries.get() > 0).await;
    assert!(!metrics.health.export.get());

    let (_, server) = serve(&collector, at, None);
    wait("delivery to the receiver that came late", || metrics.delivered.get() == 10).await;
    wait("health", || metrics.health.export.get()).await;

    server.shutdown_background();
    // Until the listener is gone, connections are taken and closed.
    wait("the port to be free", || std::net::TcpStream::connect(at).is_err()).await;
    queue.offer(request(11, 10, 20));
    wait("the failure to be seen", || !metrics.health.export.get()).await;

    let (_, server) = serve(&collector, at, None);
    wait("delivery to the receiver that came back", || metrics.delivered.get() == 20).await;
    queue.drain(Instant::now() + Duration::from_secs(10)).await;
    assert_eq!(settled(&metrics), 20);
    assert!((1..=20).eq(collector.taken().into_keys()));
    tokio::task::block_in_place(|| drop(server));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_without_events_is_healthy_once_the_receiver_is_there() {
    let collector = Collector::new(|_, _| Answer::Ok);
    let (at, server) = serve(&collector, "127.0.0.1:0".parse().unwrap(), None);
    let metrics = Arc::new(Metrics::default());
    let _queue = ship(&to("http", at), &metrics);
    wait("health", || metrics.health.export.get()).await;
    assert!(collector.calls().is_empty());
    tokio::task::block_in_place(|| drop(server));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_threads_offer() {
    let collector = Collector::new(|_, _| Answer::Ok);
    let (at, server) = serve(&collector, "127.0.0.1:0".parse().unwrap(), None);
    let metrics = Arc::new(Metrics::default());
    let queue = ship(&to("http", at), &metrics);
    let mut threads = JoinSet::new();
    for thread in 0..4u64 {
        let journal = queue.journal.clone();
        threads.spawn_blocking(move || {
            for index in 0..200 {
                journal.offer(Lane::Access, 0, "", request((thread * 200 + index) * 7 + 1, 7, 20));
            }
        });
    }
    threads.join_all().await;
    queue.drain(Instant::now() + Duration::from_secs(30)).await;
    assert_eq!(settled(&metrics), 4 * 200 * 7);
    assert_eq!(collector.taken().len() as u64, metrics.delivered.get());
    tokio::task::block_in_place(|| drop(server));
}

/// An authority, and a certificate for `localhost` with its key.
pub(crate) fn certificates() -> (String, String, String) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    (authority.pem(), certificate.pem(), key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_both_ways() {
    let collector = Collector::new(|_, _| Answer::Ok);
    let (ca, certificate, key) = certificates();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&certificate, &key))
        .client_ca_root(Certificate::from_pem(&ca));
    let (at, server) = serve(&collector, "127.0.0.1:0".parse().unwrap(), Some(tls));
    let (ca, identity) = (ca.into_bytes(), (certificate.into_bytes(), key.into_bytes()));

    let metrics = Arc::new(Metrics::default());
    let known = Tls { ca: Some(ca.clone()), identity: Some(identity.clone()) };
    let queue = ship(&Export { tls: known, ..to("https", at) }, &metrics);
    queue.offer(request(1, 10, 20));
    wait("delivery", || metrics.delivered.get() == 10).await;

    // Who shows no certificate, or meets one that it does not trust, delivers nothing and goes on trying.
    let stranger = Tls { ca: Some(ca), identity: None };
    let distrustful = Tls { ca: Some(certificates().0.into_bytes()), identity: Some(identity) };
    for tls in [stranger, distrustful] {
        let metrics = Arc::new(Metrics::default());
        let queue = ship(&Export { tls, ..to("https", at) }, &metrics);
        queue.offer(request(11, 10, 20));
        wait("a second attempt", || metrics.export_retries.get() > 0).await;
        queue.drain(Instant::now()).await;
        assert_eq!(metrics.dropped(Dropped::Shutdown).get(), 10);
    }
    assert_eq!(collector.taken().len(), 10);
    tokio::task::block_in_place(|| drop(server));
}

#[tokio::test]
async fn broken_certificates_are_an_error_at_start() {
    let broken = Tls { ca: None, identity: Some((b"not".to_vec(), b"pem".to_vec())) };
    let config = Export { tls: broken, ..to("https", free()) };
    assert!(matches!(ship::check(&config), Err(ship::Error::Tls(_))));
}
