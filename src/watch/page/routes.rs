//! What can be asked for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;

use super::answers::{Answers, MOST_VIEWERS, Silence};
use super::document::PAGE;
use super::guard::{Guard, guard};
use super::metrics::{self, Format};

/// Time between two signs of life on a stream where nothing changes.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a browser waits before it opens a broken stream again.
const RETRY: Duration = Duration::from_secs(2);

/// How long a stream lives. A browser opens the next one by itself; one that nobody reads any more, and whose
/// end nobody told, gives its place up.
const STREAM_LIFE: Duration = Duration::from_hours(1);

pub(super) fn router(answers: Arc<Answers>, guarded: Guard) -> Router {
    Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/status.json", get(status))
        .route("/events", get(events))
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .fallback(async || (StatusCode::NOT_FOUND, "there is nothing here\n"))
        .method_not_allowed_fallback(async || {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                "this page is to be read only\n",
            )
        })
        .layer(from_fn_with_state(Arc::new(guarded), guard))
        .with_state(answers)
}

async fn status(State(answers): State<Arc<Answers>>) -> Response {
    let text = answers.told(&answers.fresh().await);
    ([(CONTENT_TYPE, "application/json")], text.to_string()).into_response()
}

async fn metrics(State(answers): State<Arc<Answers>>, headers: HeaderMap) -> Response {
    let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = Format::accepted(accepted.unwrap_or_default());
    let text = metrics::text(answers.fresh().await.as_ref(), format);
    ([(CONTENT_TYPE, format.content_type())], text).into_response()
}

async fn events(method: Method, State(answers): State<Arc<Answers>>) -> Response {
    if method == Method::HEAD {
        return [(CONTENT_TYPE, "text/event-stream")].into_response();
    }
    let Some((viewer, latest)) = answers.watch() else {
        let text = format!("{MOST_VIEWERS} others look already\n");
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "30")], text).into_response();
    };
    let end = tokio::time::Instant::now() + STREAM_LIFE;
    let snapshots = stream::unfold((viewer, latest), move |(viewer, mut latest)| {
        let answers = answers.clone();
        async move {
            let changed = tokio::time::timeout_at(end, latest.changed());
            changed.await.ok()?.ok()?;
            let snapshot = latest.borrow_and_update().clone();
            let text = answers.told(&snapshot);
            let event = Event::default().event("snapshot").retry(RETRY).data(text);
            Some((Ok::<_, Infallible>(event), (viewer, latest)))
        }
    });
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("alive");
    Sse::new(snapshots).keep_alive(heartbeat).into_response()
}

async fn health(State(answers): State<Arc<Answers>>) -> Response {
    match answers.silence() {
        None => "ok\n".into_response(),
        Some(Silence::For(silent)) => {
            let text = format!("the loop has shown nothing for {} s\n", silent.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        Some(Silence::Ended) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the loop has ended\n").into_response()
        }
    }
}
