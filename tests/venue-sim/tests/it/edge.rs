//! REST, WebSocket and the admin endpoint over sockets, with hyper and tungstenite as clients.

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use ring::hmac;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use spinlane_sim::config::SimConfig;
use spinlane_sim::edge::{Options, Running, start};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

const KEY: &str = "spinlane-sim-key";
const SECRET: &str = "spinlane-sim-secret-not-a-secret";

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            tokio::time::timeout(Duration::from_secs(20), test)
                .await
                .expect("done in 20 s")
        })
}

async fn simulator(dir: &TempDir) -> Running {
    start(&Options {
        venues: vec![("binance".into(), 0), ("okx".into(), 0)],
        listen: [127, 0, 0, 1].into(),
        admin_port: 0,
        tls_dir: dir.path().to_owned(),
        sim: SimConfig::default(),
        faults: Vec::new(),
    })
    .await
    .unwrap()
}

async fn tls(ca: &Path, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn http<S>(stream: S, request: Request<Full<Bytes>>) -> hyper::Result<(u16, Value)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut builder = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "localhost");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

async fn rest(
    running: &Running,
    venue: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> hyper::Result<(u16, Value)> {
    let stream = tls(&running.ca_path, running.port(venue).unwrap())
        .await
        .unwrap();
    http(stream, request(method, target, headers, "")).await
}

async fn admin(running: &Running, method: &str, target: &str, body: &str) -> (u16, Value) {
    let stream = TcpStream::connect(("127.0.0.1", running.admin_port))
        .await
        .unwrap();
    http(stream, request(method, target, &[], body))
        .await
        .unwrap()
}

async fn socket(running: &Running, venue: &str, target: &str) -> Socket {
    let stream = tls(&running.ca_path, running.port(venue).unwrap())
        .await
        .unwrap();
    let url = format!("wss://localhost{target}");
    tokio_tungstenite::client_async(url, stream)
        .await
        .unwrap()
        .0
}

async fn send(socket: &mut Socket, text: impl ToString) {
    socket.send(Message::text(text.to_string())).await.unwrap();
}

/// The next text that is wanted.
async fn next(socket: &mut Socket, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let message = socket.next().await.expect("a message").expect("no error");
        if let Message::Text(text) = message {
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text.to_string()));
            if wanted(&value) {
                return value;
            }
        }
    }
}

fn now_ms() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis()
}

fn signed(query: &str) -> String {
    let text = format!("{query}&timestamp={}", now_ms());
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let sign =
        hmac::sign(&key, text.as_bytes())
            .as_ref()
            .iter()
            .fold(String::new(), |mut out, byte| {
                let _ = write!(out, "{byte:02x}");
                out
            });
    format!("{text}&signature={sign}")
}

#[test]
fn binance_serves_rest_and_streams_on_one_port_and_records_orders() {
    run(async {
        let dir = TempDir::new().unwrap();
        let running = simulator(&dir).await;
        let (status, time) = rest(&running, "binance", "GET", "/api/v3/time", &[])
            .await
            .unwrap();
        let server = u128::from(time["serverTime"].as_u64().unwrap());
        assert!(status == 200 && server.abs_diff(now_ms()) < 2_000);

        let mut data = socket(&running, "binance", "/stream?streams=btcusdt@depth@100ms").await;
        let first = next(&mut data, |m| m["stream"] == "btcusdt@depth@100ms").await;
        let second = next(&mut data, |m| m["stream"] == "btcusdt@depth@100ms").await;
        let end = first["data"]["u"].as_u64().unwrap();
        assert_eq!(second["data"]["U"].as_u64(), Some(end + 1));

        let order = "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.001&price=60000.00\
                     &newClientOrderId=over-tls";
        let target = format!("/api/v3/order?{}", signed(order));
        let headers = [("X-MBX-APIKEY", KEY)];
        let (status, placed) = rest(&running, "binance", "POST", &target, &headers)
            .await
            .unwrap();
        assert_eq!(
            (status, &placed["clientOrderId"]),
            (200, &json!("over-tls"))
        );

        let (_, record) = admin(&running, "GET", "/record", "").await;
        let orders = record["binance"]["orders"].as_array().unwrap();
        assert_eq!(orders.len(), 1);
        let row = &orders[0];
        assert_eq!(row["order_id"], placed["orderId"].to_string());
        assert_eq!(
            (
                &row["client_order_id"],
                &row["price"],
                &row["qty"],
                &row["state"],
                &row["cum"]
            ),
            (
                &json!("over-tls"),
                &json!("60000"),
                &json!("0.001"),
                &json!("live"),
                &json!("0")
            )
        );
        assert_eq!(
            record["binance"]["requests_by_client_order_id"]["over-tls"],
            1
        );
        assert_eq!(record["binance"]["counts"]["new_requests"], 1);
        assert_eq!(record["okx"]["orders"], json!([]));
    });
}

#[test]
fn okx_serves_books_and_text_pings() {
    run(async {
        let dir = TempDir::new().unwrap();
        let running = simulator(&dir).await;
        let mut data = socket(&running, "okx", "/ws/v5/public").await;
        let args = json!([{"channel": "books", "instId": "BTC-USDT"}]);
        send(&mut data, json!({"op": "subscribe", "args": args})).await;
        let snapshot = next(&mut data, |m| m["action"] == "snapshot").await;
        assert_eq!(snapshot["data"][0]["prevSeqId"], -1);
        let update = next(&mut data, |m| m["action"] == "update").await;
        assert_eq!(update["data"][0]["prevSeqId"], snapshot["data"][0]["seqId"]);
        send(&mut data, "ping").await;
        next(&mut data, |m| *m == json!("pong")).await;
    });
}

#[test]
fn only_the_test_authority_vouches_for_it() {
    run(async {
        let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (running, stranger) = (simulator(&dir).await, simulator(&other).await);
        let port = running.port("okx").unwrap();
        assert!(tls(&running.ca_path, port).await.is_ok());
        assert!(tls(&stranger.ca_path, port).await.is_err());
    });
}

#[test]
fn faults_are_given_and_counted_over_the_admin_endpoint() {
    run(async {
        let dir = TempDir::new().unwrap();
        let running = simulator(&dir).await;
        let mut data = socket(&running, "binance", "/ws/btcusdt@depth@100ms").await;
        let first = next(&mut data, |m| m["e"] == "depthUpdate").await;
        let (status, answer) = admin(&running, "POST", "/fault", "gap:venue=binance").await;
        assert_eq!((status, &answer["accepted"]), (200, &json!(1)));
        let mut last = first["u"].as_u64().unwrap();
        loop {
            let event = next(&mut data, |m| m["e"] == "depthUpdate").await;
            if event["U"].as_u64().unwrap() != last + 1 {
                break;
            }
            last = event["u"].as_u64().unwrap();
        }
        let (_, stats) = admin(&running, "GET", "/stats", "").await;
        assert_eq!(stats["binance"]["faults"]["gap"], 1);
        assert_eq!(stats["okx"]["faults"], json!({}));
        assert_eq!(stats["binance"]["sockets"], 1, "a WebSocket stays counted");
        assert_eq!(stats["binance"]["accepted"], 1);
        assert_eq!(stats["okx"]["accepted"], 0);
        let (status, answer) = admin(&running, "POST", "/fault", "earthquake").await;
        assert!(status == 400 && answer["error"].as_str().unwrap().contains("earthquake"));

        admin(&running, "POST", "/fault", "disconnect:link=public").await;
        while let Some(Ok(message)) = data.next().await {
            assert!(!message.is_close(), "cut, not closed");
        }
        admin(&running, "POST", "/fault", "lost-ack:venue=binance").await;
        let order = "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.001&price=60000.00";
        let target = format!("/api/v3/order?{}", signed(order));
        let headers = [("X-MBX-APIKEY", KEY)];
        let lost = rest(&running, "binance", "POST", &target, &headers).await;
        assert!(lost.is_err(), "cut without an answer: {lost:?}");
        let (_, record) = admin(&running, "GET", "/record", "").await;
        assert_eq!(record["binance"]["counts"]["orders"], 1, "but carried out");
    });
}

#[test]
fn oandas_prices_come_in_chunks_until_they_are_cut() {
    run(async {
        let dir = TempDir::new().unwrap();
        let running = start(&Options {
            venues: vec![("oanda".into(), 0)],
            listen: [127, 0, 0, 1].into(),
            admin_port: 0,
            tls_dir: dir.path().to_owned(),
            sim: SimConfig::default(),
            faults: Vec::new(),
        })
        .await
        .unwrap();
        let stream = tls(&running.ca_path, running.port("oanda").unwrap()).await;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream.unwrap()))
                .await
                .unwrap();
        tokio::spawn(connection);
        let target = "/v3/accounts/101-001-0000001-001/pricing/stream?instruments=EUR_USD";
        let token = format!("Bearer {SECRET}");
        let asked = request("GET", target, &[("authorization", &token)], "");
        let mut body = sender.send_request(asked).await.unwrap().into_body();
        let mut told = String::new();
        while told.lines().count() < 3 || !told.ends_with('\n') {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            told.push_str(std::str::from_utf8(&piece).unwrap());
        }
        for line in told.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["instrument"], "EUR_USD");
        }
        assert_eq!(admin(&running, "POST", "/fault", "disconnect").await.0, 200);
        let end = loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                other => break other,
            }
        };
        assert!(matches!(end, Some(Err(_))), "cut in the middle: {end:?}");
    });
}
