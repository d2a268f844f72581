//! What every request passes before it is answered: whether it comes from where it may come from, and whether
//! it shows the token. And the headers that every answer has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue,
    REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Token;
use super::document;

/// What a request has to be.
#[derive(Debug)]
pub(super) struct Guard {
    /// Whether only this machine can reach it.
    local: bool,
    token: Option<Token>,
    policy: HeaderValue,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It asks for a host that is not this one, as a browser does whose name for it was rebound to here.
    Host,
    /// A page of somebody else made a browser send it.
    Foreign,
    /// It shows no token, or a wrong one.
    Token,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, token: Option<Token>) -> Self {
        Self {
            local: address.ip().to_canonical().is_loopback(),
            token,
            policy: document::policy(),
        }
    }

    fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        // On an address that others can reach the token keeps rebound names out: a browser shows it to none
        // but the name a person gave it for.
        if self.local && !names_this_machine(uri, headers) {
            return Err(Refusal::Host);
        }
        let is = |name: &str, value: &str| headers.get(name).is_some_and(|it| it == value);
        if is("sec-fetch-site", "cross-site") && !is("sec-fetch-mode", "navigate") {
            return Err(Refusal::Foreign);
        }
        // Whoever asks whether it lives is often a program that has no secrets.
        let Some(token) = self.token.as_ref().filter(|_| uri.path() != "/healthz") else {
            return Ok(());
        };
        let shown = headers.get(AUTHORIZATION);
        match shown.and_then(|shown| shown.to_str().ok()) {
            Some(shown) if token.is_shown_by(shown) => Ok(()),
            Some(_) | None => Err(Refusal::Token),
        }
    }

    fn headers(&self, headers: &mut HeaderMap) {
        let fixed = [
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-store"),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
        ];
        headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
    }
}

/// Lets a request through, or answers why not.
pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.admit(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    guard.headers(response.headers_mut());
    response
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "this page answers to `localhost` and to loopback addresses alone\n",
            ),
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "this page does not answer to other pages\n",
            ),
            Self::Token => (
                StatusCode::UNAUTHORIZED,
                "show the token: `Authorization: Bearer TOKEN`, or as the password of any user\n",
            ),
        };
        let mut response = (status, text).into_response();
        if self == Self::Token {
            let challenge = HeaderValue::from_static("Basic realm=\"llama-orch\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Whether all that a request says of its host is this machine, as seen from itself.
fn names_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let asked = headers.get_all(HOST).iter();
    let mut hosts: Vec<Option<Authority>> =
        asked.map(|host| host.to_str().ok()?.parse().ok()).collect();
    hosts.extend(uri.authority().map(|authority| Some(authority.clone())));
    let is_local = |host: &Option<Authority>| host.as_ref().is_some_and(is_local);
    !hosts.is_empty() && hosts.iter().all(is_local)
}

/// A name can be rebound to an address by whoever owns it, `localhost` and an address itself cannot.
fn is_local(authority: &Authority) -> bool {
    let host = authority.host();
    if authority.as_str().contains('@') {
        return false;
    }
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}
