use super::*;
use crate::api::mastercard::known::{Use, known};
use crate::api::mastercard::operation::ApiOperation;
use crate::id::UnixMillis;
use crate::payment::money::Currency;

fn view(answer: Option<Verdict>) -> TransactionView {
    let currency = Currency::parse("EUR").unwrap();
    let amount = Amount::parse("10").unwrap();
    TransactionView {
        id: "t".to_owned(),
        action: Action::Authorize,
        undone: None,
        amount,
        currency,
        answer: answer.map(|verdict| Answer {
            verdict,
            code: "00".to_owned(),
            message: "said".to_owned(),
            authorization_code: None,
            reference: "ref".to_owned(),
            security_code: CodeCheck::NotPresented,
            receipt: "r".to_owned(),
            stan: "s".to_owned(),
            network_reference: None,
        }),
        given_up: false,
        card: None,
        target: None,
        at: UnixMillis(1_800_000_000_000),
        echo: None,
        order: OrderView {
            id: "o".to_owned(),
            amount,
            currency,
            created_at: UnixMillis(1_800_000_000_000),
            updated_at: UnixMillis(1_800_000_000_001),
            status: OrderStatus::Failed,
            authorized: Amount::ZERO,
            captured: Amount::ZERO,
            refunded: Amount::ZERO,
            echo: None,
        },
    }
}

fn form(tree: Result<Tree, Refusal>) -> String {
    String::from_utf8(tree.unwrap().to_form()).unwrap()
}

fn with_teller<T>(tell: impl FnOnce(&Teller<'_>) -> T) -> T {
    tell(&Teller {
        version: Version::parse("64").unwrap(),
        merchant: &MerchantId::parse("TEST_shop").unwrap(),
        acquirer: Some("simulator"),
    })
}

#[test]
fn every_verdict_has_a_code_and_a_result() {
    for (verdict, code, result) in [
        (None, "PENDING", "PENDING"),
        (Some(Verdict::Approved), "APPROVED", "SUCCESS"),
        (Some(Verdict::Declined), "DECLINED", "FAILURE"),
        (Some(Verdict::ExpiredCard), "EXPIRED_CARD", "FAILURE"),
        (Some(Verdict::InsufficientFunds), "INSUFFICIENT_FUNDS", "FAILURE"),
        (Some(Verdict::InvalidSecurityCode), "INVALID_CSC", "FAILURE"),
        (Some(Verdict::SystemError), "ACQUIRER_SYSTEM_ERROR", "FAILURE"),
        (Some(Verdict::TimedOut), "TIMED_OUT", "FAILURE"),
        (Some(Verdict::Unknown), "UNKNOWN", "UNKNOWN"),
        (Some(Verdict::UnspecifiedFailure), "UNSPECIFIED_FAILURE", "FAILURE"),
    ] {
        let view = view(verdict);
        assert_eq!((gateway_code(&view), outcome(&view)), (code, result));
    }
}

#[test]
fn every_action_has_a_type() {
    for (action, undone, expected) in [
        (Action::Authorize, None, "AUTHORIZATION"),
        (Action::Capture, None, "CAPTURE"),
        (Action::Pay, None, "PAYMENT"),
        (Action::Refund, None, "REFUND"),
        (Action::UpdateAuthorization, None, "AUTHORIZATION_UPDATE"),
        (Action::Verify, None, "VERIFICATION"),
        (Action::Void, Some(Action::Authorize), "VOID_AUTHORIZATION"),
        (Action::Void, Some(Action::Capture), "VOID_CAPTURE"),
        (Action::Void, Some(Action::Pay), "VOID_PAYMENT"),
        (Action::Void, Some(Action::Refund), "VOID_REFUND"),
    ] {
        assert_eq!(kind(action, undone), expected);
    }
}

#[test]
fn every_status_and_every_security_code_check_has_a_word() {
    for (given, expected) in [
        (OrderStatus::Authorized, "AUTHORIZED"),
        (OrderStatus::Cancelled, "CANCELLED"),
        (OrderStatus::Captured, "CAPTURED"),
        (OrderStatus::Failed, "FAILED"),
        (OrderStatus::PartiallyCaptured, "PARTIALLY_CAPTURED"),
        (OrderStatus::PartiallyRefunded, "PARTIALLY_REFUNDED"),
        (OrderStatus::Refunded, "REFUNDED"),
        (OrderStatus::Verified, "VERIFIED"),
    ] {
        assert_eq!(status(given), expected);
    }
    for (given, expected) in [
        (CodeCheck::Match, Some(("M", "MATCH"))),
        (CodeCheck::NoMatch, Some(("N", "NO_MATCH"))),
        (CodeCheck::NotProcessed, Some(("P", "NOT_PROCESSED"))),
        (CodeCheck::NotPresented, None),
    ] {
        assert_eq!(security_code(given), expected);
    }
}

#[test]
fn a_transaction_that_is_pending_says_so_and_names_no_acquirer() {
    let order = "order.amount=10.00&order.creationTime=2027-01-15T08%3A00%3A00.000Z&order.currency=EUR&order.id=o\
                 &order.lastUpdatedTime=2027-01-15T08%3A00%3A00.001Z&order.status=FAILED&order.totalAuthorizedAmount=0.00\
                 &order.totalCapturedAmount=0.00&order.totalRefundedAmount=0.00";
    let expected = format!(
        "gatewayEntryPoint=WEB_SERVICES_API&merchant=TEST_shop&{order}&response.gatewayCode=PENDING&result=PENDING\
         &timeOfLastUpdate=2027-01-15T08%3A00%3A00.001Z&timeOfRecord=2027-01-15T08%3A00%3A00.000Z\
         &transaction.amount=10.00&transaction.currency=EUR&transaction.id=t&transaction.type=AUTHORIZATION&version=64"
    );
    let record = |verdict| TransactionRecord {
        view: view(verdict),
        personal: None,
    };
    with_teller(|teller| {
        assert_eq!(form(teller.transaction(&record(None))), expected);
        let locked = expected.replace(
            "gatewayCode=PENDING&result=PENDING",
            "gatewayCode=LOCK_FAILURE&result=FAILURE",
        );
        assert_eq!(form(teller.lock_failure(view(None))), locked);
        let mut given_up = record(None);
        given_up.view.given_up = true;
        let unknown = expected.replace(
            "gatewayCode=PENDING&result=PENDING",
            "gatewayCode=UNKNOWN&result=UNKNOWN",
        );
        assert_eq!(form(teller.transaction(&given_up)), unknown);
        // an order that has nothing better to tell has its last transaction's result
        for (verdict, result) in [
            (None, "PENDING"),
            (Some(Verdict::Unknown), "UNKNOWN"),
            (Some(Verdict::Declined), "FAILURE"),
        ] {
            let record = record(verdict);
            let order = form(teller.order(&record.view.order, std::slice::from_ref(&record)));
            assert!(order.contains(&format!("&result={result}&status=FAILED&")), "{order}");
            assert_eq!(
                order.contains("transaction[0].transaction.acquirer.id=simulator"),
                verdict.is_some()
            );
        }
    });
}

#[test]
fn what_is_given_back_never_takes_the_place_of_what_is_told() {
    let mut view = view(Some(Verdict::Approved));
    view.card = Some(ShownCard {
        masked: "512345******0008".to_owned(),
        brand: None,
        funding: None,
        expiry: Some(crate::card::Expiry::new(1, 2039).unwrap()),
        token: Some(crate::id::Token::parse("9102370788509763").unwrap()),
    });
    view.target = Some("t0".to_owned());
    let record = TransactionRecord { view, personal: None };
    let told = with_teller(|teller| form(teller.transaction(&record)));
    for operation in ApiOperation::ALL
        .into_iter()
        .filter(|operation| operation.is_transaction())
    {
        for pair in told.split('&') {
            let (name, _) = pair.split_once('=').unwrap();
            assert_ne!(known(operation, name), Some(Use::Echoed), "{operation:?} {name}");
        }
    }
}
