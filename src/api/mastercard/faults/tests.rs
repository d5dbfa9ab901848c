use super::*;
use crate::id::{Revision, Token};
use crate::vault::types::DependencyError;

const NUMBER: &str = "sourceOfFunds.provided.card.number";

fn names(operation: ApiOperation) -> Names {
    Names {
        operation,
        from_token: false,
    }
}

/// Status, cause, and field with what is wrong with it.
fn told(refusal: &Refusal) -> (u16, String, Option<(String, String)>) {
    let tree: serde_json::Value = serde_json::from_slice(&refusal.tree(None).to_json()).unwrap();
    let error = &tree["error"];
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    let field = text("field").zip(text("validationType"));
    // what may be explained, is
    let explained = matches!(text("cause").unwrap().as_str(), "INVALID_REQUEST" | "SERVER_BUSY");
    assert_eq!(text("explanation").is_some_and(|told| told.ends_with('.')), explained);
    (refusal.status.as_u16(), text("cause").unwrap(), field)
}

fn invalid(field: &str) -> (u16, String, Option<(String, String)>) {
    let field = Some((field.to_owned(), "INVALID".to_owned()));
    (400, "INVALID_REQUEST".to_owned(), field)
}

fn plain(status: u16, cause: &str) -> (u16, String, Option<(String, String)>) {
    (status, cause.to_owned(), None)
}

#[test]
fn every_fault_of_the_callers_names_its_field() {
    let field = |field| CallerError::Field {
        field,
        reason: "is wrong".to_owned(),
    };
    let token = Token::parse("9102370788509763").unwrap();
    for (error, expected) in [
        (CallerError::BadCursor, invalid("nextPage")),
        (CallerError::CardExists { token }, invalid(NUMBER)),
        (CallerError::CardFixed, invalid(NUMBER)),
        (CallerError::Contended, plain(503, "SERVER_BUSY")),
        (CallerError::Expired, invalid("token")),
        (field("card.number"), invalid(NUMBER)),
        (field("token"), invalid("token")),
        (field("limit"), invalid("limit")),
        (field("another"), plain(400, "INVALID_REQUEST")),
        (CallerError::FormatExhausted, invalid(NUMBER)),
        (CallerError::IdempotencyMismatch, invalid("transaction.id")),
        (CallerError::Inactive, invalid("token")),
        (CallerError::Replaced, invalid("token")),
        (CallerError::Revision { now: Revision(2) }, plain(503, "SERVER_BUSY")),
        (CallerError::Spent, invalid("token")),
        (CallerError::TokenTaken, invalid("token")),
        (CallerError::UnknownToken, invalid("token")),
    ] {
        let refusal = names(ApiOperation::Tokenize).refusal(Error::Caller(error.clone()));
        assert_eq!(told(&refusal), expected, "{error:?}");
    }
    let searching = names(ApiOperation::SearchTokens);
    assert_eq!(
        told(&searching.refusal(Error::Caller(field("filter")))),
        invalid("query")
    );
    let paying = names(ApiOperation::Pay);
    assert_eq!(
        told(&paying.refusal(Error::Caller(CallerError::UnknownToken))),
        invalid("sourceOfFunds.token")
    );
    let from_token = Names {
        from_token: true,
        ..names(ApiOperation::Tokenize)
    };
    assert_eq!(
        told(&from_token.refusal(Error::Caller(CallerError::Inactive))),
        invalid("sourceOfFunds.token")
    );
}

#[test]
fn what_is_not_the_callers_fault_says_when_to_come_again() {
    for (error, status, cause, seconds) in [
        (Error::Policy(PolicyError::BadCredential), 401, "INVALID_REQUEST", None),
        (Error::Policy(PolicyError::NoCredential), 401, "INVALID_REQUEST", None),
        (Error::Policy(PolicyError::Denied), 403, "REQUEST_REJECTED", None),
        (Error::Policy(PolicyError::Suspended), 403, "REQUEST_REJECTED", None),
        (
            Error::Policy(PolicyError::Capped { retry_after_s: 7 }),
            429,
            "SERVER_BUSY",
            Some(7),
        ),
        (
            Error::Policy(PolicyError::LoginThrottled { retry_after_s: 9 }),
            429,
            "SERVER_BUSY",
            Some(9),
        ),
        (Error::Dependency(DependencyError::HsmBusy), 503, "SERVER_BUSY", Some(1)),
        (Error::Dependency(DependencyError::HsmDown), 503, "SERVER_BUSY", Some(5)),
        (
            Error::Dependency(DependencyError::NoRandom),
            503,
            "SERVER_BUSY",
            Some(5),
        ),
        (
            Error::Dependency(DependencyError::StoreReadOnly),
            503,
            "SERVER_BUSY",
            Some(30),
        ),
        (
            Error::Dependency(DependencyError::StoreUnavailable),
            503,
            "SERVER_BUSY",
            Some(5),
        ),
        (Error::Integrity(IntegrityError::Damaged), 500, "SERVER_FAILED", None),
        (
            Error::Integrity(IntegrityError::NewerFormat),
            500,
            "SERVER_FAILED",
            None,
        ),
        (Error::Integrity(IntegrityError::Tampered), 500, "SERVER_FAILED", None),
    ] {
        let refusal = names(ApiOperation::RetrieveToken).refusal(error);
        assert_eq!(told(&refusal), plain(status, cause));
        assert_eq!(refusal.retry_after, seconds);
    }
}

#[test]
fn a_part_of_the_request_is_called_as_the_operation_calls_it() {
    use ApiOperation as Op;
    for (operation, part, field) in [
        (Op::Authorize, Part::Amount, "order.amount"),
        (Op::Verify, Part::Currency, "order.currency"),
        (Op::Capture, Part::Amount, "transaction.amount"),
        (Op::Tokenize, Part::Currency, "transaction.currency"),
        (
            Op::Tokenize,
            Part::ExpiryMonth,
            "sourceOfFunds.provided.card.expiry.month",
        ),
        (
            Op::Tokenize,
            Part::ExpiryYear,
            "sourceOfFunds.provided.card.expiry.year",
        ),
        (Op::Tokenize, Part::NetworkToken, NUMBER),
        (Op::Tokenize, Part::Number, NUMBER),
        (Op::Void, Part::Operation, "apiOperation"),
        (Op::Pay, Part::Order, "order.id"),
        (Op::Pay, Part::Session, "session.id"),
        (Op::Pay, Part::SessionVersion, "session.version"),
        (Op::Void, Part::Target, "transaction.targetTransactionId"),
        (Op::Pay, Part::Token, "sourceOfFunds.token"),
        (Op::Tokenize, Part::Token, "token"),
        (Op::Pay, Part::Transaction, "transaction.id"),
        (Op::Tokenize, Part::Verification, "verificationStrategy"),
    ] {
        let reason = "the value is wrong".to_owned();
        let refusal = names(operation).refusal(payment::Error::Invalid { part, reason });
        assert_eq!(told(&refusal), invalid(field), "{operation:?} {part:?}");
        let text = String::from_utf8(refusal.tree(None).to_json()).unwrap();
        assert!(text.contains("The value is invalid. The value is wrong."), "{text}");
        let (status, _, missing) = told(&names(operation).refusal(payment::Error::Missing(part)));
        assert_eq!((status, missing), (400, Some((field.to_owned(), "MISSING".to_owned()))));
        assert_eq!(
            told(&names(operation).refusal(payment::Error::Unknown(part))),
            invalid(field)
        );
        // what an explanation names, the operation takes
        let known = super::super::known::known(operation, field).is_some() || field == "apiOperation";
        assert!(known, "{operation:?} {field}");
    }
    for nobody in [payment::Error::NoAcquirer, payment::Error::NoNetworkTokens] {
        assert_eq!(told(&names(Op::Pay).refusal(nobody)), plain(400, "INVALID_REQUEST"));
    }
    for busy in [
        payment::Error::Locked,
        payment::Error::NetworkTokenService,
        payment::Error::Unwritten,
    ] {
        assert_eq!(told(&names(Op::Pay).refusal(busy)), plain(503, "SERVER_BUSY"));
    }
}

#[test]
fn what_is_wrong_with_a_body_has_its_status() {
    for (fault, status) in [
        (BodyFault::Broken, 400),
        (BodyFault::Slow, 408),
        (BodyFault::TooLarge(64), 413),
    ] {
        assert_eq!(told(&Refusal::from(fault)), plain(status, "INVALID_REQUEST"));
    }
}
