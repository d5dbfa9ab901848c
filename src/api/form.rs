//! Names and values as forms and query strings encode them.

use zeroize::Zeroizing;

/// Undoes percent and plus encoding; `None` where it is broken, or not UTF-8.
pub(crate) fn decoded(encoded: &[u8]) -> Option<Zeroizing<String>> {
    // of its full size from the start: a buffer that grows leaves copies behind
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    let mut rest = encoded;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (hex, after) = rest.split_at_checked(2)?;
                rest = after;
                let byte = data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()?;
                byte.first().copied()?
            }
            other => *other,
        });
    }
    let text = std::str::from_utf8(&bytes).ok()?;
    Some(Zeroizing::new(text.to_owned()))
}

/// The pairs of a form, still encoded; a name without a value has an empty one.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == b'&').map(|pair| {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        (sides.next().unwrap_or_default(), sides.next().unwrap_or_default())
    })
}
