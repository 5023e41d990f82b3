//! A container runtime, faked at the wire.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::super::announcement::Said;
use super::super::cgroup::Hierarchy;
use super::super::{Origin, Source};
use super::message::{
    Configure, Configured, Container, Event, Image, Lifecycle, PodSandbox, StateChange, Status, Synchronize,
    Synchronized, UNIMPLEMENTED,
};
use super::*;

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

/// Waits at a socket for the plugin, and hears what it announces.
struct Runtime {
    socket: PathBuf,
    listener: UnixListener,
    heard: mpsc::UnboundedReceiver<String>,
    plugin: JoinHandle<()>,
}

/// The connection of a plugin that has registered.
struct Peer {
    trunk: UnixStream,
    decoder: Decoder,
    stream: u32,
}

impl Runtime {
    fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("inotrail-nri-{}-{number}.sock", std::process::id()));
        let listener = UnixListener::bind(&socket).unwrap();
        let (announcer, mut said) = announcer();
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(said) = said.recv().await {
                tell.send(words(said)).unwrap();
            }
        });
        let path = socket.clone();
        let plugin = tokio::spawn(async move { connect_for_ever(&path, announcer).await });
        Self { socket, listener, heard, plugin }
    }

    /// The plugin connects and asks to be let in; it gets this answer.
    async fn accept(&self, answer: Response) -> Peer {
        let (trunk, _) = timeout(LIMIT, self.listener.accept()).await.unwrap().unwrap();
        let mut peer = Peer { trunk, decoder: Decoder::default(), stream: 1 };
        let frame = peer.receive().await.unwrap();
        assert_eq!((frame.connection, frame.kind), (Connection::Runtime, Some(Kind::Request)));
        let request = Request::decode(frame.body).unwrap();
        assert_eq!((&*request.service, &*request.method), (RUNTIME_SERVICE, "RegisterPlugin"));
        let register = RegisterPlugin::decode(&*request.payload).unwrap();
        assert_eq!((&*register.name, &*register.index), ("inotrail", "99"));
        peer.send(Connection::Runtime, frame.stream, Kind::Response, &answer.encode_to_vec()).await;
        peer
    }

    /// The same, up to where calls come as containers do.
    async fn accept_all(&self) -> Peer {
        let mut peer = self.accept(Response::default()).await;
        peer.configure("containerd").await;
        peer.call("Synchronize", &Synchronize::default()).await;
        peer
    }

    async fn heard(&mut self) -> String {
        timeout(LIMIT, self.heard.recv()).await.unwrap().unwrap()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.plugin.abort();
        let _gone_already = std::fs::remove_file(&self.socket);
    }
}

impl Peer {
    async fn send(&mut self, connection: Connection, stream: u32, kind: Kind, body: &[u8]) {
        self.trunk.write_all(&frame::encode(connection, stream, kind, body)).await.unwrap();
    }

    /// `None`: it hung up.
    async fn receive(&mut self) -> Option<Frame> {
        let mut chunk = [0; 512];
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                return Some(frame);
            }
            let count = timeout(LIMIT, self.trunk.read(&mut chunk)).await.unwrap().unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.decoder.push(&chunk[..count]).unwrap();
        }
    }

    async fn call(&mut self, method: &str, payload: &impl Message) -> Response {
        self.call_with(method, payload.encode_to_vec()).await
    }

    async fn call_with(&mut self, method: &str, payload: Vec<u8>) -> Response {
        self.stream += 2;
        let request = Request { service: "nri.pkg.api.v1alpha1.Plugin".to_owned(), method: method.to_owned(), payload };
        self.send(Connection::Plugin, self.stream, Kind::Request, &request.encode_to_vec()).await;
        let frame = self.receive().await.expect("it hung up");
        let is_answer = (frame.connection, frame.stream, frame.kind);
        assert_eq!(is_answer, (Connection::Plugin, self.stream, Some(Kind::Response)));
        Response::decode(frame.body).unwrap()
    }

    async fn configure(&mut self, runtime: &str) {
        let response = self.call("Configure", &Configure { runtime_name: runtime.to_owned() }).await;
        assert_eq!(Configured::decode(&*response.payload).unwrap().events, Event::mask());
    }

    async fn has_hung_up(&mut self) {
        assert_eq!(self.receive().await, None);
    }
}

fn announcer() -> (Announcer, mpsc::Receiver<Said>) {
    Announcer::new(Arc::new(Hierarchy::detect().unwrap()))
}

/// What was said, so that it can be compared; lets go of who waits for the answer.
fn words(said: Said) -> String {
    match said {
        Said::Here(announced, seen) => {
            let _nobody_waits = seen.map(|seen| seen.send(()));
            let Announced { source, id, metadata, cgroup } = *announced;
            assert_eq!((source, cgroup), (Source::Nri, None));
            let Origin::Container { id: own, name, runtime, resolved: true } = metadata.origin else { panic!() };
            assert_eq!(own, id);
            let pod = metadata.pod.map(|pod| format!(" in {}/{} ({})", pod.namespace, pod.name, pod.uid));
            let image = metadata.image.map(|image| format!(" of {} {:?}", image.name, image.repo_digests));
            format!("{runtime} {} {name}{}{}", &id[..1], pod.unwrap_or_default(), image.unwrap_or_default())
        }
        Said::Changed(container) => format!("changed {container:?}"),
        Said::Gone(id) => format!("gone {}", &id[..1]),
        other => panic!("{other:?}"),
    }
}

fn id(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn pod(letter: char, name: &str) -> PodSandbox {
    let (name, uid, namespace) = (name.to_owned(), "u".to_owned(), "shop".to_owned());
    PodSandbox { id: id(letter), name, uid, namespace }
}

fn container(letter: char, pod: char, name: &str) -> Container {
    Container { id: id(letter), pod_sandbox_id: id(pod), name: name.to_owned(), image: None }
}

fn lifecycle(pod: PodSandbox, container: Option<Container>) -> Lifecycle {
    Lifecycle { pod: Some(pod), container }
}

#[tokio::test]
async fn containers_are_told_of_from_their_creation_to_their_end() {
    let mut runtime = Runtime::start();
    let mut peer = runtime.accept_all().await;
    let web = || pod('a', "web-0");
    let image = Some(Image { name: "a/b:1".to_owned(), digest: "sha256:0".to_owned() });
    let app = || Container { image: image.clone(), ..container('b', 'a', "app") };
    let of_image = r#"containerd b app in shop/web-0 (u) of a/b ["a/b@sha256:0"]"#;
    for (method, lifecycle, expected) in [
        ("RunPodSandbox", lifecycle(web(), None), "containerd a POD in shop/web-0 (u)"),
        ("CreateContainer", lifecycle(web(), Some(app())), of_image),
        ("RemoveContainer", lifecycle(web(), Some(app())), "gone b"),
        (
            "CreateContainer",
            lifecycle(web(), Some(container('c', 'a', ""))),
            &format!("containerd c {} in shop/web-0 (u)", id('c')),
        ),
        ("RemovePodSandbox", lifecycle(web(), None), "gone a"),
    ] {
        assert_eq!(peer.call(method, &lifecycle).await, Response::default(), "{method}");
        assert_eq!(runtime.heard().await, expected, "{method}");
    }
    // As containerd 1.7 tells it.
    for (event, container, expected) in [
        (Event::RunPodSandbox, None, "containerd a POD in shop/web-0 (u)"),
        (Event::RemoveContainer, Some(container('b', 'a', "app")), "gone b"),
    ] {
        let change = StateChange { event: event as i32, pod: Some(web()), container };
        assert_eq!(peer.call("StateChange", &change).await, Response::default());
        assert_eq!(runtime.heard().await, expected);
    }
}

#[tokio::test]
async fn what_runs_already_is_told_in_parts() {
    let mut runtime = Runtime::start();
    let mut peer = runtime.accept(Response::default()).await;
    peer.configure("cri-o").await;
    // Its pod comes later, and another one's never.
    let first = Synchronize {
        pods: vec![],
        containers: vec![container('b', 'a', "app"), container('c', 'x', "c")],
        more: true,
    };
    let second = Synchronize { pods: vec![pod('a', "web-0")], containers: vec![container('d', 'a', "")], more: false };
    for part in [first, second] {
        let response = peer.call("Synchronize", &part).await;
        assert_eq!(Synchronized::decode(&*response.payload).unwrap().more, part.more);
    }
    let expected = [
        "cri-o b app in shop/web-0 (u)",
        "cri-o c c",
        &format!("cri-o d {} in shop/web-0 (u)", id('d')),
        "cri-o a POD in shop/web-0 (u)",
    ];
    for expected in expected {
        assert_eq!(runtime.heard().await, expected);
    }
}

#[tokio::test]
async fn whatever_is_called_is_answered_so_that_no_container_fails() {
    let mut runtime = Runtime::start();
    let mut peer = runtime.accept_all().await;
    for method in ["RunPodSandbox", "CreateContainer", "RemoveContainer", "StateChange", "Shutdown"] {
        for payload in
            [&b""[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0a\x7fshort", b"\x12\x02\x0a\x00"]
        {
            assert_eq!(peer.call_with(method, payload.to_vec()).await, Response::default(), "{method} {payload:?}");
        }
    }
    // Ids that are none: nothing is known by them.
    let strange = Container { id: "../x".to_owned(), ..container('b', 'a', "b") };
    assert_eq!(peer.call("CreateContainer", &lifecycle(pod('a', "a"), Some(strange))).await, Response::default());
    let status = peer.call("UpdateContainer", &Lifecycle::default()).await.status;
    assert_eq!(status.map(|status| status.code), Some(UNIMPLEMENTED));
    peer.call("CreateContainer", &lifecycle(pod('a', "a"), Some(container('e', 'a', "e")))).await;
    assert_eq!(runtime.heard().await, "containerd e e in shop/a (u)");
}

#[tokio::test]
async fn it_connects_again_whatever_happens() {
    let mut runtime = Runtime::start();
    drop(runtime.accept_all().await);
    let refusal = Some(Status { code: 2, message: "invalid plugin name".to_owned() });
    runtime.accept(Response { status: refusal, payload: vec![] }).await.has_hung_up().await;
    for garbage in [
        &[0, 0, 0, 1, 0xff, 0, 0, 0][..],
        &[0, 0, 0, 1, 0, 0, 0, 10, 0xff, 0, 0, 0, 0, 0, 0, 1, 1, 0],
        // A request whose body is no protobuf.
        &[0, 0, 0, 1, 0, 0, 0, 11, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0xff],
    ] {
        let mut peer = runtime.accept_all().await;
        peer.trunk.write_all(garbage).await.unwrap();
        peer.has_hung_up().await;
    }
    // A restarted runtime makes its socket anew.
    let mut peer = runtime.accept_all().await;
    std::fs::remove_file(&runtime.socket).unwrap();
    runtime.listener = UnixListener::bind(&runtime.socket).unwrap();
    peer.trunk.shutdown().await.unwrap();
    drop(peer);
    let mut peer = runtime.accept_all().await;
    peer.call("CreateContainer", &lifecycle(pod('a', "a"), Some(container('b', 'a', "b")))).await;
    assert_eq!(runtime.heard().await, "containerd b b in shop/a (u)");
}

#[tokio::test(start_paused = true)]
async fn a_table_that_hangs_costs_the_runtime_5_ms() {
    let (announcer, mut said) = announcer();
    let (later, mut postponed) = mpsc::channel(2);
    let mut plugin = Plugin::new(announcer, later);
    let containers = lifecycle(pod('a', "a"), Some(container('b', 'a', "b")));
    let request =
        Request { service: String::new(), method: "CreateContainer".to_owned(), payload: containers.encode_to_vec() };
    let before = tokio::time::Instant::now();
    assert_eq!(plugin.answer(&request).await, Response::default());
    let took = before.elapsed();
    assert!(took >= Duration::from_millis(5) && took < Duration::from_millis(7), "{took:?}");
    // It is told as soon as the table goes on, and again later: that it was in time is not known.
    assert_eq!(said.try_recv().ok().map(words).as_deref(), Some(" b b in shop/a (u)"));
    assert_eq!(postponed.try_recv().map(|announced| announced.id), Ok(id('b')));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_containers_at_once_hold_nobody_up() {
    let (announcer, _nobody_hears) = announcer();
    let (later, mut postponed) = mpsc::channel(2 * RUNNING_MAX);
    let mut plugin = Plugin::new(announcer, later);
    let containers = (0..1000).map(|number| Container { id: format!("{number:064x}"), ..container('b', 'a', "b") });
    let synchronize = Synchronize { pods: vec![pod('a', "a")], containers: containers.collect(), more: false };
    let request =
        Request { service: String::new(), method: "Synchronize".to_owned(), payload: synchronize.encode_to_vec() };
    let before = tokio::time::Instant::now();
    assert_eq!(plugin.answer(&request).await.status, None);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(std::iter::from_fn(|| postponed.try_recv().ok()).count(), 1001);
    // More than anybody has: the first are taken, and nothing breaks.
    for _ in 0..5 {
        plugin
            .answer(&Request {
                payload: Synchronize { more: true, ..synchronize.clone() }.encode_to_vec(),
                ..request.clone()
            })
            .await;
    }
    plugin.answer(&request).await;
    assert_eq!(std::iter::from_fn(|| postponed.try_recv().ok()).count(), RUNNING_MAX + 1);
}
