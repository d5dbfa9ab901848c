//! Who is let in.

use super::*;

fn status_of(client: &Client, change: impl FnOnce(&mut axum::http::HeaderMap)) -> impl Future<Output = u16> {
    let mut request = client.request("GET", "token/x", "");
    change(request.headers_mut());
    async move { client.send(request).await.status }
}

#[tokio::test]
async fn of_several_credentials_of_a_kind_none_is_taken() {
    let client = Client::start().await;
    let good = HeaderValue::from_str(&basic(MERCHANT, &client.password)).unwrap();
    let let_in = status_of(&client, |_| {}).await;
    assert_ne!(let_in, 401);
    let twice = status_of(&client, |headers| {
        headers.append("authorization", good);
    });
    assert_eq!(twice.await, 401);
    // an empty one from the front, and another beside it
    let beside = |first: &'static str| {
        move |headers: &mut axum::http::HeaderMap| {
            headers.remove("authorization");
            headers.append("x-client-certificate", HeaderValue::from_static(first));
            headers.append("x-client-certificate", HeaderValue::from_static("x"));
        }
    };
    for _ in 0..4 {
        assert_eq!(status_of(&client, beside("")).await, 401);
        assert_eq!(status_of(&client, beside("y")).await, 401);
    }
    // the tenth that fails, and it was counted: the next waits
    assert_eq!(status_of(&client, beside("y")).await, 401);
    assert_eq!(status_of(&client, beside("")).await, 429);
    assert_eq!(
        status_of(&client, |_| {}).await,
        let_in,
        "the right one goes on working"
    );
}

#[tokio::test]
async fn a_login_for_what_cannot_be_a_merchant_is_counted() {
    let client = Client::start().await;
    let nobody = async || {
        let path = format!("/api/rest/version/70/merchant/{}/token/x", "m".repeat(65));
        client.call("GET", &path, "").await.status
    };
    for _ in 0..10 {
        assert_eq!(nobody().await, 401);
    }
    assert_eq!(nobody().await, 429);
}
