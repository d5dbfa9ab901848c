//! A backup on its way to who writes it, who may be another process.
//!
//! On the wire a piece is a byte that says what, its length in four bytes, big-endian, and that many bytes.

use super::FileName;
use crate::id::VaultId;

/// The longest piece that is taken, in bytes.
const PIECE_MAX: usize = super::manifest::TEXT_MAX;

/// A part of a backup, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Whose backup it is, before all else.
    Of(VaultId),
    /// A file begins; the one before is whole: of changes the last one of these, else the last one of all others.
    File(FileName),
    /// The next bytes of the file.
    Data(Vec<u8>),
    /// The next bytes of the file are those of a chunk that the writer has, by its number among those that it offered.
    Keep(u32),
    /// The next bytes of the file of changes, which is written beside the other.
    Changed(Vec<u8>),
    /// The manifest: the backup is whole.
    Manifest(Vec<u8>),
    /// It will not be whole, and why.
    Failed(String),
}

/// Not a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon's answer is no backup")]
pub struct NoPiece;

impl Piece {
    /// The piece on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let (name, number);
        let (kind, bytes) = match self {
            Self::Of(vault) => (b'V', vault.as_str().as_bytes()),
            Self::File(file) => {
                name = file.to_string();
                (b'F', name.as_bytes())
            }
            Self::Data(bytes) => (b'D', bytes.as_slice()),
            Self::Keep(chunk) => {
                number = chunk.to_be_bytes();
                (b'K', number.as_slice())
            }
            Self::Changed(bytes) => (b'C', bytes.as_slice()),
            Self::Manifest(text) => (b'M', text.as_slice()),
            Self::Failed(why) => (b'E', why.as_bytes()),
        };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        [&[kind], length.to_be_bytes().as_slice(), bytes].concat()
    }

    fn decode(kind: u8, bytes: &[u8]) -> Result<Self, NoPiece> {
        let text = || std::str::from_utf8(bytes).map_err(|_| NoPiece);
        Ok(match kind {
            b'V' => Self::Of(VaultId::parse(text()?).map_err(|_| NoPiece)?),
            b'F' => Self::File(text()?.parse().map_err(|_| NoPiece)?),
            b'D' => Self::Data(bytes.to_vec()),
            b'K' => Self::Keep(u32::from_be_bytes(bytes.try_into().map_err(|_| NoPiece)?)),
            b'C' => Self::Changed(bytes.to_vec()),
            b'M' => Self::Manifest(bytes.to_vec()),
            b'E' => Self::Failed(text()?.to_owned()),
            _ => return Err(NoPiece),
        })
    }
}

/// Takes pieces out of what came over the wire.
#[derive(Debug, Default)]
pub struct Pieces {
    rest: Vec<u8>,
}

impl Pieces {
    /// Adds what came.
    pub fn add(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The next whole piece.
    ///
    /// # Errors
    /// [`NoPiece`].
    pub fn next_piece(&mut self) -> Result<Option<Piece>, NoPiece> {
        let Some(([kind, length @ ..], rest)) = self.rest.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| NoPiece)?;
        if length > PIECE_MAX {
            return Err(NoPiece);
        }
        let Some(bytes) = rest.get(..length) else {
            return Ok(None);
        };
        let piece = Piece::decode(*kind, bytes)?;
        self.rest.drain(..5 + length);
        Ok(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_as_they_went_in_however_they_are_cut() {
        let sent = [
            Piece::Of(VaultId::parse("vault_1").unwrap()),
            Piece::Keep(7),
            Piece::Changed(vec![1, 2]),
            Piece::File(FileName::Entries(1)),
            Piece::Data(vec![7; 1000]),
            Piece::Manifest(b"{}".to_vec()),
            Piece::Failed("why".to_owned()),
        ];
        let wire: Vec<u8> = sent.iter().flat_map(Piece::encode).collect();
        for size in [1, 3, 999, wire.len()] {
            let (mut pieces, mut got) = (Pieces::default(), Vec::new());
            for chunk in wire.chunks(size) {
                pieces.add(chunk);
                while let Some(piece) = pieces.next_piece().unwrap() {
                    got.push(piece);
                }
            }
            assert_eq!(got, sent);
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        for wire in [
            [b"X".as_slice(), &[0; 4]].concat(),
            [b"K".as_slice(), &[0, 0, 0, 1, 0]].concat(),
            [b"V".as_slice(), &[0, 0, 0, 1], b"/"].concat(),
            [b"D".as_slice(), &[0xff; 4]].concat(),
            [b"F".as_slice(), &[0, 0, 0, 2], b".."].concat(),
        ] {
            let mut pieces = Pieces::default();
            pieces.add(&wire);
            assert_eq!(pieces.next_piece(), Err(NoPiece));
        }
    }
}
