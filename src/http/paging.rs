//! Answers in pages: where the next one begins stands in two headers.

use std::fmt::Display;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::answer::Answer;

/// Carries the cursor of the next page.
pub(super) const NEXT_CURSOR: &str = "X-Next-Cursor";

/// A page, with the way to the next one if there is one.
pub(super) fn respond(
    request: &HttpRequest,
    page: Answer,
    next: Option<impl Display>,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(next) = next {
        response.insert_header((NEXT_CURSOR, next.to_string()));
        response.insert_header((header::LINK, next_link(request.query_string(), &next)));
    }
    page.with(response)
}

/// The same question with another cursor. The address is relative, so that it
/// is right behind a proxy that adds a path.
fn next_link(query_string: &str, next: impl Display) -> String {
    let others = query_string
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("cursor="));
    let mut pairs: Vec<&str> = others.collect();
    let cursor = format!("cursor={next}");
    pairs.push(&cursor);
    format!("<?{}>; rel=\"next\"", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::PageCursor;

    #[test]
    fn the_next_page_is_the_same_question_with_another_cursor() {
        let next = PageCursor {
            created_at: "1970-01-01T00:00:01Z".parse().unwrap(),
            id: 7,
        };
        assert_eq!(
            next_link("peer_id=a%2Fb&cursor=9_9&limit=2", next),
            "<?peer_id=a%2Fb&limit=2&cursor=1000000_7>; rel=\"next\""
        );
    }
}
