//! Compresses texts for those who take it: brotli or gzip, on threads that may
//! block (actix hands pieces over 1 kB to them).

use actix_http::encoding::Encoder;
use actix_web::Error;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{
    self, AcceptEncoding, ContentEncoding, Encoding, Header, HeaderMap, HeaderValue,
};
use actix_web::middleware::{Next, from_fn};

/// Texts of fewer bytes are sent as they are.
const BYTES_MIN: u64 = 1_024;

/// The middleware.
pub fn compression<S, B>() -> impl Transform<
    S,
    ServiceRequest,
    Response = ServiceResponse<Encoder<B>>,
    Error = Error,
    InitError = (),
>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    from_fn(compress::<B>)
}

async fn compress<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Encoder<B>>, Error> {
    let wanted = wanted(&request);
    let response = next.call(request).await?;
    Ok(response.map_body(|head, body| {
        let mut encoding = ContentEncoding::Identity;
        if is_text(head.headers()) && is_large(body.size()) {
            encoding = wanted;
            // Caches keep an answer for each encoding.
            let vary = HeaderValue::from_static("accept-encoding");
            head.headers_mut().insert(header::VARY, vary);
        }
        Encoder::response(encoding, head, body)
    }))
}

/// The best of what the client takes.
fn wanted(request: &ServiceRequest) -> ContentEncoding {
    let offered = [Encoding::brotli(), Encoding::gzip(), Encoding::identity()];
    let accepted = AcceptEncoding::parse(request).ok();
    match accepted.and_then(|accepted| accepted.negotiate(offered.iter())) {
        Some(Encoding::Known(encoding)) => encoding,
        Some(Encoding::Unknown(_)) | None => ContentEncoding::Identity,
    }
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || matches!(
            essence,
            "application/json" | "application/javascript" | "image/svg+xml"
        )
}

fn is_large(size: BodySize) -> bool {
    match size {
        BodySize::None => false,
        BodySize::Sized(bytes) => bytes >= BYTES_MIN,
        BodySize::Stream => true,
    }
}
