//! The id of a request: it stands in the answer, in its error, and in the lines of the log about it.

use std::future::Future;
use std::sync::Arc;

use super::random_number;

/// Longest id that is taken from a request, characters: a UUID has 36.
const CHARS_MAX: usize = 64;

tokio::task_local! {
    /// The request that is being answered.
    static CURRENT: RequestId;
}

/// Names one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id that a proxy gave it: 1 to 64 letters, digits, `-`, `_` and `.`; otherwise one is made, of 16 hexadecimal digits.
    pub fn of(given: Option<&str>) -> Self {
        let is_well_formed = |id: &str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=CHARS_MAX).contains(&id.len()) && id.bytes().all(is_part)
        };
        match given.filter(|id| is_well_formed(id)) {
            Some(id) => Self(id.into()),
            // Without random numbers, which the start looks for, all would have the same.
            None => Self(format!("{:016x}", random_number().unwrap_or_default()).into()),
        }
    }

    /// The request that is being answered here, if one is.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Does what belongs to this request.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    /// Does on this thread what belongs to a request, if it does.
    pub fn scope_blocking<T>(id: Option<Self>, work: impl FnOnce() -> T) -> T {
        match id {
            Some(id) => CURRENT.sync_scope(id, work),
            None => work(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_proxies_are_taken_if_they_harm_nothing() {
        let longest = "x".repeat(CHARS_MAX);
        for id in ["1", "7b0c-41_x.Y", &longest] {
            assert_eq!(RequestId::of(Some(id)).as_str(), id);
        }
        let too_long = "x".repeat(CHARS_MAX + 1);
        let mut made = vec![RequestId::of(None)];
        for id in ["", "a b", "a\nb", "a\"", "é", &too_long] {
            made.push(RequestId::of(Some(id)));
        }
        for (place, id) in made.iter().enumerate() {
            assert!(
                id.as_str().len() == 16 && id.as_str().bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{id:?}"
            );
            assert!(!made[..place].contains(id));
        }
    }

    #[actix_web::test]
    async fn work_of_a_request_knows_it_on_other_threads_too() {
        assert_eq!(RequestId::current(), None);
        let id = RequestId::of(Some("7"));
        let seen = id.clone().scope(async {
            let current = RequestId::current();
            actix_web::web::block(move || RequestId::scope_blocking(current, RequestId::current))
                .await
                .unwrap()
        });
        assert_eq!(seen.await, Some(id));
        assert_eq!(RequestId::scope_blocking(None, RequestId::current), None);
    }
}
