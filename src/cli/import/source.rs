//! Records of a file with cards, one at a time, as bodies of the native API.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use clap::ValueEnum;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

/// The longest record in bytes.
const RECORD_MAX: u64 = 64 << 10;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Comma-separated values with a head: number, exp_month, exp_year, and where wanted holder, token, namespace, ref
    Csv,
    /// A line for each card: what hyperswitch-card-vault answers to `/cards/retrieve` in plain
    Hyperswitch,
    /// A line for each card: a body of `POST /v1/tokens`, with `ref` where wanted
    Jsonl,
}

/// A card to be sent.
pub(super) struct Item {
    /// What the caller knows it by.
    pub(super) reference: Option<String>,
    /// A body of `POST /v1/tokens`.
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Why a record is no card. Says no value.
pub(super) type Fault = String;

/// Records in order.
pub(super) enum Source<R: Read> {
    Csv {
        reader: Box<csv::Reader<R>>,
        head: csv::StringRecord,
        /// Overwritten by each record: no more than one is in memory.
        record: csv::StringRecord,
    },
    Lines {
        reader: BufReader<R>,
        form: Form,
    },
}

impl<R: Read> Source<R> {
    pub(super) fn new(input: R, form: Form) -> anyhow::Result<Self> {
        if form != Form::Csv {
            let reader = BufReader::new(input);
            return Ok(Self::Lines { reader, form });
        }
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(input);
        let head = reader.headers()?.clone();
        if let Some(other) = head.iter().find(|name| !COLUMNS.contains(name)) {
            anyhow::bail!("the head names a column {other:?}; known are {}", COLUMNS.join(", "));
        }
        for needed in ["number", "exp_month", "exp_year"] {
            anyhow::ensure!(
                head.iter().any(|name| name == needed),
                "the head has no column {needed}"
            );
        }
        Ok(Self::Csv {
            reader: Box::new(reader),
            head,
            record: csv::StringRecord::new(),
        })
    }

    /// The next record; none at the end. A fault of the file itself, not of a record, is the outer error.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Result<Item, Fault>>> {
        match self {
            Self::Csv { reader, head, record } => match reader.read_record(record) {
                Ok(true) => Ok(Some(of_columns(head, record))),
                Ok(false) => Ok(None),
                Err(error) => match error.kind() {
                    csv::ErrorKind::Utf8 { .. } => Ok(Some(Err("it is not UTF-8".to_owned()))),
                    _ => Err(error.into()),
                },
            },
            Self::Lines { reader, form } => loop {
                let mut line = Zeroizing::new(Vec::new());
                let read = reader.by_ref().take(RECORD_MAX).read_until(b'\n', &mut line)?;
                if read == 0 {
                    return Ok(None);
                }
                if line.last() != Some(&b'\n') && u64::try_from(read).is_ok_and(|read| read == RECORD_MAX) {
                    skip_line(reader)?;
                    return Ok(Some(Err(format!("it is longer than {RECORD_MAX} bytes"))));
                }
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(match form {
                    Form::Hyperswitch => of_locker(&line),
                    Form::Csv | Form::Jsonl => of_body(&line),
                }));
            },
        }
    }
}

const COLUMNS: [&str; 7] = ["number", "exp_month", "exp_year", "holder", "token", "namespace", "ref"];

fn skip_line(reader: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let some = reader.fill_buf()?;
        let (end, whole) = match some.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (some.len(), some.is_empty()),
        };
        reader.consume(end);
        if whole {
            return Ok(());
        }
    }
}

fn of_columns(head: &csv::StringRecord, record: &csv::StringRecord) -> Result<Item, Fault> {
    if record.len() > head.len() {
        return Err("it has more columns than the head".to_owned());
    }
    let at = |name: &str| {
        let index = head.iter().position(|column| column == name)?;
        record.get(index).filter(|text| !text.is_empty())
    };
    let mut body = json!({ "card": card(at("number"), at("exp_month"), at("exp_year"), at("holder"))? });
    if let Some(members) = body.as_object_mut() {
        if let Some(token) = at("token") {
            members.insert("format".to_owned(), json!("supplied"));
            members.insert("token".to_owned(), json!(token));
        }
        if let Some(namespace) = at("namespace") {
            members.insert("namespace".to_owned(), json!(namespace));
        }
    }
    item(body, at("ref").map(str::to_owned))
}

fn card(number: Option<&str>, month: Option<&str>, year: Option<&str>, holder: Option<&str>) -> Result<Value, Fault> {
    let number = number.ok_or("it has no number")?;
    let small = |what: &str, text: Option<&str>| -> Result<u16, Fault> {
        let text = text.ok_or_else(|| format!("it has no {what}"))?;
        text.parse().map_err(|_| format!("its {what} is not a number"))
    };
    let (month, year) = (small("exp_month", month)?, small("exp_year", year)?);
    let year = if year < 100 { 2000 + year } else { year };
    let mut card = json!({"number": number, "expiry": {"month": month, "year": year}});
    if let (Some(members), Some(holder)) = (card.as_object_mut(), holder) {
        members.insert("holder".to_owned(), json!(holder));
    }
    Ok(card)
}

fn item(mut body: Value, reference: Option<String>) -> Result<Item, Fault> {
    let bytes = serde_json::to_vec(&body).map_err(|_| "it cannot be written as JSON".to_owned());
    wipe(&mut body);
    Ok(Item {
        reference,
        body: Zeroizing::new(bytes?),
    })
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A body, but for `ref`.
fn of_body(line: &[u8]) -> Result<Item, Fault> {
    let mut members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(line).map_err(|error| shape(&error))?;
    let reference = match members.remove("ref") {
        Some(raw) => Some(serde_json::from_str(raw.get()).map_err(|_| "its ref is not a string".to_owned())?),
        None => None,
    };
    let body = serde_json::to_vec(&members).map_err(|error| shape(&error))?;
    Ok(Item {
        reference,
        body: Zeroizing::new(body),
    })
}

#[derive(Deserialize)]
struct Retrieved<'a> {
    #[serde(borrow)]
    payload: Payload<'a>,
    #[serde(default)]
    card_reference: Option<String>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    card: Option<LockerCard<'a>>,
}

#[derive(Deserialize)]
struct LockerCard<'a> {
    card_number: Cow<'a, str>,
    card_exp_month: Cow<'a, str>,
    card_exp_year: Cow<'a, str>,
    name_on_card: Option<Cow<'a, str>>,
}

/// What the locker answers, and beside it the reference that was asked for where the exporter kept it.
fn of_locker(line: &[u8]) -> Result<Item, Fault> {
    let answer: Retrieved<'_> = serde_json::from_slice(line).map_err(|error| shape(&error))?;
    let found = answer
        .payload
        .card
        .ok_or("it has no card: what is encrypted by others cannot be read")?;
    let made = card(
        Some(&found.card_number),
        Some(&found.card_exp_month),
        Some(&found.card_exp_year),
        found.name_on_card.as_deref(),
    )?;
    item(json!({ "card": made }), answer.card_reference)
}

/// Where, not what: what stands there may be a card number.
fn shape(error: &serde_json::Error) -> Fault {
    format!("it is not as it should be, at column {}", error.column())
}
