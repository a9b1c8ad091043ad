//! What a reader of multipart has been fed and has not given out: it keeps all of that, however
//! long the head of a part or what precedes the first becomes.
//!
//! Must not know: parts, images.

use std::cell::Cell;
use std::rc::Rc;

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

/// Most bytes fed without anything coming out: much more than a part's head needs.
const MOST: usize = 256 << 10;

/// Counts them.
#[derive(Clone, Debug, Default)]
pub(super) struct Fed(Rc<Cell<usize>>);

impl Fed {
    /// The stream to feed a reader with.
    pub(super) fn count<S>(
        &self,
        body: S,
    ) -> impl Stream<Item = Result<Bytes, PayloadError>> + 'static
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + 'static,
    {
        let fed = self.0.clone();
        body.map(move |chunk| {
            let chunk = chunk?;
            fed.set(fed.get().saturating_add(chunk.len()));
            if fed.get() > MOST {
                return Err(PayloadError::Overflow);
            }
            Ok(chunk)
        })
    }

    /// Something came out.
    pub(super) fn given(&self) {
        self.0.set(0);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    #[actix_web::test]
    async fn a_reader_that_gives_nothing_is_fed_no_more() {
        let chunk = || Ok(Bytes::from(vec![0; MOST / 2]));
        let fed = Fed::default();
        let mut body = fed.count(stream::repeat_with(chunk));
        for _ in 0..2 {
            assert!(body.next().await.unwrap().is_ok());
        }
        fed.given();
        for _ in 0..2 {
            assert!(body.next().await.unwrap().is_ok());
        }
        assert!(body.next().await.unwrap().is_err());
    }
}
