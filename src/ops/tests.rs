use axum::body::Body;
use axum::http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::payment::Payments;
use crate::payment::maintenance::{Maintenance, MaintenanceConfig};
use crate::vault::idle::Idle;

struct Operator {
    admin: Router,
    health: Router,
    peer: Peer,
    maintenance: Option<Maintenance>,
    vault: Arc<Vault>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Operator {
    async fn start(bin_table: Option<PathBuf>) -> Self {
        let idle = Idle::start().await;
        let payments = Arc::new(Payments::new(idle.vault.clone()));
        let maintenance = payments.start_maintenance(idle.peer, MaintenanceConfig::default());
        let backups = Arc::new(Source {
            vault: crate::id::VaultId::parse("vault_1").unwrap(),
            store: idle.store.clone(),
            keys: idle.keys,
            keyring: PathBuf::from("/nonexistent/keyring.json"),
        });
        let control = crate::custody::Control {
            operations: std::collections::BTreeSet::new(),
            window: std::time::Duration::from_secs(60),
        };
        let custody = Custody::new(idle.store.clone(), idle.vault.clone(), control).unwrap();
        let services = Arc::new(Services {
            backups,
            custody: Arc::new(custody),
            vault: idle.vault.clone(),
            maintenance: maintenance.runs(),
            payments,
            own: idle.peer,
            hsm: idle.hsm,
            store: idle.store,
            metrics: idle.metrics,
            bin_table,
            policy: None,
            admins: Admins {
                uids: vec![idle.peer.uid],
                gids: vec![99],
            },
            config_digest: "abc".to_owned(),
            started: Instant::now(),
        });
        Self {
            admin: admin_router(&services),
            health: health_router(&services),
            peer: idle.peer,
            maintenance: Some(maintenance),
            vault: idle.vault,
        }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.send(&self.admin, Some(self.peer), method, path, body).await
    }

    async fn send(&self, router: &Router, peer: Option<Peer>, method: &str, path: &str, body: String) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body))
            .unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

#[tokio::test]
async fn only_admins_are_let_in() {
    let operator = Operator::start(None).await;
    let peer = |uid, gid| Some(Peer { uid, gid, pid: None });
    let own = nix::unistd::geteuid().as_raw();
    let admitted = [peer(0, 5), peer(own, 5), peer(4711, 5), peer(12345, 99)];
    for peer in admitted {
        let answer = operator
            .send(&operator.admin, peer, "GET", "/status", String::new())
            .await;
        assert_eq!(answer.status, 200, "{peer:?}");
    }
    for peer in [peer(12345, 5), None] {
        for path in ["/status", "/admin/credentials", "/metrics", "/nothing"] {
            let answer = operator.send(&operator.admin, peer, "GET", path, String::new()).await;
            assert_eq!(answer.status, 403, "{peer:?} {path}");
        }
    }

    // who was refused is on record, with a count, and so is who only looked
    operator.call("GET", "/admin/merchants", Value::Null).await;
    operator.vault.access().run(async {}).await;
    let trail = operator.call("GET", "/admin/audit/from/1", Value::Null).await.text;
    let lines: Vec<Value> = trail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |action: &str, outcome: &str| {
        let mut events = lines.iter().map(|line| &line["event"]);
        let event = events.find(|event| event["action"] == action && event["outcome"] == outcome);
        event.map(|event| (event["peer"]["uid"].clone(), event["count"].clone()))
    };
    assert_eq!(told("admin", "denied"), Some((json!(12345), json!(4))), "{trail}");
    assert_eq!(
        told("admin-read", "ok"),
        Some((json!(operator.peer.uid), json!(1))),
        "{trail}"
    );
}

#[tokio::test]
async fn the_health_listener_knows_no_caller_and_serves_nothing_else() {
    let operator = Operator::start(None).await;
    let get = async |path: &str| operator.send(&operator.health, None, "GET", path, String::new()).await;
    assert_eq!(get("/healthz").await.status, 200);
    let metrics = get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.text.contains("panvault_store_writable"), "{}", metrics.text);
    assert!(
        metrics.headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    for path in ["/status", "/admin/merchants", "/v1/tokens"] {
        assert_eq!(get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn without_an_hsm_the_daemon_is_alive_and_not_ready_and_says_why() {
    let operator = Operator::start(None).await;
    let answer = operator.call("GET", "/readyz", Value::Null).await;
    assert_eq!(answer.status, 503);
    let reasons = answer.json()["reasons"].as_array().unwrap().clone();
    assert_eq!(reasons.len(), 1);
    assert!(
        reasons[0].as_str().unwrap().starts_with("the HSM is not ready"),
        "{reasons:?}"
    );

    let status = operator.call("GET", "/status", Value::Null).await.json();
    assert_eq!(
        (&status["ready"], &status["config_digest"]),
        (&json!(false), &json!("abc"))
    );
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["store"]["writable"], true);
    assert_eq!(status["tokens"], 0);
    // The merchant and the credential were audited, and the head is the last line's hash.
    assert!(status["audit"]["seq"].as_u64().unwrap() >= 2, "{status}");
    assert_eq!(status["audit"]["hash"].as_str().unwrap().len(), 43);
}

#[tokio::test]
async fn accounts_are_added_listed_suspended_and_removed() {
    let operator = Operator::start(None).await;
    let merchant = json!({"id": "shop2", "name": "Shop 2", "dialects": ["native"]});
    let added = operator.call("POST", "/admin/merchants", merchant.clone()).await;
    assert_eq!(
        (added.status, &added.json()["repository"]),
        (201, &json!("shop2")),
        "{}",
        added.text
    );
    assert_eq!(operator.call("POST", "/admin/merchants", merchant).await.status, 409);
    let listed = operator.call("GET", "/admin/merchants", Value::Null).await.json();
    assert_eq!(listed["merchants"].as_array().unwrap().len(), 2);

    let new = json!({"merchant": "shop2", "dialect": "native", "kind": "api-key"});
    let issued = operator.call("POST", "/admin/credentials", new).await;
    assert_eq!(issued.status, 201, "{}", issued.text);
    assert_eq!(issued.headers["cache-control"], "no-store");
    let secret = issued.json()["secret"].as_str().unwrap().to_owned();
    let id = issued.json()["credential"]["id"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("pv_") && secret.contains(&id));
    let listed = operator
        .call("GET", "/admin/merchants/shop2/credentials", Value::Null)
        .await;
    assert_eq!(listed.json()["credentials"].as_array().unwrap().len(), 1);
    assert!(!listed.text.contains(&secret));
    let all = operator.call("GET", "/admin/credentials", Value::Null).await.json();
    assert_eq!(all["credentials"].as_array().unwrap().len(), 2);

    let path = format!("/admin/credentials/{id}");
    let suspended = operator.call("POST", &format!("{path}/suspend"), Value::Null).await;
    assert_eq!(suspended.json()["status"], "suspended");
    let resumed = operator.call("POST", &format!("{path}/resume"), Value::Null).await;
    assert_eq!(resumed.json()["status"], "active");
    assert_eq!(operator.call("DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(operator.call("DELETE", &path, Value::Null).await.status, 404);

    let suspended = operator
        .call("POST", "/admin/merchants/shop2/suspend", Value::Null)
        .await;
    assert_eq!(suspended.json()["status"], "suspended");
    assert_eq!(
        operator
            .call("DELETE", "/admin/merchants/shop2", Value::Null)
            .await
            .status,
        200
    );
    assert_eq!(
        operator
            .call("DELETE", "/admin/merchants/shop2", Value::Null)
            .await
            .status,
        404
    );
    assert_eq!(
        operator
            .call("DELETE", "/admin/merchants/a%20b", Value::Null)
            .await
            .status,
        404
    );
    let refused = operator.call("PUT", "/admin/merchants", Value::Null).await;
    assert_eq!(refused.status, 405);
    assert!(refused.json()["error"].is_string() && refused.headers.contains_key("allow"));
}

#[tokio::test]
async fn repositories_are_shared_by_grants() {
    let operator = Operator::start(None).await;
    let added = operator
        .call("POST", "/admin/repositories", json!({"name": "shared"}))
        .await;
    assert_eq!(added.status, 201, "{}", added.text);
    let path = "/admin/repositories/shared/merchants/TEST_shop";
    let granted = operator.call("PUT", path, json!({"default": false})).await;
    assert_eq!(
        granted.json()["repositories"],
        json!(["TEST_shop", "shared"]),
        "{}",
        granted.text
    );
    assert_eq!(
        operator
            .call("DELETE", "/admin/repositories/shared", Value::Null)
            .await
            .status,
        409
    );
    assert_eq!(operator.call("DELETE", path, Value::Null).await.status, 200);
    let suspended = operator
        .call("POST", "/admin/repositories/shared/suspend", Value::Null)
        .await;
    assert_eq!(suspended.json()["status"], "suspended");
    let resumed = operator
        .call("POST", "/admin/repositories/shared/resume", Value::Null)
        .await;
    assert_eq!(resumed.json()["status"], "active");
    assert_eq!(
        operator
            .call("DELETE", "/admin/repositories/shared", Value::Null)
            .await
            .status,
        200
    );
    let listed = operator.call("GET", "/admin/repositories", Value::Null).await.json();
    assert_eq!(listed["repositories"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_policy_is_explained() {
    let operator = Operator::start(None).await;
    let ask = async |uid: u32| {
        let question = json!({"uid": uid, "operation": "reveal"});
        operator.call("POST", "/admin/policy/explain", question).await.json()["allowed"].clone()
    };
    assert_eq!(ask(operator.peer.uid).await, true);
    assert_eq!(ask(12345).await, false);
    let wrong = json!({"uid": 1, "operation": "rule"});
    assert_eq!(operator.call("POST", "/admin/policy/explain", wrong).await.status, 422);
    assert_eq!(
        operator.call("POST", "/admin/policy/reload", Value::Null).await.status,
        409
    );
}

#[tokio::test]
async fn the_bin_table_is_read_again_and_a_faulty_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bins.csv");
    let operator = Operator::start(Some(file.clone())).await;
    std::fs::write(
        &file,
        "range,brand,funding,country,issuer\n411111,visa,credit,US,Bank\n",
    )
    .unwrap();
    let read = operator.call("POST", "/admin/bin-table/reload", Value::Null).await;
    assert_eq!((read.status, read.json()), (200, json!({"rows": 1})), "{}", read.text);
    let trail = operator.call("GET", "/admin/audit/last/1", Value::Null).await.json();
    assert_eq!(trail["event"]["action"], "bin-table-reload");
    assert_eq!(trail["event"]["detail"], "1 rows");
    assert_eq!(trail["event"]["peer"]["uid"], operator.peer.uid);
    std::fs::write(&file, "range,brand\nnonsense").unwrap();
    assert_eq!(
        operator
            .call("POST", "/admin/bin-table/reload", Value::Null)
            .await
            .status,
        422
    );
    let none = Operator::start(None).await;
    assert_eq!(
        none.call("POST", "/admin/bin-table/reload", Value::Null).await.status,
        409
    );
}

#[tokio::test]
async fn the_audit_trail_is_streamed_in_order() {
    let operator = Operator::start(None).await;
    for number in 0..5 {
        let name = json!({"name": format!("r{number}")});
        assert_eq!(operator.call("POST", "/admin/repositories", name).await.status, 201);
    }
    let all = operator.call("GET", "/admin/audit/from/1", Value::Null).await;
    assert_eq!(all.headers["content-type"], "application/x-ndjson");
    let lines: Vec<Value> = all
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let seqs: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    let count = u64::try_from(lines.len()).unwrap();
    assert_eq!(seqs, (1..=count).collect::<Vec<_>>());
    assert!(count >= 7);
    let adds = lines
        .iter()
        .filter(|line| line["event"]["action"] == "repository-add")
        .count();
    assert_eq!(adds, 5);
    assert_eq!(lines[6]["event"]["peer"]["uid"], operator.peer.uid);

    // Who read it is in the trail, behind what was read.
    let last = operator.call("GET", "/admin/audit/last/2", Value::Null).await.text;
    let (before, read) = last.trim_end().split_once('\n').unwrap();
    assert!(all.text.ends_with(&format!("{before}\n")));
    let read: Value = serde_json::from_str(read).unwrap();
    assert_eq!(read["event"]["action"], "audit-read");
    assert_eq!(read["event"]["detail"], format!("records 1 to {count}"));
    assert_eq!(read["event"]["peer"]["uid"], operator.peer.uid);
    let more = operator
        .call("GET", "/admin/audit/last/1000000", Value::Null)
        .await
        .text;
    assert!(more.starts_with(&all.text));
    assert_eq!(more.lines().count(), all.text.lines().count() + 2);
    let beyond = format!("/admin/audit/from/{}", count + 100);
    assert_eq!(operator.call("GET", &beyond, Value::Null).await.text, "");
}

#[tokio::test]
async fn token_maintenance_runs_when_it_is_asked_for_and_is_on_record() {
    let mut operator = Operator::start(None).await;
    let run = operator.call("POST", "/admin/maintenance/run", Value::Null).await;
    assert_eq!(run.status, 200);
    let nothing = json!({
        "looked_at": 0, "current": 0, "updated": 0, "replaced": 0, "closed": 0, "unavailable": 0, "failed": 0,
    });
    assert_eq!(run.json(), nothing);
    let trail = operator.call("GET", "/admin/audit/last/1", Value::Null).await.json();
    assert_eq!(trail["event"]["action"], "maintenance-run");
    assert_eq!(trail["event"]["peer"]["uid"], operator.peer.uid);
    operator.maintenance.take().unwrap().shutdown().await;
    let late = operator.call("POST", "/admin/maintenance/run", Value::Null).await;
    assert_eq!(late.status, 503);
}
