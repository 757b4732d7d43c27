//! The way of a stream's bytes from the write loop to hyper on HTTP/2. The channel holds one piece, so the write loop
//! waits as it does for a socket: flow control of the peer stops hyper, hyper stops taking pieces, and the time-outs of
//! the write loop apply.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::http::transport::frame_scanner::ConnectionHealth;
use crate::metrics::Disconnect;
use crate::stream::hub::BufferSegment;

/// Bytes of one piece: those of one frame (RFC 9113, 4.2). hyper holds one more piece per stream.
pub(in crate::http) const MAX_PIECE_BYTES: usize = 16 << 10;

/// The end of the write loop. If it is dropped before [`StreamSender::finish`], the stream is reset.
pub(in crate::http) struct StreamSender {
    pieces: mpsc::Sender<Bytes>,
    /// Cancelling it ends the exchange inside hyper, which resets the stream.
    reset: CancellationToken,
    health: Arc<ConnectionHealth>,
    is_finished: AtomicBool,
}

/// The end of hyper: a response body.
pub(in crate::http) struct StreamBody {
    opening: Option<Bytes>,
    pieces: mpsc::Receiver<Bytes>,
}

/// What a stream's channel needs of its connection.
pub(in crate::http) struct ChannelParts {
    /// The first bytes of the stream.
    pub(in crate::http) opening: Bytes,
    pub(in crate::http) reset: CancellationToken,
    pub(in crate::http) health: Arc<ConnectionHealth>,
}

/// Both ends of a new channel.
pub(in crate::http) fn channel(parts: ChannelParts) -> (StreamSender, StreamBody) {
    let ChannelParts { opening, reset, health } = parts;
    let (sender, pieces) = mpsc::channel(1);
    let sender = StreamSender { pieces: sender, reset, health, is_finished: AtomicBool::new(false) };
    (sender, StreamBody { opening: Some(opening), pieces })
}

impl StreamSender {
    /// Passes on the first bytes of `pending`; returns how many.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] while the previous piece is waiting, [`io::ErrorKind::BrokenPipe`] after the end
    /// of the stream.
    pub(in crate::http) fn try_write(&self, pending: &VecDeque<BufferSegment>) -> io::Result<usize> {
        let permit = self.pieces.try_reserve().map_err(|error| match error {
            TrySendError::Full(()) => io::ErrorKind::WouldBlock,
            TrySendError::Closed(()) => io::ErrorKind::BrokenPipe,
        })?;
        let piece = first_piece(pending);
        let length = piece.len();
        permit.send(piece);
        Ok(length)
    }

    /// Waits until the channel is empty.
    ///
    /// # Errors
    ///
    /// The stream has ended.
    pub(in crate::http) async fn writable(&self) -> io::Result<()> {
        self.pieces.reserve().await.map(drop).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits until the peer has reset the stream or the connection has ended.
    pub(in crate::http) async fn closed(&self) -> Disconnect {
        self.pieces.closed().await;
        self.disconnect_reason()
    }

    /// Why a stream has ended whose body hyper has dropped.
    pub(in crate::http) fn disconnect_reason(&self) -> Disconnect {
        if self.health.is_stalled() { Disconnect::Stalled } else { Disconnect::Closed }
    }

    /// Everything was written: hyper ends the stream in order after it.
    pub(in crate::http) fn finish(&self) {
        self.is_finished.store(true, Ordering::Relaxed);
    }
}

impl Drop for StreamSender {
    fn drop(&mut self) {
        if !self.is_finished.load(Ordering::Relaxed) {
            self.reset.cancel();
        }
    }
}

/// Several small segments become one frame; a single one is shared.
fn first_piece(pending: &VecDeque<BufferSegment>) -> Bytes {
    match pending.len() {
        0 => Bytes::new(),
        1 => pending[0].share(MAX_PIECE_BYTES),
        _ => {
            let mut piece = BytesMut::new();
            for segment in pending {
                let room = MAX_PIECE_BYTES - piece.len();
                piece.extend_from_slice(&segment.as_slice()[..segment.as_slice().len().min(room)]);
                if piece.len() == MAX_PIECE_BYTES {
                    break;
                }
            }
            piece.freeze()
        }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.opening.take() {
            Some(opening) => Poll::Ready(Some(Ok(Frame::data(opening)))),
            None => self.pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
        }
    }
}
