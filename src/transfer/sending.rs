//! The files of a backup on their way to who writes it, and what they are made of.

use std::slice;

use ring::digest::{Context, SHA256, digest};
use tokio::sync::mpsc;

use super::kept::{Chunk, KeptFile};
use super::manifest::{Digest, Listed};
use super::{Error, FileName, Piece};

/// A file that has reached this many bytes is followed by a new one.
const FILE: u64 = 64 << 20;
/// Bytes of a piece, about.
pub(super) const PIECE: usize = 256 << 10;

/// Files on their way. One of changes may be open beside another.
pub(super) struct Outgoing {
    to: mpsc::Sender<Piece>,
    file: Option<Open>,
    changes: Option<Open>,
    files: Vec<Listed>,
}

struct Open {
    name: FileName,
    bytes: u64,
    hash: Context,
}

impl Outgoing {
    pub(super) fn new(to: mpsc::Sender<Piece>) -> Self {
        Self {
            to,
            file: None,
            changes: None,
            files: Vec::new(),
        }
    }

    /// Hands on what belongs to no file.
    pub(super) async fn send(&self, piece: Piece) -> Result<(), Error> {
        let gone = |_| Error::Files("who writes the backup has gone".to_owned());
        self.to.send(piece).await.map_err(gone)
    }

    /// Begins a file; the one before of its lane is whole.
    pub(super) async fn begin(&mut self, name: FileName) -> Result<(), Error> {
        let lane = match name {
            FileName::Changes(_) => &mut self.changes,
            FileName::Keyring | FileName::Entries(_) | FileName::Audit(_) => &mut self.file,
        };
        let before = lane.replace(Open {
            name,
            bytes: 0,
            hash: Context::new(&SHA256),
        });
        self.files.extend(before.map(Open::end));
        self.send(Piece::File(name)).await
    }

    /// The next bytes of the file.
    pub(super) async fn data(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        if let Some(open) = &mut self.file {
            open.add(&bytes);
        }
        self.send(Piece::Data(bytes)).await
    }

    /// The next bytes of the file, which the writer has as this chunk.
    async fn keep(&mut self, chunk: u32, bytes: &[u8]) -> Result<(), Error> {
        if let Some(open) = &mut self.file {
            open.add(bytes);
        }
        self.send(Piece::Keep(chunk)).await
    }

    /// The next changes; none is no file.
    pub(super) async fn changed(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        let number = match &self.changes {
            None => Some(1),
            Some(Open { name, bytes, .. }) => match name {
                FileName::Changes(number) if *bytes >= FILE => Some(number.saturating_add(1)),
                _ => None,
            },
        };
        if let Some(number) = number {
            self.begin(FileName::Changes(number)).await?;
        }
        if let Some(open) = &mut self.changes {
            open.add(&bytes);
        }
        self.send(Piece::Changed(bytes)).await
    }

    /// All files, in their order.
    pub(super) fn end(mut self) -> (Vec<Listed>, mpsc::Sender<Piece>) {
        self.files
            .extend([self.file, self.changes].into_iter().flatten().map(Open::end));
        self.files.sort_by_key(|file| file.name);
        (self.files, self.to)
    }

    /// Whether a file of this kind is open and takes more.
    fn fits(&self, name: FileName) -> bool {
        let same = |open: &Open| std::mem::discriminant(&open.name) == std::mem::discriminant(&name);
        self.file.as_ref().is_some_and(|open| same(open) && open.bytes < FILE)
    }
}

impl Open {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.hash.update(bytes);
    }

    fn end(self) -> Listed {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hash.finish().as_ref());
        Listed {
            name: self.name,
            bytes: self.bytes,
            sha256: Digest(sha256),
        }
    }
}

/// Lays items, in their order, into files of one kind. Where the writer offers chunks, files begin where its files begin, and
/// a stretch whose bytes are a chunk's is not sent.
pub(super) struct Laying<'a> {
    files: slice::Iter<'a, KeptFile>,
    chunks: slice::Iter<'a, Chunk>,
    /// The chunk that the buffer may be.
    offered: Option<&'a Chunk>,
    /// Its number.
    number: u32,
    /// The buffer is not it.
    differs: bool,
    buffer: Vec<u8>,
    /// How a next file would be called.
    next: FileName,
}

impl<'a> Laying<'a> {
    /// Where the writer offers these files, whose first chunk has this number. `first` is the first file's name.
    pub(super) async fn begin(
        kept: &'a [KeptFile],
        number: usize,
        first: FileName,
        out: &mut Outgoing,
    ) -> Result<Self, Error> {
        let mut laying = Self {
            files: kept.iter(),
            chunks: [].iter(),
            offered: None,
            number: u32::try_from(number).unwrap_or(u32::MAX),
            differs: false,
            buffer: Vec::with_capacity(2 * PIECE),
            next: first,
        };
        laying.advance(out).await?;
        Ok(laying)
    }

    /// The next item: its place, and its bytes.
    pub(super) async fn add(&mut self, at: &[u8], bytes: &[u8], out: &mut Outgoing) -> Result<(), Error> {
        while self.offered.is_some_and(|offered| at > offered.end.0.as_slice()) {
            self.close(out).await?;
        }
        if self.buffer.is_empty()
            && let (FileName::Audit(_), Ok(seq)) = (self.next, at.try_into())
        {
            self.next = FileName::Audit(u64::from_be_bytes(seq));
        }
        self.buffer.extend_from_slice(bytes);
        self.differs |= self.offered.is_none_or(|offered| self.buffer.len() > length(offered));
        if self.differs && self.buffer.len() >= PIECE {
            self.flush(out).await?;
        }
        Ok(())
    }

    /// There are no more.
    pub(super) async fn end(mut self, out: &mut Outgoing) -> Result<(), Error> {
        while self.offered.is_some() {
            self.close(out).await?;
        }
        self.flush(out).await
    }

    /// The chunk ends here.
    async fn close(&mut self, out: &mut Outgoing) -> Result<(), Error> {
        let same = |offered: &&Chunk| {
            self.buffer.len() == length(offered)
                && digest(&SHA256, &self.buffer).as_ref() == offered.sha256.0.as_slice()
        };
        if !self.differs && self.offered.as_ref().is_some_and(same) {
            out.keep(self.number, &self.buffer).await?;
            self.buffer.clear();
        } else {
            self.flush(out).await?;
        }
        self.number = self.number.saturating_add(1);
        self.advance(out).await
    }

    /// To the next chunk, and to its file.
    async fn advance(&mut self, out: &mut Outgoing) -> Result<(), Error> {
        self.differs = false;
        loop {
            self.offered = self.chunks.next();
            if self.offered.is_some() {
                return Ok(());
            }
            let Some(file) = self.files.next() else {
                return Ok(());
            };
            out.begin(file.name).await?;
            self.chunks = file.chunks.iter();
            if let FileName::Entries(number) = file.name {
                self.next = FileName::Entries(number.saturating_add(1));
            }
        }
    }

    async fn flush(&mut self, out: &mut Outgoing) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        // a file that is offered began with its first chunk, and ends with its last
        if self.offered.is_none() && !out.fits(self.next) {
            out.begin(self.next).await?;
            if let FileName::Entries(number) = self.next {
                self.next = FileName::Entries(number.saturating_add(1));
            }
        }
        let next = Vec::with_capacity(2 * PIECE);
        out.data(std::mem::replace(&mut self.buffer, next)).await
    }
}

fn length(chunk: &Chunk) -> usize {
    usize::try_from(chunk.bytes).unwrap_or(usize::MAX)
}
