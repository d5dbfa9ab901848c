use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use axum::Extension;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;

fn socket(path: &Path) -> Socket {
    Socket {
        path: path.to_owned(),
        mode: 0o660,
        group: None,
    }
}

fn router() -> axum::Router {
    axum::Router::new()
        .route(
            "/uid",
            get(async |Extension(peer): Extension<Peer>| peer.uid.to_string()),
        )
        .route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "done"
            }),
        )
        .route(
            "/streamed",
            get(async || {
                let (sender, body) = http_body_util::channel::Channel::<bytes::Bytes, std::io::Error>::new(1);
                // The rest of the body never comes.
                std::mem::forget(sender);
                axum::response::Response::new(axum::body::Body::new(body))
            }),
        )
        .route("/long", get(async || "x".repeat(4 << 20)))
        .route(
            "/never",
            get(async || {
                std::future::pending::<()>().await;
            }),
        )
}

fn limits() -> Limits {
    Limits {
        max_connections: 2,
        descriptors: 1000,
        head_timeout: Duration::from_millis(400),
        write_timeout: Duration::from_millis(300),
        max_head_bytes: 2048,
        drain: Duration::from_secs(5),
        ignore_malformed_headers: false,
    }
}

async fn start(path: &Path, limits: Limits) -> (ServerHandle, Metrics) {
    let endpoint = Endpoint {
        name: "api",
        callers: Callers::Applications,
        listener: socket(path).bind().await.unwrap().into(),
        router: router(),
    };
    let metrics = Metrics::new().unwrap();
    (serve(vec![endpoint], limits, &metrics), metrics)
}

async fn exchange(stream: &mut UnixStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn a_socket_appears_with_its_mode_and_goes_with_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/api.sock");
    let (server, _) = start(&path, limits()).await;
    let meta = std::fs::metadata(&path).unwrap();
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o660);
    assert_eq!(server.shutdown().await, 0);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a listener that ends leaves its file");

    let bound = socket(&path).bind().await.unwrap();
    assert!(matches!(socket(&path).bind().await, Err(Error::InUse(_))));
    drop(bound);

    std::fs::write(&path, "not a socket").unwrap();
    assert!(matches!(socket(&path).bind().await, Err(Error::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a socket");
}

#[tokio::test]
async fn a_directory_that_everyone_may_write_to_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let refused = socket(&dir.path().join("api.sock")).bind().await;
    assert!(matches!(refused, Err(Error::OpenDirectory(_))));
}

#[tokio::test]
async fn a_group_that_does_not_exist_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut socket = socket(&dir.path().join("api.sock"));
    socket.group = Some("no-such-group-here".to_owned());
    assert!(matches!(socket.bind().await, Err(Error::UnknownGroup(_))));
}

#[tokio::test]
async fn requests_know_their_caller() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (_server, _) = start(&path, limits()).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let answer = exchange(&mut stream, "GET /uid HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let uid = nix::unistd::geteuid().as_raw().to_string();
    assert!(answer.ends_with(&format!("\r\n\r\n{uid}")), "{answer}");
}

#[tokio::test]
async fn a_request_under_way_finishes_and_a_new_connection_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (server, _) = start(&path, limits()).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stopping = tokio::spawn(server.shutdown());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(UnixStream::connect(&path).await.is_err());
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(stopping.await.unwrap(), 0);
}

#[tokio::test]
async fn who_connected_before_the_stop_is_still_served_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let limits = Limits {
        max_connections: 8,
        ..limits()
    };
    let (server, _) = start(&path, limits).await;
    let mut silent = UnixStream::connect(&path).await.unwrap();
    let mut first = UnixStream::connect(&path).await.unwrap();
    let mut second = UnixStream::connect(&path).await.unwrap();
    second.write_all(b"GET /uid HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = std::time::Instant::now();
    let stopping = tokio::spawn(server.shutdown());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = exchange(&mut first, "GET /uid HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"),
        "{answer}"
    );
    let mut answer = String::new();
    second.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "one that had its answer is closed: {answer}"
    );
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0, "closed after a while");
    assert_eq!(stopping.await.unwrap(), 0, "none was cut");
}

#[tokio::test]
async fn the_drain_limit_cuts_what_never_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let mut limits = limits();
    limits.drain = Duration::from_millis(100);
    let (server, metrics) = start(&path, limits).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(metrics.connections.with_label_values(&["api"]).get(), 1);
    assert_eq!(server.shutdown().await, 1);
    assert_eq!(metrics.connections.with_label_values(&["api"]).get(), 0);
}

#[tokio::test]
async fn an_idle_connection_makes_room_at_the_cap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (_server, metrics) = start(&path, limits()).await;
    let mut first = UnixStream::connect(&path).await.unwrap();
    let mut second = UnixStream::connect(&path).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut byte = [0];
    let ask = b"GET /uid HTTP/1.1\r\nhost: x\r\n\r\n";
    first.write_all(ask).await.unwrap();
    assert_eq!(first.read(&mut byte).await.unwrap(), 1);

    let mut third = UnixStream::connect(&path).await.unwrap();
    third.write_all(ask).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_millis(200), third.read(&mut byte)).await;
    assert_eq!(answered.expect("the idle ones keep it out").unwrap(), 1);
    assert_eq!(second.read(&mut byte).await.unwrap(), 0, "the longest idle one goes");
    assert_eq!(first.read(&mut byte).await.unwrap(), 1, "the one with a request stays");
    assert_eq!(metrics.connections.with_label_values(&["api"]).get(), 2);
}

#[tokio::test]
async fn a_connection_with_an_answer_under_way_makes_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (_server, _) = start(&path, limits()).await;
    let mut streamed = UnixStream::connect(&path).await.unwrap();
    streamed
        .write_all(b"GET /streamed HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut piece = [0; 512];
    assert!(streamed.read(&mut piece).await.unwrap() > 0);
    let mut idle = UnixStream::connect(&path).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut third = UnixStream::connect(&path).await.unwrap();
    third.write_all(b"GET /uid HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(third.read(&mut piece).await.unwrap() > 0);
    assert_eq!(
        idle.read(&mut piece).await.unwrap(),
        0,
        "the idle one goes, though it came later"
    );
    let ended = tokio::time::timeout(Duration::from_millis(100), streamed.read(&mut piece)).await;
    assert!(ended.is_err(), "cut in the middle");
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_while_all_are_busy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (_server, _) = start(&path, limits()).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream
            .write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        busy.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut third = UnixStream::connect(&path).await.unwrap();
    third.write_all(b"GET /uid HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), third.read(&mut byte)).await;
    assert!(early.is_err(), "answered although the cap was reached");
    busy.pop();
    let answered = tokio::time::timeout(Duration::from_secs(2), third.read(&mut byte)).await;
    assert_eq!(answered.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn a_caller_who_does_not_read_is_cut_and_a_slow_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (_server, metrics) = start(&path, limits()).await;
    let open = || metrics.connections.with_label_values(&["api"]).get();
    let ask = "GET /long HTTP/1.1\r\nhost: x\r\n\r\n";

    let mut deaf = UnixStream::connect(&path).await.unwrap();
    deaf.write_all(ask.repeat(5).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(open(), 1);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(open(), 0, "still there");
    drop(deaf);

    let mut slow = UnixStream::connect(&path).await.unwrap();
    slow.write_all(ask.replace("host", "connection: close\r\nhost").as_bytes())
        .await
        .unwrap();
    let mut piece = vec![0; 512 << 10];
    let mut total = 0;
    loop {
        match slow.read(&mut piece).await.unwrap() {
            0 => break,
            count => total += count,
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert!(total > 4 << 20, "{total}");
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection_and_one_too_long_is_431() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (_server, _) = start(&path, limits()).await;
    let mut slow = UnixStream::connect(&path).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(2), exchange(&mut slow, "GET /uid HT")).await;
    assert_eq!(ended.unwrap(), "");

    let mut long = UnixStream::connect(&path).await.unwrap();
    let head = format!("GET /uid HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(4000));
    let answer = exchange(&mut long, &head).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let refused = loopback("192.0.2.1:0".parse().unwrap()).await;
    assert!(matches!(refused, Err(Error::NotLoopback(_))));
    assert!(loopback("127.0.0.1:0".parse().unwrap()).await.is_ok());
}

#[tokio::test]
async fn all_listeners_serve_what_is_theirs() {
    let dir = tempfile::tempdir().unwrap();
    let taken = loopback("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut config = Config {
        api_socket: socket(&dir.path().join("api.sock")),
        admin_socket: socket(&dir.path().join("admin.sock")),
        checkout_socket: Some(socket(&dir.path().join("checkout.sock"))),
        unseal_socket: None,
        tcp: Some(Tcp {
            addr: "127.0.0.1:0".parse().unwrap(),
            peer: Peer {
                uid: 4711,
                gid: 1,
                pid: None,
            },
        }),
        metrics: Some(taken.local_addr().unwrap()),
        metrics_any_port: false,
    };
    assert!(matches!(config.bind(Inherited::default()).await, Err(Error::Io { .. })));
    assert!(
        !config.api_socket.path.exists(),
        "what was made before the failure stays"
    );

    config.metrics_any_port = true;
    let bound = config.bind(Inherited::default()).await.unwrap();
    let tcp = bound.tcp.as_ref().and_then(Listener::tcp_addr).unwrap();
    let metrics_at = bound.metrics.as_ref().and_then(Listener::tcp_addr).unwrap();
    let named = |name: &'static str| axum::Router::new().route("/", get(move || async move { name }));
    let api = named("api").merge(router());
    let endpoints = bound.serving(&api, named("checkout"), named("admin"), named("health"));
    let server = serve(endpoints, limits(), &Metrics::new().unwrap());

    let ask = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let checkout = config.checkout_socket.as_ref().map(|socket| &socket.path).unwrap();
    for (path, name) in [
        (&config.api_socket.path, "api"),
        (&config.admin_socket.path, "admin"),
        (checkout, "checkout"),
    ] {
        let mut stream = UnixStream::connect(path).await.unwrap();
        assert!(exchange(&mut stream, ask).await.ends_with(name));
    }
    let over_tcp = async |addr, ask: &str| {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(over_tcp(metrics_at, ask).await.ends_with("health"));
    assert!(over_tcp(tcp, ask).await.ends_with("api"));
    assert!(over_tcp(tcp, &ask.replace("/ ", "/uid ")).await.ends_with("4711"));
    assert_eq!(server.shutdown().await, 0);
}

/// The native API behind a socket, its HSM down.
async fn start_api(path: &Path) -> (ServerHandle, String) {
    let idle = crate::vault::idle::Idle::start().await;
    let services = crate::api::Services::new(idle.vault, idle.metrics.clone());
    // Every caller counts as the one with the grants.
    let router = crate::api::router(&Arc::new(services)).layer(Extension(idle.peer));
    let endpoint = Endpoint {
        name: "api",
        callers: Callers::Applications,
        listener: socket(path).bind().await.unwrap().into(),
        router,
    };
    (serve(vec![endpoint], limits(), &idle.metrics), idle.authorization)
}

#[tokio::test]
async fn who_sends_too_much_before_reading_still_gets_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (_server, authorization) = start_api(&path).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let length = 2 * 1024 * 1024;
    let head = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {authorization}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\"code\":\"body_too_large\""), "{answer}");
}

#[tokio::test]
async fn who_asks_first_is_not_told_to_send_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (_server, authorization) = start_api(&path).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let head = format!(
        "POST /v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\nexpect: 100-continue\r\n\
         content-type: application/json\r\ncontent-length: 2000000\r\n\r\n"
    );
    let answer = exchange(&mut stream, &head).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_connection_goes_on_after_a_refused_request() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let (_server, authorization) = start_api(&path).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let one = format!("GET /v1/tokens/tok_x HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\n\r\n");
    let last = one.replace("host: x", "host: x\r\nconnection: close");
    let answer = exchange(&mut stream, &format!("{one}{one}{last}")).await;
    assert_eq!(answer.matches("HTTP/1.1 404").count(), 3, "{answer}");
}
