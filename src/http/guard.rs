//! Middleware of every route: applies `browsers` and `access`, and adds the security
//! headers for browsers.

use actix_cors::Cors;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage, ResponseError, web};

use super::AppState;
use super::access::{self, Asked};
use super::browsers;
use super::client_ip::client_ip;
use super::misdirected::is_misdirected;
use super::paging::NEXT_CURSOR;
use crate::config::AccessConfig;

/// For everything that is no page; pages have a policy of their own.
const CONTENT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// For how long a browser need not ask again what it may, seconds.
const CORS_AGE_S: usize = 3_600;

/// The middleware of the whole application.
pub fn guard<S, B>() -> impl Transform<
    S,
    ServiceRequest,
    Response = ServiceResponse<EitherBody<B>>,
    Error = Error,
    InitError = (),
>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    from_fn(pass::<B>)
}

async fn pass<B: MessageBody + 'static>(
    state: web::Data<AppState>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let asked = Asked {
        method: request.method(),
        uri: request.uri(),
        headers: request.headers(),
        peer: request.peer_addr().map(|address| address.ip()),
    };
    let rules = &state.config.access;
    let judged = if is_misdirected(&asked) {
        let needs_token = rules.submit_needs_token();
        let ip = asked
            .peer
            .and_then(|peer| client_ip(peer, asked.headers, &rules.trusted_proxies).ok());
        Err(state.refuse_path(asked.uri.path(), needs_token, ip))
    } else {
        browsers::judge(rules, &state.own_names, &asked).and_then(|()| access::judge(rules, &asked))
    };
    let mut response = match judged {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await?.map_into_left_body()
        }
        Err(error) => request
            .into_response(error.error_response())
            .map_into_right_body(),
    };
    // A websocket is no content, and nodes know few headers.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ] {
            if !headers.contains_key(&name) {
                headers.insert(name, header::HeaderValue::from_static(value));
            }
        }
    }
    Ok(response)
}

/// What pages of `CORS_ORIGINS` may.
pub fn cors(access: &AccessConfig) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allowed_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([NEXT_CURSOR, "Link", "Retry-After", "X-Request-Id"])
        .max_age(CORS_AGE_S);
    access
        .cors_origins
        .iter()
        .fold(cors, |cors, origin| cors.allowed_origin(origin))
}
